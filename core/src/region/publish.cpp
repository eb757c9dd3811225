#include "region/publish.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/hex.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"
#include "os/system.hpp"
#include "region/collect.hpp"
#include "region/hold.hpp"
#include "region/lease.hpp"
#include "region/locator.hpp"
#include "region/names.hpp"

namespace onecopy::detail {
namespace {

struct request {
  const publish_options& options;
  const object_id& id;
  std::uint64_t bytes;
};

unsigned mode_of(const publish_options& options) { return options.writable ? 0600 : 0400; }

// tmpfs and memfds give out memory until the kernel kills processes to get some back, so what can't fit is refused first.
status reserve_memory(int file, std::uint64_t bytes) {
  // Asking costs as much as making a small object, which will hardly be the one that breaks the camel's back.
  const std::uint64_t available = bytes < (1 << 22) ? UINT64_MAX : os::available_memory();
  if (bytes > available - available / 32)
    return failure{error_kind::no_memory, "share " + std::to_string(bytes) + " bytes",
                   "this machine, or this container, has " + std::to_string(available) + " bytes of memory left",
                   "Free memory, share less at once, or save it to a file and open that", ENOMEM};
  return os::reserve(file, 0, bytes);
}

// In the store: a file without a name that gets one when it is complete, so that a killed writer leaves nothing.
class store_file final : public region_file {
 public:
  store_file(const request& what, std::shared_ptr<store_directory> store) : what_(what), store_(std::move(store)) {}
  ~store_file() override {
    if (!temporary_.empty()) (void)os::remove_at(store_->fd(), temporary_);
  }

  status begin() {
    auto unnamed = os::open_unnamed(store_->fd(), 0600);
    if (unnamed) file_ = std::move(*unnamed);
    else if (unnamed.reason().kind != error_kind::unsupported) return unnamed.reason();
    else if (auto named = begin_named(); !named) return named;
    auto space = os::space_of(store_->path());
    auto reserved = space && !space->is_tmpfs ? os::reserve(file_.get(), 0, what_.bytes)
                                              : reserve_memory(file_.get(), what_.bytes);
    return !reserved && reserved.reason().kind == error_kind::no_space ? no_room() : reserved;
  }

  result<std::shared_ptr<region_state>> commit() override {
    if (auto protect = os::set_mode(file_.get(), mode_of(what_.options)); !protect) return protect.reason();
    if (auto locked = os::lock_shared(file_.get(), 10, "a new object"); !locked) return locked.reason();
    if (auto named = give_name(); !named) return named.reason();
    auto info = os::status_of(file_.get(), "a new object");
    if (!info) return info.reason();
    auto held = region_state::map(file_.get(), what_.bytes, what_.options.writable,
                                  {.where = backing::store, .store = store_, .key = key_of(what_.id),
                                   .device = info->st_dev, .inode = info->st_ino});
    if (!held) (void)os::remove_at(store_->fd(), what_.id.text());
    return held;
  }

 private:
  failure no_room() const {
    auto space = os::space_of(store_->path());
    return {error_kind::no_space, "share " + std::to_string(what_.bytes) + " bytes",
            store_->path() + " has room for " + (space ? std::to_string(space->available) : "fewer"),
            "Free objects (`onecopy ls`, `onecopy gc`), enlarge the file system, or set ONECOPY_DIR", ENOSPC};
  }

  status begin_named() {
    const std::string name = ".new-" + random_id().text();
    auto made = os::create_locked(store_->fd(), name, 0600);
    if (!made) return made.reason();
    file_ = std::move(made->file);
    temporary_ = name;
    return made->locked;
  }

  status give_name() {
    if (temporary_.empty()) return os::link_unnamed(file_.get(), store_->fd(), what_.id.text());
    auto placed = os::rename_at(store_->fd(), temporary_, what_.id.text());
    if (placed) temporary_.clear();
    return placed;
  }

  request what_;
  std::shared_ptr<store_directory> store_;
  std::string temporary_;
};

class memfd_file final : public region_file {
 public:
  memfd_file(const request& what, std::shared_ptr<store_directory> store) : what_(what), store_(std::move(store)) {}

