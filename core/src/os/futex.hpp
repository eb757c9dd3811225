// Sleeping until a word of shared memory changes. The word is found by its place in the file, not by its address, so
// processes that map it at different addresses meet.
#pragma once

#include <chrono>
#include <cstdint>

namespace onecopy::os {

enum class futex_answer {
  woken,      // by futex_wake, or for no reason
  changed,    // the word was not `expected` to begin with
  timed_out,
  signal,     // a signal handler ran in this thread
};

// Sleeps while *word == expected, at most this long. The word must lie in a MAP_SHARED mapping.
futex_answer futex_wait(const std::uint32_t* word, std::uint32_t expected, std::chrono::nanoseconds at_most) noexcept;

inline constexpr int everyone = 0x7fffffff;
void futex_wake(const std::uint32_t* word, int how_many) noexcept;

}  // namespace onecopy::os
