// Processes that use one lock, queue or the like without pause, while others of them are killed with SIGKILL at
// random instants. Afterwards nobody may hang, and what was protected must be right.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <vector>

#include "support/forked.hpp"
#include "support/shared_state.hpp"

namespace {

using namespace onecopy;

constexpr int workers = 4;
constexpr int kills = 250;

class Storm : public testing::Test {
 protected:
  static constexpr std::size_t size = 1 << 17;
  test::shared_memory memory{size};
  std::atomic<std::uint64_t>* progress = &memory.place<std::array<std::atomic<std::uint64_t>, workers>>(0)[0];
  std::atomic<int>& wrong = memory.place<std::atomic<int>>(512);
  std::atomic<int>& repairs = memory.place<std::atomic<int>>(520);
  std::mt19937 random{std::random_device{}()};
  std::vector<test::forked> crew;

  using work = std::function<void(int worker)>;  // once; called without end
  test::forked start(int worker, const work& once) {
    return test::forked([&] {
      for (;;) {
        once(worker);
        ++progress[worker];
      }
      return 0;
    });
  }

  // Everyone who lives must get on within 10 seconds.
  void all_get_on(int times = 3) {
    std::array<std::uint64_t, workers> before;
    for (int i = 0; i < workers; ++i) before[static_cast<std::size_t>(i)] = progress[i];
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (int i = 0; i < workers; ++i)
      while (progress[i] < before[static_cast<std::size_t>(i)] + static_cast<std::uint64_t>(times)) {
        ASSERT_LT(std::chrono::steady_clock::now(), end) << "worker " << i << " hangs";
        usleep(200);
      }
  }