  status begin() {
    auto memfd = what_.options.descriptor < 0 ? os::make_memfd("onecopy")
                                              : os::reopen(what_.options.descriptor, O_RDWR);
    if (!memfd) return memfd.reason();
    file_ = std::move(*memfd);
    return reserve_memory(file_.get(), what_.bytes);
  }

  result<std::shared_ptr<region_state>> commit() override {
    if (auto sealed = what_.options.writable ? os::seal_size(file_.get()) : os::seal(file_.get()); !sealed)
      return sealed.reason();
    if (store_) return hold_located(store_, std::move(file_), what_.id);
    return hold_descriptor(file_.get(), true, true);
  }

 private:
  request what_;
  std::shared_ptr<store_directory> store_;  // null: it is for sending, no handle names it
};

// A file of the user's: written beside its path, then put in place.
class user_file final : public region_file {
 public:
  explicit user_file(const request& what) : what_(what) {}
  ~user_file() override {
    if (!temporary_.empty()) (void)os::remove_at(AT_FDCWD, temporary_);
  }

  status begin() {
    remove_leftovers();
    if (!begin_unnamed())
      if (auto begun = begin_named(); !begun) return begun;
    return os::reserve(file_.get(), 0, what_.bytes);
  }

  result<std::shared_ptr<region_state>> commit() override {
    if (auto stored = os::sync_file(file_.get()); !stored) return stored.reason();
    const std::string& path = what_.options.path;
    if (temporary_.empty() && what_.options.replace) {
      // A link can't take the place of a file, a renaming can. A writer that is killed between these two leaves a name,
      // as one does where files can't be without: the next save to the path removes it.
      const std::string temporary = beside() + random_id().text();
      (void)os::try_lock_shared(file_.get());
      if (auto named = os::link_unnamed(file_.get(), AT_FDCWD, temporary); !named) return named.reason();
      temporary_ = temporary;
    }
    if (temporary_.empty()) {
      if (auto placed = os::link_unnamed(file_.get(), AT_FDCWD, path); !placed) return in_users_words(placed.reason());
    } else if (what_.options.replace) {
      if (auto placed = os::rename_at(AT_FDCWD, temporary_, path); !placed) return placed.reason();
      temporary_.clear();
    } else if (auto placed = os::hard_link(AT_FDCWD, temporary_, path); !placed) {
      return in_users_words(placed.reason());
    }
    return hold_file(path);
  }

 private:
  // How the names of temporary files begin. Of a long name the end is left out: a name has 255 bytes at most.
  std::string beside() const {
    const std::string& path = what_.options.path;
    const auto slash = path.rfind('/');
    const auto name = slash == std::string::npos ? 0 : slash + 1;
    return path.substr(0, name + std::min<std::size_t>(path.size() - name, 200)) + ".new-";
  }

  std::string folder() const {
    const auto slash = what_.options.path.rfind('/');
    return slash == std::string::npos ? "." : what_.options.path.substr(0, slash + 1);
  }

  // Without a name until it is whole: then a killed writer leaves nothing.
  bool begin_unnamed() {
    auto place = os::open_file(folder(), O_RDONLY | O_DIRECTORY);
    if (!place) return false;
    auto unnamed = os::open_unnamed(place->get(), 0666);
    if (unnamed) file_ = std::move(*unnamed);
    return unnamed.ok();
  }

  // A file system without locks keeps what the killed leave.
  status begin_named() {
    const std::string name = beside() + random_id().text();
    auto made = os::create_locked(AT_FDCWD, name, 0666);
    if (!made) return in_users_words(made.reason());
    file_ = std::move(made->file);
    temporary_ = name;
    return done();
  }

  // In the user's words: nobody asked for the file beside it.
  failure in_users_words(failure why) const {
    const std::string& path = what_.options.path;
    why.tried = "save to " + path;
    if (why.os_error == ENAMETOOLONG) {
      why.tried = "save to a path of " + std::to_string(path.size()) + " bytes";
      why.happened = "no file system has room for such a path or name";
      why.remedy = "Choose a shorter one";
    }
    if (why.os_error == ENOENT || why.os_error == ENOTDIR) {
      why.kind = error_kind::not_found;
      why.happened = "there is no directory " + folder();
      why.remedy = "Make it first, or choose another path";
    } else if (why.os_error == EACCES || why.os_error == EROFS) {
      why.happened = "this user may not write to the directory " + folder();
      why.remedy = "Choose another path";
    } else if (why.os_error == EEXIST) {
      why.happened = "a file is there already";
      why.remedy = "Ask to replace it, or choose another path";
    }
    return why;
  }

