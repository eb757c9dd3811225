#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "onecopy/error.hpp"
#include "support/forked.hpp"
#include "support/shared_state.hpp"

namespace {

using namespace onecopy;

class Coordination : public testing::Test {
 protected:
  test::shared_memory memory{8192};
  std::atomic<int>& step = memory.place<std::atomic<int>>(4096);
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

class Event : public Coordination {
 protected:
  event bell{memory.place<event_state>(0), memory.who()};
};

TEST_F(Event, StaysSetUntilCleared) {
  EXPECT_EQ(sizeof(event_state), 8u);
  EXPECT_FALSE(bell.is_set());
  EXPECT_EQ(bell.wait(waiting::none()), wait_result::timed_out);
  EXPECT_EQ(bell.wait({.seconds = 0.03}), wait_result::timed_out);
  bell.set();
  bell.set();
  EXPECT_TRUE(bell.is_set());
  EXPECT_EQ(bell.wait(), wait_result::done);
  EXPECT_EQ(bell.wait(waiting::none()), wait_result::done);
  bell.clear();
  EXPECT_FALSE(bell.is_set());
  EXPECT_EQ(bell.wait({.stop = [] { return true; }}), wait_result::interrupted);
}

TEST_F(Event, ReleasesAllThatWaitEvenIfClearedAtOnce) {
  std::vector<test::forked> waiters;
  for (int i = 0; i < 3; ++i)
    waiters.emplace_back([&] {
      ++step;
      return bell.wait({.seconds = 20}) == wait_result::done ? 0 : 1;
    });
  while (step != 3) usleep(200);
  usleep(20'000);
  bell.set();
  bell.clear();
  for (auto& waiter : waiters) EXPECT_EQ(waiter.wait(), 0);
}

class Semaphore : public Coordination {
 protected:
  semaphore make(std::uint32_t units, std::uint32_t limit = 0) {
    return {memory.place(0, semaphore::with_units(units, limit)), memory.who()};
  }
};

TEST_F(Semaphore, CountsUnits) {
  EXPECT_EQ(sizeof(semaphore_state), 1024u);
  semaphore permits = make(2);
  EXPECT_EQ(permits.available(), 2u);
  EXPECT_EQ(permits.acquire(), wait_result::done);
  EXPECT_EQ(permits.acquire(waiting::none()), wait_result::done);
  EXPECT_EQ(permits.held(), 2u);
  EXPECT_EQ(permits.acquire(waiting::none()), wait_result::timed_out);
  EXPECT_EQ(permits.acquire({.seconds = 0.03}), wait_result::timed_out);
  EXPECT_EQ(permits.acquire({.stop = [] { return true; }}), wait_result::interrupted);
  permits.release();
  EXPECT_EQ(permits.available(), 1u);
  EXPECT_EQ(permits.acquire(), wait_result::done);
}

TEST_F(Semaphore, ReleasingMoreThanTheLimitIsAnError) {
  semaphore permits = make(1, 2);
  permits.release();
  EXPECT_EQ(permits.available(), 2u);
  EXPECT_THROW(permits.release(), error);
  EXPECT_EQ(permits.available(), 2u);
  EXPECT_EQ(permits.acquire(waiting::none()), wait_result::done) << "the error must not leave the guard locked";
  EXPECT_THROW(static_cast<void>(semaphore::with_units(3, 2)), error);
}

TEST_F(Semaphore, OneProcessWakesAnother) {
  semaphore permits = make(0);
  test::forked waiter([&] { return permits.acquire({.seconds = 20}) == wait_result::done ? 0 : 1; });
  usleep(30'000);
  permits.release();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST_F(Semaphore, UnitsOfADeadHolderComeBack) {
  semaphore permits = make(3);
  auto holder = child_that([&] {
    for (int i = 0; i < 3; ++i) static_cast<void>(permits.acquire());
  });
  EXPECT_EQ(permits.acquire(waiting::none()), wait_result::timed_out);
  test::forked waiter([&] {
    for (int i = 0; i < 3; ++i)
      if (permits.acquire({.seconds = 20}) != wait_result::done) return 1;
    return permits.available() == 0 ? 0 : 2;
  });
  usleep(60'000);
  EXPECT_TRUE(waiter.running());
  holder.kill();
  EXPECT_EQ(waiter.wait(), 0);
  EXPECT_EQ(permits.available(), 3u);
}

TEST_F(Semaphore, ManyProcessesNeverHoldMoreThanThereIs) {
  semaphore permits = make(2);
  auto& inside = memory.place<std::atomic<int>>(2048);
  auto& most = memory.place<std::atomic<int>>(2064);
  std::vector<test::forked> all;
  for (int i = 0; i < 5; ++i)
    all.emplace_back([&] {
      for (int n = 0; n < 200; ++n) {
        if (permits.acquire({.seconds = 30}) != wait_result::done) return 1;
        const int now = ++inside;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        usleep(50);
        --inside;
        permits.release();
      }
      return 0;
    });
  for (auto& child : all) EXPECT_EQ(child.wait(60), 0);
  EXPECT_EQ(most, 2);
  EXPECT_EQ(permits.available(), 2u);
}

class Barrier : public Coordination {
 protected:
  barrier make(std::uint32_t parties) {
    return {memory.place(0, barrier::for_parties(parties)), memory.who()};
  }
};

TEST_F(Barrier, NobodyPassesBeforeAllHaveCome) {
  EXPECT_EQ(sizeof(barrier_state), 1024u);
  barrier line = make(3);
  auto& rounds = memory.place<std::array<std::atomic<int>, 50>>(2048);
  const auto run = [&] {
    for (auto& round : rounds) {
      ++round;
      if (line.wait({.seconds = 30}) != wait_result::done) return 1;
      if (round != 3) return 2;
    }
    line.leave();
    return 0;
  };
  std::vector<test::forked> all;
  for (int i = 0; i < 3; ++i) all.emplace_back(run);
  for (auto& child : all) EXPECT_EQ(child.wait(60), 0);
}

TEST_F(Barrier, ThreadsOfAProcessAreParties) {
  barrier line = make(2);
  std::thread other([&] { EXPECT_EQ(line.wait({.seconds = 20}), wait_result::done); });
  EXPECT_EQ(line.wait({.seconds = 20}), wait_result::done);
  other.join();
}

TEST_F(Barrier, WhoGivesUpHasNotCome) {
  barrier line = make(2);
  EXPECT_EQ(line.wait({.seconds = 0.03}), wait_result::timed_out);
  EXPECT_EQ(line.wait(waiting::none()), wait_result::timed_out);
  EXPECT_EQ(line.wait({.stop = [] { return true; }}), wait_result::interrupted);
  EXPECT_EQ(line.waiting_now(), 0u);
  test::forked other([&] { return line.wait({.seconds = 20}) == wait_result::done ? 0 : 1; });
  while (line.waiting_now() != 1) usleep(200);
  EXPECT_EQ(line.wait(), wait_result::done);
  EXPECT_EQ(other.wait(), 0);
}

TEST_F(Barrier, TheDeathOfAPartyBreaksIt) {
  barrier line = make(3);
  test::forked victim([&] { return static_cast<int>(line.wait()); });
  while (line.waiting_now() != 1) usleep(200);
  test::forked other([&] { return line.wait({.seconds = 20}) == wait_result::broken ? 0 : 1; });
  while (line.waiting_now() != 2) usleep(200);
  victim.kill();
  EXPECT_EQ(other.wait(), 0);
  EXPECT_TRUE(line.is_broken());
  EXPECT_EQ(line.wait(), wait_result::broken);
  line.reset();
  EXPECT_FALSE(line.is_broken());
  EXPECT_EQ(line.wait({.seconds = 0.02}), wait_result::timed_out);
}

TEST_F(Barrier, APartyThatDiesBetweenRoundsBreaksTheNext) {
  barrier line = make(2);
  test::forked victim([&] {
    if (line.wait({.seconds = 20}) == wait_result::done) step = 1;
    pause();
    return 0;
  });
  EXPECT_EQ(line.wait({.seconds = 20}), wait_result::done);
  while (step == 0) usleep(200);
  victim.kill();
  EXPECT_EQ(line.wait({.seconds = 20}), wait_result::broken);
}

TEST_F(Barrier, WhoLeavesBreaksNothing) {
  barrier line = make(2);
  test::forked first([&] {
    const bool passed = line.wait({.seconds = 20}) == wait_result::done;
    line.leave();
    return passed ? 0 : 1;
  });
  EXPECT_EQ(line.wait({.seconds = 20}), wait_result::done);
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(line.wait({.seconds = 0.2}), wait_result::timed_out);
  EXPECT_FALSE(line.is_broken());
}

TEST_F(Barrier, CanBeBrokenByHand) {
  barrier line = make(2);
  test::forked other([&] { return line.wait({.seconds = 20}) == wait_result::broken ? 0 : 1; });
  while (line.waiting_now() != 1) usleep(200);
  line.abort();
  EXPECT_EQ(other.wait(), 0);
  EXPECT_THROW(static_cast<void>(barrier::for_parties(0)), error);
}

TEST_F(Barrier, ResettingTellsThoseWhoWait) {
  barrier line = make(2);
  test::forked other([&] { return line.wait({.seconds = 20}) == wait_result::broken ? 0 : 1; });
  while (line.waiting_now() != 1) usleep(200);
  line.reset();
  EXPECT_EQ(other.wait(), 0);
  EXPECT_FALSE(line.is_broken());
}

TEST_F(Barrier, WhoWakesLateIsStillToldHowTheRoundEnded) {
  barrier line = make(2);
  test::forked other([&] { return line.wait({.seconds = 20}) == wait_result::broken ? 0 : 1; });
  while (line.waiting_now() != 1) usleep(200);
  other.send(SIGSTOP);
  line.reset();  // ends its round
  line.reset();  // and that of nobody
  other.send(SIGCONT);
  EXPECT_EQ(other.wait(), 0);
}

TEST_F(Coordination, ACounterLosesNothing) {
  counter hits(memory.place<counter_state>(0), memory.who());
  std::vector<test::forked> all;
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&] {
      for (int n = 0; n < 50'000; ++n) hits.fetch_add(1);
      return 0;
    });
  for (auto& child : all) EXPECT_EQ(child.wait(60), 0);
  EXPECT_EQ(hits.load(), 200'000);
  std::int64_t expected = 5;
  EXPECT_FALSE(hits.compare_exchange(expected, 1));
  EXPECT_EQ(expected, 200'000);
  EXPECT_TRUE(hits.compare_exchange(expected, -1));
  EXPECT_EQ(hits.exchange(3), -1);
}

}  // namespace
