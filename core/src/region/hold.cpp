#include "region/hold.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "base/arithmetic.hpp"
#include "base/hash.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"
#include "os/system.hpp"
#include "region/lease.hpp"
#include "region/locator.hpp"

namespace onecopy::detail {
namespace {

// A stopped process may hold the exclusive lock for the moment of letting go; nobody waits longer than this for it.
constexpr double patience = 10;

failure gone(const object_id& id) {
  return {error_kind::not_found, "attach to the shared object " + id.text(), "it is gone: its last holder let go",
          "Keep a reference to it until the receiver has attached, or share it with keep"};
}

// Received memfds that this process keeps a descriptor of, so that it can map them again and pass them on. They must
// not use up the descriptors of a program that holds tens of thousands of objects. Null: no more.
std::shared_ptr<void> descriptor_allowance() {
  const std::uint64_t limit = os::descriptor_limit() / 8;  // asked anew: it changes, and children inherit the count
  static std::atomic<std::uint64_t> granted{0};
  if (granted.fetch_add(1) >= limit) {
    granted.fetch_sub(1);
    return nullptr;
  }
  return std::shared_ptr<void>(&granted, [](void*) { granted.fetch_sub(1); });
}

// `info` is what fstat says of the file since it is locked.
result<std::shared_ptr<region_state>> map_locked(int file, const struct stat& info, bool writable,
                                                 region_state::origin from) {
  if (!S_ISREG(info.st_mode))
    return failure{error_kind::corrupt, "read a region", "it is not a regular file", "Send or name a region"};
  if (info.st_size < static_cast<off_t>(sizeof(format::header)))
    return failure{error_kind::corrupt, "read a region", "it is too short for a header",
                   "It was cut short, or is not a region"};
  from.device = info.st_dev;
  from.inode = info.st_ino;
  return region_state::map(file, static_cast<std::uint64_t>(info.st_size), writable, std::move(from));
}

result<std::shared_ptr<region_state>> hold_in_store(const std::shared_ptr<store_directory>& store,
                                                    const object_id& id) {
  const std::string name = id.text();
  int access = O_RDONLY;
  for (;;) {
    auto file = os::open_at(store->fd(), name, access | O_NOFOLLOW | O_NONBLOCK);
    if (!file) return file.reason().kind == error_kind::not_found ? gone(id) : std::move(file).reason();
    if (auto locked = os::lock_shared(file->get(), patience, "a shared object"); !locked) return locked.reason();
    auto info = os::status_of(file->get(), name);
    if (!info) return info.reason();
    if (info->st_nlink == 0) return gone(id);
    const bool writable = (info->st_mode & S_IWUSR) != 0;
    if (writable && access == O_RDONLY) {
      access = O_RDWR;
      continue;
    }
    auto held = map_locked(file->get(), *info, writable, {.where = backing::store, .store = store, .key = key_of(id)});
    if (!held) return held;
    if ((*held)->id() != id)
      return failure{error_kind::corrupt, "attach to the shared object " + name, "the region says it is another one",
                     "Somebody changed files in the store: run `onecopy gc`"};
    if (!writable) (*held)->note_lease(lease_end(file->get(), *info));
    return held;
  }
}

// What fstat says of a descriptor that may name a region: memory or a file and, from a stranger, one that nobody can
// change.
result<struct stat> believable(int descriptor, bool trusted) {
  auto info = os::status_of(descriptor, "a received descriptor");
  if (!info) return info.reason();
  if (!S_ISREG(info->st_mode))
    return failure{error_kind::corrupt, "use a received descriptor", "it is not shared memory or a file",
                   "The sender must send a shared object"};
  if (!trusted && !os::is_sealed(descriptor))
    return failure{error_kind::permission, "use a received descriptor",
                   "it is not sealed, so its sender could change or cut it while it is read",
                   "The sender must share the object as a sealed memfd"};
  return info;
}

// Maps by a description that is this process's alone.
result<std::shared_ptr<region_state>> map_own(os::fd own, const struct stat& info, bool writable, bool keep) {
  // Only for holders() to count. A sender who holds the exclusive lock must not make the receiver wait.
  (void)os::try_lock_shared(own.get());
  const int descriptor = own.get();
  region_state::origin from{.where = backing::memfd};
  // Who takes part in the locks of a mutable object needs the descriptor, too.
  if (auto allowance = descriptor_allowance(); keep || writable || allowance != nullptr)
    from.descriptor = std::move(own), from.allowance = std::move(allowance);
  return map_locked(descriptor, info, writable, std::move(from));
}

}  // namespace

registry::key key_of(const object_id& id) {
  registry::key key;
  std::memcpy(key.data(), id.bytes.data(), key.size());
  return key;
}

result<std::shared_ptr<region_state>> hold(const std::shared_ptr<store_directory>& store, const object_id& id) {
  if (auto known = registry::find(key_of(id))) return known;
  auto held = hold_in_store(store, id);
  if (!held && held.reason().kind == error_kind::not_found) {
    auto memfd = find_located(*store, id);
    if (!memfd) return memfd.reason();
    if (memfd->valid()) held = hold_located(store, std::move(*memfd), id);
  }
  if (!held) return held;
  return registry::keep(key_of(id), *held);
}

result<std::shared_ptr<region_state>> hold_located(const std::shared_ptr<store_directory>& store, os::fd memfd,
                                                   const object_id& id) {
  const bool writable = !os::is_sealed(memfd.get());
  auto own = os::reopen(memfd.get(), writable ? O_RDWR : O_RDONLY);
  if (!own) return own.reason();
  if (auto locked = os::lock_shared(own->get(), patience, "a shared object"); !locked) return locked.reason();
  auto locator = add_locator(*store, id, memfd.get());
  if (!locator) return locator.reason();
  auto info = os::status_of(own->get(), "a region");
  if (!info) return info.reason();
  auto held = map_locked(own->get(), *info, writable,
                         {.where = backing::memfd, .store = store, .descriptor = std::move(memfd),
                          .locator = *locator, .locator_owner = os::process_name(), .key = key_of(id)});
  if (!held) remove_locator(*store, *locator);
  return held;
}

result<std::shared_ptr<region_state>> hold_file(const std::string& path) {
  int access = O_RDONLY;
  for (;;) {
    auto file = os::open_file(path, access | O_NONBLOCK);  // a FIFO must not make us wait
    if (!file) return file.reason();
    if (auto locked = os::lock_shared(file->get(), patience, "a file"); !locked) return locked.reason();
    auto info = os::status_of(file->get(), path);
    if (!info) return info.reason();
    format::header head{};
    if (S_ISREG(info->st_mode) && info->st_size >= static_cast<off_t>(sizeof head))
      if (auto got = os::read_at(file->get(), std::as_writable_bytes(std::span(&head, 1)), 0); !got) return got.reason();
    const bool writable = (head.flags & format::flag_writable) != 0;
    if (writable && access == O_RDONLY) {
      access = O_RDWR;
      continue;
    }
    // An id is no identity for files, which users copy; what fstat says is, until the file is written again.
    const std::uint64_t identity[4] = {info->st_dev, info->st_ino, static_cast<std::uint64_t>(info->st_ctim.tv_sec),
                                       static_cast<std::uint64_t>(info->st_ctim.tv_nsec)};
    registry::key key;
    const std::uint64_t halves[2] = {xxh64(std::as_bytes(std::span(identity)), 1),
                                     xxh64(std::as_bytes(std::span(identity)), 2)};
    std::memcpy(key.data(), halves, key.size());
    if (!writable)
      if (auto known = registry::find(key)) return known;
    region_state::origin from{.where = backing::file, .path = path};
    if (!writable) from.key = key;
    auto held = map_locked(file->get(), *info, writable, std::move(from));
    if (!held) {
      auto reason = std::move(held).reason();
      reason.tried = "open " + path;
      return reason;
    }
    return writable ? *held : registry::keep(key, *held);
  }
}

result<std::shared_ptr<region_state>> hold_descriptor(int descriptor, bool trusted, bool keep) {
  auto info = believable(descriptor, trusted);
  if (!info) return info.reason();
  const bool writable = trusted && !os::is_sealed(descriptor) && os::is_writable(descriptor);
  // The description came with the descriptor and is the sender's too; a lock on it would end with theirs.
  auto own = os::reopen(descriptor, writable ? O_RDWR : O_RDONLY);
  if (!own) own = os::duplicate(descriptor);
  if (!own) return own.reason();
  return map_own(*std::move(own), *info, writable, keep);
}

result<std::shared_ptr<region_state>> hold_received(os::fd own) {
  auto info = believable(own.get(), false);
  if (!info) return info.reason();
  return map_own(std::move(own), *info, false, false);
}

bool is_there(const store_directory& store, const object_id& id) {
  auto file = os::open_at(store.fd(), id.text(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) {
    auto memfd = find_located(store, id);
    return !memfd || memfd->valid();  // what can't be told now must not be taken for gone
  }
  auto info = os::status_of(file->get(), id.text());
  if (!info || info->st_nlink == 0) return false;
  if (lease_end(file->get(), *info) > os::wall_clock()) return true;
  auto alone = os::try_lock_exclusive(file->get());
  if (!alone || *alone) return false;
  // Either holders share the lock, or somebody who lets go has it alone for a moment: then it is as good as gone.
  auto shared = os::try_lock_shared(file->get());
  return shared && *shared;
}

}  // namespace onecopy::detail
