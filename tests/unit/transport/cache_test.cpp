// The cache in one process; tests/process/transport_cache_test.cpp has several.
#include "onecopy/cache.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "onecopy/weak.hpp"
#include "onecopy/writer.hpp"
#include "support/expect.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by;

value block(double content, std::size_t count = 10'000, backing where = backing::store) {
  const std::vector<double> all(count, content);
  return share(std::span<const double>(all), {.where = where}).node();
}

TEST(Cache, LoadsOnceAndGivesTheSameMemory) {
  cache<std::string> all;
  int loads = 0;
  const auto load = [&] {
    ++loads;
    return block(1);
  };
  const value a = all.get("x", load), b = all.get("x", load);
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(a.data(), b.data());
  EXPECT_TRUE(all.find("x").has_value());
  EXPECT_FALSE(all.find("y").has_value());
  const auto now = all.statistics();
  EXPECT_EQ(now.entries, 1u);
  EXPECT_EQ(now.loads, 1u);
  EXPECT_EQ(now.hits, 2u);
  EXPECT_GE(now.bytes, 80'000u);
}

TEST(Cache, KeysMayBeNumbersAndLoadersGiveAnyObject) {
  cache<int> all;
  EXPECT_EQ(all.get(-7, [] { return array<double>(block(2)); }).as<double>()[0], 2);
  EXPECT_EQ(all.get(8, [] { return block(3).region(); }).as<double>()[0], 3);
  EXPECT_EQ(all.find(-7)->as<double>()[0], 2);
  all.put(8, block(4));
  EXPECT_EQ(all.find(8)->as<double>()[0], 4);
}

TEST(Cache, TheBudgetEvictsTheLongestUnusedFirst) {
  std::vector<std::string> gone;
  cache<std::string> all({.budget = 300'000, .on_evict = [&](const eviction& what) {
                            EXPECT_EQ(what.why, eviction::reason::budget);
                            EXPECT_GE(what.bytes, 80'000u);
                            gone.push_back(what.key);
                          }});
  for (const char* key : {"a", "b", "c"}) (void)all.get(key, [] { return block(1); });
  (void)all.get("a", [] { return block(1); });  // used again
  (void)all.get("d", [] { return block(1); });
  EXPECT_EQ(gone, (std::vector<std::string>{"b"}));
  EXPECT_LE(all.statistics().bytes, 300'000u);
}

TEST(Cache, WhatIsUsedHereStaysBeyondTheBudget) {
  cache<std::string> all({.budget = 100'000});
  const value used = all.get("used", [] { return block(1); });
  for (int i = 0; i < 5; ++i) (void)all.get("other" + std::to_string(i), [] { return block(1); });
  EXPECT_TRUE(all.find("used").has_value());
  EXPECT_EQ(all.statistics().entries, 2u);  // and the newest, which was still in the loader's hands
  const auto entries = all.entries();
  for (const auto& one : entries) EXPECT_EQ(one.in_use, one.key == "used");
}

TEST(Cache, EvictingFreesMemoryAtOnce) {
  cache<std::string> all;
  const weak_reference weak(all.get("x", [] { return block(1); }));
  EXPECT_TRUE(weak.alive());
  EXPECT_EQ(all.evict_unused(), 1u);
  EXPECT_FALSE(weak.alive());
  EXPECT_FALSE(weak.lock().has_value());
}

TEST(Cache, RemoveLetsGoButTakesNothingAway) {
  int told = 0;
  cache<std::string> all({.on_evict = [&](const eviction& what) { told += what.why == eviction::reason::asked; }});
  const value used = all.get("x", [] { return block(5); });
  EXPECT_TRUE(all.remove("x"));
  EXPECT_FALSE(all.remove("x"));
  EXPECT_EQ(used.as<double>()[9'999], 5);
  all.put("a", block(1));
  all.put("b", block(1));
  all.clear();
  EXPECT_EQ(all.statistics().entries, 0u);
  EXPECT_EQ(told, 3);
}

TEST(Cache, AgeEvictsWhatNobodyUses) {
  cache<std::string> all({.max_age = 0.05});
  const value used = all.get("used", [] { return block(1); });
  (void)all.get("unused", [] { return block(1); });
  usleep(80'000);
  EXPECT_EQ(all.trim(), 1u);
  EXPECT_TRUE(all.find("used").has_value());
  EXPECT_FALSE(all.find("unused").has_value());
}

TEST(Cache, MappedFilesTakeNoneOfTheBudget) {
  test::scratch_folder folder;
  std::ofstream(folder / "font") << std::string(1 << 20, 'f');
  cache<std::string> all({.budget = 1000});
  for (int i = 0; i < 3; ++i)
    (void)all.get("font" + std::to_string(i), [&] { return mapped_file(folder / "font"); });
  EXPECT_EQ(all.trim(), 0u);
  EXPECT_EQ(all.statistics().entries, 3u);
  EXPECT_EQ(all.statistics().bytes, 0u);
}

TEST(Cache, ALoaderThatFailsLeavesNothingBehind) {
  cache<std::string> all;
  EXPECT_EQ(kind_thrown_by([&] { all.get("x", []() -> value { throw error(error_kind::not_found, "load", "no"); }); }),
            error_kind::not_found);
  EXPECT_EQ(kind_thrown_by([&] { all.get("x", [] { return value(); }); }), error_kind::invalid_argument);
  EXPECT_EQ(kind_thrown_by([&] { all.put("x", value()); }), error_kind::invalid_argument);
  EXPECT_EQ(all.get("x", [] { return block(1); }, 0).size(), 10'000u);
}

TEST(Cache, OneThreadLoadsWhileOthersWait) {
  for (const char* name : {"", "threads"}) {
    cache<std::string> all({.name = name});
    std::atomic<int> loads{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t)
      threads.emplace_back([&] {
        const value got = all.get("slow", [&] {
          ++loads;
          usleep(50'000);
          return block(6);
        });
        EXPECT_EQ(got.as<double>()[0], 6);
      });
    for (auto& t : threads) t.join();
    EXPECT_EQ(loads, 1);
  }
}

TEST(Cache, WaitingHasAnEnd) {
  cache<std::string> all;
  std::atomic<bool> begun{false}, stop{false};
  std::thread slow([&] {
    (void)all.get("x", [&] {
      begun = true;
      while (!stop) usleep(1000);
      return block(1);
    });
  });
  while (!begun) usleep(1000);
  EXPECT_EQ(kind_thrown_by([&] { all.get("x", [] { return block(2); }, 0.02); }), error_kind::timeout);
  stop = true;
  slow.join();
  EXPECT_EQ(kind_thrown_by([&] { all.get("y", [&] { return all.get("y", [] { return block(1); }); }); }),
            error_kind::invalid_argument);
}

TEST(Cache, TwoCachesOfOneNameShareAndOthersDoNot) {
  cache<std::string> first({.name = "fonts"}), second({.name = "fonts"}), other({.name = "images"});
  const value a = first.get("x", [] { return block(1); });
  const value b = second.get("x", [] { return block(2); });
  EXPECT_EQ(a.data(), b.data());
  EXPECT_EQ(second.statistics().attached, 1u);
  EXPECT_EQ(second.statistics().loads, 0u);
  EXPECT_EQ(other.get("x", [] { return block(3); }).as<double>()[0], 3);
  test::scratch_folder folder;
  std::ofstream(folder / "font") << std::string(8000, 'f');
  const map_options as_matrix{.type = dtype::float64, .offset = 64, .shape = {8, 124}};
  (void)first.get("font", [&] { return map_file(folder / "font", as_matrix); });
  const auto found = second.find("font");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->shape(), (std::vector<std::uint64_t>{8, 124}));
  EXPECT_EQ(found->type(), dtype::float64);
  EXPECT_EQ(found->region().path(), folder / "font");
}

TEST(Cache, ANamedCacheRefusesWhatOthersCouldNotAttachTo) {
  cache<std::string> all({.name = "strict"});
  EXPECT_EQ(kind_thrown_by([&] { all.get("x", [] { return block(1, 10'000, backing::memfd); }); }),
            error_kind::invalid_argument);
  EXPECT_EQ(kind_thrown_by([&] { cache<std::string> bad({.name = std::string(121, 'n')}); }),
            error_kind::invalid_argument);
}

TEST(WeakReference, OfTheStoreIsATextForAnyProcess) {
  value held = block(1);
  const weak_reference weak(held);
  const weak_reference copy = weak_reference::parse(weak.text());
  EXPECT_TRUE(copy.alive());
  EXPECT_EQ(copy.lock()->data(), held.data());
  (void)held.handle();  // a lease keeps the bytes, but is nobody's use
  held = {};
  EXPECT_FALSE(copy.alive());
  EXPECT_FALSE(copy.lock().has_value());
  EXPECT_FALSE(weak.lock().has_value());
  EXPECT_THROW((void)weak_reference::parse("nonsense"), error);
}

TEST(WeakReference, OfOtherMemoryServesThisProcess) {
  value held = block(1, 10'000, backing::memfd);
  const weak_reference weak(held);
  EXPECT_EQ(weak.lock()->data(), held.data());
  EXPECT_EQ(kind_thrown_by([&] { (void)weak.text(); }), error_kind::unsupported);
  held = {};
  EXPECT_FALSE(weak.alive());
  EXPECT_FALSE(weak_reference().alive());
}

}  // namespace
