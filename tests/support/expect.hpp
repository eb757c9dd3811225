// What a call threw, as something a test can compare.
#pragma once

#include <gtest/gtest.h>

#include <ostream>

#include "onecopy/error.hpp"

namespace onecopy {
inline void PrintTo(error_kind kind, std::ostream* out) { *out << name_of(kind); }
}  // namespace onecopy

namespace test {

// The kind of the error that `call` must throw. Every error says what was tried and what happened.
template <class Call>
onecopy::error_kind kind_thrown_by(Call&& call) {
  try {
    call();
  } catch (const onecopy::error& caught) {
    EXPECT_FALSE(caught.tried().empty()) << caught.what();
    EXPECT_FALSE(caught.happened().empty()) << caught.what();
    return caught.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return onecopy::error_kind::system;
}

}  // namespace test
