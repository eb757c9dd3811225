// One cache, many processes: who loads, who waits, who uses, and who dies.
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fcntl.h>

#include <atomic>
#include <csignal>
#include <new>

#include "onecopy/onecopy.hpp"
#include "support/forked.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;

constexpr double patience = 60;

value block(double content, std::size_t count = 10'000) {
  const std::vector<double> all(count, content);
  return share(std::span<const double>(all)).node();
}

// Counters that all processes of a test see.
struct board {
  std::atomic<int> loads{0}, ready{0};
  std::atomic<bool> go{false};
};
struct shared_board {
  shared_board()
      : at(new (mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) board) {}
  ~shared_board() { munmap(at, sizeof(board)); }
  board* operator->() const { return at; }
  board* at;
};

void wait_until(const std::function<bool()>& holds) {
  for (int i = 0; i < 60'000 && !holds(); ++i) usleep(1000);
  EXPECT_TRUE(holds());
}

TEST(CacheProcess, OneLoadsWhileTheOthersWait) {
  const shared_board all;
  std::vector<test::forked> children;
  for (int i = 0; i < 8; ++i)
    children.emplace_back([&] {
      cache<std::string> fonts({.name = "one-loads"});
      const value got = fonts.get("x", [&] {
        ++all->loads;
        usleep(100'000);
        return block(7);
      });
      ++all->ready;
      while (!all->go) usleep(1000);  // everybody holds it until the last has it
      return got.as<double>()[9'999] == 7 ? 0 : 1;
    });
  wait_until([&] { return all->ready == 8; });
  all->go = true;
  for (auto& child : children) EXPECT_EQ(child.wait(patience), 0);
  EXPECT_EQ(all->loads, 1);
}

TEST(CacheProcess, WhenTheLoaderIsKilledTheNextOneLoads) {
  const shared_board all;
  test::forked loader([&] {
    cache<std::string> fonts({.name = "killed-loader"});
    (void)fonts.get("x", [&]() -> value {
      all->go = true;
      for (;;) pause();
    });
    return 0;
  });
  wait_until([&] { return all->go.load(); });
  test::forked waiter([&] {
    cache<std::string> fonts({.name = "killed-loader"});
    ++all->ready;
    return fonts.get("x", [] { return block(3); }).as<double>()[0] == 3 ? 0 : 1;
  });
  wait_until([&] { return all->ready == 1; });
  usleep(50'000);
  EXPECT_TRUE(waiter.running());
  loader.kill();
  EXPECT_EQ(waiter.wait(patience), 0);
}

TEST(CacheProcess, EntriesOfAProcessThatDiesAreFreeAndThoseOfTheLivingAreNot) {
  const shared_board all;
  test::scratch_folder folder;
  listener door(folder / "door");
  std::vector<test::forked> clients;
  for (int i = 0; i < 2; ++i)
    clients.emplace_back([&, i] {
      channel c = channel::connect(folder / "door");
      c.send(std::to_string(i));
      const value held = c.receive(patience).object();
      c.send("have it");
      (void)c.receive(patience);
      return 0;
    });
  std::vector<std::string> gone;
  cache<std::string> fonts({.budget = 0, .on_evict = [&](const eviction& what) { gone.push_back(what.key); }});
  std::vector<channel> channels;
  std::vector<std::string> keys;
  for (int i = 0; i < 2; ++i) {
    channels.push_back(door.accept(patience));
    keys.emplace_back(channels.back().receive(patience).text());
    channels.back().send(fonts.get(keys.back(), [&] { return block(i); }));
    EXPECT_EQ(channels.back().receive(patience).text(), "have it");
  }
  EXPECT_EQ(fonts.trim(), 0u);  // far over the budget, but all is in use
  for (const auto& one : fonts.entries()) EXPECT_TRUE(one.in_use);
  const int first = keys[0] == "0" ? 0 : 1;
  clients[static_cast<std::size_t>(first)].kill();
  EXPECT_EQ(fonts.trim(), 1u);
  EXPECT_EQ(gone, (std::vector<std::string>{keys[0]}));
  EXPECT_TRUE(fonts.find(keys[1]).has_value());
}

TEST(CacheProcess, ALiarHoldsMemoryLongerAndTakesNothingFromOthers) {
  test::scratch_folder folder;
  listener door(folder / "door");
  test::forked liar([&] {
    channel c = channel::connect(folder / "door");
    const message m = c.receive(patience);
    // All that a process with a descriptor can try: to have it alone, and to end it.
    const int descriptor = m.object().region().open_descriptor();
    const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    const int own = open(path.c_str(), O_RDONLY);
    (void)flock(own, LOCK_EX | LOCK_NB);
    (void)ftruncate(own, 0);
    (void)fallocate(own, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
    (void)fcntl(own, F_SETLEASE, F_WRLCK);
    c.send("did my worst");
    (void)c.receive(patience);
    return 0;
  });
  cache<std::string> fonts({.budget = 0});
  channel bad = door.accept(patience);
  const auto load = [] {
    const std::vector<double> all(100'000, 5);
    return share(std::span<const double>(all), {.where = backing::memfd});
  };
  bad.send(fonts.get("x", load));
  EXPECT_EQ(bad.receive(patience).text(), "did my worst");
  EXPECT_EQ(fonts.trim(), 0u);  // the liar makes it look used: memory is held longer
  test::forked honest([&] {
    channel c = channel::connect(folder / "door");
    return c.receive(patience).object().as<double>()[99'999] == 5 ? 0 : 1;
  });
  channel good = door.accept(patience);
  good.send(fonts.get("x", load));
  EXPECT_EQ(honest.wait(patience), 0);
  EXPECT_EQ(fonts.statistics().loads, 1u);
  liar.kill();
  EXPECT_EQ(fonts.trim(), 1u);
}

TEST(CacheProcess, NothingIsLeftWhenAllAreKilled) {
  const shared_board all;
  store::collect();
  const std::size_t before = store::list().size();  // leases of what other tests sent
  std::vector<test::forked> children;
  for (int i = 0; i < 4; ++i)
    children.emplace_back([&, i] {
      cache<int> images({.name = "all-killed"});
      const value one = images.get(i % 2, [] { return block(1); });
      ++all->ready;
      for (;;) pause();
      return 0;
    });
  wait_until([&] { return all->ready == 4; });
  EXPECT_GE(store::list().size(), before + 4);  // two entries and their notices
  for (auto& child : children) child.send(SIGKILL);
  for (auto& child : children) child.wait(patience);
  store::collect();
  EXPECT_EQ(store::list().size(), before);
  EXPECT_FALSE(cache<int>({.name = "all-killed"}).find(0).has_value());
}

TEST(CacheProcess, ProcessesThatComeAndGoNeverFindAWrongEntry) {
  const shared_board all;
  std::vector<test::forked> children;
  for (int i = 0; i < 4; ++i)
    children.emplace_back([&, i] {
      for (int round = 0; round < 150; ++round) {
        cache<int> images({.name = "come-and-go", .budget = 100'000});
        const int key = (round + i) % 5;
        const value got = images.get(key, [&] {
          ++all->loads;
          return block(key, 2000);
        });
        if (got.size() != 2000 || got.as<double>()[1999] != key) return 1;
      }
      return 0;
    });
  for (auto& child : children) EXPECT_EQ(child.wait(patience), 0);
  EXPECT_GE(all->loads, 5);
}

}  // namespace
