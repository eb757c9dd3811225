#include "format/check.hpp"

#include <cstring>
#include <string>
#include <vector>

#include "base/arithmetic.hpp"
#include "base/hash.hpp"
#include "onecopy/version.hpp"

namespace onecopy::format {
namespace {

failure damaged(const std::string& what) {
  return {error_kind::corrupt, "read a region", what,
          "The file is not a onecopy region, was cut short, or was changed after it was written"};
}

class node_checker {
 public:
  explicit node_checker(const checked_region& region)
      : bytes_(region.bytes), base_(region.base), nodes_(region.nodes), depth_(region.nodes.size(), 0) {
    depth_[0] = 1;
  }

  status run() {
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
      const char* wrong = check_node(i);
      if (wrong != nullptr) return damaged("node " + std::to_string(i) + ": " + wrong);
    }
    return done();
  }

 private:
  // Parents come before their children, so when a node is reached its depth is known.
  const char* adopt(std::uint32_t parent, std::uint64_t first, std::uint64_t count) {
    if (count == 0) return nullptr;
    if (first <= parent || !within(first, count, nodes_.size())) return "its children are not in the region";
    const unsigned depth = depth_[parent] + 1u;
    if (depth > max_depth) return "it is nested too deep";
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (depth_[i] != 0) return "a child of it has two parents";
      depth_[i] = static_cast<std::uint16_t>(depth);
    }
    return nullptr;
  }

  const char* check_buffer(std::uint64_t offset, std::uint64_t size, std::uint64_t alignment) const {
    if (!within(offset, size, bytes_)) return "a buffer of it ends outside the region";
    if (offset % alignment != 0) return "a buffer of it is not aligned";
    return nullptr;
  }

  // `length` elements of `width` bytes at data_offset.
  const char* check_elements(const node_record& node, std::uint64_t width) const {
    const auto size = checked_mul(node.length, width);
    if (!size || *size != node.data_bytes) return "its size does not fit its length";
    if (!node.has(node_inline)) return check_buffer(node.data_offset, node.data_bytes, buffer_alignment);
    const auto* aux = reinterpret_cast<const std::byte*>(&node.aux_offset);
    const bool here = node.data_offset == static_cast<std::uint64_t>(aux - base_);
    return here && node.data_bytes <= inline_capacity ? nullptr : "its inline data is somewhere else";
  }

  const char* check_validity(const node_record& node) const {
    if (node.validity_offset == 0) return nullptr;
    return check_buffer(node.validity_offset, bitmap_bytes(node.length), buffer_alignment);
  }

  std::uint64_t number_at(std::uint64_t offset) const {
    std::uint64_t number = 0;
    std::memcpy(&number, base_ + offset, sizeof number);
    return number;
  }

  const char* check_shape(const node_record& node, std::uint64_t& width) const {
    if (node.has(node_inline)) {
      if (width_in_node(node.element())) return "its width is missing";
      return node.has(node_scalar) && node.length != 1 ? "a scalar has one element" : nullptr;
    }
    if (node.aux_bytes % 8 != 0 || node.aux_bytes / 8 > 256) return "its shape is not a list of numbers";
    if (const char* wrong = check_buffer(node.aux_offset, node.aux_bytes, 8)) return wrong;
    std::uint64_t at = node.aux_offset;
    const std::uint64_t end = at + node.aux_bytes;
    if (width_in_node(node.element())) {
      if (at == end) return "its width is missing";
      width = number_at(at);
      if (width == 0) return "its width is zero";  // its length would be bounded by nothing
      at += 8;
    }
    if (node.has(node_scalar)) return node.length == 1 && at == end ? nullptr : "a scalar has one element";
    if (at == end) return nullptr;
    std::uint64_t product = 1;
    bool empty = false;
    for (; at < end; at += 8) {
      const std::uint64_t extent = number_at(at);
      empty |= extent == 0;
      const auto next = checked_mul(product, extent == 0 ? 1 : extent);
      if (!next) return "its shape is larger than memory";
      product = *next;
    }
    return node.length == (empty ? 0 : product) ? nullptr : "its shape does not fit its length";
  }

