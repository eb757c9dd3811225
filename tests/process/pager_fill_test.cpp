// Filling and giving back, with the built-in sources.
#include <fcntl.h>
#include <sys/stat.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <fstream>
#include <random>

#include "onecopy/store.hpp"
#include "support/lazy.hpp"

namespace {

using namespace onecopy;
using test::refused;
constexpr std::uint64_t MiB = 1u << 20;
using whole = std::int64_t;

TEST(LazyFill, OneTouchFillsOneChunkAndNoNeighbour) {
  auto x = test::numbers(1'000'000);
  EXPECT_EQ(x.vector().count().fills, 0u) << "nothing is computed before it is touched";
  EXPECT_EQ(x[500'000], 500'000.0);
  EXPECT_EQ(x.vector().count().fills, 1u);
  EXPECT_EQ(x.vector().count().resident_bytes, 65536u);
  EXPECT_TRUE(x.vector().resident(500'000 * 8, 8));
  EXPECT_FALSE(x.vector().resident(500'000 * 8 + 65536, 8));
  EXPECT_FALSE(x.vector().resident(500'000 * 8 - 65536, 8));
  EXPECT_EQ(x[500'001], 500'001.0);
  EXPECT_EQ(x.vector().count().fills, 1u);
}

TEST(LazyFill, EveryElementIsRightAndEachChunkIsFilledOnce) {
  constexpr std::uint64_t count = 3 * MiB / 8 + 17;
  auto x = test::numbers(count);
  EXPECT_EQ(test::wrong_numbers(x.data(), count), 0u);
  EXPECT_EQ(x.vector().count().fills, (count * 8 + 65535) / 65536);
}

TEST(LazyFill, SmallAndEmptyVectors) {
  auto one = lazy<std::int32_t>(1, lazy_source::sequence(whole{7}, whole{1}));
  EXPECT_EQ(one[0], 7);
  auto none = lazy<double>(0, lazy_source::sequence(1.0, 1.0));
  EXPECT_EQ(none.size(), 0u);
  EXPECT_NE(none.data(), nullptr);
  none.vector().ensure(0, 0);
  none.vector().release(0, 0);
  EXPECT_EQ(none.begin(), none.end());
}

TEST(LazyFill, AllTypesOfSequences) {
  EXPECT_EQ(lazy<std::int8_t>(100, lazy_source::sequence(whole{-50}, whole{1}))[99], 49);
  EXPECT_EQ(lazy<std::uint16_t>(100, lazy_source::sequence(whole{1000}, whole{-10}))[99], 10);
  EXPECT_EQ(lazy<std::int64_t>(1000, lazy_source::sequence(whole{1} << 60, whole{3}))[999], (1ll << 60) + 2997);
  EXPECT_EQ(lazy<float>(100, lazy_source::sequence(0.5, 0.25))[4], 1.5f);
  // Computed from the index: 0.1 added up 3e6 times would be off by more than that.
  // Each element is what its own index gives, also where indexes have more than 32 bits.
  const auto far = lazy<double>(std::uint64_t{1} << 40, lazy_source::sequence(-3.5, 0.1));
  for (const std::uint64_t i : {std::uint64_t{1}, (std::uint64_t{1} << 31) + 5, (std::uint64_t{1} << 32) - 1,
                                (std::uint64_t{1} << 40) - 1})
    EXPECT_EQ(far[i], -3.5 + static_cast<double>(i) * 0.1) << i;

  auto x = lazy<double>(3'000'001, lazy_source::sequence(0.0, 0.1));
  EXPECT_EQ(x[3'000'000], 3'000'000 * 0.1);
}

TEST(LazyFill, BadArgumentsAreRefusedAndLeaveNothing) {
  const test::new_objects made;
  const auto bad = error_kind::invalid_argument;
  const auto make = [&](lazy_options options) {
    return refused([&] { (void)lazy<double>(10, lazy_source::sequence(0.0, 1.0), options); });
  };
  EXPECT_EQ(make({.chunk_bytes = 1000}), bad);
  EXPECT_EQ(make({.chunk_bytes = 64 * MiB}), bad);
  EXPECT_EQ(make({.deadline_seconds = -1}), bad);
  EXPECT_EQ(make({.write_back = true}), bad);
  EXPECT_EQ(refused([] { (void)lazy<std::int8_t>(1000, lazy_source::sequence(whole{0}, whole{1})); }), bad);
  EXPECT_EQ(refused([] { (void)lazy<std::int32_t>(10, lazy_source::sequence(0.5, 1.0)); }), bad);
  EXPECT_EQ(refused([] { (void)lazy<double>(10, lazy_source{"nonsense", {}}); }), bad);
  EXPECT_EQ(refused([] { (void)lazy<double>(~0ull / 2, lazy_source::sequence(0.0, 1.0)); }), bad);
  EXPECT_EQ(refused([] { (void)lazy<double>(10, lazy_source::binary_file("x", 0, 4)); }), bad);
  EXPECT_EQ(refused([] { (void)make_lazy(dtype::fixed_utf32, 10, lazy_source::sequence(0.0, 1.0)); }), bad);
  auto x = test::numbers(100);
  EXPECT_EQ(refused([&] { x.vector().ensure(800, 1); }), bad);
  EXPECT_EQ(refused([&] { x.vector().ensure(~0ull, 8); }), bad);
  EXPECT_EQ(refused([&] { x.vector().unpin(0, 8); }), bad);
  EXPECT_EQ(refused([&] { (void)lazy_array<float>(x.vector()); }), error_kind::wrong_type);
  EXPECT_EQ(refused([&] { (void)x.writable_data(); }), error_kind::permission);
  EXPECT_EQ(refused([&] { pager::set_budget(1000); }), bad);
  EXPECT_EQ(made.count(), 1u);
}

TEST(LazyFill, TheBudgetIsNeverExceeded) {
  constexpr std::uint64_t count = 160 * MiB / 8;  // five times the budget
  auto x = test::numbers(count);
  EXPECT_EQ(test::wrong_numbers(x.data(), count, 64), 0u);
  const auto seen = pager::look();
  EXPECT_LE(seen.peak_resident, seen.budget);
  EXPECT_EQ(seen.budget, 32 * MiB);
  EXPECT_GT(seen.evictions, 0u);
  EXPECT_EQ(x.vector().count().fills, 160 * 16u) << "a sequential read fills each chunk once";
  // The kernel's own count agrees: blocks of the file on tmpfs.
  const std::string path = store::directory() + "/lazy/" + x.vector().id().text();
  struct stat file {};
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_LE(static_cast<std::uint64_t>(file.st_blocks) * 512, 33 * MiB);
}

TEST(LazyFill, RandomAccessFarBeyondTheBudgetIsRight) {
  constexpr std::uint64_t count = 1ull << 32;  // 32 GiB
  auto x = test::numbers(count);
  std::mt19937_64 random(7);
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t at = random() % count;
    ASSERT_EQ(x[at], static_cast<double>(at));
  }
  EXPECT_LE(pager::look().resident, 32 * MiB);
}

TEST(LazyFill, ReleaseGivesMemoryBackAndNothingIsLost) {
  auto x = test::numbers(MiB);
  EXPECT_EQ(test::wrong_numbers(x.data(), MiB), 0u);
  EXPECT_EQ(x.vector().count().resident_bytes, 8 * MiB);
  x.vector().release(100, 65536);  // covers no whole chunk
  EXPECT_EQ(x.vector().count().resident_bytes, 8 * MiB);
  x.vector().release(0, x.vector().bytes());
  EXPECT_EQ(x.vector().count().resident_bytes, 0u);
  EXPECT_EQ(test::wrong_numbers(x.data(), MiB, 1000), 0u);
  // A vector that ends within a page gives its last page back too.
  auto odd = test::numbers(10);
  EXPECT_EQ(odd[9], 9.0);
  odd.vector().release(0, odd.vector().bytes());
  EXPECT_EQ(odd.vector().count().resident_bytes, 0u);
  EXPECT_EQ(odd[9], 9.0);
}

TEST(LazyFill, EnsurePrefetchAndPin) {
  auto x = test::numbers(20 * MiB);  // 160 MiB
  x.vector().ensure(8 * MiB, 100);
  EXPECT_TRUE(x.vector().resident(8 * MiB, 100));
  x.vector().prefetch(16 * MiB, MiB);
  EXPECT_TRUE(test::soon([&] { return x.vector().resident(16 * MiB, MiB); }));
  x.vector().pin(32 * MiB, 4 * MiB);
  EXPECT_EQ(pager::look().pinned, 4 * MiB);
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size(), 4096), 0u);
  EXPECT_TRUE(x.vector().resident(32 * MiB, 4 * MiB)) << "pinned chunks stay, whatever is read";
  x.vector().release(32 * MiB, 4 * MiB);
  EXPECT_TRUE(x.vector().resident(32 * MiB, 4 * MiB));
  EXPECT_THROW(x.vector().pin(0, 30 * MiB), error) << "more than three quarters of the budget";
  x.vector().unpin(32 * MiB, 4 * MiB);
  EXPECT_EQ(pager::look().pinned, 0u);
  x.vector().release(32 * MiB, 4 * MiB);
  EXPECT_FALSE(x.vector().resident(32 * MiB, 4 * MiB));
  x.vector().ensure(0, 64 * MiB);  // more than fits: filled part by part
}

TEST(LazyFill, TheBudgetChangesWhileRunning) {
  auto x = test::numbers(3 * MiB);
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size(), 512), 0u);
  EXPECT_GT(pager::look().resident, 20 * MiB);
  pager::set_budget(8 * MiB);
  EXPECT_LE(pager::look().resident, 8 * MiB);
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size(), 512), 0u);
  EXPECT_LE(pager::look().resident, 8 * MiB);
  pager::set_budget(32 * MiB);
  EXPECT_EQ(pager::look().budget, 32 * MiB);
}

TEST(LazyFill, WritesArePrivateToTheViewAndSurviveEviction) {
  auto x = test::numbers(MiB);
  auto view = x.vector().another_view();
  auto* mine = reinterpret_cast<double*>(view.data());
  mine[1000] = -1;
  EXPECT_EQ(x[1000], 1000.0);
  x.vector().release(0, x.vector().bytes());
  EXPECT_EQ(mine[1000], -1.0) << "a private page is not the pager's to take";
  EXPECT_EQ(mine[1001], 1001.0);
  EXPECT_EQ(mine[100'000], 100'000.0);
  EXPECT_EQ(mine[1600], 1600.0) << "a page of the same chunk that was not written to";
  EXPECT_EQ(x[1000], 1000.0);
}

TEST(LazyFill, SystemCallsWorkOnEnsuredParts) {
  auto x = test::numbers(MiB);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  x.vector().ensure(4 * MiB, 4096);
  volatile double touch = x[MiB / 2];
  (void)touch;
  double got = 0;
  ASSERT_EQ(write(ends[1], x.data() + MiB / 2 + 5, 8), 8);
  ASSERT_EQ(read(ends[0], &got, 8), 8);
  EXPECT_EQ(got, MiB / 2 + 5.0);
  close(ends[0]);
  close(ends[1]);
}

TEST(LazyFill, HandlesAreAttachedAndLeasesEnd) {
  handle h;
  {
    auto x = test::numbers(1000);
    h = x.handle();
    EXPECT_TRUE(is_lazy(h));
    auto same = attach_lazy<double>(handle::parse(h.text()));
    EXPECT_EQ(same[999], 999.0);
  }
  auto again = attach_lazy<double>(h);  // the lease keeps it
  EXPECT_EQ(again[500], 500.0);
  handle other;
  {
    auto y = test::numbers(1000);
    other = y.vector().handle(0);
  }
  EXPECT_TRUE(test::soon([&] { return !is_lazy(other); })) << "nobody holds it and no lease keeps it";
  EXPECT_EQ(refused([&] { (void)attach_lazy(other); }), error_kind::not_found);
  other.host = "0123456789abcdef";
  EXPECT_EQ(refused([&] { (void)attach_lazy(other); }), error_kind::wrong_host);
}

class LazyFile : public testing::Test {
 protected:
  std::string write(const std::string& name, const void* bytes, std::size_t size) {
    std::ofstream(folder / name, std::ios::binary)
        .write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
    return folder / name;
  }
  test::scratch_folder folder;
};

TEST_F(LazyFile, OffsetStrideAndByteOrder) {
  struct row {
    std::int32_t a;
    float b;
    double c;
  };
  std::vector<row> rows(50'000);
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i] = {static_cast<std::int32_t>(i), static_cast<float>(i) / 2, static_cast<double>(i) * 3};
  const auto path = write("rows", rows.data(), rows.size() * sizeof(row));
  auto a = lazy<std::int32_t>(rows.size(), lazy_source::binary_file(path, 0, sizeof(row)));
  auto c = lazy<double>(rows.size() - 10, lazy_source::binary_file(path, 10 * sizeof(row) + 8, sizeof(row)));
  for (std::size_t i = 0; i < rows.size(); i += 7) ASSERT_EQ(a[i], rows[i].a);
  for (std::size_t i = 0; i + 10 < rows.size(); i += 7) ASSERT_EQ(c[i], rows[i + 10].c);
  std::vector<std::uint32_t> big(20'000);
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = __builtin_bswap32(static_cast<std::uint32_t>(i * 12345));
  const auto other = write("big", big.data(), big.size() * 4);
  auto swapped = lazy<std::uint32_t>(big.size(), lazy_source::binary_file(other, 0, 0, true));
  for (std::size_t i = 0; i < big.size(); ++i) ASSERT_EQ(swapped[i], static_cast<std::uint32_t>(i * 12345));
  const std::complex<float> pairs[2] = {{1, 2}, {3, 4}};
  auto z = lazy<std::complex<float>>(2, lazy_source::binary_file(write("z", pairs, sizeof pairs), 0, 0, true));
  std::uint32_t bits = 0;
  std::memcpy(&bits, &z[0], 4);
  EXPECT_EQ(__builtin_bswap32(bits), 0x3f800000u) << "each part is swapped for itself";
}

TEST_F(LazyFile, AMissingFileIsAnErrorOfTheTouchAndCanBeRetried) {
  auto x = lazy<double>(1000, lazy_source::binary_file(folder / "later"));
  try {
    x.vector().ensure(0, 8);
    FAIL();
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), error_kind::not_found);
    EXPECT_NE(std::string(e.what()).find("later"), std::string::npos);
  }
  const double seen = x[10];  // a raw touch: it ends, and not with zero
  EXPECT_TRUE(std::isnan(seen));
  ASSERT_TRUE(test::soon([&] { return x.vector().take_error().has_value(); }));
  std::vector<double> values(1000, 2.5);
  write("later", values.data(), 8000);
  EXPECT_EQ(x.at(10), 2.5);
  EXPECT_EQ(x[999], 2.5);
  EXPECT_FALSE(x.vector().take_error());
}

TEST_F(LazyFile, AFileThatIsTooShortSaysWhichElement) {
  std::vector<double> values(10'000, 1.0);
  auto x = lazy<double>(20'000, lazy_source::binary_file(write("short", values.data(), 80'000)));
  EXPECT_EQ(x.at(0), 1.0);
  try {
    x.at(19'999);
    FAIL();
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), error_kind::corrupt);
    EXPECT_NE(std::string(e.what()).find("19999"), std::string::npos) << e.what();
  }
  EXPECT_EQ(x.at(1), 1.0) << "what can be read is still readable";
}

