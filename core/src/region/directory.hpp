// The store's directory: found, made, and checked that it is this user's alone.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "onecopy/handle.hpp"
#include "os/fd.hpp"

namespace onecopy::detail {

// Entries of the directory:
//   <32 hex digits>        a region
//   <32 hex digits>.at/    where a region that had no room here is to be found: links to /proc/<pid>/fd/<n>
//   .new-<hex>             a region being written, where O_TMPFILE is not to be had
//   n-<name>               a link whose target is the id of the object with that name
//   .id                    a link whose target is the store's part of handles
class store_directory {
 public:
  // The store that $ONECOPY_DIR or the user id names now; made if it isn't there.
  static result<std::shared_ptr<store_directory>> current();

  store_directory(os::fd directory, std::string path, std::string id)
      : directory_(std::move(directory)), path_(std::move(path)), id_(std::move(id)) {}

  int fd() const noexcept { return directory_.get(); }
  const std::string& path() const noexcept { return path_; }
  const std::string& id() const noexcept { return id_; }

  // An exclusive lock on the directory, for the few operations on names that need more than one step. It ends with the
  // descriptor.
  result<os::fd> lock() const;

 private:
  os::fd directory_;
  std::string path_, id_;
};

// 16 hex digits; the same in all processes of the machine.
const std::string& this_host();
object_id random_id();

}  // namespace onecopy::detail
