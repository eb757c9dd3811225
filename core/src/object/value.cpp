// Reading a node in place: what it is, arrays, containers, attributes.
#include "onecopy/value.hpp"

#include <cstring>

#include "base/arithmetic.hpp"
#include "base/result.hpp"
#include "region/state.hpp"

namespace onecopy {

using format::node_record;

namespace {

std::string described(const value& node) {
  std::string text = std::string("node ") + std::to_string(node.index()) + ", ";
  const auto kind = node.kind();
  text += name_of(kind);
  if (kind == node_kind::array) text += std::string(" of ") + name_of(node.type());
  return text;
}

[[noreturn]] void wrong_kind(const value& node, const char* doing, const char* wanted) {
  raise({error_kind::wrong_type, doing, "it is " + described(node) + ", not " + wanted, ""});
}

[[noreturn]] void no_element(const char* what, std::uint64_t i, std::uint64_t size) {
  raise({error_kind::invalid_argument, std::string("read ") + what + ' ' + std::to_string(i),
         "there are " + std::to_string(size), ""});
}

const format::checked_region& checked(const region& whole) noexcept { return whole.state()->checked(); }

}  // namespace

value::value(onecopy::region from, std::uint32_t index) : region_(std::move(from)), index_(index) {
  if (!region_) raise({error_kind::invalid_argument, "read a shared object", "the region is empty", ""});
  const auto count = checked(region_).nodes.size();
  if (index_ >= count) no_element("node", index_, count);
}

std::uint32_t node_count(const region& whole) {
  if (!whole) raise({error_kind::invalid_argument, "count the nodes of a shared object", "the region is empty", ""});
  return static_cast<std::uint32_t>(checked(whole).nodes.size());
}

const node_record& value::record() const noexcept { return checked(region_).nodes[index_]; }

node_kind value::kind() const noexcept { return record().kind; }
dtype value::type() const noexcept {
  const auto kind = record().kind;
  const bool has = kind == node_kind::array || kind == node_kind::coded_string || kind == node_kind::categorical;
  return has ? record().element() : dtype::none;
}
onecopy::semantic value::semantic() const noexcept { return record().semantic; }
time_unit value::unit() const noexcept { return record().unit; }
list_form value::form() const noexcept {
  return kind() == node_kind::list ? static_cast<list_form>(record().type) : list_form::list;
}
std::uint64_t value::size() const noexcept {
  const auto kind = record().kind;
  // The check passes over the length of a node without content, or of a kind it doesn't know.
  return kind == node_kind::null || kind > node_kind::opaque ? 0 : record().length;
}
std::uint64_t value::rows() const noexcept { return kind() == node_kind::table ? record().data_bytes : 0; }
bool value::ordered() const noexcept { return record().has(format::node_ordered); }
int value::code_base() const noexcept { return record().has(format::node_one_based) ? 1 : 0; }

// ---- arrays

std::size_t value::item_size() const noexcept {
  const dtype element = type();
  if (!format::width_in_node(element)) return size_of(element);
  std::uint64_t width = 0;
  std::memcpy(&width, checked(region_).base + record().aux_offset, sizeof width);
  return static_cast<std::size_t>(width);
}

std::vector<std::uint64_t> value::shape() const {
  const node_record& node = record();
  if (node.has(format::node_scalar)) return {};
  const std::uint64_t skip = format::width_in_node(type()) ? 8 : 0;
  if (kind() != node_kind::array || node.has(format::node_inline) || node.aux_bytes <= skip) return {node.length};
  std::vector<std::uint64_t> extents(static_cast<std::size_t>((node.aux_bytes - skip) / 8));
  std::memcpy(extents.data(), checked(region_).base + node.aux_offset + skip, extents.size() * 8);
  return extents;
}

memory_order value::order() const noexcept {
  return record().has(format::node_row_major) ? memory_order::row_major : memory_order::column_major;
}

const std::byte* value::data() const noexcept { return checked(region_).base + data_offset(); }

std::uint64_t value::data_bytes() const noexcept {
  const auto kind = record().kind;
  return kind == node_kind::null || kind == node_kind::list || kind == node_kind::table || kind > node_kind::opaque
             ? 0 : record().data_bytes;
}

std::uint64_t value::data_offset() const noexcept { return data_bytes() == 0 ? 0 : record().data_offset; }

const std::uint8_t* value::validity() const noexcept {
  const auto kind = record().kind;
  const bool may_have = kind >= node_kind::array && kind <= node_kind::categorical;
  if (!may_have || record().validity_offset == 0) return nullptr;
  return reinterpret_cast<const std::uint8_t*>(checked(region_).base + record().validity_offset);
}

bool value::is_missing(std::uint64_t i) const {
  if (i >= size()) no_element("element", i, size());
  switch (kind()) {
    case node_kind::coded_string:
    case node_kind::categorical: return format::code_at(checked(region_), record(), i) < 0;
    case node_kind::array:
    case node_kind::string: break;
    default: return kind() == node_kind::null;
  }
  if (const auto* bitmap = validity(); bitmap != nullptr && !format::is_valid(bitmap, i)) return true;
  if (kind() != node_kind::array || !least_is_missing()) return false;
  switch (type()) {
    case dtype::int8: return as<std::int8_t>()[i] == INT8_MIN;
    case dtype::int16: return as<std::int16_t>()[i] == INT16_MIN;
    case dtype::int32:
    case dtype::logical32: return as<std::int32_t>()[i] == INT32_MIN;
    case dtype::int64: return as<std::int64_t>()[i] == INT64_MIN;
    default: return false;
  }
}

bool value::least_is_missing() const noexcept {
  return kind() == node_kind::array && record().has(format::node_least_missing);
}

void value::require_type(dtype wanted, const char* doing) const {
  const bool has_items = kind() == node_kind::array || kind() == node_kind::categorical || kind() == node_kind::coded_string;
  const dtype actual = has_items ? type() : dtype::none;
  if (wanted != dtype::none && (actual == wanted || (wanted == dtype::int32 && actual == dtype::logical32))) return;
  raise({error_kind::wrong_type, std::string(doing) + " a shared array", "it is " + described(*this) + ", not of " + name_of(wanted),
         "Ask for its own type"});
}

// ---- containers

value value::child(std::uint64_t i) const {
  if (kind() != node_kind::list && kind() != node_kind::table) wrong_kind(*this, "read a child", "a list or table");
  if (i >= size()) no_element("child", i, size());
  return value(region_, record().child + static_cast<std::uint32_t>(i));
}

std::optional<value> value::find(std::string_view name) const {
  if (kind() != node_kind::list && kind() != node_kind::table) wrong_kind(*this, "look for a child", "a list or table");
  const auto names = attribute("names");
  if (!names || (names->kind() != node_kind::string && names->kind() != node_kind::coded_string)) return std::nullopt;
  const std::uint64_t count = std::min(names->size(), size());
  for (std::uint64_t i = 0; i < count; ++i)
    if (!names->is_missing(i) && names->string(i) == name) return child(i);
  return std::nullopt;
}

value value::operator[](std::string_view name) const {
  if (auto found = find(name)) return *found;
  std::string known;
  if (const auto names = attribute("names"))
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(names->size(), 20); ++i)
      known += (i == 0 ? "" : ", ") + std::string(names->string(i));
  raise({error_kind::not_found, "find \"" + std::string(name) + "\" in a shared object",
         known.empty() ? "it has no names" : "its names are " + known, ""});
}

