// Wrong calls of the writer and of values: each an error with its kind, and nothing left behind.
#include <gtest/gtest.h>

#include <functional>

#include "support/expect.hpp"
#include "support/random_tree.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;

const double numbers[] = {1, 2, 3, 4, 5, 6};

TEST(WriterMisuse, ShapeThatIsNotTheCount) {
  EXPECT_EQ(test::kind_thrown_by([] {
              writer w;
              w.array(w.root(), {.type = dtype::float64, .count = 6, .shape = {2, 2}}, numbers);
              w.publish();
            }),
            error_kind::invalid_argument);
}

TEST(WriterMisuse, ShapeWhoseProductWrapsAround) {
  EXPECT_EQ(test::kind_thrown_by([] {
              writer w;
              const std::uint64_t big = std::uint64_t{1} << 32;
              w.array(w.root(), {.type = dtype::float64, .count = 0, .shape = {big, big}}, numbers);
              w.publish();
            }),
            error_kind::invalid_argument);
}

TEST(WriterMisuse, CountWhoseBytesWrapAround) {
  const auto kind = test::kind_thrown_by([] {
    writer w;
    w.array(w.root(), {.type = dtype::float64, .count = (std::uint64_t{1} << 61) + 1}, nullptr);
    w.publish();
  });
  EXPECT_TRUE(kind == error_kind::invalid_argument || kind == error_kind::no_space || kind == error_kind::no_memory);
}

TEST(WriterMisuse, MoreThanAnyMachineHas) {
  const auto kind = test::kind_thrown_by([] {
    writer w;
    w.array(w.root(), {.type = dtype::float64, .count = std::uint64_t{1} << 50}, nullptr);
    w.publish();
  });
  EXPECT_TRUE(kind == error_kind::no_space || kind == error_kind::no_memory || kind == error_kind::invalid_argument);
  EXPECT_TRUE(store::list().empty()) << "nothing is left behind";
}

TEST(WriterMisuse, TypesWithoutAWidth) {
  for (const dtype type : {dtype::none, dtype::fixed_bytes, dtype::fixed_utf32, dtype::record, static_cast<dtype>(200)})
    EXPECT_EQ(test::kind_thrown_by([&] {
                writer w;
                w.array(w.root(), {.type = type, .count = 1}, numbers);
                w.publish();
              }),
              error_kind::invalid_argument)
        << name_of(type);
}

TEST(WriterMisuse, SlotsThatAreNotThere) {
  EXPECT_EQ(test::kind_thrown_by([] {
              writer w;
              w.null(1);
              w.publish();
            }),
            error_kind::invalid_argument);
}

TEST(WriterMisuse, FieldsOutsideTheirStruct) {
  for (const record_field& field :
       {record_field{.name = "a", .type = dtype::float64, .offset = 1},
        record_field{.name = "a", .type = dtype::int32, .offset = ~0ull},
        record_field{.name = "a", .type = dtype::int32, .shape = {std::uint64_t{1} << 62, 4}},
        record_field{.name = "a", .type = dtype::none}})
    EXPECT_EQ(test::kind_thrown_by([&] {
                writer w;
                w.records(w.root(), {.type = dtype::record, .count = 1, .item_size = 8}, {&field, 1}, numbers);
                w.publish();
              }),
              error_kind::invalid_argument);
}

TEST(WriterMisuse, CodesThatAreNotIntegers) {
  EXPECT_EQ(test::kind_thrown_by([] {
              writer w;
              w.names(w.categorical(w.root(), {.type = dtype::float64, .count = 6}, numbers, 0, false), {"a"});
              w.publish();
            }),
            error_kind::invalid_argument);
}

TEST(WriterMisuse, ArrowOffsetsThatRunBackwards) {
  const std::int32_t offsets[] = {0, 5, 2};
  EXPECT_EQ(test::kind_thrown_by([&] {
              writer w;
              w.arrow_strings(w.root(), 2, offsets, 4, "hello", nullptr);
              w.publish();
            }),
            error_kind::invalid_argument);
}

TEST(WriterMisuse, NamesThatCannotBe) {
  const double x = 1;
  for (const std::string& name : {std::string(121, 'a'), std::string("a\nb"), std::string("a\0b", 3),
                                  std::string("a/../b"), std::string("\xff\xfe")}) {
    writer w;
    w.array(w.root(), {.type = dtype::float64, .count = 1}, &x);
    try {
      const region made = w.publish({.name = name});
      // A name with a slash may be allowed, but must not become a path.
      EXPECT_EQ(store::attach_name(name).id(), made.id());
    } catch (const error& caught) {
      EXPECT_EQ(caught.kind(), error_kind::invalid_argument) << caught.what();
    }
  }
  EXPECT_TRUE(store::list().empty());
}

