#include "base/arithmetic.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace {

using namespace onecopy;
constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

TEST(Arithmetic, AdditionThatWouldWrapHasNoResult) {
  EXPECT_EQ(checked_add(2, 3), 5u);
  EXPECT_EQ(checked_add(most, 0), most);
  EXPECT_FALSE(checked_add(most, 1));
  EXPECT_FALSE(checked_add(most / 2 + 1, most / 2 + 1));
}

TEST(Arithmetic, MultiplicationThatWouldWrapHasNoResult) {
  EXPECT_EQ(checked_mul(6, 7), 42u);
  EXPECT_EQ(checked_mul(most, 1), most);
  EXPECT_EQ(checked_mul(most, 0), 0u);
  EXPECT_FALSE(checked_mul(most, 2));
  EXPECT_FALSE(checked_mul(std::uint64_t{1} << 32, std::uint64_t{1} << 32));
}

TEST(Arithmetic, WithinHoldsForEveryNumber) {
  EXPECT_TRUE(within(0, 0, 0));
  EXPECT_TRUE(within(0, 10, 10));
  EXPECT_TRUE(within(10, 0, 10));
  EXPECT_FALSE(within(11, 0, 10));
  EXPECT_FALSE(within(1, 10, 10));
  EXPECT_FALSE(within(most, most, most - 1));
  EXPECT_FALSE(within(most, 1, most));
  EXPECT_FALSE(within(2, most - 1, 100)) << "the sum wraps around to 1";
  EXPECT_TRUE(within(0, most, most));
}

TEST(Arithmetic, BitmapsHaveOneBitEach) {
  EXPECT_EQ(bitmap_bytes(0), 0u);
  EXPECT_EQ(bitmap_bytes(1), 1u);
  EXPECT_EQ(bitmap_bytes(8), 1u);
  EXPECT_EQ(bitmap_bytes(9), 2u);
  EXPECT_EQ(bitmap_bytes(most), most / 8 + 1);
}

TEST(Arithmetic, RoundingGoesToTheNextUnit) {
  EXPECT_EQ(round_up(0, 64), 0u);
  EXPECT_EQ(round_up(1, 64), 64u);
  EXPECT_EQ(round_up(64, 64), 64u);
  EXPECT_EQ(round_down(63, 64), 0u);
  EXPECT_EQ(round_down(64, 64), 64u);
}

}  // namespace
