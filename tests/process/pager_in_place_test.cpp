// Binary files that are mapped where they lie: no pager, the same errors.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <cmath>
#include <complex>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "onecopy/store.hpp"
#include "support/lazy.hpp"

namespace {

using namespace onecopy;
constexpr std::uint64_t MiB = 1u << 20;

class LazyInPlace : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::vector<double>& values, std::size_t skip = 0) {
    std::ofstream out(folder / name, std::ios::binary | std::ios::trunc);
    out << std::string(skip, 'x');
    out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 8));
    return folder / name;
  }
  static std::vector<double> counting(std::size_t count) {
    std::vector<double> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i);
    return values;
  }
  test::scratch_folder folder{"/var/tmp"};  // on a disk: the kernel's paging is the subject
};

// Asks for it unless the test says otherwise.
template <class T>
lazy_array<T> mapped(std::uint64_t count, const lazy_source& source, lazy_options options = {.in_place = true}) {
  return lazy<T>(count, source, options);
}

// A line of /proc/self/status.
std::uint64_t kib_of(const std::string& what) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(what + ":", 0) == 0) return std::stoull(line.substr(what.size() + 1));
  return 0;
}
std::uint64_t resident_anonymous_kib() { return kib_of("RssAnon"); }

TEST_F(LazyInPlace, AFileAsMemoryNeedsItIsMappedAndAsksNoPager) {
  const auto path = write("numbers", counting(100'000), 24);
  const int outcome = test::outcome_of(test::in_child([&] {
    test::scratch_folder other;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    pager::set_program("/nonexistent/onecopy-pager");
    auto x = mapped<double>(100'000, lazy_source::binary_file(path, 24));
    if (!x.vector().in_place()) return 1;
    if (test::wrong_numbers(x.data(), x.size()) != 0) return 2;
    x.vector().ensure(0, x.vector().bytes());
    if (!x.vector().resident(0, x.vector().bytes())) return 3;
    if (x.vector().count().fills != 0 || x.vector().count().resident_bytes != x.vector().bytes()) return 4;
    const auto seen = pager::list();
    if (seen.size() != 1 || !seen[0].in_place || seen[0].counters.resident_bytes != x.vector().bytes()) return 5;
    // In another process, by its handle.
    const pid_t child = test::in_child([&] {
      auto y = attach_lazy<double>(handle::parse(x.handle().text()));
      return y.vector().in_place() && test::wrong_numbers(y.data(), y.size()) == 0 ? 0 : 1;
    });
    return test::outcome_of(child) == 0 ? 0 : 6;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST_F(LazyInPlace, OnlyWhatNeedsNoChange) {
  const auto path = write("numbers", counting(1000), 4);
  const auto is = [&](const lazy_source& source, lazy_options options = {.in_place = true}) {
    return mapped<double>(900, source, options).vector().in_place();
  };
  write("aligned", counting(1000));
  EXPECT_TRUE(is(lazy_source::binary_file(folder / "aligned")));
  EXPECT_TRUE(is(lazy_source::binary_file(folder / "aligned", 8, 8)));
  EXPECT_FALSE(is(lazy_source::binary_file(path, 4))) << "doubles at odd addresses";
  EXPECT_FALSE(is(lazy_source::binary_file(folder / "aligned", 0, 0, true)));
  EXPECT_FALSE(is(lazy_source::binary_file(folder / "aligned"), {.writable = true, .in_place = true}));
  EXPECT_FALSE(is(lazy_source::binary_file(folder / "aligned"), {.in_place = false}));
  EXPECT_FALSE(is(lazy_source::binary_file(folder / "none")));
  EXPECT_FALSE(is(lazy_source::binary_file("/proc/self/maps")));
  EXPECT_FALSE((mapped<double>(400, lazy_source::binary_file(folder / "aligned", 0, 16)).vector().in_place()));
  EXPECT_TRUE((mapped<std::complex<double>>(400, lazy_source::binary_file(folder / "aligned", 8)).vector().in_place()));
  // What is not mapped is read by the pager, and is the same.
  auto odd = mapped<double>(1000, lazy_source::binary_file(path, 4));
  EXPECT_EQ(test::wrong_numbers(odd.data(), odd.size()), 0u);
}

TEST_F(LazyInPlace, WritesArePrivateToTheView) {
  auto x = mapped<double>(10'000, lazy_source::binary_file(write("numbers", counting(10'000))));
  auto view = x.vector().another_view();
  auto* mine = reinterpret_cast<double*>(view.data());
  mine[5000] = -1;
  EXPECT_EQ(x[5000], 5000.0);
  view.release(0, view.bytes());
  EXPECT_EQ(mine[5000], -1.0);
  double in_file = 0;
  std::ifstream(folder / "numbers", std::ios::binary).seekg(40'000).read(reinterpret_cast<char*>(&in_file), 8);
  EXPECT_EQ(in_file, 5000.0);
  EXPECT_THROW((void)x.writable_data(), error);
}

TEST_F(LazyInPlace, AFileThatIsCutIsAnErrorAndCanBeRetried) {
  const auto path = write("shrinks", counting(200'000));
  auto x = mapped<double>(200'000, lazy_source::binary_file(path));
  ASSERT_TRUE(x.vector().in_place());
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size()), 0u);
  EXPECT_FALSE(x.vector().failed());
  ASSERT_EQ(truncate(path.c_str(), 400'000), 0);
  EXPECT_EQ(x[1], 1.0);
  EXPECT_TRUE(std::isnan(x[150'000])) << "not zero, and the process lives";
  EXPECT_TRUE(x.vector().failed()) << "known at once, not some time later";
  auto why = x.vector().take_error();
  ASSERT_TRUE(why);
  EXPECT_EQ(why->kind(), error_kind::corrupt);
  EXPECT_NE(std::string(why->what()).find("shrinks"), std::string::npos) << why->what();
  EXPECT_NE(std::string(why->what()).find("400000"), std::string::npos) << why->what();
  EXPECT_FALSE(x.vector().failed());
  EXPECT_THROW((void)x.at(199'999), error);
  EXPECT_EQ(x.at(10), 10.0);
  EXPECT_TRUE(std::isnan(x[150'000])) << "and again";
  write("shrinks", counting(200'000));  // the same file, whole again
  EXPECT_EQ(x.at(150'000), 150'000.0);
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size()), 0u);
  EXPECT_FALSE(x.vector().take_error());
}

TEST_F(LazyInPlace, BytesBehindTheEndOnTheLastPageAreMissingToo) {
  const auto path = write("numbers", counting(1000));
  auto x = mapped<double>(1000, lazy_source::binary_file(path));
  ASSERT_EQ(truncate(path.c_str(), 4000), 0);
  EXPECT_THROW((void)x.at(999), error);
  EXPECT_THROW((void)x.at(510), error) << "the kernel shows zeros there";
  EXPECT_EQ(x.at(10), 10.0);
}

TEST_F(LazyInPlace, AFileThatIsReplacedIsStillTheOldOneAndARemovedOneToo) {
  const auto path = write("numbers", counting(50'000));
  auto x = mapped<double>(50'000, lazy_source::binary_file(path));
  EXPECT_EQ(x[7], 7.0);
  write("other", std::vector<double>(10, 1.0));
  std::filesystem::rename(folder / "other", path);
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size()), 0u);
  EXPECT_EQ(x.at(49'999), 49'999.0);
  std::filesystem::remove(path);
  EXPECT_EQ(x.at(49'998), 49'998.0);
  try {
    (void)attach_lazy<double>(x.handle());
    FAIL();
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), error_kind::not_found);
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
  }
}

TEST_F(LazyInPlace, ACutFileThatIsGoneAsWellFailsUntilItIsBack) {
  const auto path = write("numbers", counting(50'000));
  auto x = mapped<double>(50'000, lazy_source::binary_file(path));
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  std::filesystem::remove(path);
  EXPECT_TRUE(std::isnan(x[20'000]));
  auto why = x.vector().take_error();
  ASSERT_TRUE(why);
  EXPECT_EQ(why->kind(), error_kind::not_found);
  EXPECT_TRUE(std::isnan(x[20'000]));
  EXPECT_TRUE(x.vector().failed()) << "an error each time, not only the first";
  write("numbers", counting(50'000));
  EXPECT_EQ(x.at(20'000), 20'000.0);
}

TEST_F(LazyInPlace, AReaderOfALargeFileThatWasCutEndsSoonAndInBoundedMemory) {
  const std::string path = folder / "large";
  std::ofstream(path).put('x');
  ASSERT_EQ(truncate(path.c_str(), 1 << 30), 0);
  auto x = mapped<double>(1u << 27, lazy_source::binary_file(path));
  ASSERT_TRUE(x.vector().in_place());
  const auto before = resident_anonymous_kib();
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  std::uint64_t not_nan = 0;
  for (std::uint64_t i = 0; i < x.size(); i += 512) not_nan += !std::isnan(x[i]);
  EXPECT_EQ(not_nan, 0u);
  EXPECT_LT(resident_anonymous_kib(), before + 20'000);
  EXPECT_TRUE(x.vector().take_error());
}

TEST_F(LazyInPlace, UntilItCanBeMappedAgainItHasFailed) {
  const auto path = write("numbers", counting(50'000));
  const int outcome = test::outcome_of(test::in_child([&] {
    auto x = mapped<double>(50'000, lazy_source::binary_file(path));
    if (truncate(path.c_str(), 4096) != 0 || !std::isnan(x[20'000])) return 1;
    write("numbers", counting(50'000));
    constexpr std::size_t pages = 70'000;  // every second one of another protection: one mapping each
    auto* area = static_cast<char*>(mmap(nullptr, pages * 4096 * 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::size_t i = 0;
    while (i < pages && mprotect(area + i * 8192, 4096, PROT_NONE) == 0) ++i;
    if (i == pages) return 2;  // this machine allows more: the test would prove nothing
    for (int k = 0; k < 3; ++k)  // the last ones, which mprotect leaves
      (void)mmap(nullptr, 4096, k % 2 == 0 ? PROT_NONE : PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!x.vector().take_error()) return 3;
    if (!std::isnan(x[20'000])) return 4;  // it could be mapped: the test would prove nothing
    if (!x.vector().failed()) return 5;
    try {
      (void)x.at(20'000);
      return 6;
    } catch (const error& e) {
      if (e.kind() != error_kind::no_memory) return 7;
    }
    munmap(area, pages * 4096 * 2);
    if (x.at(20'000) != 20'000.0 || x.vector().failed()) return 8;
    return test::wrong_numbers(x.data(), x.size()) == 0 ? 0 : 9;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST_F(LazyInPlace, WhatStandsForMissingDataIsNotCopiedToAnotherView) {
  const auto path = write("numbers", counting(50'000));
  auto x = mapped<double>(50'000, lazy_source::binary_file(path));
  reinterpret_cast<double*>(x.vector().data())[3] = -3;
  ASSERT_EQ(truncate(path.c_str(), 4096), 0);
  EXPECT_TRUE(std::isnan(x[30'000]));
  const auto whole = counting(50'000);  // not by write(): cutting a file to nothing takes private pages with it
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .write(reinterpret_cast<const char*>(whole.data()), static_cast<std::streamsize>(whole.size() * 8));
  EXPECT_THROW((void)x.vector().another_view_with_writes(), error);
  const auto view = x.vector().another_view_with_writes();
  const auto* items = reinterpret_cast<const double*>(view.data());
  EXPECT_EQ(items[3], -3.0);
  EXPECT_EQ(test::wrong_numbers(items, x.size(), 1, 4), 0u);
}

TEST_F(LazyInPlace, ManyNeedNoDescriptors) {
  const auto path = write("numbers", counting(1000));
  const int outcome = test::outcome_of(test::in_child([&] {
    const rlimit few{64, 64};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) return 1;
    std::vector<lazy_array<double>> all;
    for (int i = 0; i < 200; ++i) all.push_back(mapped<double>(1000, lazy_source::binary_file(path)));
    return all.back().vector().in_place() && all.back()[999] == 999.0 ? 0 : 2;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST_F(LazyInPlace, WhatTheKernelDoesNotTellIsNotTakenForTrue) {
  if (geteuid() != 0) GTEST_SKIP() << "files of another user are needed, which only root can make";
  const auto path = write("numbers", counting(MiB));
  chmod(folder.path().c_str(), 0755);
  chmod(path.c_str(), 0644);
  const int file = open(path.c_str(), O_RDONLY);
  ASSERT_EQ(fsync(file), 0);
  ASSERT_EQ(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
  close(file);
  const int outcome = test::outcome_of(test::in_child([&] {
    test::scratch_folder other;
    chown(other.path().c_str(), 65534, 65534);  // who removes it, too
    if (setgid(65534) != 0 || setuid(65534) != 0) return 1;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    auto x = mapped<double>(MiB, lazy_source::binary_file(path));
    const auto& v = x.vector();
    if (!v.in_place() || v.resident(v.bytes() / 2, 4096) || v.count().resident_bytes != 0) return 2;
    const auto seen = pager::list();
    return seen.size() == 1 && seen[0].counters.resident_bytes == 0 && x[MiB / 2] == MiB / 2.0 ? 0 : 3;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST_F(LazyInPlace, FailuresAreTold) {
  static std::atomic<int> told{0};
  pager::on_error([](const lazy_vector& which) { told += which.in_place() ? 1 : 100; });
  const auto path = write("numbers", counting(50'000));
  auto x = mapped<double>(50'000, lazy_source::binary_file(path));
  ASSERT_EQ(truncate(path.c_str(), 4096), 0);
  EXPECT_TRUE(std::isnan(x[30'000]));
  EXPECT_TRUE(test::soon([] { return told == 1; }));
  const pid_t child = test::in_child([&] {  // which has no thread that tells, unless one was started for it
    (void)x.vector().take_error();
    told = 0;
    return std::isnan(x[40'000]) && test::soon([] { return told == 1; }) ? 0 : 1;
  });
  EXPECT_EQ(test::outcome_of(child), 0);
  pager::on_error(nullptr);
}

TEST_F(LazyInPlace, ManyThreadsMeetTheSameMissingPages) {
  const auto path = write("numbers", counting(400'000));
  auto x = mapped<double>(400'000, lazy_source::binary_file(path));
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < 20; ++round) {
        for (std::size_t i = t; i < x.size(); i += 501) wrong += !std::isnan(x[i]);
        if (round % 5 == 0) (void)x.vector().take_error();
      }
    });
  for (auto& one : threads) one.join();
  EXPECT_EQ(wrong, 0u);
  write("numbers", counting(400'000));
  x.vector().ensure(0, x.vector().bytes());
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size()), 0u);
}

TEST_F(LazyInPlace, ForkedChildrenReadAndFailByThemselves) {
  const auto path = write("numbers", counting(100'000));
  auto x = mapped<double>(100'000, lazy_source::binary_file(path));
  const pid_t child = test::in_child([&] {
    if (test::wrong_numbers(x.data(), x.size()) != 0) return 1;
    if (truncate(path.c_str(), 4096) != 0) return 2;
    return std::isnan(x[90'000]) && x.vector().take_error() ? 0 : 3;
  });
  EXPECT_EQ(test::outcome_of(child), 0);
  EXPECT_FALSE(x.vector().failed());
  EXPECT_TRUE(std::isnan(x[90'000]));
  EXPECT_TRUE(x.vector().take_error());
}

TEST_F(LazyInPlace, ItEndsWithItsLastHolderUnlessALeaseRuns) {
  const auto path = write("numbers", counting(1000));
  const test::new_objects made;
  handle leased, child_has;
  {
    auto x = mapped<double>(1000, lazy_source::binary_file(path));
    child_has = x.vector().handle(0);
    auto y = x.vector().another_view();
    x = {};
    EXPECT_TRUE(is_lazy(child_has)) << "the other view holds it";
    const pid_t child = test::in_child([&] {
      raise(SIGKILL);
      return 0;
    });
    EXPECT_EQ(test::outcome_of(child), -SIGKILL);
    sleep(2);  // the lease counts whole seconds
  }
  EXPECT_FALSE(is_lazy(child_has));
  {
    auto x = mapped<double>(1000, lazy_source::binary_file(path));
    leased = x.vector().handle(30);
  }
  EXPECT_EQ(attach_lazy<double>(leased)[999], 999.0);
  EXPECT_EQ(made.count(), 1u);
}

TEST_F(LazyInPlace, WhatAKilledProcessLeftIsCollected) {
  const auto path = write("numbers", counting(1000));
  const int outcome = test::outcome_of(test::in_child([&] {
    test::scratch_folder other;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    const pid_t killed = test::in_child([&] {
      auto x = mapped<double>(1000, lazy_source::binary_file(path));
      raise(SIGKILL);
      return 0;
    });
    if (test::outcome_of(killed) != -SIGKILL || pager::list().size() != 1) return 1;
    auto y = mapped<double>(1000, lazy_source::binary_file(path));
    return pager::list().size() == 1 && pager::list()[0].id == y.vector().id() ? 0 : 2;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST_F(LazyInPlace, PinPrefetchReleaseAndRanges) {
  auto x = mapped<double>(MiB, lazy_source::binary_file(write("numbers", counting(MiB))));
  const auto& v = x.vector();
  v.prefetch(0, v.bytes());
  EXPECT_TRUE(test::soon([&] { return v.resident(0, v.bytes()); }));
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  v.pin(MiB, 65'536);
  v.pin(MiB + 4096, 4096);
  v.unpin(MiB + 4096, 4096);
  EXPECT_TRUE(v.resident(MiB, 65'536));
  EXPECT_THROW(v.unpin(MiB + 4096, 4096), error);
  v.unpin(MiB, 65'536);
  v.flush(0, v.bytes());
  v.release(0, v.bytes());
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size()), 0u);
  EXPECT_THROW(v.ensure(v.bytes(), 1), error);
  EXPECT_THROW(v.release(0, v.bytes() + 1), error);
  // A user who may lock only little is told so.
  const int outcome = test::outcome_of(test::in_child([&] {
    const rlimit little{4096, 4096};
    if (setrlimit(RLIMIT_MEMLOCK, &little) != 0) return 9;
    if (geteuid() == 0 && setuid(65534) != 0) return 9;
    try {
      v.pin(0, MiB);
      return 1;
    } catch (const error& e) {
      return e.kind() == error_kind::no_memory ? 0 : 2;
    }
  }));
  EXPECT_EQ(outcome, 0);
}

TEST_F(LazyInPlace, WhatIsPinnedStaysWhateverBecomesOfOtherPins) {
  auto x = mapped<double>(MiB, lazy_source::binary_file(write("numbers", counting(MiB))));
  const int outcome = test::outcome_of(test::in_child([&] {
    const auto& v = x.vector();
    const rlimit little{65'536, 65'536};
    if (setrlimit(RLIMIT_MEMLOCK, &little) != 0) return 1;
    if (geteuid() == 0 && setuid(65534) != 0) return 1;
    v.pin(1000, 1000);
    v.pin(2000, 1000);  // the same page
    v.unpin(1000, 1000);
    if (kib_of("VmLck") != 4) return 2;
    try {
      v.pin(0, v.bytes());
      return 3;
    } catch (const error&) {
    }
    if (kib_of("VmLck") != 4) return 4;
    v.unpin(2000, 1000);
    return kib_of("VmLck") == 0 ? 0 : 5;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST_F(LazyInPlace, SystemCallsMayReadItWithoutAnybodysHelp) {
  auto x = mapped<double>(MiB, lazy_source::binary_file(write("numbers", counting(MiB))));
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  double got = 0;
  ASSERT_EQ(::write(ends[1], x.data() + MiB / 2, 8), 8);
  ASSERT_EQ(read(ends[0], &got, 8), 8);
  EXPECT_EQ(got, MiB / 2.0);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(LazyInPlace, EmptyAndTinyFiles) {
  auto none = mapped<double>(0, lazy_source::binary_file(write("empty", {})));
  EXPECT_TRUE(none.empty());
  none.vector().ensure(0, 0);
  none.vector().release(0, 0);
  auto one = mapped<double>(1, lazy_source::binary_file(write("one", {7.0})));
  EXPECT_EQ(one.at(0), 7.0);
  EXPECT_TRUE(one.vector().in_place());
}

}  // namespace
