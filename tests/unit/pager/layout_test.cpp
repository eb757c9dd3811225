// The file of a lazy object: whatever is in it, reading it is safe.
#include "pager/layout.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "os/file.hpp"
#include "os/sparse.hpp"
#include "pager/source.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using namespace onecopy::pager;

TEST(LazySource, SurvivesEncoding) {
  const lazy_source before{"file", {{"path", "/a\nb"}, {"empty", ""}, {std::string("\0x", 2), "\xff"}}};
  auto after = decode(encode(before));
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->kind, before.kind);
  EXPECT_EQ(after->fields, before.fields);
}

TEST(LazySource, CutOffBytesAreAnError) {
  const std::string bytes = encode({"file", {{"path", "/a"}, {"stride", "8"}}});
  std::size_t refused = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) refused += !decode(std::string_view(bytes).substr(0, size)).ok();
  EXPECT_GE(refused, bytes.size() - 2) << "only the ends between fields are valid";
}

class LazyLayout : public testing::Test {
 protected:
  os::fd make(std::uint64_t count = 100'000) {
    auto made = create_file(folder.path(), object_id::random(), dtype::float64, count,
                            lazy_source::sequence(0.0, 1.0), {.note = "a note"});
    EXPECT_TRUE(made.ok());
    return *std::move(made);
  }
  test::scratch_folder folder;
};

TEST_F(LazyLayout, SaysWhatWasMade) {
  const auto file = make();
  auto opened = object_file::open(file.get(), false);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->data_bytes(), 800'000u);
  EXPECT_EQ(opened->header().chunks, 13u);
  EXPECT_EQ(opened->bytes_of(0), 65536u);
  EXPECT_EQ(opened->bytes_of(12), 800'000u / 4096 * 4096 + 4096 - 12 * 65536);
  EXPECT_EQ(opened->note(), "a note");
  for (std::uint64_t i = 0; i < 13; ++i) EXPECT_EQ(opened->state(i), absent);
  EXPECT_EQ(opened->source()->kind, "sequence");
}

TEST_F(LazyLayout, APagerThatStartsMeanwhileDoesNotTakeItForALeftover) {
  std::atomic<bool> stop{false};
  std::thread collector([&] {  // as a pager collects
    while (!stop)
      for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
        auto file = os::open_file(entry.path(), O_RDWR);
        if (!file || entry.path().extension() != ".new") continue;
        if (auto alone = os::try_lock_exclusive(file->get()); alone && *alone) (void)os::remove_file(entry.path());
      }
  });
  for (int i = 0; i < 20'000 && !HasFailure(); ++i) {
    const object_id id = object_id::random();
    EXPECT_TRUE(create_file(folder.path(), id, dtype::float64, 10, lazy_source::sequence(0.0, 1.0), {}).ok()) << i;
    (void)os::remove_file(path_of(folder.path(), id));
  }
  stop = true;
  collector.join();
}

TEST_F(LazyLayout, NothingIsLeftOfAFailedCreation) {
  const object_id id = object_id::random();
  auto first = create_file(folder.path(), id, dtype::float64, 10, lazy_source::sequence(0.0, 1.0), {});
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(create_file(folder / "missing", id, dtype::float64, 10, lazy_source::sequence(0.0, 1.0), {}).ok());
  EXPECT_FALSE(std::filesystem::exists(path_of(folder.path(), id) + ".new"));
}

TEST_F(LazyLayout, DamagedHeadersAreErrors) {
  std::mt19937_64 random(11);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    const auto file = make(1000);
    // Random bytes in the part that describes the layout; the counters behind it may be anything.
    const std::uint64_t at = random() % offsetof(file_header, deadline_ms);
    const std::uint64_t value = random() >> (random() % 64);
    const std::size_t size = std::min<std::size_t>(8, offsetof(file_header, deadline_ms) - at);
    ASSERT_TRUE(os::write_at(file.get(), std::as_bytes(std::span(&value, 1)).first(size), at).ok());
    auto opened = object_file::open(file.get(), false);
    if (!opened) {
      ++refused;
      continue;
    }
    // What is accepted must be safe to use.
    for (std::uint64_t i = 0; i < opened->header().chunks; ++i) (void)opened->state(i);
    (void)opened->note();
    (void)opened->source();
  }
  EXPECT_GT(refused, 200);
}

TEST_F(LazyLayout, CutFilesAreErrors) {
  const auto file = make();
  for (const off_t size : {0, 10, 200, 4096, 8191}) {
    ASSERT_EQ(ftruncate(file.get(), size), 0);
    auto opened = object_file::open(file.get(), false);
    ASSERT_FALSE(opened.ok()) << size;
    EXPECT_EQ(opened.reason().kind, error_kind::corrupt);
  }
}

TEST(LazySources, DescriptionsWithoutSenseAreRefused) {
  const source_context context{object_id::random(), dtype::float64, 8, 1000, 30};
  for (const lazy_source& wrong : {
           lazy_source{"", {}}, lazy_source{"sequence", {{"from", "x"}}}, lazy_source{"sequence", {{"by", "1e"}}},
           lazy_source{"file", {}}, lazy_source{"file", {{"path", "relative"}}},
           lazy_source{"file", {{"path", "/a"}, {"offset", "-1"}}}, lazy_source{"file", {{"path", "/a"}, {"stride", "7"}}},
           lazy_source{"file", {{"path", "/a"}, {"stride", "18446744073709551615"}}}, lazy_source{"program", {}}}) {
    auto made = make_source(wrong, context);
    ASSERT_FALSE(made.ok()) << wrong.kind;
    EXPECT_EQ(made.reason().kind, error_kind::invalid_argument);
  }
}

}  // namespace
