// Forked children share their parent's mappings, and let go of them without taking anything from the parent.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "support/pattern.hpp"
#include "support/peers.hpp"

namespace {

using namespace onecopy;
using test::child, test::is_ok, test::peer, test::word;

// The status of a child that runs `body` and leaves without running destructors of this process.
template <class Body>
int forked(Body body) {
  const pid_t pid = fork();
  if (pid == 0) {
    int answer = 99;
    try {
      answer = body();
    } catch (...) {
    }
    _exit(answer);
  }
  int how = 0;
  waitpid(pid, &how, 0);
  return how;
}

TEST(Fork, TheChildReadsAndLetsGo) {
  region made = test::publish_pattern(1, 10'000);
  const handle where = made.handle(0, 0);
  EXPECT_EQ(forked([&] {
              if (!test::pattern_fault(made).empty()) return 1;
              made = region();
              store::collect();
              return store::exists(where) ? 0 : 2;
            }),
            0);
  EXPECT_TRUE(store::exists(where)) << "what the child let go of is still the parent's";
  EXPECT_EQ(test::pattern_fault(store::attach(where)), "");
  made = region();
  EXPECT_FALSE(store::exists(where));
}

TEST(Fork, TheChildKeepsWhatTheParentLetsGoOf) {
  region made = test::publish_pattern(1, 10'000);
  const handle where = made.handle(0, 0);
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    char byte = 0;
    if (read(go[0], &byte, 1) != 1) _exit(1);
    bool good = test::pattern_fault(made).empty() && store::exists(where);
    made = region();
    good = good && !store::exists(where);
    _exit(good ? 0 : 2);
  }
  made = region();
  EXPECT_TRUE(store::exists(where));
  ASSERT_EQ(write(go[1], "x", 1), 1);
  int how = 0;
  waitpid(pid, &how, 0);
  EXPECT_EQ(how, 0);
  EXPECT_FALSE(store::exists(where)) << "the child was the last one";
  close(go[0]), close(go[1]);
}

TEST(Fork, TheChildMakesItsOwn) {
  const region made = test::publish_pattern(1, 100);
  EXPECT_EQ(forked([&] {
              region own = test::publish_pattern(2, 100, {.name = "child"});
              const bool good = store::attach_name("child").id() == own.id() && own.id() != made.id();
              own = region();
              return good && !store::find_name("child") ? 0 : 1;
            }),
            0);
}

TEST(Fork, IdsOfParentAndChildDiffer) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(forked([&] {
              const auto id = object_id::random();
              return write(ends[1], id.bytes.data(), 16) == 16 ? 0 : 1;
            }),
            0);
  object_id child_made;
  ASSERT_EQ(read(ends[0], child_made.bytes.data(), 16), 16);
  EXPECT_NE(child_made, object_id::random());
  close(ends[0]), close(ends[1]);
}

TEST(Fork, PagesWrittenByTheChildAreItsOwn) {
  const region made = test::publish_pattern(1, 10'000);
  std::byte* bytes = made.writable_bytes();
  const value root{made};
  EXPECT_EQ(forked([&] {
              bytes[root.data_offset() + 100] ^= std::byte{1};
              return made.diverged(root.data_offset(), root.data_bytes()) ? 0 : 1;
            }),
            0);
  EXPECT_FALSE(made.diverged(root.data_offset(), root.data_bytes()));
  EXPECT_EQ(test::pattern_fault(made), "");
}

TEST(Fork, PagesWrittenByTheParentStayDivergedInTheChild) {
  const region made = test::publish_pattern(1, 10'000);
  const value root{made};
  made.writable_bytes()[root.data_offset() + 100] ^= std::byte{1};
  EXPECT_EQ(forked([&] { return made.diverged(root.data_offset(), root.data_bytes()) ? 0 : 1; }), 0);
  EXPECT_TRUE(made.diverged(root.data_offset(), root.data_bytes()));
}

// The child of a program with threads may be forked while any of them is in the middle of anything.
TEST(Fork, AmidThreadsThatShareAndDrop) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; !stop; ++i) {
        const region made = test::publish_pattern(t * 1'000'000 + i, 200);
        const region again = store::attach(made.handle(0, 0));
        if (!test::pattern_fault(again).empty()) std::abort();
      }
    });
  for (int round = 0; round < 60; ++round)
    EXPECT_EQ(forked([&] {
                alarm(60);
                const region own = test::publish_pattern(5, 200);
                store::collect();
                return test::pattern_fault(store::attach(own.handle(0, 0))).empty() ? 0 : 1;
              }),
              0);
  stop = true;
  for (auto& each : threads) each.join();
  store::collect();
  EXPECT_TRUE(store::list().empty());
}

TEST(Fork, CollectionInTheChildOfAPeer) {
  child parent = peer(), other = peer();
  const std::string handle = word(parent.ask("share a 4 1000"));
  EXPECT_EQ(parent.ask("fork drop all"), "ok 0");
  EXPECT_EQ(parent.ask("fork collect"), "ok 0");
  EXPECT_EQ(other.ask("attach b " + handle), "ok 4");
  EXPECT_TRUE(is_ok(other.ask("drop all")));
  EXPECT_EQ(parent.ask("check"), "ok 1");
  EXPECT_EQ(parent.ask("exists " + handle), "ok yes");
}

}  // namespace
