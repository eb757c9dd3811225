#include "pager/expression.hpp"

#include <algorithm>
#include <cstring>

namespace onecopy {
namespace detail {

namespace {

error refuse(const std::string& happened, const std::string& remedy) {
  return error(error_kind::invalid_argument, "compute with lazy vectors", happened, remedy);
}

lazy_node_pointer finish(std::shared_ptr<lazy_node> node) {
  for (const auto& child : node->children) {
    node->operations += child->operations;
    node->depth = std::max(node->depth, child->depth + 1);
  }
  if (node->operations > most_operations || node->depth > most_depth)
    throw refuse("the expression has " + std::to_string(node->operations) + " operations, " +
                     std::to_string(node->depth) + " within each other",
                 "Make a lazy_array of a part of it first");
  return node;
}

bool is_integer(lazy_kind kind) { return kind >= lazy_kind::int8 && kind <= lazy_kind::uint64; }
bool is_float(lazy_kind kind) { return kind == lazy_kind::float32 || kind == lazy_kind::float64; }
bool is_complex_kind(lazy_kind kind) { return kind == lazy_kind::complex64 || kind == lazy_kind::complex128; }
bool is_r_kind(lazy_kind kind) { return kind == lazy_kind::r_integer || kind == lazy_kind::r_number; }

}  // namespace

std::size_t bytes_of(lazy_kind kind) noexcept { return onecopy::size_of(stored_as(kind)); }

dtype stored_as(lazy_kind kind) noexcept {
  switch (kind) {
    case lazy_kind::boolean: return dtype::bool8;
    case lazy_kind::int8: return dtype::int8;
    case lazy_kind::int16: return dtype::int16;
    case lazy_kind::int32:
    case lazy_kind::r_integer: return dtype::int32;
    case lazy_kind::int64: return dtype::int64;
    case lazy_kind::uint8: return dtype::uint8;
    case lazy_kind::uint16: return dtype::uint16;
    case lazy_kind::uint32: return dtype::uint32;
    case lazy_kind::uint64: return dtype::uint64;
    case lazy_kind::float32: return dtype::float32;
    case lazy_kind::float64:
    case lazy_kind::r_number: return dtype::float64;
    case lazy_kind::complex64: return dtype::complex64;
    case lazy_kind::complex128: return dtype::complex128;
  }
  return dtype::none;
}

bool is_possible(lazy_operation what, lazy_kind on, lazy_kind gives, std::size_t children) noexcept {
  using op = lazy_operation;
  if (stored_as(on) == dtype::none || stored_as(gives) == dtype::none) return false;
  const bool number = is_integer(on) || is_float(on) || is_r_kind(on);
  if (what >= op::add && what <= op::whole_quotient) {
    if (children != 2 || gives != on) return false;
    switch (what) {
      case op::add:
      case op::subtract:
      case op::multiply: return number || is_complex_kind(on);
      case op::divide: return on != lazy_kind::r_integer && (number || is_complex_kind(on));
      case op::remainder: return is_integer(on) || is_r_kind(on);
      case op::whole_quotient: return is_r_kind(on);
      case op::minimum:
      case op::maximum: return number;
      case op::power:
      case op::arc_tangent2: return is_float(on) || on == lazy_kind::r_number;
      default: return is_integer(on);
    }
  }
  if (what >= op::less && what <= op::not_equal)
    return children == 2 && gives == (is_r_kind(on) ? lazy_kind::r_integer : lazy_kind::boolean) &&
           (number || on == lazy_kind::boolean || (is_complex_kind(on) && what >= op::equal));
  if (what >= op::logical_and && what <= op::logical_not)
    return children == (what == op::logical_not ? 1u : 2u) && gives == on &&
           (on == lazy_kind::boolean || on == lazy_kind::r_integer);
  if (what >= op::negate && what <= op::is_nan) {
    if (children != 1) return false;
    if (what == op::negate) return gives == on && (number || is_complex_kind(on));
    if (what == op::bit_not) return gives == on && is_integer(on);
    if (what == op::is_nan) return gives == lazy_kind::boolean;
    if (what == op::absolute && is_complex_kind(on))
      return gives == (on == lazy_kind::complex64 ? lazy_kind::float32 : lazy_kind::float64);
    if (what == op::absolute) return gives == on && number;
    return gives == on && (is_float(on) || on == lazy_kind::r_number);
  }
  return what == op::select && children == 3 && gives == on;
}

lazy_node_pointer leaf(lazy_vector vector, lazy_kind kind) {
  if (!vector) throw refuse("an empty lazy array has no elements", "Use one that was made or attached");
  if (vector.type() != stored_as(kind) && !(kind == lazy_kind::uint8 && vector.type() == dtype::raw))
    throw error(error_kind::wrong_type, "compute with lazy vectors",
                std::string("its elements are ") + name_of(vector.type()), "");
  auto made = std::make_shared<lazy_node>();
  made->what = lazy_operation::leaf;
  made->kind = kind;
  made->size = vector.size();
  made->vector = std::move(vector);
  return made;
}

lazy_node_pointer constant(lazy_kind kind, const void* value) {
  auto made = std::make_shared<lazy_node>();
  made->what = lazy_operation::constant;
  made->kind = kind;
  made->size = 1;
  made->is_scalar = true;
  std::memcpy(made->value, value, bytes_of(kind));
  return made;
}

lazy_node_pointer convert(lazy_node_pointer child, lazy_kind to) {
  if (child->kind == to) return child;
  auto made = std::make_shared<lazy_node>();
  made->what = lazy_operation::convert;
  made->kind = to;
  made->size = child->size;
  made->is_scalar = child->is_scalar;
  made->children = {std::move(child)};
  return finish(std::move(made));
}

lazy_node_pointer apply(lazy_operation what, lazy_kind operands, lazy_kind result,
                        std::vector<lazy_node_pointer> children) {
  if (!is_possible(what, operands, result, children.size()))
    throw refuse("there is no such operation on elements of this type", "Convert them with cast first");
  auto made = std::make_shared<lazy_node>();
  made->what = what;
  made->kind = result;
  made->is_scalar = true;
  made->size = 1;
  const bool truth = what >= lazy_operation::logical_and && what <= lazy_operation::logical_not;
  for (std::size_t i = 0; i < children.size(); ++i) {
    lazy_node_pointer child = children[i];
    if (!child->is_scalar) {
      if (!made->is_scalar && made->size != child->size)
        throw refuse("vectors of " + std::to_string(made->size) + " and " + std::to_string(child->size) + " elements",
                     "Take slices of the same size");
      made->is_scalar = false;
      made->size = child->size;
    }
    if (what == lazy_operation::select && i == 0) {
      child = convert(std::move(child), lazy_kind::boolean);
    } else if (truth && operands == lazy_kind::r_integer &&
               (is_float(child->kind) || child->kind == lazy_kind::r_number)) {
      const double zero = 0;  // 0.5 is true, and must not be made an integer on the way
      child = apply(lazy_operation::not_equal, lazy_kind::r_number, lazy_kind::r_integer,
                    {std::move(child), constant(lazy_kind::r_number, &zero)});
    } else {
      child = convert(std::move(child), operands);
    }
    made->children.push_back(std::move(child));
  }
  return finish(std::move(made));
}

lazy_node_pointer slice(lazy_node_pointer child, std::uint64_t first, std::uint64_t count, std::int64_t step) {
  const auto last = static_cast<__int128>(first) + static_cast<__int128>(count == 0 ? 0 : count - 1) * step;
  if (step == 0 || child->is_scalar || (count > 0 && (first >= child->size || last < 0 || last >= child->size)) ||
      first > child->size)
    throw refuse("elements " + std::to_string(first) + " and further of a vector of " + std::to_string(child->size) +
                     " are out of range", "Slice within the vector");
  auto made = std::make_shared<lazy_node>();
  made->what = lazy_operation::slice;
  made->kind = child->kind;
  made->size = count;
  made->first = first;
  made->step = step;
  made->children = {std::move(child)};
  return finish(std::move(made));
}

lazy_node_pointer concatenate(std::vector<lazy_node_pointer> children) {
  auto made = std::make_shared<lazy_node>();
  made->what = lazy_operation::concatenate;
  made->kind = children.at(0)->kind;
  for (const auto& child : children) made->size += child->size;
  made->children = std::move(children);
  return finish(std::move(made));
}

std::uint64_t size_of(const lazy_node& node) noexcept { return node.size; }

void read(const lazy_node& node, std::uint64_t first, std::uint64_t count, void* out) {
  if (first > node.size || count > node.size - first)
    throw refuse("elements " + std::to_string(first) + " to " + std::to_string(first + count) + " of " +
                     std::to_string(node.size) + " are out of range", "Read within the expression");
  pager::evaluator(node).compute(first, count, out);
}

}  // namespace detail

namespace pager {

namespace {

using detail::lazy_kind;
using detail::lazy_operation;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
bool take(std::string_view& in, T& out) {
  if (in.size() < sizeof out) return false;
  std::memcpy(&out, in.data(), sizeof out);
  in.remove_prefix(sizeof out);
  return true;
}

void encode_into(std::string& out, const lazy_node& node, std::vector<lazy_vector>& leaves) {
  put(out, node.what);
  put(out, node.kind);
  switch (node.what) {
    case lazy_operation::leaf: {
      auto known = std::find_if(leaves.begin(), leaves.end(),
                                [&](const auto& one) { return one.id() == node.vector.id(); });
      if (known == leaves.end()) known = leaves.insert(leaves.end(), node.vector);
      put(out, static_cast<std::uint32_t>(known - leaves.begin()));
      put(out, node.size);
      return;
    }
    case lazy_operation::constant: out.append(reinterpret_cast<const char*>(node.value), sizeof node.value); return;
    case lazy_operation::slice:
      put(out, node.first);
      put(out, node.size);
      put(out, node.step);
      break;
    default: break;
  }
  put(out, static_cast<std::uint32_t>(node.children.size()));
  // What the operands are can't be told from the result of a comparison.
  if (!node.children.empty()) put(out, node.children.back()->kind);
  for (const auto& child : node.children) encode_into(out, *child, leaves);
}

// Throws what the functions throw that build trees; nullptr when the bytes end early.
lazy_node_pointer decode_from(std::string_view& in, std::span<const lazy_vector> leaves, unsigned depth) {
  lazy_operation what{};
  lazy_kind kind{}, operands{};
  if (depth > detail::most_depth || !take(in, what) || !take(in, kind)) return nullptr;
  if (detail::stored_as(kind) == dtype::none) return nullptr;
  if (what == lazy_operation::leaf) {
    std::uint32_t number = 0;
    std::uint64_t size = 0;
    if (!take(in, number) || !take(in, size)) return nullptr;
    if (!leaves.empty()) {
      if (number >= leaves.size() || leaves[number].size() != size) return nullptr;
      return detail::leaf(leaves[number], kind);
    }
    auto stand_in = std::make_shared<lazy_node>();
    stand_in->kind = kind;
    stand_in->size = size;
    return stand_in;
  }
  if (what == lazy_operation::constant) {
    std::byte value[16];
    return take(in, value) ? detail::constant(kind, value) : nullptr;
  }
  std::uint64_t first = 0, size = 0;
  std::int64_t step = 1;
  if (what == lazy_operation::slice && !(take(in, first) && take(in, size) && take(in, step))) return nullptr;
  std::uint32_t count = 0;
  if (!take(in, count) || count == 0 || count > in.size() || !take(in, operands)) return nullptr;
  std::vector<lazy_node_pointer> children;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto child = decode_from(in, leaves, depth + 1);
    if (!child) return nullptr;
    children.push_back(std::move(child));
  }
  switch (what) {
    case lazy_operation::convert: return count == 1 ? detail::convert(children[0], kind) : nullptr;
    case lazy_operation::slice: return count == 1 ? detail::slice(children[0], first, size, step) : nullptr;
    case lazy_operation::concatenate: {
      const bool alike = std::all_of(children.begin(), children.end(),
                                     [&](const auto& one) { return one->kind == kind && !one->is_scalar; });
      return alike ? detail::concatenate(std::move(children)) : nullptr;
    }
    default: return detail::apply(what, operands, kind, std::move(children));
  }
}

}  // namespace

std::string encode(const lazy_node& node, std::vector<lazy_vector>& leaves) {
  std::string out;
  encode_into(out, node, leaves);
  return out;
}

result<lazy_node_pointer> decode(std::string_view bytes, std::span<const lazy_vector> leaves) {
  const failure damaged{error_kind::corrupt, "read a lazy expression", "its description makes no sense",
                        "It was made by another version, or damaged: make it again"};
  try {
    auto made = decode_from(bytes, leaves, 1);
    if (!made || !bytes.empty()) return damaged;
    return made;
  } catch (const error&) {
    return damaged;
  }
}

}  // namespace pager
}  // namespace onecopy
