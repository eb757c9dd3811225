// Is this a region? Nothing of a region is used before these checks have passed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.hpp"
#include "format/layout.hpp"

namespace onecopy::format {

// A region whose header and node table were checked: every offset and length in a node of a known kind lies inside
// it, buffers are aligned for their type, every node has one parent, which comes before it, and the tree is at most
// max_depth deep. What the buffers hold was not looked at.
struct checked_region {
  const std::byte* base = nullptr;
  std::uint64_t bytes = 0;
  const header* head = nullptr;
  std::span<const node_record> nodes;
};

// Failures are of kind corrupt, or unsupported for a newer major version. `bytes` must be aligned to 64.
result<checked_region> check(std::span<const std::byte> bytes);

// The content checks that need a look at all of a buffer. Each answers for one node that has passed check().
status check_string(const checked_region& region, std::uint32_t node);  // offsets never decrease, stay inside
status check_codes(const checked_region& region, std::uint32_t node);   // codes are missing or in the dictionary

// Offset i of a string node.
std::uint64_t string_offset(const checked_region& region, const node_record& node, std::uint64_t i) noexcept;
// Code i of a coded_string or categorical, counted from 0; -1 when missing: below the base, or not valid by the bitmap.
std::int64_t code_at(const checked_region& region, const node_record& node, std::uint64_t i) noexcept;

// The checksum of the header (its checksum field taken as 0) and all that follows.
std::uint64_t checksum_of(std::span<const std::byte> region) noexcept;

inline bool is_valid(const std::uint8_t* bitmap, std::uint64_t i) noexcept { return (bitmap[i / 8] >> (i % 8) & 1) != 0; }

}  // namespace onecopy::format
