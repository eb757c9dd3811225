#include "os/range_lock.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>

namespace onecopy::os {

result<bool> try_lock_byte(int descriptor, std::uint64_t byte) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(byte);
  range.l_len = 1;
  int answer = fcntl(descriptor, F_OFD_SETLK, &range);
  while (answer != 0 && errno == EINTR) answer = fcntl(descriptor, F_OFD_SETLK, &range);
  if (answer == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return failure::from_errno("lock a part of a file (F_OFD_SETLK)");
}

}  // namespace onecopy::os