  // What earlier saves to this path left when they were killed: files beside it that nobody has locked.
  void remove_leftovers() const {
    std::string start = beside();
    if (const auto slash = start.rfind('/'); slash != std::string::npos) start.erase(0, slash + 1);
    auto place = os::open_file(folder(), O_RDONLY | O_DIRECTORY);
    if (!place) return;
    (void)os::for_each_entry(place->get(), [&](const char* entry) {
      object_id id;
      if (std::string_view(entry).substr(0, start.size()) != start || !from_hex(entry + start.size(), id.bytes)) return true;
      auto file = os::open_at(place->get(), entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      if (!file) return true;
      auto alone = os::try_lock_exclusive(file->get());
      if (alone && *alone) (void)os::remove_at(place->get(), entry);
      return true;
    });
  }

  request what_;
  std::string temporary_;
};

template <class File, class... Extra>
result<std::shared_ptr<region_state>> write_into(const std::function<status(region_file&)>& fill, const request& what,
                                                 Extra... extra) {
  File file(what, extra...);
  if (auto begun = file.begin(); !begun) return begun.reason();
  if (auto filled = fill(file); !filled) return filled.reason();
  return file.commit();
}

result<std::shared_ptr<region_state>> write_to_store(const std::function<status(region_file&)>& fill,
                                                     const request& what,
                                                     const std::shared_ptr<store_directory>& store) {
  auto made = write_into<store_file>(fill, what, store);
  if (made || made.reason().kind != error_kind::no_space) return made;
  if (collect(*store).objects > 0) {
    made = write_into<store_file>(fill, what, store);
    if (made || made.reason().kind != error_kind::no_space) return made;
  }
  // A lease has nothing to stay in without a file.
  if (what.options.keep) return made;
  auto elsewhere = write_into<memfd_file>(fill, what, store);
  return elsewhere ? std::move(elsewhere) : std::move(made);
}

}  // namespace

status region_file::write(std::span<const std::byte> bytes, std::uint64_t offset) {
  return os::write_at(file_.get(), bytes, offset);
}

status region_file::add_checksum(std::uint64_t bytes) {
  auto written = os::mapping::map(file_.get(), 0, bytes, os::map_mode::read_only);
  if (!written) return written.reason();
  format::header head;
  std::memcpy(&head, written->data(), sizeof head);
  head.flags |= format::flag_checksum;
  if (auto flagged = write(std::as_bytes(std::span(&head, 1)), 0); !flagged) return flagged;
  head.checksum = format::checksum_of({written->data(), written->size()});
  return write(std::as_bytes(std::span(&head, 1)), 0);
}

result<std::shared_ptr<region_state>> publish(const publish_options& options, const object_id& id, std::uint64_t bytes,
                                              const std::function<status(region_file&)>& fill) {
  const request what{options, id, bytes};
  if (options.where == backing::file) return write_into<user_file>(fill, what);
  if (options.where == backing::memfd) return write_into<memfd_file>(fill, what, std::shared_ptr<store_directory>());
  if (options.where != backing::store)
    return failure{error_kind::invalid_argument, "share an object", "a mapped file can't be written",
                   "Choose store, memfd or file"};
  auto store = store_directory::current();
  if (!store) return store.reason();
  if (!options.name.empty()) {  // before gigabytes are written in vain; bind_name decides
    auto earlier = look_up_name(**store, options.name);
    if (!earlier) return earlier.reason();
    if (*earlier && !options.replace && is_there(**store, **earlier)) return name_is_taken(options.name);
  }
  auto made = write_to_store(fill, what, *store);
  if (!made) return made;
  if (!options.name.empty())
    if (auto bound = bind_name(**store, options.name, id, options.replace); !bound) return bound.reason();
  // Last of all: killed before this, its maker leaves an object that is collected, not one that stays and nobody knows.
  if (options.keep)
    if (auto kept = set_lease_end(**store, id.text(), no_end); !kept) return kept.reason();
  return registry::keep(key_of(id), *made);
}

}  // namespace onecopy::detail
