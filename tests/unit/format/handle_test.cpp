#include "onecopy/handle.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "onecopy/error.hpp"

namespace {

using namespace onecopy;

const std::string good = "onecopy:1:0123456789abcdef:fedcba9876543210:00112233445566778899aabbccddeeff";

TEST(Handle, TextAndBack) {
  const handle parsed = handle::parse(good);
  EXPECT_EQ(parsed.host, "0123456789abcdef");
  EXPECT_EQ(parsed.store, "fedcba9876543210");
  EXPECT_EQ(parsed.id.text(), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(parsed.node, 0u);
  EXPECT_EQ(parsed.text(), good);
  const handle inner = handle::parse(good + "/4294967295");
  EXPECT_EQ(inner.node, 4294967295u);
  EXPECT_EQ(inner.text(), good + "/4294967295");
  EXPECT_NE(inner, parsed);
  EXPECT_EQ(handle::parse(inner.text()), inner);
}

TEST(Handle, FitsThePromisedSize) { EXPECT_LE((good + "/4294967295").size(), 200u); }

TEST(Handle, GarbageIsRefusedWithTheFormExpected) {
  const std::string garbage[] = {
      "", "onecopy", "onecopy:", "onecopy:1", "onecopy:1:", "onecopy:2" + good.substr(9), "Onecopy" + good.substr(7),
      good.substr(0, good.size() - 1), good + "0", good + "/", good + "/x", good + "/-1", good + "/+1", good + "/1 ",
      good + "/4294967296", good + "/99999999999999999999999", good + "/1/2", good + "\n", " " + good,
      "onecopy:1::fedcba9876543210:00112233445566778899aabbccddeeff",
      "onecopy:1:0123456789abcdeg:fedcba9876543210:00112233445566778899aabbccddeeff",
      "onecopy:1:../../../../etcx:fedcba9876543210:00112233445566778899aabbccddeeff",
      "onecopy:1:0123456789abcdef:fedcba9876543210:../../../../../../../etc/passwd!",
      std::string("onecopy:1:\0", 11), std::string(1'000'000, ':'), "onecopy:1:" + std::string(1'000'000, 'a')};
  for (const std::string& text : garbage) {
    try {
      handle::parse(text);
      ADD_FAILURE() << "accepted " << text.substr(0, 100);
    } catch (const error& refused) {
      EXPECT_EQ(refused.kind(), error_kind::invalid_argument);
      EXPECT_NE(std::string(refused.what()).find("onecopy:1:<host>:<store>:<id>"), std::string::npos);
      EXPECT_LT(std::string_view(refused.what()).size(), 1000u) << "a message does not repeat a megabyte";
    }
  }
}

TEST(Handle, ControlCharactersDoNotReachTheTerminal) {
  try {
    handle::parse("onecopy:1:\x1b[31mred\r\n");
    FAIL();
  } catch (const error& refused) {
    for (const char c : std::string_view(refused.what())) EXPECT_TRUE(c >= ' ' && c <= '~') << static_cast<int>(c);
  }
}

TEST(Handle, LooksLikeIsOnlyAGuess) {
  EXPECT_TRUE(handle::looks_like(good));
  EXPECT_TRUE(handle::looks_like("onecopy:garbage"));
  EXPECT_FALSE(handle::looks_like("prices"));
  EXPECT_FALSE(handle::looks_like(""));
  EXPECT_FALSE(handle::looks_like("onecopy"));
}

TEST(Handle, EveryChangedCharacterIsAnotherHandleOrNone) {
  std::mt19937 random(7);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int j = 0; j < 20; ++j) {
      std::string text = good;
      text[i] = static_cast<char>(random());
      try {
        EXPECT_EQ(handle::parse(text).text(), text);
      } catch (const error& refused) {
        EXPECT_EQ(refused.kind(), error_kind::invalid_argument);
      }
    }
  }
}

TEST(ObjectId, RandomAndParsed) {
  std::set<object_id> seen;
  for (int i = 0; i < 1000; ++i) {
    const object_id id = object_id::random();
    EXPECT_TRUE(seen.insert(id).second);
    EXPECT_EQ(object_id::parse(id.text()), id);
  }
  for (const char* text : {"", "00", "00112233445566778899aabbccddeefg", "00112233445566778899aabbccddeeff0"})
    EXPECT_THROW(object_id::parse(text), error) << text;
}

}  // namespace
