// Arrays that certify themselves: whoever reads one can tell, knowing nothing else, whether a byte of it is wrong.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "onecopy/onecopy.hpp"

namespace test {

constexpr std::uint64_t pattern_word(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t x = seed * 0x9E3779B97F4A7C15u + i;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// {seed, count, word 2, word 3, ...}; at least 2 words.
inline std::vector<std::uint64_t> pattern(std::uint64_t seed, std::uint64_t count) {
  std::vector<std::uint64_t> words(count < 2 ? 2 : count);
  for (std::uint64_t i = 2; i < words.size(); ++i) words[i] = pattern_word(seed, i);
  words[0] = seed;
  words[1] = words.size();
  return words;
}

// "" or what is wrong.
inline std::string pattern_fault(std::span<const std::uint64_t> words) {
  if (words.size() < 2) return "too short";
  if (words[1] != words.size()) return "length " + std::to_string(words[1]) + " of " + std::to_string(words.size());
  for (std::uint64_t i = 2; i < words.size(); ++i)
    if (words[i] != pattern_word(words[0], i)) return "word " + std::to_string(i) + " of " + std::to_string(words[1]);
  return {};
}

inline onecopy::region publish_pattern(std::uint64_t seed, std::uint64_t count,
                                       const onecopy::publish_options& options = {}) {
  const auto words = pattern(seed, count);
  onecopy::writer w;
  w.array(w.root(), {.type = onecopy::dtype::uint64, .count = words.size()}, words.data());
  return w.publish(options);
}

inline std::string pattern_fault(const onecopy::region& region) {
  return pattern_fault(onecopy::value(region).as<std::uint64_t>());
}

}  // namespace test
