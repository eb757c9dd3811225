// Lazy vectors that every process may write to: changed chunks are never lost.
#include <sys/stat.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "support/lazy.hpp"

namespace {

using namespace onecopy;
constexpr std::uint64_t MiB = 1u << 20;

lazy_array<double> writable(std::uint64_t count) { return test::numbers(count, {.writable = true}); }

TEST(LazyWrite, WritesAreSeenByOtherProcessesAndSurviveEviction) {
  auto x = writable(MiB);
  x.writable_data()[1000] = -1;
  const pid_t child = test::in_child([&] {
    auto y = attach_lazy<double>(x.vector().handle(5));
    if (y[1000] != -1) return 1;
    y.writable_data()[500'000] = -2;
    return 0;
  });
  EXPECT_EQ(test::outcome_of(child), 0);
  EXPECT_EQ(x[500'000], -2.0);
  x.vector().release(0, x.vector().bytes());
  EXPECT_EQ(x.vector().count().resident_bytes, 0u);
  EXPECT_EQ(x.vector().count().spilled_bytes, 2 * 65536u);
  EXPECT_EQ(x[1000], -1.0);
  EXPECT_EQ(x[500'000], -2.0);
  EXPECT_EQ(x[1001], 1001.0);
  x.writable_data()[1000] = -3;  // changed again after it came back
  x.vector().release(0, x.vector().bytes());
  EXPECT_EQ(x[1000], -3.0);
}

TEST(LazyWrite, ReadingAloneWritesNothingToDisk) {
  auto x = writable(MiB);
  EXPECT_EQ(test::wrong_numbers(x.data(), MiB), 0u);
  x.vector().release(0, x.vector().bytes());
  EXPECT_EQ(x.vector().count().spilled_bytes, 0u);
}

TEST(LazyWrite, SeveralTimesTheBudgetIsWrittenAndReadBack) {
  constexpr std::uint64_t count = 96 * MiB / 8;
  auto x = writable(count);
  for (std::uint64_t i = 0; i < count; ++i) x.writable_data()[i] = static_cast<double>(i) * 2;
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < count; ++i) wrong += x[i] != static_cast<double>(i) * 2;
  EXPECT_EQ(wrong, 0u);
  EXPECT_LE(pager::look().peak_resident, 32 * MiB);
  EXPECT_GT(x.vector().count().spilled_bytes, 32 * MiB);
}

// Each writer adds to elements of its own, while chunks are taken away under it.
int add_at_random(const lazy_array<double>& x, unsigned writer, unsigned writers, int rounds) {
  std::mt19937_64 random(writer);
  std::vector<std::uint64_t> places(200);
  for (auto& place : places) place = random() % (x.size() / writers) * writers + writer;
  for (int round = 0; round < rounds; ++round)
    for (const auto place : places) x.writable_data()[place] += 1;
  for (const auto place : places) {
    const auto times = static_cast<double>(std::count(places.begin(), places.end(), place)) * rounds;
    if (x[place] != static_cast<double>(place) + times) return 1;
  }
  return 0;
}

TEST(LazyWrite, NoStoreIsLostWhileChunksAreEvicted) {
  auto x = writable(64 * MiB / 8);
  std::vector<pid_t> children;
  for (unsigned i = 0; i < 3; ++i) children.push_back(test::in_child([&] { return add_at_random(x, i, 3, 60); }));
  std::atomic<bool> stop{false};
  std::thread evictor([&] {
    while (!stop) x.vector().release(0, x.vector().bytes());
  });
  for (const pid_t child : children) EXPECT_EQ(test::outcome_of(child, 120), 0);
  stop = true;
  evictor.join();
}

TEST(LazyWrite, NoStoreIsLostWhenPagersAreKilled) {
  auto x = writable(64 * MiB / 8);
  std::vector<pid_t> children;
  for (unsigned i = 0; i < 2; ++i) children.push_back(test::in_child([&] { return add_at_random(x, i, 2, 40); }));
  std::mt19937 random(3);
  for (int i = 0; i < 25; ++i) {
    try {
      kill(test::pager_process(), SIGKILL);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
      x.vector().release(0, x.vector().bytes());
    } catch (const error&) {  // the pager died under the request
    }
  }
  for (const pid_t child : children) EXPECT_EQ(test::outcome_of(child, 120), 0);
}

TEST(LazyWrite, BackToTheFile) {
  test::scratch_folder folder;
  std::vector<double> values(300'000, 1.0);
  std::ofstream(folder / "data", std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 8));
  auto x = lazy<double>(values.size(), lazy_source::binary_file(folder / "data"), {.writable = true, .write_back = true});
  x.writable_data()[250'000] = 7;
  const auto in_file = [&](std::uint64_t i) {
    double value = 0;
    std::ifstream in(folder / "data", std::ios::binary);
    in.seekg(static_cast<std::streamoff>(i * 8));
    in.read(reinterpret_cast<char*>(&value), 8);
    return value;
  };
  EXPECT_EQ(in_file(250'000), 1.0) << "not before it is flushed or given back";
  x.vector().flush(0, x.vector().bytes());
  EXPECT_EQ(in_file(250'000), 7.0);
  EXPECT_EQ(in_file(249'999), 1.0);
  EXPECT_TRUE(x.vector().resident(250'000 * 8, 8)) << "a flushed chunk stays";
  x.writable_data()[250'000] = 8;  // noticed again after the flush
  x.writable_data()[0] = 9;
  x.vector().release(0, x.vector().bytes());
  EXPECT_EQ(in_file(250'000), 8.0);
  EXPECT_EQ(in_file(0), 9.0);
  EXPECT_EQ(std::filesystem::file_size(folder / "data"), values.size() * 8);
  EXPECT_EQ(x[250'000], 8.0);
}

TEST(LazyWrite, WhatCantBeSavedStaysAndIsReported) {
  test::scratch_folder folder;
  std::vector<double> values(100'000, 1.0);
  const std::string path = folder / "data";
  const auto write = [&] {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 8));
  };
  write();
  auto x = lazy<double>(values.size(), lazy_source::binary_file(path), {.writable = true, .write_back = true});
  x.writable_data()[99'999] = 5;
  ASSERT_EQ(truncate(path.c_str(), 8), 0);
  EXPECT_THROW(x.vector().flush(0, x.vector().bytes()), error);
  EXPECT_THROW(x.vector().release(0, x.vector().bytes()), error);
  ASSERT_TRUE(test::soon([&] { return x.vector().take_error().has_value(); }));
  EXPECT_EQ(x[99'999], 5.0) << "the change is still there";
  x.writable_data()[99'998] = 6;
  write();
  x.vector().flush(0, x.vector().bytes());
  std::ifstream in(path, std::ios::binary);
  double last[2];
  in.seekg(99'998 * 8);
  in.read(reinterpret_cast<char*>(last), 16);
  EXPECT_EQ(last[0], 6.0);
  EXPECT_EQ(last[1], 5.0);
}

TEST(LazyWrite, ChangesAreWrittenBackWhenTheLastHolderLetsGo) {
  test::scratch_folder folder;
  const std::string path = folder / "numbers";
  std::ofstream(path, std::ios::binary) << std::string(1000 * sizeof(double), '\0');
  const auto element = [&](int i) {
    double value = 0;
    std::ifstream in(path, std::ios::binary);
    in.seekg(i * 8);
    in.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  };
  const auto change = [&](int i, double value) {
    auto x = lazy<double>(1000, lazy_source::binary_file(path), {.writable = true, .write_back = true});
    x.writable_data()[i] = value;
  };
  change(7, 1.5);
  EXPECT_TRUE(test::soon([&] { return element(7) == 1.5; }));
  const int outcome = test::outcome_of(test::in_child([&] {
    auto x = lazy<double>(1000, lazy_source::binary_file(path), {.writable = true, .write_back = true});
    x.writable_data()[8] = 2.5;
    raise(SIGKILL);
    return 0;
  }));
  EXPECT_EQ(outcome, -SIGKILL);
  EXPECT_TRUE(test::soon([&] { return element(8) == 2.5; }));
  EXPECT_EQ(element(7), 1.5);
}

TEST(LazyWrite, AFailedTouchOfASharedVectorIsRetriedToo) {
  test::scratch_folder folder;
  auto x = lazy<double>(50'000, lazy_source::binary_file(folder / "later"), {.writable = true});
  EXPECT_TRUE(std::isnan(x[20'000]));
  ASSERT_TRUE(test::soon([&] { return x.vector().take_error().has_value(); }));
  std::vector<double> values(50'000, 1.5);
  std::ofstream(folder / "later", std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 8));
  EXPECT_EQ(x[20'000], 1.5);
  x.writable_data()[20'000] = 2.5;
  auto other = x.vector().another_view();
  EXPECT_EQ(reinterpret_cast<const double*>(other.data())[20'000], 2.5) << "it is the shared memory again";
}

TEST(LazyWrite, SpillFilesGoWithTheirObjects) {
  {
    auto x = writable(MiB);
    x.writable_data()[0] = 1;
    x.vector().release(0, x.vector().bytes());
    EXPECT_FALSE(std::filesystem::is_empty(test::use_own_pager->spill().path()));
  }
  EXPECT_TRUE(test::soon([] { return std::filesystem::is_empty(test::use_own_pager->spill().path()); }));
}

// Everything at once: the pager killed, its clients gone, the store deleted as a whole.
TEST(LazyWrite, SpillFilesOfADeletedStoreAreCollectedByTheNextPager) {
  const auto spill = test::use_own_pager->spill().path();
  test::scratch_folder other;
  const auto use = [&](const char* store, bool leave) {
    return test::outcome_of(test::in_child([&] {
      setenv("ONECOPY_DIR", (other / store).c_str(), 1);
      auto x = writable(MiB);
      x.writable_data()[0] = 1;
      x.vector().release(0, x.vector().bytes());
      if (std::filesystem::is_empty(spill)) return 1;
      if (leave) {
        const pid_t pager = test::pager_process();
        std::filesystem::remove_all(other / store);  // first: or the pager that this process starts next finds it
        kill(pager, SIGKILL);
      }
      return 0;
    }));
  };
  ASSERT_EQ(use("deleted", true), 0);
  ASSERT_FALSE(std::filesystem::is_empty(spill)) << "nobody was there to remove it";
  ASSERT_EQ(use("next", false), 0);
  EXPECT_TRUE(test::soon([&] { return std::filesystem::is_empty(spill); }));
}

}  // namespace
