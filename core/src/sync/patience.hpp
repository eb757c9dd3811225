// One wait: how long it may still last, when to look closer, and when to give up.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "onecopy/waiting.hpp"
#include "os/futex.hpp"

namespace onecopy::sync {

using std::chrono::nanoseconds;

// Every sleep is cut into slices. After each the waiter looks for itself, so a wake-up that was lost with its sender
// or its receiver delays the others by one slice and never blocks them.
inline constexpr nanoseconds first_slice = std::chrono::milliseconds(2);
inline constexpr nanoseconds longest_slice = std::chrono::milliseconds(50);

class patience {
 public:
  explicit patience(const waiting& how_long)
      : how_long_(how_long), endless_(!(how_long.seconds >= 0 && how_long.seconds < 1e9)) {
    if (!endless_ && how_long.seconds > 0)
      end_ = clock::now() +
             std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(how_long.seconds));
  }

  bool may_wait() const noexcept { return endless_ || how_long_.seconds > 0; }

  // Sleeps while *word == expected, one slice at most. A value: the wait is over, timed_out or interrupted.
  std::optional<wait_result> sleep(const std::uint32_t* word, std::uint32_t expected) {
    if (!may_wait()) return wait_result::timed_out;
    nanoseconds slice = slice_;
    if (!endless_) {
      const nanoseconds left = end_ - clock::now();
      if (left.count() <= 0) return wait_result::timed_out;
      if (left < slice) slice = left;
    }
    const os::futex_answer answer = os::futex_wait(word, expected, slice);
    look_closer_ = answer == os::futex_answer::timed_out;
    if (look_closer_ && slice_ < longest_slice) slice_ = std::min(slice_ * 2, longest_slice);
    if ((look_closer_ || answer == os::futex_answer::signal) && how_long_.stop && how_long_.stop())
      return wait_result::interrupted;
    return std::nullopt;
  }

  // True before the first sleep and after each that nobody ended: time to ask whether the others still live.
  bool look_closer() const noexcept { return look_closer_; }

 private:
  using clock = std::chrono::steady_clock;
  const waiting& how_long_;
  bool endless_;
  bool look_closer_ = true;
  nanoseconds slice_ = first_slice;
  clock::time_point end_{};
};

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks `ready` up for a microsecond or two: what is released within that time costs no sleep.
template <class Ready>
bool spin(Ready ready) noexcept {
  for (int turn = 0; turn < 40; ++turn) {
    if (ready()) return true;
    relax();
  }
  return false;
}

// The half of a 64-bit word that the kernel can sleep on: the one with the flags.
inline const std::uint32_t* low_half(const std::uint64_t& word) noexcept {
  static_assert(std::endian::native == std::endian::little);
  return reinterpret_cast<const std::uint32_t*>(&word);
}

}  // namespace onecopy::sync
