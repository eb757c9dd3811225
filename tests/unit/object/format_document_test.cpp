// The example in docs/format.md is a region, and holds what the page says.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "format/check.hpp"
#include "onecopy/onecopy.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"

namespace {

std::vector<std::byte> example_of_the_page() {
  std::ifstream page(ONECOPY_SOURCE_DIR "/docs/format.md");
  std::vector<std::byte> bytes;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("0000 4f 4e", 0) == 0) inside = true;
    if (line.rfind("```", 0) == 0) inside = false;
    if (!inside) continue;
    std::istringstream words(line);
    std::string word;
    words >> word;
    bytes.resize(std::stoul(word, nullptr, 16));
    while (words >> word) bytes.push_back(static_cast<std::byte>(std::stoul(word, nullptr, 16)));
  }
  bytes.resize(0x480);
  return bytes;
}

TEST(FormatDocument, ExampleIsARegion) {
  const auto bytes = example_of_the_page();
  auto memfd = onecopy::os::make_memfd("example");
  ASSERT_TRUE(memfd);
  ASSERT_TRUE(onecopy::os::write_at(memfd->get(), bytes, 0));
  ASSERT_TRUE(onecopy::os::seal(memfd->get()));
  const onecopy::value list(onecopy::store::from_descriptor(memfd->get()));
  ASSERT_EQ(list.kind(), onecopy::node_kind::list);
  const auto x = list["x"].as<double>();
  EXPECT_EQ(std::vector<double>(x.begin(), x.end()), (std::vector<double>{1.5, 2.5, 3.5}));
  EXPECT_EQ(list["s"].string(0), "h\xc3\xa9");
  EXPECT_FALSE(list["s"].is_missing(0));
  EXPECT_TRUE(list["s"].is_missing(1));
  EXPECT_EQ(list.region().id().text(), "101112131415161718191a1b1c1d1e1f");
  EXPECT_NO_THROW(onecopy::verify(list.region()));
}

TEST(FormatDocument, WriterStillWritesTheExample) {
  onecopy::writer w;
  const auto child = w.list(w.root(), 2);
  const double x[] = {1.5, 2.5, 3.5};
  w.array(child, {.type = onecopy::dtype::float64, .count = 3}, x);
  struct : onecopy::string_source {
    std::uint64_t size() const override { return 2; }
    item at(std::uint64_t i) const override { return i == 0 ? item{.text = "h\xc3\xa9"} : item{.missing = true}; }
  } s;
  w.strings(child + 1, s);
  w.names(w.root(), {"x", "s"});
  const auto region = w.publish({.where = onecopy::backing::memfd});
  const auto written = region.bytes();
  auto expected = example_of_the_page();
  // The id and the time of creation are of the day.
  std::copy_n(written.begin() + 48, 32, expected.begin() + 48);
  EXPECT_TRUE(std::equal(written.begin(), written.end(), expected.begin(), expected.end()));
}

}  // namespace
