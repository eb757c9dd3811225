// Tables, matrices, records and vectors as CSV (RFC 4180, lines ended by LF).
#pragma once

#include <string>

#include "onecopy/value.hpp"
#include "render/sink.hpp"

namespace onecopy::cli {

struct csv_style {
  std::uint64_t head;        // rows printed
  std::string missing = {};  // what stands for a missing value; an empty string is written as ""
  bool header = true;
};

// True for what write_csv can print: tables, records, and arrays of at most two dimensions.
bool fits_csv(const value& node);

// A header line of column names where there are any; a first column of row names where they are text. A vector is one
// element a line, without header and without quotes.
void write_csv(sink& to, const value& node, const csv_style& style);

}  // namespace onecopy::cli