value value::dictionary() const {
  if (kind() != node_kind::coded_string && kind() != node_kind::categorical)
    wrong_kind(*this, "read a dictionary", "a categorical or coded string");
  return value(region_, record().child);
}

// ---- opaque

std::string_view value::tag() const {
  if (kind() != node_kind::opaque) wrong_kind(*this, "read a tag", "opaque");
  return {reinterpret_cast<const char*>(checked(region_).base + record().aux_offset),
          static_cast<std::size_t>(record().aux_bytes)};
}

std::span<const std::byte> value::opaque_bytes() const {
  if (kind() != node_kind::opaque) wrong_kind(*this, "read opaque bytes", "opaque");
  return {data(), static_cast<std::size_t>(size())};
}

// ---- attributes

std::size_t value::attribute_count() const noexcept {
  const auto at = record().attributes;
  if (at == 0 || kind() > node_kind::opaque) return 0;
  return static_cast<std::size_t>(checked(region_).nodes[at].length) - 1;
}

std::string_view value::attribute_name(std::size_t i) const {
  if (i >= attribute_count()) no_element("attribute", i, attribute_count());
  return value(region_, checked(region_).nodes[record().attributes].child).string(i);
}

value value::attribute(std::size_t i) const {
  if (i >= attribute_count()) no_element("attribute", i, attribute_count());
  return value(region_, checked(region_).nodes[record().attributes].child + 1 + static_cast<std::uint32_t>(i));
}

std::optional<value> value::attribute(std::string_view name) const {
  for (std::size_t i = 0; i < attribute_count(); ++i)
    if (attribute_name(i) == name) return attribute(i);
  return std::nullopt;
}

// ---- finding objects

value attach(const handle& where) { return value(store::attach(where), where.node); }
value attach(std::string_view handle_text) { return attach(handle::parse(handle_text)); }
value attach_name(std::string_view name) { return value(store::attach_name(name)); }
value open(const std::string& path) { return value(store::open_file(path)); }

}  // namespace onecopy
