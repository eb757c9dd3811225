// One element of an array, a vector of strings, or a categorical, as text or as JSON.
#pragma once

#include <memory>
#include <vector>

#include "onecopy/value.hpp"
#include "onecopy/writer.hpp"
#include "render/sink.hpp"

namespace onecopy::cli {

// The elements of one node. Keeps the node; const members may be called from any thread.
class elements {
 public:
  // Throws wrong_type for nodes that have no elements (lists, tables, opaque).
  explicit elements(value node);

  std::uint64_t size() const { return node_.size(); }
  // Appends element i as plain text and returns true; or false, having appended nothing, when it is missing.
  bool text(buffer& out, std::uint64_t i) const;
  // Appends element i as JSON; null when it is missing. NaN and the infinities, which JSON has not, are strings.
  void json(buffer& out, std::uint64_t i) const;

 private:
  value node_;
  std::vector<record_field> fields_;
  std::unique_ptr<elements> levels_;  // of a categorical
};

// The fields of an array of C structs, one by one. `node` must be an array of records.
class record_reader {
 public:
  explicit record_reader(value node) : node_(std::move(node)), fields_(node_.fields()) {}
  // Field `field` of record `row`, as elements::text does; arrays and structs are JSON.
  bool text(buffer& out, std::uint64_t row, std::size_t field) const;

 private:
  value node_;
  std::vector<record_field> fields_;
};

// True for nodes that `elements` can read.
bool has_elements(const value& node);

// Text as a JSON string; bytes that are not UTF-8 become U+FFFD.
void append_json_string(buffer& out, std::string_view text);

}  // namespace onecopy::cli
