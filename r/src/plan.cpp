#include "plan.h"

#include <algorithm>
#include <climits>

namespace ocr {

using onecopy::node_kind;
using onecopy::value;

namespace {

// Deeper than any honest object; R's own recursion would end the process.
constexpr int deepest = 2000;

// Notes that one language's package keeps for itself (docs/format.md).
bool is_private(std::string_view name) { return !name.empty() && name.front() == ':'; }

}  // namespace

std::uint32_t planner::add(planned item) {
  out_.items.push_back(item);
  return static_cast<std::uint32_t>(out_.items.size() - 1);
}

const char* planner::own(std::string_view text) { return out_.owned.emplace_back(text).c_str(); }

std::uint32_t planner::texts(std::initializer_list<const char*> items) {
  planned p;
  p.how = making::texts;
  p.type = STRSXP;
  p.length = static_cast<R_xlen_t>(items.size());
  p.detail = static_cast<std::uint32_t>(out_.texts.size());
  for (const char* text : items) out_.texts.push_back({text});
  return add(p);
}

std::uint32_t planner::integers(std::vector<int> items) {
  planned p;
  p.how = making::integers;
  p.type = INTSXP;
  p.length = static_cast<R_xlen_t>(items.size());
  p.detail = static_cast<std::uint32_t>(out_.integers.size());
  out_.integers.insert(out_.integers.end(), items.begin(), items.end());
  return add(p);
}

std::uint32_t planner::node(const value& v, bool attribute) {
  if (++depth_ > deepest)
    throw onecopy::error(onecopy::error_kind::unsupported, "read a shared object",
                         "it is nested more than " + std::to_string(deepest) + " levels deep");
  planned start;
  start.node = v.index();
  start.length = static_cast<R_xlen_t>(v.size());
  const std::uint32_t item = add(start);
  attribute_pairs derived;
  const SEXP* original = nullptr;
  if (options_.known)
    if (auto found = options_.known->objects.find(v.index()); found != options_.known->objects.end())
      original = &found->second;
  if (original && TYPEOF(*original) != ENVSXP) {
    at(item).how = making::original;
    at(item).original = *original;
    --depth_;
    return item;
  }
  switch (v.kind()) {
    case node_kind::null: break;
    case node_kind::array: array(item, v, derived); break;
    case node_kind::categorical: categorical(item, v, derived); break;
    case node_kind::string:
    case node_kind::coded_string: strings(item, v, attribute); break;
    case node_kind::list: list(item, v, derived); break;
    case node_kind::table: table(item, v, derived); break;
    case node_kind::opaque: opaque(item, v, derived); break;
    default:
      throw onecopy::error(onecopy::error_kind::unsupported, "read a shared object",
                           "it holds a kind of node that this version of onecopy doesn't know",
                           "install the version of onecopy that wrote it");
  }
  if (original) {
    at(item).how = making::original;
    if (at(item).children || v.kind() == node_kind::list) at(item).how = making::environment;
    at(item).original = *original;
  }
  if (options_.with_attributes || at(item).how == making::environment) attributes(item, v, std::move(derived));
  --depth_;
  return item;
}

void planner::list(std::uint32_t item, const value& v, attribute_pairs& derived) {
  using onecopy::list_form;
  planned& p = at(item);
  p.how = making::list;
  p.type = VECSXP;
  if (v.form() == list_form::pairlist) p.how = making::pairlist;
  if (v.form() == list_form::environment) p.how = making::environment;
  if (v.size() == 0 && v.attribute(":s4")) p.how = making::s4;
  // Not where R objects lie beside the shared ones (they may change, and a handle would carry their old state), nor
  // where a class has its own idea of what its list is.
  const bool odd = onecopy::value(v.region(), 0).attribute(":odd").has_value();
  if (lists_are_views() && p.how == making::list && v.kind() == node_kind::list && v.size() >= static_cast<std::uint64_t>(long_list) &&
      !options_.plain && !odd && !v.attribute("class") && !(options_.known && !options_.known->objects.empty())) {
    p.how = making::list_view;
    return;
  }
  p.children = static_cast<std::uint32_t>(v.size());
  p.first_child = static_cast<std::uint32_t>(out_.links.size());
  out_.links.resize(out_.links.size() + v.size());
  const std::uint32_t first = p.first_child;
  if (options_.known)
    if (auto found = options_.known->attributes.find(v.index()); found != options_.known->attributes.end())
      p.original = found->second;
  for (std::uint64_t i = 0; i < v.size(); ++i) out_.links[first + i] = node(v.child(i));
  if (v.form() == list_form::dict && v.size() == 2 && !v.attribute("names"))
    derived.push_back({"names", texts({"keys", "values"})});
}

void planner::table(std::uint32_t item, const value& v, attribute_pairs& derived) {
  list(item, v, derived);
  if (!v.attribute("class")) derived.push_back({"class", texts({"data.frame"})});
  if (!v.attribute("row.names")) {
    if (v.rows() > INT_MAX)
      throw onecopy::error(onecopy::error_kind::unsupported, "read a shared table",
                           "it has " + std::to_string(v.rows()) + " rows, and R's data frames end at 2^31 - 1",
                           "attach its columns one by one: the handle's node numbers are shown by `onecopy info`");
    derived.push_back({"row.names", integers({NA_INTEGER, -static_cast<int>(v.rows())})});
  }
}

void planner::opaque(std::uint32_t item, const value& v, attribute_pairs& derived) {
  planned& p = at(item);
  const auto bytes = v.opaque_bytes();
  p.data = bytes.data();
  p.bytes = bytes.size();
  p.length = static_cast<R_xlen_t>(bytes.size());
  if (v.tag() == "r-serialize") {
    p.how = making::unserialized;
    return;
  }
  p.how = making::foreign;
  p.type = RAWSXP;
  if (p.length >= options_.views.min_length) {
    p.how = making::view;
    p.offset = static_cast<std::uint64_t>(bytes.data() - v.region().bytes().data());
  }
  const char* tag = own(v.tag());
  derived.push_back({"tag", texts({tag})});
  derived.push_back({"class", texts({"onecopy_opaque"})});
}

void planner::attributes(std::uint32_t item, const value& v, attribute_pairs derived) {
  if (options_.known) {
    if (auto found = options_.known->attributes.find(v.index()); found != options_.known->attributes.end()) {
      at(item).original = found->second;
      return;
    }
    if (auto found = options_.known->pointers.find(v.index()); found != options_.known->pointers.end())
      at(item).pointers_of = found->second;
  }
  attribute_pairs all;
  for (std::size_t i = 0; i < v.attribute_count(); ++i) {
    const std::string_view name = v.attribute_name(i);
    if (name == ":s4") at(item).s4_bit = true;
    if (is_private(name) || name.empty()) continue;
    all.push_back({own(name), node(v.attribute(i), true)});
  }
  // What the node itself says (dates, levels, shape) comes on top, unless an attribute says it already.
  for (const planned_attribute& d : derived) {
    const bool given = std::any_of(all.begin(), all.end(),
                                   [&](const auto& a) { return std::string_view(a.name) == d.name; });
    if (!given) all.push_back(d);
  }
  // R checks dimnames against dim, and factors against their levels, so these come in this order.
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    auto rank = [](std::string_view name) { return name == "dim" ? 0 : name == "class" ? 2 : 1; };
    return rank(a.name) < rank(b.name);
  });
  at(item).first_attribute = static_cast<std::uint32_t>(out_.attributes.size());
  at(item).attributes = static_cast<std::uint32_t>(all.size());
  out_.attributes.insert(out_.attributes.end(), all.begin(), all.end());
}

}  // namespace ocr
