// Many processes at once.
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

class Crowd : public testing::Test {
 protected:
  static constexpr std::size_t many = 200;
  void TearDown() override {
    store::collect();
    EXPECT_EQ(test::contents(store::directory()), std::set<std::string>());
  }
};

TEST_F(Crowd, CreatesAttachesAndDropsAtOnce) {
  test::scratch_folder folder;
  test::board posts(folder / "board");
  std::vector<child> all;
  for (std::size_t i = 0; i < many; ++i) {
    all.push_back(peer());
    all[i].send("churn " + (folder / "board") + " " + std::to_string(i) + " " + std::to_string(test::seed() + i));
  }
  std::this_thread::sleep_for(std::chrono::seconds(5));
  EXPECT_EQ(posts.faults(), 0) << posts.fault();
  EXPECT_GT(posts.successes(), many);
  all.clear();
}

TEST_F(Crowd, OneAndOnlyOneGetsAnExclusiveName) {
  std::vector<child> all;
  for (std::size_t i = 0; i < many; ++i) all.push_back(peer());
  for (int round = 0; round < 5; ++round) {
    for (std::size_t i = 0; i < many; ++i) all[i].send("share a " + std::to_string(i) + " 100 name=only");
    std::size_t winners = 0, winner = 0;
    for (std::size_t i = 0; i < many; ++i) {
      const std::string answer = all[i].receive();
      EXPECT_TRUE(is_ok(answer) || test::is_error(answer, "exists")) << answer;
      if (is_ok(answer)) ++winners, winner = i;
    }
    EXPECT_EQ(winners, 1u);
    EXPECT_EQ(all[0].ask("attach b only"), "ok " + std::to_string(winner));
    EXPECT_EQ(store::list().size(), 1u);
    for (auto& each : all) EXPECT_TRUE(is_ok(each.ask("drop all")));
  }
}

TEST_F(Crowd, EverybodyMayReplaceAName) {
  std::vector<child> all;
  for (std::size_t i = 0; i < 60; ++i) all.push_back(peer());
  for (int round = 0; round < 5; ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) all[i].send("share a " + std::to_string(i) + " 100 name=any replace");
    for (auto& each : all) {
      const std::string answer = each.receive();
      EXPECT_TRUE(is_ok(answer)) << answer;
    }
    for (auto& each : all) EXPECT_TRUE(is_ok(each.ask("attach b any")));
    const std::string first = all[0].ask("attach b any");
    for (auto& each : all) EXPECT_EQ(each.ask("attach b any"), first) << "all see the same one";
  }
}

TEST_F(Crowd, AttachesToOneObject) {
  child creator = peer();
  const std::string handle = word(creator.ask("share a 3 60000"));
  std::vector<child> all;
  for (std::size_t i = 0; i < many; ++i) all.push_back(peer());
  for (auto& each : all) each.send("attach b " + handle);
  for (auto& each : all) EXPECT_EQ(each.receive(), "ok 3");
  EXPECT_EQ(creator.ask("holders a"), "ok " + std::to_string(many + 1));
  for (auto& each : all) each.send("drop all");
  for (auto& each : all) EXPECT_TRUE(is_ok(each.receive()));
  EXPECT_EQ(creator.ask("holders a"), "ok 1");
  EXPECT_EQ(creator.ask("check"), "ok 1");
}

// All but the first let go and attach at the same moment, again and again: it must be there whenever one holds it.
TEST_F(Crowd, TheLastOneOutIsTheLastOne) {
  std::vector<child> all;
  for (std::size_t i = 0; i < 20; ++i) all.push_back(peer());
  for (int round = 0; round < 40; ++round) {
    const std::string handle = word(all[0].ask("share a 3 100"));
    for (auto& each : all) each.send("attach b " + handle);
    for (auto& each : all) EXPECT_EQ(each.receive(), "ok 3");
    for (auto& each : all) each.send("drop all");
    for (auto& each : all) EXPECT_TRUE(is_ok(each.receive()));
    EXPECT_FALSE(store::exists(handle::parse(handle)));
  }
  EXPECT_EQ(test::contents(store::directory()), std::set<std::string>()) << "without a collection";
}

TEST_F(Crowd, SixtyThousandObjectsInOneProcess) {
  child one = peer();
  ASSERT_EQ(one.ask("many 60000 2"), "ok 60000");
  EXPECT_EQ(one.ask("check"), "ok 60000");
  EXPECT_EQ(one.ask("list"), "ok 60000");
  EXPECT_EQ(one.ask("collect"), "ok 0");
  EXPECT_TRUE(is_ok(one.ask("drop all")));
  EXPECT_EQ(one.ask("list"), "ok 0");
}

TEST_F(Crowd, HundredThousandObjectsInTheStore) {
  child first = peer(), second = peer();
  first.send("many 50000 2"), second.send("many 50000 2");
  EXPECT_EQ(first.receive(), "ok 50000");
  EXPECT_EQ(second.receive(), "ok 50000");
  EXPECT_EQ(store::list().size(), 100'000u);
  EXPECT_EQ(store::collect().objects, 0u);
  first.kill();
  EXPECT_EQ(store::collect().objects, 50'000u);
  EXPECT_EQ(store::list().size(), 50'000u);
  EXPECT_EQ(second.ask("check"), "ok 50000");
}

}  // namespace
