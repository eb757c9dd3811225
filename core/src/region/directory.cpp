#include "region/directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <mutex>

#include "base/hex.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/system.hpp"
#include "region/collect.hpp"
#include "region/registry.hpp"

namespace onecopy::detail {
namespace {

std::string wanted_path() {
  std::string path = os::environment("ONECOPY_DIR");
  return path.empty() ? "/dev/shm/onecopy-" + std::to_string(os::user_id()) : path;
}

result<std::string> identity_of(int directory) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto target = os::read_link(directory, ".id");
    if (!target) return target.reason();
    if (*target) return **target;
    std::array<std::uint8_t, 8> random{};
    os::random_bytes(random);
    // A link keeps its target in the inode, so this works in a full file system. Somebody else may be quicker.
    if (auto made = os::make_link(to_hex(random), directory, ".id");
        !made && made.reason().kind != error_kind::exists)
      return made.reason();
  }
  return failure{error_kind::corrupt, "read the identity of the store", "its link .id comes and goes", ""};
}

result<std::shared_ptr<store_directory>> open_store(const std::string& path) {
  const std::string tried = "use the store " + path;
  const std::string remedy = "Set ONECOPY_DIR to a directory of your own, in memory (tmpfs) if you can";
  if (auto made = os::make_directory(path, 0700); !made && made.reason().kind != error_kind::exists) {
    auto& reason = made.reason();
    return failure{reason.kind, tried, reason.happened, remedy, reason.os_error};
  }
  auto directory = os::open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) {
    auto& reason = directory.reason();
    const bool link = reason.os_error == ELOOP || reason.os_error == ENOTDIR;
    return failure{link ? error_kind::permission : reason.kind, tried,
                   link ? "it is a link or a file, not a directory" : reason.happened, remedy, reason.os_error};
  }
  auto info = os::status_of(directory->get(), path);
  if (!info) return info.reason();
  if (info->st_uid != os::user_id())
    return failure{error_kind::permission, tried, "it belongs to user " + std::to_string(info->st_uid), remedy};
  if ((info->st_mode & 077) != 0)
    return failure{error_kind::permission, tried, "others may enter it",
                   remedy + ". If this one is for onecopy alone, `chmod 700 " + path + "` will do"};
  auto id = identity_of(directory->get());
  if (!id) return failure{id.reason().kind, tried, id.reason().happened, remedy, id.reason().os_error};
  return std::make_shared<store_directory>(std::move(*directory), path, *id);
}

}  // namespace

result<std::shared_ptr<store_directory>> store_directory::current() {
  static auto* cached = new std::shared_ptr<store_directory>;  // outlives every static
  const std::string path = wanted_path();
  std::shared_ptr<store_directory> fresh;
  {
    const auto guard = registry::lock();
    if (*cached && (*cached)->path() == path) {
      auto info = os::status_of((*cached)->fd(), path);
      // Removed by hand: the next store of that name is another one.
      if (info && info->st_nlink > 0) return *cached;
    }
    auto opened = open_store(path);
    if (!opened) return opened;
    fresh = *cached = *opened;
  }
  // What killed processes left goes away when the next one comes. A store with very many objects must not make every
  // start slow: the rest waits for `onecopy gc`, or for the next process.
  (void)collect(*fresh, 5000);
  return fresh;
}

result<os::fd> store_directory::lock() const {
  // A lock belongs to the open file description, so that of directory_ would be shared with forked children.
  auto own = os::open_at(fd(), ".", O_RDONLY | O_DIRECTORY);
  if (!own) return own.reason();
  if (auto taken = os::lock_exclusive(own->get(), 10, "the store"); !taken) return taken.reason();
  return own;
}

const std::string& this_host() {
  static const std::string* host = new std::string(os::host_identity());
  return *host;
}

object_id random_id() {
  object_id id;
  os::random_bytes(id.bytes);
  return id;
}

}  // namespace onecopy::detail

namespace onecopy {
object_id object_id::random() { return detail::random_id(); }
}  // namespace onecopy
