// The checks and readers of what buffers hold: string offsets and codes.
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "format/check.hpp"

namespace onecopy::format {
namespace {

failure damaged_node(std::uint32_t index, const char* what) {
  return {error_kind::corrupt, "read a shared object", "node " + std::to_string(index) + " of its region: " + what,
          "It was changed after it was written: make it again"};
}

template <class T>
T load(const std::byte* at) noexcept {
  T number;
  std::memcpy(&number, at, sizeof number);
  return number;
}

template <class T>
bool offsets_are_sorted(const std::byte* at, std::uint64_t count, std::uint64_t limit) noexcept {
  const T* offsets = reinterpret_cast<const T*>(at);
  bool good = offsets[count] <= limit;
  for (std::uint64_t i = 0; i < count; ++i) good &= offsets[i] <= offsets[i + 1];
  return good;
}

// Calls visit(T{}) with the integer type of the codes.
template <class Visit>
auto with_code_type(dtype type, Visit visit) {
  switch (type) {
    case dtype::int8: return visit(std::int8_t{});
    case dtype::int16: return visit(std::int16_t{});
    case dtype::int32: return visit(std::int32_t{});
    case dtype::uint8: return visit(std::uint8_t{});
    case dtype::uint16: return visit(std::uint16_t{});
    case dtype::uint32: return visit(std::uint32_t{});
    case dtype::uint64: return visit(std::uint64_t{});
    default: return visit(std::int64_t{});
  }
}

// -1: missing; otherwise counted from 0. What int64 can't hold comes out as its largest number: in no dictionary.
template <class T>
std::int64_t normal_code(T code, bool one_based) noexcept {
  constexpr auto largest = std::numeric_limits<std::int64_t>::max();
  const T base = one_based ? 1 : 0;
  if (code < base) return -1;
  if constexpr (std::is_signed_v<T>) {
    return static_cast<std::int64_t>(code) - base;
  } else {
    const auto counted = static_cast<std::uint64_t>(code) - base;
    return counted > static_cast<std::uint64_t>(largest) ? largest : static_cast<std::int64_t>(counted);
  }
}

}  // namespace

std::uint64_t string_offset(const checked_region& region, const node_record& node, std::uint64_t i) noexcept {
  const std::byte* offsets = region.base + node.aux_offset;
  return node.has(node_offsets64) ? load<std::uint64_t>(offsets + 8 * i) : load<std::uint32_t>(offsets + 4 * i);
}

std::int64_t code_at(const checked_region& region, const node_record& node, std::uint64_t i) noexcept {
  if (node.validity_offset != 0 &&
      !is_valid(reinterpret_cast<const std::uint8_t*>(region.base + node.validity_offset), i))
    return -1;
  const std::byte* codes = region.base + node.data_offset;
  return with_code_type(node.element(), [&](auto zero) {
    using code = decltype(zero);
    return normal_code(load<code>(codes + i * sizeof(code)), node.has(node_one_based));
  });
}

status check_string(const checked_region& region, std::uint32_t index) {
  const node_record& node = region.nodes[index];
  const std::byte* offsets = region.base + node.aux_offset;
  const bool good = node.has(node_offsets64) ? offsets_are_sorted<std::uint64_t>(offsets, node.length, node.data_bytes)
                                             : offsets_are_sorted<std::uint32_t>(offsets, node.length, node.data_bytes);
  if (!good) return damaged_node(index, "its string offsets decrease or leave its bytes");
  return done();
}

status check_codes(const checked_region& region, std::uint32_t index) {
  const node_record& node = region.nodes[index];
  const auto limit = static_cast<std::int64_t>(region.nodes[node.child].length);
  const auto* validity =
      node.validity_offset == 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(region.base + node.validity_offset);
  const bool one_based = node.has(node_one_based);
  const bool good = with_code_type(node.element(), [&](auto zero) {
    using code = decltype(zero);
    const auto* codes = reinterpret_cast<const code*>(region.base + node.data_offset);
    bool all = true;
    for (std::uint64_t i = 0; i < node.length; ++i)
      all &= normal_code(codes[i], one_based) < limit || (validity != nullptr && !is_valid(validity, i));
    return all;
  });
  if (!good) return damaged_node(index, "a code of it is not in its dictionary");
  return done();
}

}  // namespace onecopy::format
