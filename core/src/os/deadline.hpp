// A point in time by which something must have happened: made once from a timeout, then asked as often as needed.
#pragma once

#include <chrono>
#include <cmath>
#include <optional>

namespace onecopy::os {

class deadline {
 public:
  // Never passes.
  deadline() = default;
  // Negative, infinite or absurdly long: never passes. 0: has passed already, for calls that must not wait.
  static deadline in(double seconds) {
    deadline made;
    if (seconds >= 0 && seconds < 1e9)
      made.end_ = clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
    return made;
  }
  static deadline never() { return {}; }

  bool passed() const { return end_ && clock::now() >= *end_; }
  // For poll(2): milliseconds left, rounded up so that a wait never ends early and spins; -1: no end.
  int milliseconds_left() const {
    if (!end_) return -1;
    const double left = std::chrono::duration<double, std::milli>(*end_ - clock::now()).count();
    return left <= 0 ? 0 : left >= 1e9 ? 1'000'000'000 : static_cast<int>(std::ceil(left));
  }

 private:
  using clock = std::chrono::steady_clock;
  std::optional<clock::time_point> end_;
};

}  // namespace onecopy::os
