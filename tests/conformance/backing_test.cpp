// What holds for a region wherever its bytes live: the same cases for store, memfd and file.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/expect.hpp"
#include "support/memfd.hpp"
#include "support/pattern.hpp"
#include "support/random_tree.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::pattern_fault;

class Backing : public testing::TestWithParam<backing> {
 protected:
  void SetUp() override {
    if (GetParam() == backing::memfd) NEEDS_SEALED_MEMFD();
  }
  publish_options options(bool writable = false) {
    publish_options chosen{.where = GetParam(), .writable = writable};
    if (GetParam() == backing::file) chosen.path = folder / ("object" + std::to_string(++files) + ".onecopy");
    return chosen;
  }
  // As a stranger to this process would: by handle, by descriptor or by path.
  region reopen(const region& made, bool trusted = false) {
    if (GetParam() == backing::store) return store::attach(made.handle(0, 0));
    if (GetParam() == backing::file) return store::open_file(made.path());
    const int descriptor = made.open_descriptor();
    const region received = store::from_descriptor(descriptor, trusted);
    close(descriptor);
    return received;
  }
  test::scratch_folder folder;
  int files = 0;
};

TEST_P(Backing, SaysWhereItIs) {
  const region made = test::publish_pattern(1, 10, options());
  EXPECT_EQ(made.where(), GetParam());
  EXPECT_EQ(made.path().empty(), GetParam() != backing::file);
  EXPECT_FALSE(made.writable());
  EXPECT_EQ(made.bytes().size() % 64, 0u);
}

TEST_P(Backing, CarriesEverything) {
  const auto from = test::everything();
  const region made = test::publish(from, options());
  EXPECT_EQ(test::different(value(made), from), "");
  EXPECT_EQ(test::different(value(reopen(made)), from), "");
  EXPECT_NO_THROW(verify(reopen(made)));
}

TEST_P(Backing, CarriesRandomTrees) {
  for (std::uint64_t i = 0; i < 100; ++i) {
    SCOPED_TRACE("ONECOPY_TEST_SEED=" + std::to_string(test::seed()) + ", tree " + std::to_string(i));
    test::tree_maker make(test::seed() * 31 + i);
    const auto from = make.any();
    ASSERT_EQ(test::different(value(reopen(test::publish(from, options()))), from), "");
  }
}

