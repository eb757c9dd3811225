// Processes that are killed at any moment: nobody reads a wrong byte, and the next collection finds every leftover.
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "support/board.hpp"
#include "support/peers.hpp"
#include "support/random_tree.hpp"

namespace {

using namespace onecopy;
using test::child, test::is_ok, test::peer, test::word;

void nap(std::uint64_t microseconds) { std::this_thread::sleep_for(std::chrono::microseconds(microseconds)); }

class Kill : public testing::Test {
 protected:
  Kill() : random(test::seed()) { RecordProperty("seed", std::to_string(test::seed())); }
  void TearDown() override {
    store::collect();
    EXPECT_EQ(test::contents(store::directory()), std::set<std::string>()) << "ONECOPY_TEST_SEED=" << test::seed();
    EXPECT_TRUE(store::list().empty());
  }
  std::mt19937_64 random;
};

TEST_F(Kill, AnybodyAtRandomMomentsHundredsOfTimes) {
  test::scratch_folder folder;
  test::board posts(folder / "board");
  std::vector<child> all(6);
  const auto start = [&](std::size_t i) {
    all[i] = peer();
    all[i].send("churn " + (folder / "board") + " " + std::to_string(i) + " " + std::to_string(random()));
  };
  for (std::size_t i = 0; i < all.size(); ++i) start(i);
  for (int kills = 0; kills < 400; ++kills) {
    nap(random() % 12'000);
    const std::size_t victim = random() % all.size();
    all[victim].kill();
    if (random() % 4 == 0) all[(victim + 1) % all.size()].kill(), start((victim + 1) % all.size());
    start(victim);
    ASSERT_EQ(posts.faults(), 0) << posts.fault() << " ONECOPY_TEST_SEED=" << test::seed();
  }
  all.clear();
  EXPECT_EQ(posts.faults(), 0) << posts.fault();
  EXPECT_GT(posts.successes(), 100u) << "otherwise nobody attached to anything, and this test shows nothing";
}

TEST_F(Kill, TheCreatorWhileOthersRead) {
  for (int round = 0; round < 60; ++round) {
    child creator = peer(), holder = peer(), late = peer();
    const std::string handle = word(creator.ask("share a 7 60000"));
    ASSERT_EQ(holder.ask("attach b " + handle), "ok 7");
    creator.kill();
    EXPECT_EQ(holder.ask("check"), "ok 1");
    EXPECT_EQ(late.ask("attach c " + handle), "ok 7") << "a holder keeps it for everybody";
    holder.kill();
    EXPECT_EQ(late.ask("check"), "ok 1");
    EXPECT_EQ(late.ask("collect"), "ok 0");
    EXPECT_TRUE(is_ok(late.ask("drop c")));
    EXPECT_EQ(late.ask("exists " + handle), "ok no");
  }
}

TEST_F(Kill, EverybodyLeavesALeftoverThatTheNextCollects) {
  for (int round = 0; round < 60; ++round) {
    child creator = peer(), holder = peer();
    const std::string handle = word(creator.ask("share a 7 60000 name=mine"));
    ASSERT_EQ(holder.ask("attach b " + handle), "ok 7");
    creator.kill();
    holder.kill();
    child next = peer();
    EXPECT_EQ(next.ask("exists " + handle), "ok no");
    EXPECT_TRUE(is_ok(next.ask("collect"))) << "the first use of the store may have done it already";
    EXPECT_EQ(test::contents(store::directory()), std::set<std::string>());
    EXPECT_TRUE(is_ok(next.ask("share a 8 10 name=mine"))) << "the name is free";
  }
}

TEST_F(Kill, DuringPublishing) {
  for (int round = 0; round < 150; ++round) {
    child creator = peer();
    const bool named = random() % 2 == 0;
    creator.send("share a 7 1000000" + std::string(named ? " name=half" : "") + (random() % 2 == 0 ? " replace" : ""));
    nap(random() % 25'000);
    creator.kill();
    child next = peer();
    const std::string found = next.ask("attach b half");
    EXPECT_TRUE(test::is_error(found, "not_found")) << found << ": dead creators hold nothing";
    next.ask("collect");
    ASSERT_EQ(test::contents(store::directory()), std::set<std::string>()) << round;
  }
}

TEST_F(Kill, WhileReplacingAName) {
  child keeper = peer();
  for (int round = 0; round < 60; ++round) {
    ASSERT_TRUE(is_ok(keeper.ask("share a " + std::to_string(round) + " 10 name=rate replace")));
    child replacer = peer();
    replacer.send("share a 1000 60000 name=rate replace");
    nap(random() % 6'000);
    replacer.kill();
    const auto found = keeper.ask("attach b rate");
    EXPECT_TRUE(is_ok(found) || test::is_error(found, "not_found")) << found;
    ASSERT_TRUE(is_ok(keeper.ask("drop b")));
  }
}

TEST_F(Kill, KeptObjectsSurviveEverybody) {
  std::string handle;
  {
    child creator = peer();
    handle = word(creator.ask("share a 7 60000 keep"));
    creator.kill();
  }
  child next = peer();
  EXPECT_EQ(next.ask("collect"), "ok 0");
  EXPECT_EQ(next.ask("attach b " + handle), "ok 7");
  next.kill();
  EXPECT_TRUE(store::remove(handle::parse(handle).id));
}

TEST_F(Kill, ALeaseOutlivesItsKilledCreator) {
  std::string handle;
  {
    child creator = peer();
    ASSERT_TRUE(is_ok(creator.ask("share a 7 60000")));
    handle = word(creator.ask("lease a 60"));
    creator.kill();
  }
  child next = peer();
  EXPECT_EQ(next.ask("collect"), "ok 0");
  EXPECT_EQ(next.ask("attach b " + handle), "ok 7");
  EXPECT_TRUE(is_ok(next.ask("drop all")));
  EXPECT_EQ(next.ask("exists " + handle), "ok yes") << "the lease still runs";
  EXPECT_TRUE(store::remove(handle::parse(handle).id));
}

TEST_F(Kill, LeasesFollowTheEnvironment) {
  std::string handle;
  {
    child creator = peer({{"ONECOPY_LEASE", "0.4"}});
    ASSERT_TRUE(is_ok(creator.ask("share a 7 100")));
    handle = word(creator.ask("lease a -1"));
  }
  EXPECT_TRUE(store::exists(handle::parse(handle)));
  nap(600'000);
  EXPECT_FALSE(store::exists(handle::parse(handle)));
  EXPECT_EQ(store::collect().objects, 1u);
}

// A stopped process keeps whatever lock it has: nobody may wait for it without an end.
TEST_F(Kill, StoppedProcessesMakeNobodyHang) {
  test::scratch_folder folder;
  test::board posts(folder / "board");
  child stopped = peer();
  stopped.send("churn " + (folder / "board") + " 0 1");
  for (int round = 0; round < 25; ++round) {
    nap(500 + random() % 3'000);
    stopped.signal(SIGSTOP);
    child other = peer();
    for (const char* command : {"share a 1 100", "share b 2 100 name=mine", "list", "collect", "drop all"}) {
      const std::string answer = other.ask(command);
      EXPECT_TRUE(is_ok(answer) || test::is_error(answer, "busy")) << command << ": " << answer;
    }
    stopped.signal(SIGCONT);
  }
  EXPECT_EQ(posts.faults(), 0) << posts.fault();
}

}  // namespace