TEST_F(LazyFile, AFileThatShrinksIsAnErrorAndNotSigbus) {
  std::vector<double> values(100'000, 1.0);
  const auto path = write("shrinks", values.data(), 800'000);
  auto x = lazy<double>(100'000, lazy_source::binary_file(path));
  EXPECT_EQ(x[0], 1.0);
  ASSERT_EQ(truncate(path.c_str(), 1000), 0);
  EXPECT_EQ(x[1], 1.0);
  EXPECT_TRUE(std::isnan(x[90'000]));
  std::optional<error> e;
  ASSERT_TRUE(test::soon([&] { return (e = x.vector().take_error()).has_value(); }));
  EXPECT_EQ(e->kind(), error_kind::corrupt);
}

TEST_F(LazyFile, PipesAndDirectoriesAreRefusedWithoutHanging) {
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  for (const std::string name : {"pipe", "."}) {
    auto x = lazy<double>(10, lazy_source::binary_file(folder / name));
    EXPECT_THROW(x.vector().ensure(0, 8), error) << name;
  }
}

TEST_F(LazyFile, AReaderOfALargeVectorThatFailsEndsSoonAndInBoundedMemory) {
  auto x = lazy<double>(1ull << 27, lazy_source::binary_file(folder / "nothing"));  // 1 GiB of failures
  std::uint64_t not_nan = 0;
  for (std::uint64_t i = 0; i < x.size(); i += 512) not_nan += !std::isnan(x[i]);
  EXPECT_EQ(not_nan, 0u);
  std::ifstream status("/proc/self/status");
  std::string line;
  std::uint64_t resident_kib = 0;
  while (std::getline(status, line))
    if (line.rfind("RssAnon:", 0) == 0) resident_kib = std::stoull(line.substr(8));
  EXPECT_LT(resident_kib, 100'000u);
  EXPECT_TRUE(x.vector().take_error());
}

}  // namespace