TEST_P(Backing, SizesAroundAPage) {
  for (const std::uint64_t count : {0u, 1u, 2u, 3u, 400u, 480u, 511u, 512u, 513u, 2047u, 2048u, 2049u, 100'000u})
    EXPECT_EQ(pattern_fault(reopen(test::publish_pattern(count, count, options()))), "") << count;
}

TEST_P(Backing, WritesOfThisProcessStayHere) {
  const region made = test::publish_pattern(1, 100'000, options());
  const value root{made};
  EXPECT_FALSE(made.diverged(root.data_offset(), root.data_bytes()));
  std::byte* bytes = made.writable_bytes();
  EXPECT_FALSE(made.diverged(root.data_offset(), root.data_bytes())) << "asking for a pointer writes nothing";
  bytes[root.data_offset() + 400'000] ^= std::byte{1};
  EXPECT_NE(pattern_fault(made), "") << "this process sees its own writes";
  EXPECT_TRUE(made.diverged(root.data_offset(), root.data_bytes()));
  EXPECT_TRUE(made.diverged(root.data_offset() + 400'000, 1));
  EXPECT_FALSE(made.diverged(root.data_offset(), 100'000)) << "other pages are still shared";
  int how = 0;
  const int descriptor = made.open_descriptor();
  std::uint64_t word = 0;
  ASSERT_EQ(pread(descriptor, &word, 8, static_cast<off_t>(root.data_offset() + 400'000)), 8);
  EXPECT_EQ(word, test::pattern_word(1, 50'000)) << "nobody else does";
  close(descriptor);
  (void)how;
}

TEST_P(Backing, PrivateViewsAreTheirOwners) {
  const region made = test::publish_pattern(1, 100'000, options());
  const value root{made};
  for (const auto& [offset, size] : {std::pair<std::size_t, std::size_t>{root.data_offset(), root.data_bytes()},
                                     {root.data_offset() + 8, 16},
                                     {root.data_offset() + 4096, 40'960},
                                     {root.data_offset() + 40'000, 300'001},
                                     {0, made.bytes().size()},
                                     {made.bytes().size() - 1, 1}}) {
    private_view view = made.private_view(offset, size);
    ASSERT_EQ(view.size(), size);
    EXPECT_EQ(std::memcmp(view.data(), made.bytes().data() + offset, size), 0) << offset << " " << size;
    for (std::size_t i = 0; i < size; i += 1000) view.data()[i] = ~view.data()[i];
    EXPECT_EQ(pattern_fault(made), "");
    private_view second = made.private_view(offset, size);
    EXPECT_EQ(std::memcmp(second.data(), made.bytes().data() + offset, size), 0) << "each view begins as the region";
    second = std::move(view);
    EXPECT_EQ(second.data()[0], ~made.bytes()[offset]);
    EXPECT_FALSE(view);
  }
  EXPECT_FALSE(made.diverged(root.data_offset(), root.data_bytes())) << "writes to a view are not the region's";
}

// What this process changed is not what a view of the shared bytes begins as, or it is; never a mixture that depends on
// the size of the range.
TEST_P(Backing, PrivateViewsAfterAWrite) {
  const region made = test::publish_pattern(1, 100'000, options());
  const value root{made};
  const std::size_t at = root.data_offset() + 80'000;
  const std::byte shared = made.bytes()[at];
  made.writable_bytes()[at] = ~shared;
  const std::byte small = made.private_view(at, 1).data()[0];
  const std::byte large = made.private_view(at - 40'000, 200'000).data()[40'000];
  EXPECT_EQ(small, large);
}

TEST_P(Backing, PrivateViewsOutsideAreRefused) {
  const region made = test::publish_pattern(1, 1000, options());
  const std::size_t size = made.bytes().size();
  for (const auto& [offset, length] : {std::pair<std::size_t, std::size_t>{0, size + 1}, {size, 1}, {size + 1, 0},
                                       {~std::size_t{0}, 1}, {1, ~std::size_t{0}}, {8, ~std::size_t{0} - 7}})
    EXPECT_EQ(test::kind_thrown_by([&] { made.private_view(offset, length); }), error_kind::invalid_argument)
        << offset << " " << length;
}

TEST_P(Backing, EmptyPrivateViews) {
  const region made = test::publish_pattern(1, 1000, options());
  EXPECT_EQ(made.private_view(0, 0).size(), 0u);
  EXPECT_EQ(made.private_view(made.bytes().size(), 0).size(), 0u);
}

TEST_P(Backing, MutableObjectsAreSeenByOtherProcesses) {
  writer w;
  w.array(w.root(), {.type = dtype::uint64, .count = 1000}, nullptr);
  const array<std::uint64_t> mine(value(w.publish(options(true))));
  ASSERT_TRUE(mine.node().region().writable());
  const auto words = mine.shared_writable();
  words[0] = 1;
  const pid_t child = fork();
  if (child == 0) {
    const bool seen = words[0] == 1;
    words[999] = 42;
    _exit(seen ? 0 : 1);
  }
  int how = 0;
  waitpid(child, &how, 0);
  EXPECT_EQ(how, 0);
  EXPECT_EQ(mine[999], 42u);
}

TEST_P(Backing, MutableObjectsStayMutableWhenOpenedAgain) {
  writer w;
  w.array(w.root(), {.type = dtype::uint64, .count = 1000}, nullptr);
  const region made = w.publish(options(true));
  const array<std::uint64_t> again(value(reopen(made, true)));
  ASSERT_TRUE(again.node().region().writable());
  again.shared_writable()[7] = 7;
  EXPECT_EQ(value(made).as<std::uint64_t>()[7], 7u);
}

TEST_P(Backing, ImmutableObjectsRefuseSharedWriting) {
  const array<std::uint64_t> made(value(test::publish_pattern(1, 1000, options())));
  EXPECT_EQ(test::kind_thrown_by([&] { made.shared_writable(); }), error_kind::permission);
}

TEST_P(Backing, ZerosNeedNoSource) {
  writer w;
  w.array(w.root(), {.type = dtype::float64, .count = 100'000}, nullptr);
  const value zeros{reopen(w.publish(options()))};
  for (const double x : zeros.as<double>()) ASSERT_EQ(x, 0.0);
}

TEST_P(Backing, WhatSourcesThrowLeavesNothing) {
  struct deliberate {};
  writer w;
  w.array(w.root(), {.type = dtype::uint8, .count = 1'000'000}, [](std::uint64_t offset, std::span<std::byte>) {
    if (offset > 0) throw deliberate{};
  });
  EXPECT_THROW(w.publish(options()), deliberate);
  EXPECT_TRUE(store::list().empty());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_P(Backing, DescriptorsCanBeReadAndNotWritten) {
  const region made = test::publish_pattern(3, 1000, options());
  const int descriptor = made.open_descriptor();
  ASSERT_GE(descriptor, 0);
  std::vector<std::byte> bytes(made.bytes().size());
  EXPECT_EQ(pread(descriptor, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(std::memcmp(bytes.data(), made.bytes().data(), bytes.size()), 0);
  EXPECT_LT(pwrite(descriptor, "x", 1, 0), 0);
  EXPECT_LT(ftruncate(descriptor, 0), 0);
  close(descriptor);
}

INSTANTIATE_TEST_SUITE_P(All, Backing, testing::Values(backing::store, backing::memfd, backing::file),
                         [](const auto& chosen) { return std::string(name_of(chosen.param)); });

}  // namespace