  const char* check_array(std::uint32_t index) {
    const node_record& node = nodes_[index];
    std::uint64_t width = size_of(node.element());
    if (width == 0 && !width_in_node(node.element())) return "its element type is unknown";
    if (const char* wrong = check_shape(node, width)) return wrong;
    if (const char* wrong = check_elements(node, width)) return wrong;
    if (const char* wrong = check_validity(node)) return wrong;
    if (node.element() != dtype::record) return nullptr;
    if (node.child == 0) return "a record without fields";
    if (const char* wrong = adopt(index, node.child, 1)) return wrong;
    return nodes_[node.child].kind == node_kind::table ? nullptr : "its fields are not a table";
  }

  const char* check_string_node(std::uint32_t index) {
    const node_record& node = nodes_[index];
    const std::uint64_t width = node.has(node_offsets64) ? 8 : 4;
    const auto count = checked_add(node.length, 1);
    const auto size = count ? checked_mul(*count, width) : std::nullopt;
    if (!size || *size != node.aux_bytes) return "its offsets do not fit its length";
    if (const char* wrong = check_buffer(node.aux_offset, node.aux_bytes, buffer_alignment)) return wrong;
    if (const char* wrong = check_buffer(node.data_offset, node.data_bytes, 1)) return wrong;
    if (const char* wrong = check_validity(node)) return wrong;
    if (!node.has(node_encodings)) return nullptr;
    if (node.child == 0) return "its encodings are missing";
    if (const char* wrong = adopt(index, node.child, 1)) return wrong;
    const node_record& marks = nodes_[node.child];
    return marks.kind == node_kind::array && marks.element() == dtype::uint8 && marks.length == node.length
               ? nullptr
               : "its encodings do not fit its length";
  }

  const char* check_coded(std::uint32_t index) {
    const node_record& node = nodes_[index];
    if (!is_code_type(node.element())) return "its codes are not integers";
    if (const char* wrong = check_elements(node, size_of(node.element()))) return wrong;
    if (const char* wrong = check_validity(node)) return wrong;
    if (node.child == 0) return "its dictionary is missing";
    if (const char* wrong = adopt(index, node.child, 1)) return wrong;
    if (node.kind == node_kind::coded_string && nodes_[node.child].kind != node_kind::string)
      return "its dictionary is not of strings";
    return nullptr;
  }

  // The rows that a column of a table stands for; nullopt for kinds that may be a column of any length.
  std::optional<std::uint64_t> rows_of(const node_record& column) const {
    switch (column.kind) {
      case node_kind::table: return column.data_bytes;
      case node_kind::array: {
        // A matrix may stand as a column: its first extent counts. Its own check comes later, so nothing is trusted.
        const std::uint64_t skip = width_in_node(column.element()) ? 8 : 0;
        const bool has_shape = !column.has(node_inline) && !column.has(node_scalar) && column.aux_bytes >= skip + 8 &&
                               within(column.aux_offset, column.aux_bytes, bytes_);
        return has_shape ? number_at(column.aux_offset + skip) : column.length;
      }
      case node_kind::string:
      case node_kind::coded_string:
      case node_kind::categorical:
      case node_kind::list: return column.length;
      default: return std::nullopt;
    }
  }

  const char* check_table(std::uint32_t index) {
    const node_record& node = nodes_[index];
    if (const char* wrong = adopt(index, node.child, node.length)) return wrong;
    for (std::uint64_t i = 0; i < node.length; ++i)
      if (const auto rows = rows_of(nodes_[node.child + i]); rows && *rows != node.data_bytes)
        return "a column of it has another length";
    return nullptr;
  }

