// Objects that are found by a name the user chose.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by, test::pattern_fault, test::publish_pattern;

TEST(Names, LeadToTheObject) {
  const region made = publish_pattern(5, 1000, {.name = "prices"});
  EXPECT_EQ(made.name(), "prices");
  EXPECT_EQ(store::attach_name("prices"), made);
  EXPECT_EQ(attach_name("prices").as<std::uint64_t>()[0], 5u);
  EXPECT_EQ(store::find_name("prices"), made.id());
  const auto all = store::list();
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](const auto& entry) { return entry.name == "prices"; }));
}

TEST(Names, EndWithTheirObject) {
  { const region made = publish_pattern(5, 1000, {.name = "prices"}); }
  EXPECT_FALSE(store::find_name("prices"));
  EXPECT_EQ(kind_thrown_by([] { store::attach_name("prices"); }), error_kind::not_found);
  const region again = publish_pattern(6, 1000, {.name = "prices"});
  EXPECT_EQ(store::attach_name("prices"), again);
}

TEST(Names, AreExclusive) {
  const region first = publish_pattern(1, 1000, {.name = "prices"});
  EXPECT_EQ(kind_thrown_by([] { publish_pattern(2, 1000, {.name = "prices"}); }), error_kind::exists);
  EXPECT_EQ(store::attach_name("prices"), first);
  EXPECT_EQ(store::list().size(), 1u) << "the one that was refused is not left behind";
}

TEST(Names, AreReplacedWhenAsked) {
  const region first = publish_pattern(1, 1000, {.name = "prices"});
  const region second = publish_pattern(2, 1000, {.name = "prices", .replace = true});
  EXPECT_EQ(store::attach_name("prices"), second);
  EXPECT_EQ(pattern_fault(first), "") << "who holds the old one keeps it";
  EXPECT_NE(first, second);
}

TEST(Names, OfTheReplacedObjectDoNotTakeTheNewOneAlong) {
  region first = publish_pattern(1, 1000, {.name = "prices"});
  const region second = publish_pattern(2, 1000, {.name = "prices", .replace = true});
  first = region();
  EXPECT_EQ(store::find_name("prices"), second.id()) << "the end of the old object must not remove the name";
  EXPECT_EQ(store::attach_name("prices"), second);
  store::collect();
  EXPECT_EQ(store::find_name("prices"), second.id());
}

TEST(Names, CanBeRemovedAlone) {
  const region made = publish_pattern(1, 1000, {.name = "prices"});
  EXPECT_TRUE(store::remove_name("prices"));
  EXPECT_FALSE(store::remove_name("prices"));
  EXPECT_FALSE(store::find_name("prices"));
}

TEST(Names, GoWithARemovedObject) {
  const region made = publish_pattern(1, 1000, {.name = "prices"});
  EXPECT_TRUE(store::remove(made.id()));
  EXPECT_FALSE(store::find_name("prices"));
  const region again = publish_pattern(2, 1000, {.name = "prices"});
  EXPECT_EQ(store::attach_name("prices"), again);
}

TEST(Names, MayBeAnyText) {
  const std::string longest(120, 'x');
  for (const std::string name : {"a b", "Zürich", "日本語", ".", "..", "../../etc/passwd", "/dev/null", "%2e%2e",
                                 "-rf", longest.c_str(), "a:b", "lock", "onecopy:1:x", "*", "~"}) {
    try {
      const region made = publish_pattern(9, 1000, {.name = name});
      EXPECT_EQ(made.name(), name);
      EXPECT_EQ(store::attach_name(name), made) << name;
      const auto all = store::list();
      ASSERT_EQ(all.size(), 1u) << name;
      EXPECT_EQ(all[0].name, name);
    } catch (const error& refused) {
      EXPECT_EQ(refused.kind(), error_kind::invalid_argument) << name << ": " << refused.what();
    }
    EXPECT_FALSE(store::find_name(name));
  }
}

TEST(Names, ThatNobodyGaveAreNotFound) {
  for (const std::string& name : {std::string("nothing"), std::string(""), std::string(5000, 'x'), std::string("a/b"),
                                  std::string("\n"), std::string("a\0b", 3)}) {
    try {
      store::attach_name(name);
      ADD_FAILURE() << "attached " << name;
    } catch (const error& refused) {
      EXPECT_TRUE(refused.kind() == error_kind::not_found || refused.kind() == error_kind::invalid_argument)
          << refused.what();
    }
  }
}

TEST(Names, AreFreeAgainWhenPublishingFails) {
  struct deliberate {};
  writer w;
  w.array(w.root(), {.type = dtype::uint8, .count = 100'000},
          [](std::uint64_t, std::span<std::byte>) { throw deliberate{}; });
  EXPECT_THROW(w.publish({.name = "prices"}), deliberate);
  EXPECT_FALSE(store::find_name("prices"));
  const region first = publish_pattern(1, 1000, {.name = "prices"});
  EXPECT_THROW(w.publish({.name = "prices", .replace = true}), deliberate);
  EXPECT_EQ(store::attach_name("prices"), first) << "a replacement that failed leaves the old object in place";
}

}  // namespace