  void kill_and_replace(const work& once, int count = kills) {
    for (int i = 0; i < workers; ++i) crew.push_back(start(i, once));
    for (int n = 0; n < count && !HasFatalFailure(); ++n) {
      usleep(static_cast<useconds_t>(random() % 3000));
      const auto victim = static_cast<int>(random() % workers);
      crew[static_cast<std::size_t>(victim)].kill();
      // Now and then the others have to get on without a newcomer's help.
      if (n % 10 == 0) {
        const std::uint64_t others = progress[(victim + 1) % workers];
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (progress[(victim + 1) % workers] < others + 3) {
          ASSERT_LT(std::chrono::steady_clock::now(), end) << "the survivors hang after kill " << n;
          usleep(200);
        }
      }
      crew[static_cast<std::size_t>(victim)] = start(victim, once);
    }
    all_get_on();
    crew.clear();  // kills the rest
  }
};

// Two numbers that only differ while somebody is between the two writes.
struct pair {
  volatile std::uint64_t first, second;
  volatile int inside;
};

// Between the two writes, now and then long enough for kills to hit an owner on a slow machine, too.
void write_both(pair& data) {
  data.first = data.first + 1;
  if (data.first % 8 == 0) usleep(300);
  data.second = data.second + 1;
}

TEST_F(Storm, Mutex) {
  mutex door(memory.place<mutex_state>(1024), memory.who());
  auto& data = memory.place<pair>(2048);
  kill_and_replace([&](int worker) {
    auto held = door.hold({.seconds = 20});
    if (!held) {
      ++wrong;
      return;
    }
    if (held.owner_died()) {
      ++repairs;
      data.second = data.first;
      data.inside = 0;
      held.repaired();
    }
    if (data.first != data.second || data.inside != 0) ++wrong;
    data.inside = worker + 1;
    write_both(data);
    if (data.inside != worker + 1) ++wrong;
    data.inside = 0;
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(repairs, 0) << "no kill hit an owner: the test has shown nothing";
  EXPECT_TRUE(door.hold({.seconds = 5}));
}

TEST_F(Storm, RWLock) {
  rwlock door(memory.place<rwlock_state>(1024), memory.who());
  auto& data = memory.place<pair>(4096);
  kill_and_replace([&](int worker) {
    if (worker % 2 == 0) {
      auto held = door.hold_shared({.seconds = 20});
      if (!held || (!held.owner_died() && data.first != data.second)) ++wrong;
      return;
    }
    auto held = door.hold({.seconds = 20});
    if (!held) {
      ++wrong;
      return;
    }
    if (held.owner_died()) {
      ++repairs;
      data.second = data.first;
      held.repaired();
    }
    if (data.first != data.second) ++wrong;
    write_both(data);
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(repairs, 0) << "no kill hit a writer: the test has shown nothing";
  EXPECT_TRUE(door.hold({.seconds = 5}));
}

TEST_F(Storm, Condition) {
  mutex door(memory.place<mutex_state>(1024), memory.who());
  condition changed(memory.place<condition_state>(1088), memory.who());
  auto& tokens = memory.place<int>(1152);
  // Even workers make a token, odd ones take one; both wait for the other.
  kill_and_replace([&](int worker) {
    const bool makes = worker % 2 == 0;
    auto held = door.hold({.seconds = 20});
    held.repaired();
    volatile int& seen = tokens;
    const auto how = changed.wait_until(door, [&] { return makes ? seen < 2 : seen > 0; }, {.seconds = 20});
    if (how == wait_result::timed_out) ++wrong;
    if (door.damaged()) door.repaired();
    seen = seen + (makes ? 1 : -1);
    if (seen < 0 || seen > 2) ++wrong;
    changed.notify_one();
  });
  EXPECT_EQ(wrong, 0);
}

TEST_F(Storm, Event) {
  event there(memory.place<event_state>(1024), memory.who()), back(memory.place<event_state>(1088), memory.who());
  // Each side may find that the other was killed and has to be rung again.
  kill_and_replace([&](int worker) {
    event& mine = worker % 2 == 0 ? there : back;
    event& yours = worker % 2 == 0 ? back : there;
    yours.set();
    if (mine.wait({.seconds = 0.5}) == wait_result::done) mine.clear();
  });
  EXPECT_EQ(wrong, 0);
}

TEST_F(Storm, Semaphore) {
  semaphore permits(memory.place(1024, semaphore::with_units(2)), memory.who());
  kill_and_replace([&](int) {
    if (permits.acquire({.seconds = 20}) != wait_result::done) {
      ++wrong;
      return;
    }
    if (permits.held() != 1) ++wrong;
    permits.release();
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(permits.available(), 2u);
}

TEST_F(Storm, Barrier) {
  barrier line(memory.place(1024, barrier::for_parties(workers)), memory.who());
  auto& told = memory.place<std::atomic<int>>(640);
  auto& restarts = memory.place<std::atomic<int>>(648);
  const work once = [&](int) {
    const int before = restarts;
    const wait_result how = line.wait({.seconds = 60});
    if (how == wait_result::timed_out) ++wrong;
    if (how != wait_result::broken) return;
    ++told;
    // Whoever learns of it waits until all have, as a program would that starts again. (Not until the barrier is whole:
    // by the time a slow one looks, it may be broken once more.)
    while (restarts == before) usleep(200);
  };
  for (int i = 0; i < workers; ++i) crew.push_back(start(i, once));
  for (int n = 0; n < kills / 4 && !HasFatalFailure(); ++n) {
    usleep(static_cast<useconds_t>(random() % 3000));
    const auto victim = static_cast<int>(random() % workers);
    crew[static_cast<std::size_t>(victim)].kill();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (told != workers - 1) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "told after kill " << n << ": " << told;
      usleep(200);
      if (line.waiting_now() != workers - 1 || line.is_broken()) continue;
      // A party killed before its first wait is known to nobody: the others wait for the newcomer.
      usleep(120'000);
      if (!line.is_broken()) break;
    }
    line.reset();
    // Each survivor hears of it once, from the death or from the reset.
    while (told != workers - 1) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "told of the reset after kill " << n << ": " << told;
      usleep(200);
    }
    told = 0;
    ++restarts;
    crew[static_cast<std::size_t>(victim)] = start(victim, once);
  }
  all_get_on();
  crew.clear();
  EXPECT_EQ(wrong, 0);
}

struct message {
  std::uint32_t producer, incarnation;
  std::uint64_t number;
};

// Producers are killed, consumers are not: everything that was put in arrives, once and in order.
TEST_F(Storm, QueueWithDyingProducers) {
  queue line(memory.place(8192, queue::of_shape({.slots = 32, .message_bytes = sizeof(message)})), size - 8192,
             memory.who());
  auto& lives = memory.place<std::array<std::atomic<std::uint32_t>, workers>>(640);
  auto& put_in = memory.place<std::array<std::atomic<std::uint64_t>, workers>>(704);
  auto& received = memory.place<std::array<std::atomic<std::uint64_t>, workers>>(832);
  test::forked consumer([&] {
    std::vector<std::byte> bytes;
    std::array<message, workers> last{};
    for (;;) {
      const wait_result how = line.get(bytes, {.seconds = 20});
      if (how == wait_result::closed) return 0;
      if (how != wait_result::done || bytes.size() != sizeof(message)) return 1;
      message got;
      std::memcpy(&got, bytes.data(), sizeof got);
      message& before = last.at(got.producer);
      const bool next = got.incarnation == before.incarnation ? got.number == before.number + 1
                                                              : got.incarnation > before.incarnation && got.number == 1;
      if (!next) return 2;
      before = got;
      ++received[got.producer];
    }
  });
  kill_and_replace([&](int worker) {
    // The first call of a process begins a life.
    static std::uint32_t life = 0;
    static std::uint64_t number = 0;
    const auto at = static_cast<std::size_t>(worker);
    if (life == 0) life = ++lives[at];
    const message sent{static_cast<std::uint32_t>(worker), life, ++number};
    if (line.put(std::as_bytes(std::span(&sent, 1)), {.seconds = 20}) != wait_result::done) ++wrong;
    ++put_in[at];
  });
  line.close();
  EXPECT_EQ(consumer.wait(30), 0);
  EXPECT_EQ(wrong, 0);
  for (std::size_t p = 0; p < workers; ++p) {
    EXPECT_GT(received[p], 0u);
    EXPECT_GE(received[p], put_in[p]);
    EXPECT_LE(received[p], put_in[p] + lives[p]) << "at most one put of each life was cut off before it was counted";
  }
}

// Consumers are killed: each takes at most one message with it.
TEST_F(Storm, QueueWithDyingConsumers) {
  queue line(memory.place(8192, queue::of_shape({.slots = 32, .message_bytes = 8})), size - 8192, memory.who());
  auto& received = memory.place<std::atomic<std::uint64_t>>(800);
  auto& put_in = memory.place<std::atomic<std::uint64_t>>(808);
  auto& enough = memory.place<std::atomic<int>>(816);
  test::forked producer([&] {
    for (std::uint64_t n = 1; enough == 0; ++n) {
      if (line.put(std::as_bytes(std::span(&n, 1)), {.seconds = 20}) != wait_result::done) return 1;
      ++put_in;
    }
    return 0;
  });
  kill_and_replace([&](int) {
    static std::uint64_t last = 0;
    std::vector<std::byte> bytes;
    if (line.get(bytes, {.seconds = 20}) != wait_result::done || bytes.size() != 8) {
      ++wrong;
      return;
    }
    std::uint64_t n;
    std::memcpy(&n, bytes.data(), 8);
    if (n <= last) ++wrong;
    last = n;
    ++received;
  });
  enough = 1;
  std::vector<std::byte> bytes;
  while (producer.running() || line.size() != 0)
    if (line.get(bytes, {.seconds = 0.1}) == wait_result::done) ++received;
  EXPECT_EQ(producer.wait(), 0);
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(received, put_in);
  EXPECT_LE(put_in - received, static_cast<std::uint64_t>(kills + workers));
}

}  // namespace
