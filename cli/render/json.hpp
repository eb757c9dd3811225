// A whole tree as JSON.
#pragma once

#include <limits>

#include "onecopy/value.hpp"
#include "render/sink.hpp"

namespace onecopy::cli {

inline constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

struct json_style {
  // Elements of vectors, rows of tables and matrices, children of lists that are printed, at every level.
  std::uint64_t head = no_limit;
  bool indent = false;  // containers over several lines, arrays of elements on one
};

// vector: array. scalar: itself. n-d array: nested arrays by row. table: array of row objects. list: object if it has
// names, each once, else array. dict with other keys: array of [key, value]. opaque: {"opaque": tag, "bytes": n}.
void write_json(sink& to, const value& node, const json_style& style);

// The names of a list's children or a table's columns ("" where one has none), or empty if it has none.
std::vector<std::string> names_of(const value& node);

}  // namespace onecopy::cli
