// What is written is what is read: every kind of node by hand, then trees made by chance.
#include <gtest/gtest.h>

#include <cmath>

#include "support/random_tree.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::tree;

std::string round_trip(const tree& from) {
  const region made = test::publish(from);
  const std::string here = test::different(value(made), from);
  if (!here.empty()) return "as published: " + here;
  return test::different(value(store::attach(made.handle(0, 0))), from);
}

TEST(RoundTrip, EveryKindAndType) { EXPECT_EQ(round_trip(test::everything()), ""); }

TEST(RoundTrip, EveryTypeInEveryShape) {
  test::tree_maker make(1);
  for (const dtype type : test::tree_maker::dtypes) {
    for (int i = 0; i < 12; ++i) {
      const tree from = make.array(type);
      EXPECT_EQ(round_trip(from), "") << name_of(type) << " " << i;
    }
  }
}

TEST(RoundTrip, RandomTrees) {
  for (std::uint64_t i = 0; i < 400; ++i) {
    SCOPED_TRACE("ONECOPY_TEST_SEED=" + std::to_string(test::seed()) + ", tree " + std::to_string(i));
    test::tree_maker make(test::seed() + i * 1'000'003);
    const tree from = make.any();
    ASSERT_NO_THROW({ ASSERT_EQ(round_trip(from), ""); });
  }
}

TEST(RoundTrip, VerifyAcceptsWhatTheWriterMakes) {
  for (std::uint64_t i = 0; i < 100; ++i) {
    SCOPED_TRACE("ONECOPY_TEST_SEED=" + std::to_string(test::seed()) + ", tree " + std::to_string(i));
    test::tree_maker make(test::seed() ^ i);
    EXPECT_NO_THROW(verify(test::publish(make.any())));
  }
}

TEST(RoundTrip, SizeIsKnownBeforePublishing) {
  for (std::uint64_t i = 0; i < 50; ++i) {
    test::tree_maker make(i);
    const tree from = make.any();
    writer w;
    test::describe(w, w.root(), from);
    const std::uint64_t counted = w.size();
    EXPECT_EQ(w.publish().bytes().size(), counted) << i;
  }
}

TEST(RoundTrip, TheSameDescriptionMayBePublishedAgain) {
  const tree from = test::everything();
  writer w;
  test::describe(w, w.root(), from);
  const region first = w.publish(), second = w.publish();
  EXPECT_NE(first.id(), second.id());
  EXPECT_EQ(test::different(value(first), from), "");
  EXPECT_EQ(test::different(value(second), from), "");
}

TEST(RoundTrip, EmptyTreeIsNull) {
  writer w;
  const value root{w.publish()};
  EXPECT_EQ(root.kind(), node_kind::null);
  EXPECT_EQ(root.attribute_count(), 0u);
}

TEST(RoundTrip, UnfilledSlotsAreNull) {
  writer w;
  w.list(w.root(), 3);
  const value root{w.publish()};
  ASSERT_EQ(root.size(), 3u);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(root.child(i).kind(), node_kind::null);
}

TEST(RoundTrip, ProducersAreAskedForEveryByteOnceInOrder) {
  constexpr std::uint64_t count = 3'000'001;
  std::uint64_t next = 0;
  writer w;
  w.array(w.root(), {.type = dtype::uint8, .count = count}, [&](std::uint64_t offset, std::span<std::byte> out) {
    EXPECT_EQ(offset, next);
    for (auto& byte : out) byte = static_cast<std::byte>(next++ * 31 >> 3);
  });
  const value root{w.publish()};
  const auto bytes = root.as<std::uint8_t>();
  EXPECT_EQ(next, count);
  ASSERT_EQ(bytes.size(), count);
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(bytes[i], static_cast<std::uint8_t>(i * 31 >> 3)) << i;
}

TEST(RoundTrip, NullDataIsZeros) {
  writer w;
  w.array(w.root(), {.type = dtype::float64, .count = 1'000'000}, nullptr);
  const value zeros{w.publish()};
  for (const double x : zeros.as<double>()) ASSERT_EQ(x, 0.0);
}

TEST(RoundTrip, NanPayloadsSurvive) {
  std::vector<std::uint64_t> bits = {0x7FF00000000007A2, 0x7FF80000000007A2, 0xFFF8000000000000, 0x8000000000000000};
  writer w;
  w.array(w.root(), {.type = dtype::float64, .count = bits.size()}, bits.data());
  const value root{w.publish()};
  EXPECT_EQ(std::memcmp(root.data(), bits.data(), 32), 0) << "R's NA is a NaN with a payload";
}

TEST(RoundTrip, RepeatedStringsAreWrittenOnce) {
  tree from;
  from.kind = node_kind::string;
  for (int i = 0; i < 100'000; ++i)
    from.texts.emplace_back("one of a few long values, number " + std::to_string(i % 7));
  const region made = test::publish(from);
  EXPECT_LT(made.bytes().size(), 500'000u) << "plain, it would be 3.4 MB";
  EXPECT_EQ(value(made).kind(), node_kind::coded_string);
  EXPECT_EQ(test::different(value(made), from), "");
}

TEST(RoundTrip, StringsWithNulAndInvalidUtf8) {
  tree from;
  from.kind = node_kind::string;
  from.texts = {std::string("a\0b", 3), std::string("\xff\xfe", 2), std::nullopt, ""};
  from.marked = {false, true, false, false};
  EXPECT_EQ(round_trip(from), "");
}

// Many buffers, the empty ones among them: each begins where the next one does.
TEST(RoundTrip, EmptyVectorsBetweenOthers) {
  std::vector<std::uint64_t> numbers(50);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = i + 1;
  for (const std::uint32_t count : {10u, 100u, 1000u}) {
    writer w;
    const auto first = w.list(w.root(), count);
    for (std::uint32_t i = 0; i < count; ++i)
      w.array(first + i, {.type = dtype::uint64, .count = i % 3 == 0 ? 0u : 3 + i % 40}, numbers.data());
    const value root{w.publish()};
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto read = root.child(i).as<std::uint64_t>();
      ASSERT_EQ(read.size(), i % 3 == 0 ? 0u : 3 + i % 40);
      for (std::size_t j = 0; j < read.size(); ++j) ASSERT_EQ(read[j], j + 1) << i;
    }
  }
}

TEST(RoundTrip, DeepNesting) {
  tree from;
  for (int i = 0; i < 500; ++i) {
    tree outer;
    outer.kind = node_kind::list;
    outer.children.push_back(std::move(from));
    from = std::move(outer);
  }
  EXPECT_EQ(round_trip(from), "");
}

TEST(RoundTrip, WideListsOfScalars) {
  constexpr std::uint64_t count = 100'000;
  std::vector<double> numbers(count);
  writer w;
  const auto first = w.list(w.root(), count);
  for (std::uint32_t i = 0; i < count; ++i) {
    numbers[i] = i * 0.5;
    w.array(first + i, {.type = dtype::float64, .count = 1}, &numbers[i]);
  }
  const value root{w.publish()};
  ASSERT_EQ(root.size(), count);
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(root.child(i).as<double>()[0], static_cast<double>(i) * 0.5);
}

}  // namespace