  const char* check_opaque(const node_record& node) const {
    if (node.length != node.data_bytes) return "its size does not fit its length";
    if (const char* wrong = check_buffer(node.data_offset, node.data_bytes, 1)) return wrong;
    return check_buffer(node.aux_offset, node.aux_bytes, 1);
  }

  const char* check_attributes(std::uint32_t index) {
    const node_record& node = nodes_[index];
    if (node.attributes == 0) return nullptr;
    if (const char* wrong = adopt(index, node.attributes, 1)) return wrong;
    const node_record& list = nodes_[node.attributes];
    if (list.kind != node_kind::list || list.length == 0 || list.child == 0 || list.child >= nodes_.size())
      return "its attributes are not a list";
    const node_record& names = nodes_[list.child];
    return names.kind == node_kind::string && names.length == list.length - 1 ? nullptr
                                                                              : "its attributes have no names";
  }

  const char* check_node(std::uint32_t index) {
    const node_record& node = nodes_[index];
    const char* wrong = nullptr;
    switch (node.kind) {
      case node_kind::null: break;
      case node_kind::array: wrong = check_array(index); break;
      case node_kind::string: wrong = check_string_node(index); break;
      case node_kind::coded_string:
      case node_kind::categorical: wrong = check_coded(index); break;
      case node_kind::list: wrong = adopt(index, node.child, node.length); break;
      case node_kind::table: wrong = check_table(index); break;
      case node_kind::opaque: wrong = check_opaque(node); break;
      default: return nullptr;  // of a newer minor version: never dereferenced, so there is nothing to check
    }
    return wrong != nullptr ? wrong : check_attributes(index);
  }

  std::uint64_t bytes_;
  const std::byte* base_;
  std::span<const node_record> nodes_;
  std::vector<std::uint16_t> depth_;  // 0: nobody's child so far
};

}  // namespace

result<checked_region> check(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(header) + sizeof(node_record)) return damaged("it is too short for a header");
  const auto* head = reinterpret_cast<const header*>(bytes.data());
  if (std::memcmp(head->magic, magic, sizeof magic) != 0) return damaged("it does not begin as a region does");
  if (head->byte_order != byte_order_mark) return damaged("it was written with another byte order");
  if (head->version_major != format_version_major)
    return failure{error_kind::unsupported, "read a region",
                   "its format is version " + std::to_string(head->version_major) + ", this library reads version " +
                       std::to_string(format_version_major),
                   "Use the same version of onecopy in all processes"};
  if (head->header_bytes < sizeof(header) || head->header_bytes % 64 != 0) return damaged("its header has a wrong size");
  if (head->region_bytes > bytes.size())
    return damaged("it says it has " + std::to_string(head->region_bytes) + " bytes, but there are only " +
                   std::to_string(bytes.size()));
  if (head->name[name_capacity - 1] != '\0') return damaged("its name does not end");
  const auto table = checked_mul(head->node_count, sizeof(node_record));
  if (head->node_count == 0 || head->node_count > UINT32_MAX || !table || head->nodes_offset % 64 != 0 ||
      head->nodes_offset < head->header_bytes || !within(head->nodes_offset, *table, head->region_bytes))
    return damaged("its node table is not in the region");

  checked_region region;
  region.base = bytes.data();
  region.bytes = head->region_bytes;
  region.head = head;
  region.nodes = {reinterpret_cast<const node_record*>(bytes.data() + head->nodes_offset),
                  static_cast<std::size_t>(head->node_count)};
  if (auto nodes = node_checker(region).run(); !nodes) return nodes.reason();
  return region;
}

std::uint64_t checksum_of(std::span<const std::byte> region) noexcept {
  header head;
  std::memcpy(&head, region.data(), sizeof head);
  head.checksum = 0;
  return xxh64(region.subspan(sizeof head), xxh64(std::as_bytes(std::span(&head, 1))));
}

}  // namespace onecopy::format
