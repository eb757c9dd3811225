// One column of a table, whatever it is made of: a vector, a matrix, a list or a table of as many rows.
#pragma once

#include <optional>
#include <vector>

#include "render/element.hpp"

namespace onecopy::cli {

// How far apart, in elements, neighbours of each dimension lie.
std::vector<std::uint64_t> strides_of(const std::vector<std::uint64_t>& shape, memory_order order);

class column {
 public:
  // Throws corrupt when the node has fewer than `rows` rows.
  column(value node, std::uint64_t rows);

  // Appends the cell as text and returns true, or returns false when it is missing. Cells that are not one element
  // are JSON.
  bool text(buffer& out, std::uint64_t row) const;
  void json(buffer& out, std::uint64_t row) const;

 private:
  value node_;
  std::shared_ptr<const elements> items_;     // arrays and strings
  std::vector<std::uint64_t> shape_, strides_;  // of an array of two and more dimensions
  std::vector<column> parts_;                 // of a table
  std::vector<std::string> part_names_;
};

}  // namespace onecopy::cli
