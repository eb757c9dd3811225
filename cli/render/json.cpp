#include "render/json.hpp"

#include <algorithm>
#include <set>

#include "render/column.hpp"
#include "render/element.hpp"

namespace onecopy::cli {

namespace {

// Deeper nesting than this is printed as text in place of the value: the stack is not ours to waste.
constexpr int deepest = 500;

bool usable_as_keys(const std::vector<std::string>& names) {
  std::set<std::string> seen;
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return !name.empty() && seen.insert(name).second; });
}

class json_writer {
 public:
  json_writer(sink& to, const json_style& style) : to_(to), style_(style) {}

  void write(const value& node, int depth) {
    if (depth > deepest) return add(to_.out, "\"(nested too deeply to print)\"");
    switch (node.kind()) {
      case node_kind::null: return add(to_.out, "null");
      case node_kind::list: return list(node, depth);
      case node_kind::table: return table(node, depth);
      case node_kind::opaque:
        add(to_.out, "{\"opaque\":");
        append_json_string(to_.out, node.tag());
        fmt::format_to(std::back_inserter(to_.out), ",\"bytes\":{}}}", node.size());
        return;
      default: break;
    }
    if (!has_elements(node)) return add(to_.out, "{\"unreadable\":\"a kind that this version doesn't know\"}");
    array(node);
  }

 private:
  void array(const value& node) {
    const elements items(node);
    const auto shape = node.shape();
    if (shape.empty()) return items.json(to_.out, 0);
    dimension(items, shape, strides_of(shape, node.order()), 0, 0);
  }

  void dimension(const elements& items, const std::vector<std::uint64_t>& shape,
                 const std::vector<std::uint64_t>& strides, std::size_t level, std::uint64_t from) {
    const std::uint64_t count = level == 0 ? std::min(shape[0], style_.head) : shape[level];
    add(to_.out, '[');
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i > 0) add(to_.out, ',');
      const std::uint64_t at = from + i * strides[level];
      if (level + 1 == shape.size()) items.json(to_.out, at);
      else dimension(items, shape, strides, level + 1, at);
      to_.maybe_flush();
    }
    add(to_.out, ']');
  }

  void list(const value& node, int depth) {
    const auto names = names_of(node);
    const std::uint64_t count = std::min(node.size(), style_.head);
    if (node.form() == list_form::dict && names.empty() && node.size() == 2) return pairs(node, depth);
    const bool empty_dict = node.form() == list_form::dict && node.size() == 0;
    const bool keyed = empty_dict || (!names.empty() && usable_as_keys(names));
    add(to_.out, keyed ? '{' : '[');
    for (std::uint64_t i = 0; i < count; ++i) {
      separate(i, depth + 1);
      if (keyed) {
        append_json_string(to_.out, names[i]);
        add(to_.out, style_.indent ? ": " : ":");
      }
      write(node.child(i), depth + 1);
      to_.maybe_flush();
    }
    close(count, depth, keyed ? '}' : ']');
  }

  // A dict whose keys are not strings: two children, keys and values.
  void pairs(const value& node, int depth) {
    const column keys(node.child(0), node.child(0).size()), values(node.child(1), node.child(1).size());
    const std::uint64_t count = std::min({node.child(0).size(), node.child(1).size(), style_.head});
    add(to_.out, '[');
    for (std::uint64_t i = 0; i < count; ++i) {
      separate(i, depth + 1);
      add(to_.out, '[');
      keys.json(to_.out, i);
      add(to_.out, ',');
      values.json(to_.out, i);
      add(to_.out, ']');
      to_.maybe_flush();
    }
    close(count, depth, ']');
  }

  void table(const value& node, int depth) {
    auto names = names_of(node);
    names.resize(node.size());
    std::vector<column> columns;
    for (std::uint64_t c = 0; c < node.size(); ++c) {
      if (names[c].empty()) names[c] = fmt::format("V{}", c + 1);
      columns.emplace_back(node.child(c), node.rows());
    }
    const std::uint64_t count = std::min(node.rows(), style_.head);
    add(to_.out, '[');
    for (std::uint64_t row = 0; row < count; ++row) {
      separate(row, depth + 1);
      add(to_.out, '{');
      for (std::size_t c = 0; c < columns.size(); ++c) {
        if (c > 0) add(to_.out, ',');
        append_json_string(to_.out, names[c]);
        add(to_.out, ':');
        columns[c].json(to_.out, row);
      }
      add(to_.out, '}');
      to_.maybe_flush();
    }
    close(count, depth, ']');
  }

  void separate(std::uint64_t i, int depth) {
    if (i > 0) add(to_.out, ',');
    if (style_.indent) new_line(depth);
  }
  void close(std::uint64_t count, int depth, char bracket) {
    if (style_.indent && count > 0) new_line(depth);
    add(to_.out, bracket);
  }
  void new_line(int depth) {
    add(to_.out, '\n');
    for (int i = 0; i < depth; ++i) add(to_.out, "  ");
  }

  sink& to_;
  json_style style_;
};

}  // namespace

std::vector<std::string> names_of(const value& node) {
  const auto names = node.attribute("names");
  if (!names || (names->kind() != node_kind::string && names->kind() != node_kind::coded_string)) return {};
  if (names->size() != node.size()) return {};
  std::vector<std::string> texts;
  texts.reserve(names->size());
  for (std::uint64_t i = 0; i < names->size(); ++i)
    texts.emplace_back(names->is_missing(i) ? std::string_view{} : names->string(i));
  return texts;
}

void write_json(sink& to, const value& node, const json_style& style) { json_writer(to, style).write(node, 0); }

}  // namespace onecopy::cli
