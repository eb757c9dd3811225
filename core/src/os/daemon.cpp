// Apart from the rest, for this ends the process that calls it: only programs may contain it, R's library may not.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/process.hpp"

namespace onecopy::os {

status become_daemon(const std::string& log) {
  const pid_t child = fork();
  if (child < 0) return failure::from_errno("start the pager in the background");
  if (child > 0) _exit(0);
  setsid();
  if (chdir("/") != 0) return failure::from_errno("leave the working directory");
  umask(0077);
  const int in = open("/dev/null", O_RDWR);
  int out = in;
  if (!log.empty()) out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (out < 0) out = in;
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0) return done();
#endif
  for (int number = 3; number < 4096; ++number) close(number);
  return done();
}

}  // namespace onecopy::os
