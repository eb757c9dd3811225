// Waiting for many descriptors at once (epoll).
#pragma once

#include <cstdint>
#include <span>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace onecopy::os {

class poller {
 public:
  struct event {
    std::uint64_t token = 0;
    bool readable = false;
    bool closed = false;  // the other end is gone, or the descriptor is in error
  };

  static result<poller> make();
  status add(int descriptor, std::uint64_t token);
  void remove(int descriptor) noexcept;
  // At most `milliseconds` (-1: no end). Answers with how many events there are; 0 after the time, or a signal.
  result<std::size_t> wait(std::span<event> out, int milliseconds);

 private:
  fd epoll_;
};

// A descriptor that is readable after ring() until drain(): to wake a thread that waits for descriptors.
class bell {
 public:
  static result<bell> make();
  void ring() noexcept;
  void drain() noexcept;
  int descriptor() const noexcept { return event_.get(); }

 private:
  fd event_;
};

}  // namespace onecopy::os
