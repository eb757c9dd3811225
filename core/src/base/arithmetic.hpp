// Arithmetic on sizes and offsets that come from files and callers: it never wraps around.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace onecopy {

inline constexpr std::uint64_t page_size = 4096;  // the unit of the format; checked against the machine's by doctor

constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

constexpr std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// The next multiple of `unit`, a power of two. The caller knows that `n` is far from the end of the range.
constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) noexcept { return (n + unit - 1) & ~(unit - 1); }
constexpr std::uint64_t round_down(std::uint64_t n, std::uint64_t unit) noexcept { return n & ~(unit - 1); }

// True if [offset, offset + size) lies within [0, limit), whatever the numbers.
constexpr bool within(std::uint64_t offset, std::uint64_t size, std::uint64_t limit) noexcept {
  return offset <= limit && size <= limit - offset;
}

constexpr std::uint64_t bitmap_bytes(std::uint64_t bits) noexcept { return bits / 8 + (bits % 8 != 0); }

}  // namespace onecopy
