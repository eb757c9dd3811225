#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace onecopy::os {

// FUTEX_PRIVATE_FLAG would look the word up by address, and another process would never be woken.
futex_answer futex_wait(const std::uint32_t* word, std::uint32_t expected, std::chrono::nanoseconds at_most) noexcept {
  if (at_most.count() <= 0) return futex_answer::timed_out;
  const timespec relative{static_cast<time_t>(at_most.count() / 1'000'000'000),
                          static_cast<long>(at_most.count() % 1'000'000'000)};
  const int saved = errno;
  const long answer = syscall(SYS_futex, word, FUTEX_WAIT, expected, &relative, nullptr, 0);
  const int reason = errno;
  errno = saved;
  if (answer == 0) return futex_answer::woken;
  switch (reason) {
    case EAGAIN: return futex_answer::changed;
    case ETIMEDOUT: return futex_answer::timed_out;
    case EINTR: return futex_answer::signal;
    default: break;
  }
  // A kernel or sandbox without futexes: a short nap keeps the caller's loop right, only slower.
  const timespec nap{0, 200'000};
  nanosleep(&nap, nullptr);
  return futex_answer::woken;
}

void futex_wake(const std::uint32_t* word, int how_many) noexcept {
  const int saved = errno;
  syscall(SYS_futex, word, FUTEX_WAKE, how_many, nullptr, nullptr, 0);
  errno = saved;
}

}  // namespace onecopy::os
