// What the headers promise to threads: one object attached, read, handed on, written privately and let go by many at
// once, while others share, list and collect. Run under ThreadSanitizer, this is where a race of the core shows.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "onecopy/onecopy.hpp"
#include "support/pattern.hpp"
#include "support/random_tree.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;

constexpr int threads = 4;

// Runs `work(thread)` in all threads at once; an exception in one is a failure of the test.
void at_once(const std::function<void(int)>& work) {
  std::atomic<int> waiting{threads};
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i)
    all.emplace_back([&, i] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      try {
        work(i);
      } catch (const std::exception& failed) {
        ADD_FAILURE() << "thread " << i << ": " << failed.what();
      }
    });
  for (std::thread& one : all) one.join();
}

TEST(Threads, OneObjectIsAttachedAndLetGoByAll) {
  const region held = test::publish_pattern(1, 5000);
  const handle where = held.handle(0, 0);
  at_once([&](int) {
    for (int i = 0; i < 100; ++i) {
      const region mine = store::attach(where);
      EXPECT_EQ(mine, held) << "one process maps an object once";
      EXPECT_EQ(test::pattern_fault(mine), "");
      const region copy = mine;
      EXPECT_EQ(copy.handle(0, 0).text(), where.text());
    }
  });
  EXPECT_LE(held.holders(), 1u);  // 0: the kernel doesn't tell
}

TEST(Threads, TheLastOneOutMayBeAnyOfThem) {
  for (int round = 0; round < 50; ++round) {
    std::vector<region> shares(threads, test::publish_pattern(2, 100));
    const handle where = shares[0].handle(0, 0);
    at_once([&](int thread) { shares[static_cast<std::size_t>(thread)] = region(); });
    EXPECT_FALSE(store::exists(where));
  }
}

TEST(Threads, AttachingWhileTheLastHolderLeavesWorksOrSaysGone) {
  for (int round = 0; round < 50; ++round) {
    region last = test::publish_pattern(3, 100);
    const handle where = last.handle(0, 0);
    at_once([&](int thread) {
      if (thread == 0) {
        last = region();
        return;
      }
      try {
        EXPECT_EQ(test::pattern_fault(store::attach(where)), "");
      } catch (const error& refused) {
        EXPECT_EQ(refused.kind(), error_kind::not_found) << refused.what();
      }
    });
  }
}

TEST(Threads, SharingListingAndCollectingGoOnTogether) {
  const region held = test::publish_pattern(4, 1000);
  at_once([&](int thread) {
    for (std::uint64_t i = 0; i < 50; ++i) {
      const std::string name = "thread-" + std::to_string(thread);
      const region made = test::publish_pattern(i, 100, {.name = name});
      EXPECT_EQ(value(attach_name(name)).region(), made);
      if (thread == 0) store::collect();
      if (thread == 1) {
        EXPECT_GE(store::list().size(), 2u);
      }
      EXPECT_EQ(test::pattern_fault(made), "");
    }
  });
  EXPECT_EQ(store::list().size(), 1u);
}

TEST(Threads, PrivateViewsAreEachOnesOwn) {
  const region held = test::publish_pattern(5, 20000);
  const value whole(held);
  const std::size_t from = whole.data_offset(), size = whole.data_bytes();
  at_once([&](int thread) {
    for (int i = 0; i < 20; ++i) {
      const private_view mine = held.private_view(from, size);
      const auto mark = static_cast<std::byte>(thread + 1);
      for (std::size_t at = 0; at < size; at += 4096) mine.data()[at] = mark;
      for (std::size_t at = 0; at < size; at += 4096) ASSERT_EQ(mine.data()[at], mark);
    }
  });
  EXPECT_EQ(test::pattern_fault(held), "");
  EXPECT_FALSE(held.diverged(from, size));
}

TEST(Threads, WhatIsCheckedAtFirstUseIsCheckedOnce) {
  const auto from = test::everything();
  const value whole(test::publish(from));
  at_once([&](int) {
    EXPECT_EQ(test::different(whole, from), "");
    EXPECT_NO_THROW(verify(whole.region()));
  });
}

TEST(Threads, OneWriterEach) {
  at_once([&](int thread) {
    for (std::uint64_t i = 0; i < 20; ++i) {
      test::tree_maker make(static_cast<std::uint64_t>(thread) * 1000 + i);
      const auto from = make.any();
      EXPECT_EQ(test::different(value(test::publish(from)), from), "");
    }
  });
}

}  // namespace
