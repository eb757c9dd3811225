// Reading strings and codes in place, and checking a whole region.
#include <cstring>

#include "base/result.hpp"
#include "onecopy/value.hpp"
#include "onecopy/writer.hpp"
#include "region/state.hpp"

namespace onecopy {
namespace {

const format::checked_region& checked(const region& whole) noexcept { return whole.state()->checked(); }

[[noreturn]] void damaged(const value& node, const char* happened) {
  raise({error_kind::corrupt, "read a string", "node " + std::to_string(node.index()) + ": " + happened,
         "The region was changed after it was written: make it again"});
}

}  // namespace

std::string_view value::string(std::uint64_t i) const {
  if (i >= size())
    raise({error_kind::invalid_argument, "read string " + std::to_string(i), "there are " + std::to_string(size()), ""});
  const auto& all = checked(region_);
  const auto& node = record();
  if (kind() == node_kind::coded_string) {
    const std::int64_t code = format::code_at(all, node, i);
    if (code < 0) return {};
    const value words = dictionary();
    if (static_cast<std::uint64_t>(code) >= words.size()) damaged(*this, "a code of it is not in its dictionary");
    return words.string(static_cast<std::uint64_t>(code));
  }
  if (kind() != node_kind::string)
    raise({error_kind::wrong_type, "read a string", std::string("the node is ") + name_of(kind()), ""});
  if (const auto* bitmap = validity(); bitmap != nullptr && !format::is_valid(bitmap, i)) return {};
  const std::uint64_t first = format::string_offset(all, node, i), last = format::string_offset(all, node, i + 1);
  if (first > last || last > node.data_bytes) damaged(*this, "a string of it ends outside its bytes");
  return {reinterpret_cast<const char*>(all.base + node.data_offset + first), static_cast<std::size_t>(last - first)};
}

value::string_layout value::strings() const {
  if (kind() != node_kind::string)
    raise({error_kind::wrong_type, "read strings in Arrow's layout", std::string("the node is ") + name_of(kind()), ""});
  unwrap(region_.state()->check_once(index_, format::check_string));
  const auto& node = record();
  return {checked(region_).base + node.aux_offset, node.has(format::node_offsets64) ? 8 : 4,
          reinterpret_cast<const char*>(data()), node.data_bytes};
}

const std::uint8_t* value::encodings() const noexcept {
  const auto& node = record();
  if (node.kind != node_kind::string || !node.has(format::node_encodings)) return nullptr;
  const auto& marks = checked(region_).nodes[node.child];
  return reinterpret_cast<const std::uint8_t*>(checked(region_).base + marks.data_offset);
}

void value::check_codes() const {
  if (kind() != node_kind::coded_string && kind() != node_kind::categorical)
    raise({error_kind::wrong_type, "check codes", std::string("the node is ") + name_of(kind()), ""});
  unwrap(region_.state()->check_once(index_, format::check_codes));
}

void verify(const region& whole) {
  const auto& all = checked(whole);
  const auto table = all.nodes;
  // Again, from the bytes as they are now.
  unwrap(format::check({all.base, static_cast<std::size_t>(all.bytes)}));
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    const value node(whole, i);
    if (node.kind() == node_kind::string) unwrap(format::check_string(all, i));
    if (node.kind() == node_kind::coded_string || node.kind() == node_kind::categorical)
      unwrap(format::check_codes(all, i));
    if (node.kind() == node_kind::array && node.type() == dtype::record) (void)node.fields();
  }
  if ((all.head->flags & format::flag_checksum) == 0) return;
  if (format::checksum_of({all.base, static_cast<std::size_t>(all.bytes)}) != all.head->checksum)
    raise({error_kind::corrupt, "verify a region", "its checksum is not that of its bytes",
           "It was changed after it was written: make it again"});
}

}  // namespace onecopy
