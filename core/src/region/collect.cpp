#include "region/collect.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/hex.hpp"
#include "format/layout.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/system.hpp"
#include "region/lease.hpp"
#include "region/locator.hpp"
#include "region/names.hpp"
#include "region/state.hpp"

namespace onecopy::detail {
namespace {

double seconds_of(const timespec& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9; }

std::optional<object_id> id_of_entry(std::string_view entry) {
  object_id id;
  if (!from_hex(entry, id.bytes)) return std::nullopt;
  return id;
}

std::optional<object_id> id_of_locator(std::string_view entry) {
  if (entry.size() < locator_suffix.size() || entry.substr(entry.size() - locator_suffix.size()) != locator_suffix)
    return std::nullopt;
  return id_of_entry(entry.substr(0, entry.size() - locator_suffix.size()));
}

// The name in a region's header, "" if it can't be read.
std::string name_in(int descriptor) {
  format::header head{};
  if (!os::read_at(descriptor, std::as_writable_bytes(std::span(&head, 1)), 0)) return {};
  if (head.name[format::name_capacity - 1] != '\0') return {};
  return head.name;
}

// True if it was a leftover and is gone now.
bool collect_file(const store_directory& store, const std::string& entry, bool complete, store::collected& so_far) {
  auto file = os::open_at(store.fd(), entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return false;
  auto alone = os::try_lock_exclusive(file->get());
  if (!alone || !*alone) return false;
  auto info = os::status_of(file->get(), entry);
  if (!info || info->st_nlink == 0) return false;
  if (complete && lease_end(file->get(), *info) > os::wall_clock()) return false;
  if (complete)
    if (const auto id = id_of_entry(entry); id)
      if (const std::string name = name_in(file->get()); !name.empty()) unbind_name(store, name, *id);
  auto removed = os::remove_at(store.fd(), entry);
  if (!removed || !*removed) return false;
  ++so_far.objects;
  so_far.bytes += static_cast<std::uint64_t>(info->st_blocks) * 512;
  return true;
}

// The link that bind_name makes before it renames it. It does so under the lock, so one that is there while the lock is
// ours is of a process that was killed in between.
void collect_new_link(const store_directory& store, const std::string& entry) {
  auto target = os::read_link(store.fd(), entry);
  if (!target || !*target) return;
  if (auto guard = store.lock()) (void)os::remove_at(store.fd(), entry);
}

// A name whose object is gone without having been let go of properly.
void collect_name(const store_directory& store, const std::string& entry) {
  const auto name = name_of_link(entry);
  if (!name) return;
  auto id = look_up_name(store, *name);
  if (!id || !*id) return;
  auto object = os::status_at(store.fd(), (*id)->text());
  auto located = os::status_at(store.fd(), (*id)->text() + std::string(locator_suffix));
  if (object && !*object && located && !*located) unbind_name(store, *name, **id);
}

}  // namespace

store::collected collect(const store_directory& store, std::size_t limit) {
  store::collected so_far;
  std::vector<std::string> names;
  (void)os::for_each_entry(store.fd(), [&](const char* entry) {
    const std::string_view text = entry;
    if (id_of_entry(text)) collect_file(store, entry, true, so_far);
    else if (const auto id = id_of_locator(text)) collect_locators(store, *id);
    else if (text.rfind(".new-", 0) == 0 && !collect_file(store, entry, false, so_far)) collect_new_link(store, entry);
    else if (text.rfind("n-", 0) == 0) names.emplace_back(entry);
    return --limit > 0;
  });
  for (const auto& name : names) collect_name(store, name);
  return so_far;
}

result<std::vector<store::entry>> list(const store_directory& store) {
  std::vector<store::entry> found;
  std::unordered_map<std::string, std::string> names;  // by the id's text
  const double now = os::wall_clock();
  auto read = os::for_each_entry(store.fd(), [&](const char* entry) {
    if (const auto name = name_of_link(entry)) {
      if (auto target = os::read_link(store.fd(), entry); target && *target) names[**target] = *name;
      return true;
    }
    const auto located = id_of_locator(entry);
    const auto id = located ? located : id_of_entry(entry);
    if (!id) return true;
    store::entry item{.id = *id};
    if (located) {
      item.in_memfd = true;
      auto memfd = find_located(store, *id);
      if (!memfd || !memfd->valid()) return true;
      if (auto info = os::status_of(memfd->get(), entry)) {
        item.bytes = static_cast<std::uint64_t>(info->st_size);
        item.created = static_cast<std::uint64_t>(info->st_ctim.tv_sec);
      }
    } else {
      auto info = os::status_at(store.fd(), entry);
      if (!info || !*info) return true;
      item.bytes = static_cast<std::uint64_t>((*info)->st_blocks) * 512;
      item.created = static_cast<std::uint64_t>((*info)->st_ctim.tv_sec);
      item.writable = ((*info)->st_mode & S_IWUSR) != 0;
      double end = seconds_of((*info)->st_mtim);
      if (item.writable) {
        auto own = lease_end(store, entry);
        if (!own) return true;
        end = *own;
      }
      item.lease_seconds = end >= no_end ? std::numeric_limits<double>::infinity() : std::max(0.0, end - now);
    }
    found.push_back(std::move(item));
    return true;
  });
  if (!read) return read.reason();
  for (auto& item : found)
    if (const auto at = names.find(item.id.text()); at != names.end()) item.name = at->second;
  return found;
}

std::vector<std::size_t> holders(const store_directory& store, std::span<const object_id> ids) {
  std::vector<os::file_identity> files;
  for (const auto& id : ids) {
    auto& file = files.emplace_back();  // no file has inode 0, so what is gone is held by nobody
    auto info = os::status_at(store.fd(), id.text());
    if (info && *info) {
      file = {(*info)->st_dev, (*info)->st_ino};
      continue;
    }
    auto memfd = find_located(store, id);
    if (!memfd || !memfd->valid()) continue;
    if (auto located = os::status_of(memfd->get(), "a region")) file = {located->st_dev, located->st_ino};
  }
  return os::count_locks(files);
}

result<bool> remove(const store_directory& store, const object_id& id) {
  std::string name;
  if (auto file = os::open_at(store.fd(), id.text(), O_RDONLY | O_NOFOLLOW)) name = name_in(file->get());
  auto removed = os::remove_at(store.fd(), id.text());
  if (removed && !*removed) {
    auto memfd = find_located(store, id);
    if (memfd && memfd->valid()) {
      name = name_in(memfd->get());
      auto directory = os::open_at(store.fd(), id.text() + std::string(locator_suffix), O_RDONLY | O_DIRECTORY);
      if (directory)
        (void)os::for_each_entry(directory->get(), [&](const char* link) {
          (void)os::remove_at(directory->get(), link);
          return true;
        });
      removed = os::remove_directory_at(store.fd(), id.text() + std::string(locator_suffix));
    }
  }
  if (!name.empty()) unbind_name(store, name, id);
  return removed;
}

status set_lease(const store_directory& store, const object_id& id, double seconds) {
  const double end = std::min(no_end, os::wall_clock() + std::max(0.0, seconds));
  auto set = set_lease_end(store, id.text(), end);
  if (!set && set.reason().kind == error_kind::not_found)
    return failure{error_kind::not_found, "set the lease of the shared object " + id.text(), "it is gone", ""};
  return set;
}

}  // namespace onecopy::detail
