#include "os/probe.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "os/fd.hpp"

namespace onecopy::os {

std::string probe_userfaultfd() {
  constexpr int user_mode_only = 1;  // UFFD_USER_MODE_ONLY, Linux 5.11: needs no privilege
  const fd probe(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | user_mode_only)));
  return probe.valid() ? "" : std::strerror(errno);
}

}  // namespace onecopy::os
