#include "os/sparse.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace onecopy::os {

status set_size(int descriptor, std::uint64_t bytes) {
  while (ftruncate(descriptor, static_cast<off_t>(bytes)) != 0)
    if (errno != EINTR) return failure::from_errno("set the size of a file to " + std::to_string(bytes) + " bytes");
  return done();
}

status punch_hole(int descriptor, std::uint64_t offset, std::uint64_t size) {
  constexpr int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  while (fallocate(descriptor, mode, static_cast<off_t>(offset), static_cast<off_t>(size)) != 0)
    if (errno != EINTR) return failure::from_errno("give " + std::to_string(size) + " bytes back");
  return done();
}

status remove_file(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return done();
  return failure::from_errno("remove " + path);
}

status rename_file(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return done();
  return failure::from_errno("rename " + from + " to " + to);
}

}  // namespace onecopy::os
