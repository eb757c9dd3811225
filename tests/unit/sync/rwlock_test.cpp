#include <gtest/gtest.h>

#include <array>
#include <atomic>

#include "onecopy/error.hpp"
#include "support/forked.hpp"
#include "support/shared_state.hpp"

namespace {

using namespace onecopy;

class RWLock : public testing::Test {
 protected:
  test::shared_memory memory{4096};
  rwlock_state& state = memory.place<rwlock_state>(0);
  rwlock door{state, memory.who()};
  std::atomic<int>& step = memory.place<std::atomic<int>>(2048);
  test::forked child_that(const std::function<void()>& does) {
    const int before = step;
    test::forked child([&] {
      does();
      ++step;
      pause();
      return 0;
    });
    while (step == before) usleep(200);
    return child;
  }
};

TEST_F(RWLock, IsAThousandAndTwentyFourBytes) {
  EXPECT_EQ(sizeof(rwlock_state), 1024u);
  EXPECT_TRUE(std::is_trivially_copyable_v<rwlock_state>);
}

TEST_F(RWLock, ManyReadOrOneWrites) {
  auto reader = child_that([&] { static_cast<void>(door.acquire_shared()); });
  EXPECT_EQ(door.acquire_shared(), wait_result::done);
  EXPECT_EQ(door.readers(), 2);
  EXPECT_EQ(door.acquire(waiting::none()), wait_result::timed_out);
  EXPECT_FALSE(door.write_locked());
  door.unlock_shared();
  EXPECT_EQ(door.acquire({.seconds = 0.05}), wait_result::timed_out);
  reader.kill();
  EXPECT_EQ(door.acquire({.seconds = 10}), wait_result::done) << "a dead reader damages nothing";
  EXPECT_EQ(door.acquire_shared(waiting::none()), wait_result::timed_out);
  test::forked other([&] { return door.acquire_shared(waiting::none()) == wait_result::timed_out ? 0 : 1; });
  EXPECT_EQ(other.wait(), 0);
  door.unlock();
  EXPECT_EQ(door.acquire_shared(waiting::none()), wait_result::done);
}

TEST_F(RWLock, UnlockingWhatOneDoesNotHoldIsAnError) {
  EXPECT_THROW(door.unlock(), error);
  EXPECT_THROW(door.unlock_shared(), error);
  EXPECT_THROW(door.repaired(), error);
  auto held = door.hold_shared();
  EXPECT_THROW(door.unlock(), error);
  test::forked other([&] { return door.release_shared() ? 1 : 0; });
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(door.readers(), 1);
}

TEST_F(RWLock, AProcessMayReadManyTimes) {
  for (int i = 0; i < 300; ++i) ASSERT_EQ(door.acquire_shared(waiting::none()), wait_result::done) << i;
  test::forked writer([&] { return door.acquire(waiting::none()) == wait_result::timed_out ? 0 : 1; });
  EXPECT_EQ(writer.wait(), 0);
  for (int i = 0; i < 300; ++i) door.unlock_shared();
  EXPECT_FALSE(door.release_shared());
  EXPECT_EQ(door.readers(), 0);
  EXPECT_EQ(door.acquire(waiting::none()), wait_result::done);
}

TEST_F(RWLock, ADeadWriterIsToldToReadersAndWritersUntilRepaired) {
  child_that([&] { static_cast<void>(door.acquire()); }).kill();
  EXPECT_EQ(door.acquire_shared({.seconds = 10}), wait_result::owner_died);
  door.unlock_shared();
  EXPECT_TRUE(door.damaged());
  {
    auto held = door.hold();
    EXPECT_TRUE(held.owner_died());
    held.repaired();
  }
  EXPECT_EQ(door.acquire_shared(), wait_result::done);
  EXPECT_FALSE(door.damaged());
}

TEST_F(RWLock, AWriterThatDiedBeforeItGotInHasDamagedNothing) {
  ASSERT_EQ(door.acquire_shared(), wait_result::done);
  test::forked writer([&] { return static_cast<int>(door.acquire()); });
  while (!door.write_locked()) usleep(200);
  writer.kill();
  EXPECT_EQ(door.acquire_shared({.seconds = 10}), wait_result::done);
  EXPECT_FALSE(door.damaged());
}

TEST_F(RWLock, AWaitingWriterKeepsNewReadersOut) {
  ASSERT_EQ(door.acquire_shared(), wait_result::done);
  test::forked writer([&] { return door.acquire({.seconds = 20}) == wait_result::done && door.release() ? 0 : 1; });
  while (!door.write_locked()) usleep(200);
  test::forked reader([&] { return door.acquire_shared(waiting::none()) == wait_result::timed_out ? 0 : 1; });
  EXPECT_EQ(reader.wait(), 0);
  door.unlock_shared();
  EXPECT_EQ(writer.wait(), 0);
}

TEST_F(RWLock, AReaderThatWaitsIsWokenByTheWriter) {
  ASSERT_EQ(door.acquire(), wait_result::done);
  std::vector<test::forked> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] { return door.acquire_shared({.seconds = 20}) == wait_result::done ? 0 : 1; });
  usleep(50'000);
  door.unlock();
  for (auto& reader : readers) EXPECT_EQ(reader.wait(), 0);
}

TEST_F(RWLock, SlotsOfDeadReadersAreUsedAgain) {
  for (int i = 0; i < rwlock_state::reader_slots + 5; ++i) {
    test::forked child([&] { return door.acquire_shared({.seconds = 20}) == wait_result::done ? 0 : 1; });
    ASSERT_EQ(child.wait(), 0) << i;  // ends without unlocking
  }
  EXPECT_EQ(door.acquire({.seconds = 20}), wait_result::done);
}

TEST_F(RWLock, ReadersNeverSeeAHalfWrittenPair) {
  auto& pair = memory.place<std::array<volatile std::uint64_t, 2>>(3072);
  std::vector<test::forked> all;
  for (int i = 0; i < 2; ++i)
    all.emplace_back([&] {
      for (int n = 0; n < 3'000; ++n) {
        auto held = door.hold();
        pair[0] = pair[0] + 1;
        pair[1] = pair[1] + 1;
      }
      return 0;
    });
  for (int i = 0; i < 2; ++i)
    all.emplace_back([&] {
      for (int n = 0; n < 10'000; ++n) {
        auto held = door.hold_shared();
        if (pair[0] != pair[1]) return 1;
      }
      return 0;
    });
  for (auto& child : all) EXPECT_EQ(child.wait(60), 0);
  EXPECT_EQ(pair[0], 6'000u);
}

TEST_F(RWLock, AWaitCanBeCalledOff) {
  auto writer = child_that([&] { static_cast<void>(door.acquire()); });
  const waiting called_off{.stop = [] { return true; }};
  EXPECT_EQ(door.acquire_shared(called_off), wait_result::interrupted);
  EXPECT_EQ(door.acquire(called_off), wait_result::interrupted);
  writer.kill();
  ASSERT_EQ(door.acquire(), wait_result::owner_died);
  door.repaired();
  door.unlock();
  auto reader = child_that([&] { static_cast<void>(door.acquire_shared()); });
  EXPECT_EQ(door.acquire(called_off), wait_result::interrupted);
  EXPECT_FALSE(door.write_locked()) << "a writer that gave up must not keep readers out";
}

}  // namespace
