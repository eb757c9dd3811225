// The bytes of a region, as docs/format.md describes them: a header, a table of nodes, then their buffers.
//
// Everything is little-endian and position-independent: offsets count from the first byte of the region.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "onecopy/types.hpp"

namespace onecopy::format {

static_assert(std::endian::native == std::endian::little, "regions are little-endian and used in place");

inline constexpr char magic[8] = {'O', 'N', 'E', 'C', 'O', 'P', 'Y', '\0'};
inline constexpr std::uint32_t byte_order_mark = 0x01020304;
inline constexpr std::size_t name_capacity = 128;     // of the header, a final NUL included
inline constexpr std::uint64_t buffer_alignment = 64;
// Buffers of at least this many bytes begin on a page of their own, so that copy-on-write and the test for divergence
// concern one buffer only.
inline constexpr std::uint64_t large_buffer = 16384;
inline constexpr std::uint64_t inline_capacity = 16;  // data this small lies in the node itself
inline constexpr unsigned max_depth = 1000;

enum header_flag : std::uint32_t {
  flag_writable = 1,  // every process sees every write
  flag_checksum = 2,  // `checksum` is set
};

struct header {
  char magic[8];
  std::uint16_t version_major, version_minor;
  std::uint32_t byte_order;
  std::uint32_t header_bytes;  // sizeof(header); a later minor version may have more
  std::uint32_t flags;
  std::uint64_t region_bytes;  // all of it, this header included
  std::uint64_t nodes_offset;  // a multiple of 64
  std::uint64_t node_count;    // at least 1: node 0 is the root
  std::uint8_t id[16];
  std::uint64_t checksum;      // see checksum_of
  std::uint64_t created;       // seconds since 1970
  double lease_end;            // of a mutable region in a store: seconds since 1970; otherwise 0
  std::uint8_t reserved[40];   // 0
  char name[name_capacity];    // chosen by the user, padded with NUL
};
static_assert(sizeof(header) == 256 && std::is_trivially_copyable_v<header>);

enum node_flag : std::uint32_t {
  node_row_major = 1,
  node_scalar = 2,      // array with no dimension
  node_inline = 4,      // data_offset points to the aux fields of this node
  node_ordered = 8,     // categorical
  node_one_based = 16,  // codes count from 1
  node_offsets64 = 32,  // string: offsets of 8 bytes instead of 4
  node_encodings = 64,  // string: child is an array of uint8, the mark of each element
  node_least_missing = 128,  // array of signed integers: the least number stands for a missing value
};

// Marks of the elements of a string node (node_encodings).
enum class encoding : std::uint8_t { utf8 = 0, bytes = 1 };

struct node_record {
  node_kind kind;
  std::uint8_t type;  // dtype; list: list_form
  onecopy::semantic semantic;
  time_unit unit;
  std::uint32_t flags;
  std::uint64_t length;           // elements, children or columns; opaque: bytes
  std::uint64_t data_offset;      // elements, codes, string bytes, opaque bytes
  std::uint64_t data_bytes;       // table: rows instead
  std::uint64_t aux_offset;       // array: shape; string: offsets; opaque: tag
  std::uint64_t aux_bytes;
  std::uint64_t validity_offset;  // Arrow bitmap of `length` bits; 0: none
  std::uint32_t child;            // first child; dictionary; schema; encodings. 0: none
  std::uint32_t attributes;       // a list: names first, then the values. 0: none

  dtype element() const noexcept { return static_cast<dtype>(type); }
  bool has(node_flag flag) const noexcept { return (flags & flag) != 0; }
};
static_assert(sizeof(node_record) == 64 && std::is_trivially_copyable_v<node_record>);

// True for element types whose width the node gives, as the first number of aux.
constexpr bool width_in_node(dtype type) noexcept {
  return type == dtype::fixed_bytes || type == dtype::fixed_utf32 || type == dtype::record;
}

constexpr bool is_code_type(dtype type) noexcept { return type >= dtype::int8 && type <= dtype::uint64; }

}  // namespace onecopy::format