struct deliberate {};

TEST(WriterMisuse, WhatSourcesThrowEndsThePublishing) {
  writer w;
  w.array(w.root(), {.type = dtype::float64, .count = 1'000'000},
          [](std::uint64_t offset, std::span<std::byte>) {
            if (offset > 1'000'000) throw deliberate{};
          });
  EXPECT_THROW(w.publish(), deliberate);
  EXPECT_TRUE(store::list().empty());
  EXPECT_EQ(store::collect().objects, 0u);
}

TEST(WriterMisuse, WhatProgressThrowsEndsThePublishing) {
  writer w;
  w.array(w.root(), {.type = dtype::float64, .count = 10'000'000}, nullptr);
  std::vector<double> large(10'000'000, 1.0);
  writer v;
  v.array(v.root(), {.type = dtype::float64, .count = large.size()}, large.data());
  EXPECT_THROW(v.publish({.progress = [](std::uint64_t, std::uint64_t) { throw deliberate{}; }}), deliberate);
  EXPECT_TRUE(store::list().empty());
}

class ValueMisuse : public testing::Test {
 protected:
  value number = value(test::publish([] {
    test::tree from;
    from.kind = node_kind::list;
    from.children.resize(2);
    from.children[0].kind = node_kind::array;
    from.children[0].spec = {.type = dtype::float64, .count = 6};
    from.children[0].data.resize(48);
    return from;
  }()));
};

TEST_F(ValueMisuse, NodesThatAreNotThere) {
  EXPECT_EQ(test::kind_thrown_by([&] { value(number.region(), 1'000'000); }), error_kind::invalid_argument);
  EXPECT_EQ(test::kind_thrown_by([&] { value(number.region(), 0xFFFFFFFF); }), error_kind::invalid_argument);
  EXPECT_EQ(test::kind_thrown_by([&] { number.child(2); }), error_kind::invalid_argument);
  EXPECT_EQ(test::kind_thrown_by([&] { number.child(~0ull); }), error_kind::invalid_argument);
}

TEST_F(ValueMisuse, WrongType) {
  EXPECT_EQ(test::kind_thrown_by([&] { number.child(0).as<float>(); }), error_kind::wrong_type);
  EXPECT_EQ(test::kind_thrown_by([&] { number.as<double>(); }), error_kind::wrong_type);
  EXPECT_EQ(test::kind_thrown_by([&] { number.child(1).as<double>(); }), error_kind::wrong_type);
  EXPECT_EQ(number.child(0).as<double>().size(), 6u);
}

TEST_F(ValueMisuse, NamesThatAreNotThere) {
  EXPECT_FALSE(number.find("price"));
  EXPECT_EQ(test::kind_thrown_by([&] { number["price"]; }), error_kind::not_found);
  EXPECT_FALSE(number.attribute("names"));
}

// Asking a node for what its kind doesn't have is an error, and never a crash.
TEST_F(ValueMisuse, EveryQuestionToEveryKind) {
  const value all{test::publish(test::everything())};
  for (std::uint64_t i = 0; i < all.size(); ++i) {
    const value node = all.child(i);
    const auto harmless = [&](const std::function<void()>& call) {
      try {
        call();
      } catch (const error&) {
      }
    };
    harmless([&] { node.string(0); });
    harmless([&] { node.string(~0ull); });
    harmless([&] { node.is_missing(~0ull); });
    harmless([&] { node.is_missing(node.size()); });
    harmless([&] { node.strings(); });
    harmless([&] { node.check_codes(); });
    harmless([&] { node.dictionary(); });
    harmless([&] { node.fields(); });
    harmless([&] { node.child(0); });
    harmless([&] { node.find("x"); });
    harmless([&] { node["x"]; });
    harmless([&] { node.tag(); });
    harmless([&] { node.opaque_bytes(); });
    harmless([&] { node.attribute_name(5); });
    harmless([&] { node.attribute(5); });
    harmless([&] { node.shape(); });
    node.data();
    node.data_bytes();
    node.data_offset();
    node.validity();
    node.encodings();
    node.rows();
    node.ordered();
    node.code_base();
    node.item_size();
  }
}

}  // namespace
