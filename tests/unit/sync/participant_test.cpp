#include <fcntl.h>
#include <gtest/gtest.h>

#include <thread>

#include "onecopy/error.hpp"
#include "support/forked.hpp"
#include "support/shared_state.hpp"

namespace {

using namespace onecopy;

TEST(Participant, IsOneForEachObjectOfAProcess) {
  test::shared_memory a(4096), b(4096);
  EXPECT_EQ(take_part(a.descriptor()), a.who());
  EXPECT_NE(a.who(), b.who());
  const auto number = participant_number(*a.who());
  EXPECT_NE(number, 0u);
  EXPECT_LT(number, std::uint64_t{1} << 56);
  EXPECT_EQ(participant_number(*a.who()), number);
  EXPECT_NE(participant_number(*b.who()), number);
  EXPECT_TRUE(participant_lives(*a.who(), number));
  EXPECT_FALSE(participant_lives(*b.who(), number));
}

TEST(Participant, IsAnotherOneAfterLeaving) {
  test::shared_memory a(4096), watching(4096);
  const auto number = participant_number(*a.who());
  a.leave();
  const auto again = take_part(a.descriptor());
  EXPECT_NE(participant_number(*again), number);
  EXPECT_FALSE(participant_lives(*again, number));
}

TEST(Participant, AForkedChildIsSomebodyElse) {
  test::shared_memory a(4096);
  const auto parents = participant_number(*a.who());
  auto& childs = a.place<std::uint64_t>(0);
  test::forked child([&] {
    childs = participant_number(*a.who());
    if (childs == parents || participant_number(*a.who()) != childs) return 1;
    return participant_lives(*a.who(), parents) && participant_lives(*a.who(), childs) ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(participant_lives(*a.who(), parents));
  EXPECT_FALSE(participant_lives(*a.who(), childs));
}

TEST(Participant, AChildThatOnlyDropsItsPartLeavesTheParentsAlone) {
  test::shared_memory a(4096);
  const auto parents = participant_number(*a.who());
  test::forked child([&] {
    a.leave();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(participant_lives(*a.who(), parents));
}

TEST(Participant, ThreadsOfAChildAgreeOnTheirNumber) {
  test::shared_memory a(4096);
  test::forked child([&] {
    std::uint64_t numbers[4] = {};
    std::vector<std::thread> threads;
    for (auto& number : numbers) threads.emplace_back([&] { number = participant_number(*a.who()); });
    for (auto& thread : threads) thread.join();
    for (auto number : numbers)
      if (number != numbers[0] || number == 0) return 1;
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST(Participant, ForkingWhileOthersJoinLeavesNoLockBehind) {
  std::atomic<bool> stop = false;
  std::thread joins([&] {
    while (!stop) test::shared_memory(4096);
  });
  for (int i = 0; i < 50; ++i) {
    test::forked child([&] {
      test::shared_memory own(4096);
      return participant_lives(*own.who(), participant_number(*own.who())) ? 0 : 1;
    });
    EXPECT_EQ(child.wait(), 0);
  }
  stop = true;
  joins.join();
}

TEST(Participant, BadDescriptorsAreErrors) {
  EXPECT_THROW(static_cast<void>(take_part(-1)), error);
  EXPECT_THROW(static_cast<void>(take_part(999999)), error);
}

TEST(Participant, LeavesNoDescriptorsBehind) {
  const auto count = [] {
    int open = 0;
    for (int i = 0; i < 200; ++i) open += fcntl(i, F_GETFD) != -1;
    return open;
  };
  const int before = count();
  for (int i = 0; i < 100; ++i) test::shared_memory(4096);
  EXPECT_EQ(count(), before);
}

}  // namespace
