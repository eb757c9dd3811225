// onecopy cat: print what an object holds.
#include <cstdio>

#include "find.hpp"
#include "render/csv.hpp"
#include "render/json.hpp"
#include "text.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

namespace {

struct cat_options {
  std::string what;
  std::string at;
  std::uint64_t head = no_limit;
  std::string missing;
  bool json = false;
  bool raw = false;
  bool no_header = false;
};

// Follows "a/b/2": names of children, or their positions counted from 0.
value descend(value node, const std::string& path) {
  std::size_t from = 0;
  while (from < path.size()) {
    const std::size_t to = std::min(path.find('/', from), path.size());
    const std::string step = path.substr(from, to - from);
    from = to + 1;
    if (step.empty()) continue;
    if (node.kind() != node_kind::list && node.kind() != node_kind::table)
      throw error(error_kind::not_found, "go to " + path,
                  "what comes before \"" + step + "\" is no list or table, but of kind " + name_of(node.kind()));
    if (const auto named = node.find(step)) {
      node = *named;
      continue;
    }
    const bool number = step.find_first_not_of("0123456789") == std::string::npos && step.size() < 19;
    if (number && std::stoull(step) < node.size()) {
      node = node.child(std::stoull(step));
      continue;
    }
    node = node[step];  // throws not_found, with the names there are
  }
  return node;
}

void write_raw(const value& node) {
  switch (node.kind()) {
    case node_kind::array:
      return write_bytes({node.data(), static_cast<std::size_t>(node.data_bytes())});
    case node_kind::opaque: return write_bytes(node.opaque_bytes());
    case node_kind::string: {
      const auto layout = node.strings();
      return write_bytes(std::as_bytes(std::span(layout.bytes, static_cast<std::size_t>(layout.bytes_size))));
    }
    default: break;
  }
  throw error(error_kind::wrong_type, "print raw bytes",
              std::string("an object of kind ") + name_of(node.kind()) + " is not one run of bytes",
              "Choose a part of it with --at, or leave --raw away");
}

int run(const cat_options& options) {
  const value node = descend(find(options.what), options.at);
  if (options.raw) {
    write_raw(node);
    return exit_ok;
  }
  sink to;
  if (options.json || !fits_csv(node)) {
    write_json(to, node, {.head = options.head, .indent = true});
    add(to.out, '\n');
  } else {
    write_csv(to, node, {.head = options.head, .missing = options.missing, .header = !options.no_header});
  }
  to.flush();
  return exit_ok;
}

}  // namespace

void add_cat(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("cat", "Print what an object holds");
  auto options = std::make_shared<cat_options>();
  verb->add_option("H", options->what, "A handle, a name, an id or its beginning, or a file")->required();
  verb->add_option("--at", options->at, "A part of it: names or positions (from 0), as in a/b/2")->type_name("PATH");
  verb->add_option("-n,--head", options->head, "Print at most this many rows or elements")
      ->type_name("N")
      ->check(not_a_count);
  auto* na = verb->add_option("--na", options->missing, "What stands for a missing value in CSV (default: nothing)");
  na->type_name("TEXT");
  verb->add_flag("--no-header", options->no_header, "No line of column names");
  auto* json = verb->add_flag("--json", options->json, "JSON, whatever it is");
  verb->add_flag("--raw", options->raw, "The bytes themselves, of arrays, strings and opaque parts")
      ->excludes(json)
      ->excludes(na)
      ->excludes(verb->get_option("--head"));
  verb->footer(R"(
Tables, matrices and records are printed as CSV; vectors and strings one element
a line; lists, dicts and arrays of three and more dimensions as JSON. In CSV a
missing value is an empty field and an empty string is "". In JSON a table is an
array with an object for each row, a missing value is null, and "NaN",
"Infinity" and "-Infinity" are strings. Instants are printed in UTC, ISO 8601.

Examples:
  onecopy cat flights --head 3
  onecopy cat flights --at carrier | sort | uniq -c
  onecopy cat model --json --at coefficients
  onecopy cat weights --raw > weights.f64)");
  verb->callback([&chosen, options] { chosen = [options] { return run(*options); }; });
}

}  // namespace onecopy::cli
