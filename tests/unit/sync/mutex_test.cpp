#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "onecopy/error.hpp"
#include "support/forked.hpp"
#include "support/shared_state.hpp"

namespace {

using namespace onecopy;

class Mutex : public testing::Test {
 protected:
  test::shared_memory memory{4096};
  mutex_state& state = memory.place<mutex_state>(0);
  mutex door{state, memory.who()};
  // A child that does `first`, and is killed after it.
  void killed_after(const std::function<void()>& first) {
    auto& done = memory.place<std::atomic<int>>(2048);
    test::forked child([&] {
      first();
      done = 1;
      pause();
      return 0;
    });
    while (done == 0) usleep(200);
    child.kill();
  }
};

TEST_F(Mutex, IsEightBytes) {
  EXPECT_EQ(sizeof(mutex_state), 8u);
  EXPECT_TRUE(std::is_trivially_copyable_v<mutex_state>);
}

TEST_F(Mutex, LocksAndUnlocks) {
  EXPECT_FALSE(door.locked());
  EXPECT_EQ(door.acquire(), wait_result::done);
  EXPECT_TRUE(door.locked());
  EXPECT_TRUE(door.held());
  EXPECT_EQ(state.word >> 8, participant_number(*memory.who()));
  EXPECT_TRUE(door.release());
  EXPECT_FALSE(door.locked());
  EXPECT_EQ(state.word, 0u);
}

TEST_F(Mutex, WorksAsAStandardMutex) {
  {
    std::scoped_lock guard(door);
    EXPECT_TRUE(door.held());
    EXPECT_FALSE(door.try_lock());
  }
  EXPECT_FALSE(door.locked());
  std::unique_lock maybe(door, std::try_to_lock);
  EXPECT_TRUE(maybe.owns_lock());
}

TEST_F(Mutex, AHoldEndsWithItsScope) {
  {
    auto held = door.hold();
    EXPECT_TRUE(held);
    EXPECT_FALSE(held.owner_died());
    auto moved = std::move(held);
    EXPECT_FALSE(held.held());
    EXPECT_TRUE(moved.held());
    EXPECT_FALSE(door.hold(waiting::none()));
    EXPECT_TRUE(door.held()) << "the hold that failed must not unlock";
  }
  EXPECT_FALSE(door.locked());
}

TEST_F(Mutex, UnlockingWhatOneDoesNotHoldIsAnError) {
  EXPECT_THROW(door.unlock(), error);
  EXPECT_THROW(door.repaired(), error);
  EXPECT_FALSE(door.release());
  ASSERT_EQ(door.acquire(), wait_result::done);
  test::forked child([&] {
    if (door.release()) return 1;
    return door.held() ? 2 : 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(door.held());
}

TEST_F(Mutex, TimesOut) {
  ASSERT_EQ(door.acquire(), wait_result::done);
  EXPECT_EQ(door.acquire(waiting::none()), wait_result::timed_out);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(door.acquire({.seconds = 0.12}), wait_result::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(120));
  EXPECT_TRUE(door.release());
  EXPECT_EQ(door.acquire({.seconds = 0.1}), wait_result::done);
}

TEST_F(Mutex, AWaitCanBeCalledOff) {
  ASSERT_EQ(door.acquire(), wait_result::done);
  int asked = 0;
  EXPECT_EQ(door.acquire({.stop = [&] { return ++asked == 3; }}), wait_result::interrupted);
  EXPECT_EQ(asked, 3);
  EXPECT_TRUE(door.release());
  EXPECT_EQ(door.acquire({.stop = [] { return true; }}), wait_result::done) << "a free mutex is not waited for";
}

TEST_F(Mutex, ASignalMakesAWaiterAskWhetherToStop) {
  ASSERT_EQ(door.acquire(), wait_result::done);
  static volatile std::sig_atomic_t rung = 0;
  test::forked child([&] {
    struct sigaction action = {};
    action.sa_handler = [](int) { rung = 1; };
    sigaction(SIGINT, &action, nullptr);
    return door.acquire({.stop = [] { return rung != 0; }}) == wait_result::interrupted ? 0 : 1;
  });
  usleep(50'000);
  for (int i = 0; i < 300 && child.running(); ++i) {
    child.send(SIGINT);
    usleep(10'000);
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Mutex, OneThreadOfAProcessWaitsForAnother) {
  ASSERT_EQ(door.acquire(), wait_result::done);
  std::atomic<bool> got = false;
  std::thread other([&] {
    EXPECT_EQ(door.acquire(), wait_result::done);
    got = true;
    EXPECT_TRUE(door.release());
  });
  usleep(120'000);
  EXPECT_FALSE(got);
  EXPECT_TRUE(door.release());
  other.join();
  EXPECT_TRUE(got);
}

TEST_F(Mutex, KeepsIncrementsOfManyProcessesApart) {
  auto& total = memory.place<std::uint64_t>(64);
  std::vector<test::forked> children;
  for (int i = 0; i < 4; ++i)
    children.emplace_back([&] {
      for (int n = 0; n < 20'000; ++n) {
        auto held = door.hold();
        const std::uint64_t was = *static_cast<volatile std::uint64_t*>(&total);
        *static_cast<volatile std::uint64_t*>(&total) = was + 1;
      }
      return 0;
    });
  for (auto& child : children) EXPECT_EQ(child.wait(60), 0);
  EXPECT_EQ(total, 80'000u);
  EXPECT_EQ(state.word >> 8, 0u);
}

TEST_F(Mutex, TheNextOwnerLearnsThatTheLastOneDied) {
  killed_after([&] { static_cast<void>(door.acquire()); });
  EXPECT_TRUE(door.locked());
  EXPECT_EQ(door.acquire(), wait_result::owner_died);
  EXPECT_TRUE(door.held());
  EXPECT_TRUE(door.damaged());
  EXPECT_TRUE(door.release());
  EXPECT_EQ(door.acquire(waiting::none()), wait_result::owner_died) << "nobody has repaired anything yet";
  door.repaired();
  EXPECT_FALSE(door.damaged());
  EXPECT_TRUE(door.release());
  EXPECT_EQ(door.acquire(), wait_result::done);
}

TEST_F(Mutex, ADeadOwnerIsNoticedEvenWithoutWaiting) {
  killed_after([&] { static_cast<void>(door.acquire()); });
  EXPECT_EQ(door.acquire(waiting::none()), wait_result::owner_died);
}

TEST_F(Mutex, AWaiterTakesOverWhenTheOwnerDies) {
  auto& step = memory.place<std::atomic<int>>(1024);
  test::forked owner([&] {
    static_cast<void>(door.acquire());
    step = 1;
    pause();
    return 0;
  });
  while (step == 0) usleep(200);
  test::forked waiter([&] { return door.acquire({.seconds = 20}) == wait_result::owner_died ? 0 : 1; });
  usleep(100'000);
  EXPECT_TRUE(waiter.running());
  owner.kill();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST_F(Mutex, AnOwnerThatIsOnlyStoppedKeepsIt) {
  auto& step = memory.place<std::atomic<int>>(1024);
  test::forked owner([&] {
    static_cast<void>(door.acquire());
    step = 1;
    pause();
    return 0;
  });
  while (step == 0) usleep(200);
  owner.send(SIGSTOP);
  EXPECT_EQ(door.acquire({.seconds = 0.3}), wait_result::timed_out);
}

TEST_F(Mutex, TheChildrenOfADeadOwnerDoNotKeepItLocked) {
  auto& grandchild = memory.place<std::atomic<int>>(1024);
  test::forked owner([&] {
    static_cast<void>(door.acquire());
    const pid_t made = fork();
    if (made == 0) {
      pause();
      _exit(0);
    }
    grandchild = made;
    pause();
    return 0;
  });
  while (grandchild == 0) usleep(200);
  owner.kill();
  EXPECT_EQ(::kill(grandchild, 0), 0);
  EXPECT_EQ(door.acquire({.seconds = 10}), wait_result::owner_died);
  ::kill(grandchild, SIGKILL);
}

TEST_F(Mutex, LettingGoOfTheObjectWhileHoldingItCountsAsDeath) {
  {
    ASSERT_EQ(door.acquire(), wait_result::done);
    door = mutex();
    memory.leave();
  }
  mutex again(state, take_part(memory.descriptor()));
  EXPECT_EQ(again.acquire({.seconds = 5}), wait_result::owner_died);
}

TEST_F(Mutex, ANumberOfNobodyIsADeadOwner) {
  // As after a reboot, or in a copy of a file that was locked.
  state.word = std::uint64_t{123456789} << 8 | 1;
  EXPECT_EQ(door.acquire({.seconds = 5}), wait_result::owner_died);
}

class Condition : public Mutex {
 protected:
  condition_state& signal_state = memory.place<condition_state>(128);
  condition changed{signal_state, memory.who()};
  volatile int& value = memory.place<int>(256);
};

TEST_F(Condition, WakesAWaiterWhenTheValueHasChanged) {
  test::forked waiter([&] {
    auto held = door.hold();
    if (changed.wait_until(door, [&] { return value == 7; }, {.seconds = 20}) != wait_result::done) return 1;
    return door.held() ? 0 : 2;
  });
  usleep(30'000);
  {
    auto held = door.hold();
    value = 7;
  }
  changed.notify_one();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST_F(Condition, TimesOutWithTheMutexHeld) {
  auto held = door.hold();
  EXPECT_EQ(changed.wait(door, {.seconds = 0.05}), wait_result::timed_out);
  EXPECT_TRUE(door.held());
  EXPECT_EQ(changed.wait_until(door, [] { return false; }, {.seconds = 0.05}), wait_result::timed_out);
  EXPECT_EQ(changed.wait(door, {.stop = [] { return true; }}), wait_result::interrupted);
  EXPECT_TRUE(door.held());
}

TEST_F(Condition, NeedsTheMutex) { EXPECT_THROW(static_cast<void>(changed.wait(door)), error); }

TEST_F(Condition, AKilledWaiterTakesNoWakeUpAway) {
  // Three wait; the one that the kernel would wake first is stopped, so that it gets the wake-up, and killed.
  auto& waiting_count = memory.place<std::atomic<int>>(512);
  const auto wait = [&] {
    auto held = door.hold();
    ++waiting_count;
    return changed.wait_until(door, [&] { return value == 1; }, {.seconds = 20}) == wait_result::done ? 0 : 1;
  };
  std::vector<test::forked> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back(wait);
    while (waiting_count != i + 1) usleep(200);
    usleep(5'000);
  }
  waiters[0].send(SIGSTOP);
  {
    auto held = door.hold();
    value = 1;
  }
  changed.notify_one();
  waiters[0].kill();
  EXPECT_EQ(waiters[1].wait(), 0);
  EXPECT_EQ(waiters[2].wait(), 0);
}

TEST_F(Condition, TellsThatAnOwnerDiedMeanwhile) {
  auto& step = memory.place<std::atomic<int>>(512);
  test::forked waiter([&] {
    auto held = door.hold();
    step = 1;
    return changed.wait(door, {.seconds = 20}) == wait_result::owner_died ? 0 : 1;
  });
  while (step == 0) usleep(200);
  killed_after([&] {
    static_cast<void>(door.acquire());
    changed.notify_all();
  });
  EXPECT_EQ(waiter.wait(), 0);
}

}  // namespace
