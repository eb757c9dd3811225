// onecopy info: what an object is, part by part.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "find.hpp"
#include "render/element.hpp"
#include "render/json.hpp"
#include "text.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

namespace {

using nlohmann::ordered_json;

struct limits {
  int depth = 4;
  std::uint64_t children = 50;  // of each list or table
};

const char* word(semantic meaning) {
  switch (meaning) {
    case semantic::none: return "";
    case semantic::date: return "date";
    case semantic::timestamp: return "timestamp";
    case semantic::timespan: return "timespan";
    case semantic::timeofday: return "time of day";
  }
  return "?";
}

const char* word(time_unit unit) {
  static constexpr const char* words[] = {"",       "year",        "month",       "week",       "day",
                                          "hour",   "minute",      "second",      "millisecond", "microsecond",
                                          "nanosecond", "picosecond", "femtosecond", "attosecond"};
  const auto i = static_cast<std::size_t>(unit);
  return i < std::size(words) ? words[i] : "?";
}

const char* word(list_form form) {
  static constexpr const char* words[] = {"list", "tuple", "set", "frozenset", "dict", "pairlist", "environment"};
  const auto i = static_cast<std::size_t>(form);
  return i < std::size(words) ? words[i] : "list";
}

// "336,776 x 19", "5"
std::string extent(const value& node) {
  switch (node.kind()) {
    case node_kind::table: return grouped(node.rows()) + " x " + grouped(node.size());
    case node_kind::null: return "";
    case node_kind::opaque: return human_bytes(node.size());
    case node_kind::list: return grouped(node.size());
    default: break;
  }
  const auto shape = node.shape();
  if (shape.empty()) return "scalar";
  std::string text;
  for (const auto n : shape) text += (text.empty() ? "" : " x ") + grouped(n);
  return text;
}

// "float64 timestamp in seconds", "strings, 4,043 different", "categorical of 16 levels"
std::string kind_text(const value& node) {
  switch (node.kind()) {
    case node_kind::array: {
      std::string text = name_of(node.type());
      if (node.semantic() != semantic::none)
        text += fmt::format(", {}{}{}", word(node.semantic()), node.unit() == time_unit::none ? "" : " by the ",
                            word(node.unit()));
      return text;
    }
    case node_kind::string: return "strings";
    case node_kind::coded_string: return "strings, " + grouped(node.dictionary().size()) + " different";
    case node_kind::categorical:
      return fmt::format("{}categorical, {} levels", node.ordered() ? "ordered " : "",
                         grouped(node.dictionary().size()));
    case node_kind::list: return word(node.form());
    case node_kind::opaque: return fmt::format("opaque ({})", node.tag());
    default: return name_of(node.kind());
  }
}

// A short attribute as it stands, a long one as what it is.
std::string attribute_text(const value& node) {
  if (!has_elements(node) || node.size() > 6) return kind_text(node) + " [" + extent(node) + "]";
  sink text;
  write_json(text, node, {});
  return std::string(text.out.data(), text.out.size());
}

std::string indented(int depth, const std::string& label) {
  return std::string(static_cast<std::size_t>(depth) * 2, ' ') + label;
}

void print_tree(const value& node, const std::string& label, int depth, const limits& limit,
                std::vector<std::vector<std::string>>& rows) {
  rows.push_back({indented(depth, label), kind_text(node), extent(node)});
  for (std::size_t i = 0; i < node.attribute_count(); ++i) {
    if (node.attribute_name(i) == "names") continue;  // they are the labels below
    const std::string label_of_attribute = fmt::format("@{}", node.attribute_name(i));
    rows.push_back({indented(depth + 1, label_of_attribute), attribute_text(node.attribute(i)), ""});
  }
  if (node.kind() != node_kind::list && node.kind() != node_kind::table) return;
  if (depth + 1 > limit.depth) return;
  const auto names = names_of(node);
  for (std::uint64_t i = 0; i < std::min(node.size(), limit.children); ++i)
    print_tree(node.child(i), names.empty() || names[i].empty() ? fmt::format("[{}]", i) : names[i], depth + 1, limit,
               rows);
  if (node.size() > limit.children)
    rows.push_back({indented(depth + 1, "... and " + grouped(node.size() - limit.children) + " more"), "", ""});
}

ordered_json tree_json(const value& node, int depth, const limits& limit) {
  ordered_json tree{{"node", node.index()}, {"kind", name_of(node.kind())}};
  if (has_elements(node)) {
    tree["dtype"] = node.kind() == node_kind::string ? "utf8" : name_of(node.type());
    tree["shape"] = node.shape();
    if (node.shape().size() > 1)
      tree["order"] = node.order() == memory_order::column_major ? "column_major" : "row_major";
  }
  if (node.kind() == node_kind::array) tree["bytes"] = node.data_bytes();
  if (node.kind() == node_kind::array && node.semantic() != semantic::none) {
    tree["semantic"] = word(node.semantic());
    tree["unit"] = word(node.unit());
  }
  if (node.kind() == node_kind::categorical) {
    tree["ordered"] = node.ordered();
    tree["levels"] = node.dictionary().size();
  }
  if (node.kind() == node_kind::opaque) {
    tree["tag"] = node.tag();
    tree["bytes"] = node.size();
  }
  if (node.kind() == node_kind::table) tree["rows"] = node.rows();
  if (node.attribute_count() > 0) {
    auto& attributes = tree["attributes"] = ordered_json::object();
    for (std::size_t i = 0; i < node.attribute_count(); ++i)
      if (node.attribute_name(i) != "names")
        attributes[std::string(node.attribute_name(i))] = tree_json(node.attribute(i), limit.depth, limit);
  }
  if (node.kind() != node_kind::list && node.kind() != node_kind::table) return tree;
  if (node.kind() == node_kind::list) tree["form"] = word(node.form());
  tree["size"] = node.size();
  if (depth + 1 > limit.depth) return tree;
  const auto names = names_of(node);
  auto& children = tree["children"] = ordered_json::array();
  for (std::uint64_t i = 0; i < std::min(node.size(), limit.children); ++i) {
    ordered_json child{{"name", names.empty() ? ordered_json() : ordered_json(names[i])}};
    child.update(tree_json(node.child(i), depth + 1, limit));
    children.push_back(std::move(child));
  }
  return tree;
}

// What the store says about it; nothing for files.
std::optional<store::entry> entry_of(const object_id& id) {
  for (auto& entry : store::list())
    if (entry.id == id) return entry;
  return std::nullopt;
}

int run(const std::string& what, bool json, const limits& limit) {
  const value node = find(what);
  const region& whole = node.region();
  const bool stored = whole.where() != backing::file && whole.where() != backing::mapped_file;
  const auto entry = stored ? entry_of(whole.id()) : std::nullopt;
  // Not counting ourselves.
  const std::size_t counted = stored ? store::holders(whole.id()) : 0;
  const std::size_t holders = counted > 0 ? counted - 1 : 0;
  const double lease = entry ? entry->lease_seconds : 0;
  if (json) {
    ordered_json about{{"id", whole.id().text()},
                       {"name", whole.name().empty() ? ordered_json() : ordered_json(whole.name())},
                       {"handle", stored ? ordered_json(handle_text(whole.id())) : ordered_json()},
                       {"backing", name_of(whole.where())},
                       {"path", whole.path().empty() ? ordered_json() : ordered_json(whole.path())},
                       {"bytes", whole.bytes().size()},
                       {"writable", whole.writable()},
                       {"holders", holders},
                       {"created", entry ? ordered_json(utc(entry->created)) : ordered_json()},
                       {"lease_seconds", std::isinf(lease) ? ordered_json() : ordered_json(lease)},
                       {"kept", std::isinf(lease)},
                       {"tree", tree_json(node, 0, limit)}};
    std::puts(about.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return exit_ok;
  }
  if (!whole.name().empty()) fmt::print("name      {}\n", whole.name());
  fmt::print("id        {}\n", whole.id().text());
  if (stored) fmt::print("handle    {}\n", handle_text(whole.id()));
  fmt::print("size      {} ({} bytes)\n", human_bytes(whole.bytes().size()), grouped(whole.bytes().size()));
  fmt::print("backing   {}{}{}\n", name_of(whole.where()), whole.path().empty() ? "" : " ", whole.path());
  if (stored) fmt::print("holders   {}\n", grouped(holders));
  if (entry) {
    fmt::print("created   {}\n", utc(entry->created));
    if (std::isinf(lease)) fmt::print("lease     kept until removed\n");
    else if (lease > 0) fmt::print("lease     stays {} after the last holder\n", human_seconds(lease));
  }
  if (whole.writable()) fmt::print("writable  every process sees every write\n");
  std::vector<std::vector<std::string>> rows;
  print_tree(node, "(all)", 0, limit, rows);
  fmt::print("\n{}", table(rows));
  return exit_ok;
}

}  // namespace

void add_info(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("info", "Say what an object is, part by part");
  auto what = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  auto limit = std::make_shared<limits>();
  verb->add_option("H", *what, "A handle, a name, an id or its beginning, or a file")->required();
  verb->add_flag("--json", *json, "Print a JSON object");
  verb->add_option("--depth", limit->depth, "Go this many levels down (default 4)")
      ->type_name("N")
      ->check(CLI::Range(0, 400));
  verb->add_option("--children", limit->children, "Show at most this many parts of each (default 50)")
      ->type_name("N")
      ->check(not_a_count);
  verb->footer(R"(
Shows who holds it and how long it stays, then the tree of its parts: name,
kind, and extent; attributes are marked @.

Examples:
  onecopy info flights
  onecopy info flights --json | jq '.tree.children[].name')");
  verb->callback([&chosen, what, json, limit] { chosen = [=] { return run(*what, *json, *limit); }; });
}

}  // namespace onecopy::cli
