// A file descriptor with one owner.
#pragma once

#include <utility>

namespace onecopy::os {

class fd {
 public:
  fd() = default;
  explicit fd(int number) noexcept : number_(number) {}
  fd(fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  fd& operator=(fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.number_, -1));
    return *this;
  }
  ~fd() { reset(); }

  int get() const noexcept { return number_; }
  bool valid() const noexcept { return number_ >= 0; }
  // 0 is a valid descriptor, so a conversion to bool would compile and lie.
  operator bool() const = delete;
  // A last resort: the caller must close it.
  int release() noexcept { return std::exchange(number_, -1); }
  void reset(int number = -1) noexcept;  // errno is preserved

 private:
  int number_ = -1;
};

}  // namespace onecopy::os
