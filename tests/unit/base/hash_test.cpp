#include "base/hash.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <unordered_set>
#include <vector>

namespace {

using onecopy::xxh64;

std::uint64_t of(std::string_view text, std::uint64_t seed = 0) {
  return xxh64(std::as_bytes(std::span(text.data(), text.size())), seed);
}

// The sequence that xxHash's own sanity check hashes: the high byte of a generator that multiplies itself.
std::vector<std::byte> sanity_buffer(std::size_t size) {
  constexpr std::uint32_t prime32 = 2654435761u;
  constexpr std::uint64_t prime64 = 11400714785074694797u;
  std::vector<std::byte> bytes(size);
  std::uint64_t state = prime32;
  for (auto& byte : bytes) {
    byte = static_cast<std::byte>(state >> 56);
    state *= prime64;
  }
  return bytes;
}

TEST(Xxh64, KnownTexts) {
  EXPECT_EQ(of(""), 0xEF46DB3751D8E999u);
  EXPECT_EQ(of("a"), 0xD24EC4F1A98C6E5Bu);
  EXPECT_EQ(of("abc"), 0x44BC2CF5AD770999u);
  EXPECT_EQ(of("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1u) << "39 bytes: a stripe and a tail";
  EXPECT_EQ(of("xxhash", 20141025), 13067679811253438005u);
}

// Values published with xxHash (tests/sanity_test_vectors.h), for lengths on both sides of its block sizes.
TEST(Xxh64, PublishedSanityVectors) {
  const auto bytes = sanity_buffer(256);
  const auto at = [&](std::size_t size, std::uint64_t seed) { return xxh64(std::span(bytes).first(size), seed); };
  constexpr std::uint64_t seed = 2654435761u;
  EXPECT_EQ(at(0, seed), 0xAC75FDA2929B17EFu);
  EXPECT_EQ(at(1, 0), 0xE934A84ADB052768u);
  EXPECT_EQ(at(1, seed), 0x5014607643A9B4C3u);
  EXPECT_EQ(at(4, 0), 0x9136A0DCA57457EEu);
  EXPECT_EQ(at(14, 0), 0x8282DCC4994E35C8u);
  EXPECT_EQ(at(14, seed), 0xC3BD6BF63DEB6DF0u);
  EXPECT_EQ(at(222, 0), 0xB641AE8CB691C174u);
  EXPECT_EQ(at(222, seed), 0x20CB8AB7AE10C14Au);
}

TEST(Xxh64, EveryByteAndEveryLengthMatters) {
  std::unordered_set<std::uint64_t> seen;
  auto bytes = sanity_buffer(100);
  for (std::size_t size = 0; size <= bytes.size(); ++size)
    EXPECT_TRUE(seen.insert(xxh64(std::span(bytes).first(size))).second) << size;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= std::byte{1};
    EXPECT_TRUE(seen.insert(xxh64(bytes)).second) << i;
    bytes[i] ^= std::byte{1};
  }
}

TEST(Xxh64, DoesNotNeedAlignedBytes) {
  auto bytes = sanity_buffer(90);
  std::vector<std::byte> shifted(91);
  std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
  EXPECT_EQ(xxh64(bytes), xxh64(std::span(shifted).subspan(1)));
}

}  // namespace
