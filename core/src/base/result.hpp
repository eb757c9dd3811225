// A value or the reason why there is none. Everything below the public face answers with it instead of throwing, so
// that code which must not unwind (the pager's threads, R's callbacks) can use it as it is.
#pragma once

#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "onecopy/error.hpp"

namespace onecopy {

struct failure {
  error_kind kind = error_kind::system;
  std::string tried;     // "open /dev/shm/onecopy-1000"
  std::string happened;  // "the directory belongs to user 0"
  std::string remedy;    // "set ONECOPY_DIR to a directory of your own", or ""
  int os_error = 0;

  // A failed system call: kind and wording follow from errno, which must not have been touched since.
  static failure from_errno(std::string tried, int saved_errno = errno, std::string remedy = {});
};

template <class T = std::monostate>
class [[nodiscard]] result {
 public:
  result(T value) : outcome_(std::in_place_index<0>, std::move(value)) {}
  result(failure reason) : outcome_(std::in_place_index<1>, std::move(reason)) {}

  bool ok() const noexcept { return outcome_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  T& operator*() & noexcept { return *std::get_if<0>(&outcome_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&outcome_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&outcome_)); }
  T* operator->() noexcept { return std::get_if<0>(&outcome_); }
  const T* operator->() const noexcept { return std::get_if<0>(&outcome_); }
  failure& reason() & noexcept { return *std::get_if<1>(&outcome_); }
  const failure& reason() const& noexcept { return *std::get_if<1>(&outcome_); }
  failure&& reason() && noexcept { return std::move(*std::get_if<1>(&outcome_)); }

 private:
  std::variant<T, failure> outcome_;
};

using status = result<std::monostate>;
inline status done() { return std::monostate{}; }

// Across the public face a failure becomes an exception, here and nowhere else.
[[noreturn]] void raise(const failure& reason);

template <class T>
T unwrap(result<T> outcome) {
  if (!outcome) raise(outcome.reason());
  return *std::move(outcome);
}

}  // namespace onecopy
