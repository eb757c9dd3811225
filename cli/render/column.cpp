#include "render/column.hpp"

#include "render/json.hpp"

namespace onecopy::cli {

namespace {

void append_slice(buffer& out, const elements& items, const std::vector<std::uint64_t>& shape,
                  const std::vector<std::uint64_t>& strides, std::size_t level, std::uint64_t from) {
  if (level == shape.size()) return items.json(out, from);
  add(out, '[');
  for (std::uint64_t i = 0; i < shape[level]; ++i) {
    if (i > 0) add(out, ',');
    append_slice(out, items, shape, strides, level + 1, from + i * strides[level]);
  }
  add(out, ']');
}

}  // namespace

std::vector<std::uint64_t> strides_of(const std::vector<std::uint64_t>& shape, memory_order order) {
  std::vector<std::uint64_t> strides(shape.size());
  std::uint64_t step = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::size_t at = order == memory_order::column_major ? i : shape.size() - 1 - i;
    strides[at] = step;
    step *= shape[at];
  }
  return strides;
}

column::column(value node, std::uint64_t rows) : node_(std::move(node)) {
  std::uint64_t have = node_.size();
  if (has_elements(node_)) {
    items_ = std::make_shared<const elements>(node_);
    if (shape_ = node_.shape(); shape_.size() > 1) {
      strides_ = strides_of(shape_, node_.order());
      have = shape_[0];
    }
  } else if (node_.kind() == node_kind::table) {
    have = node_.rows();
    part_names_ = names_of(node_);
    part_names_.resize(node_.size());
    for (std::uint64_t i = 0; i < node_.size(); ++i) parts_.emplace_back(node_.child(i), rows);
  } else if (node_.kind() != node_kind::list) {
    return;  // the same for every row
  }
  if (have < rows)
    throw error(error_kind::corrupt, "print a table",
                "a column has " + std::to_string(have) + " rows where the table has " + std::to_string(rows));
}

bool column::text(buffer& out, std::uint64_t row) const {
  if (items_ && strides_.empty()) return items_->text(out, row);
  json(out, row);
  return true;
}

void column::json(buffer& out, std::uint64_t row) const {
  if (items_ && strides_.empty()) return items_->json(out, row);
  if (items_) return append_slice(out, *items_, shape_, strides_, 1, row * strides_[0]);
  if (node_.kind() == node_kind::table) {
    add(out, '{');
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (i > 0) add(out, ',');
      append_json_string(out, part_names_[i]);
      add(out, ':');
      parts_[i].json(out, row);
    }
    return add(out, '}');
  }
  sink cell;
  write_json(cell, node_.kind() == node_kind::list ? node_.child(row) : node_, {});
  out.append(cell.out.data(), cell.out.data() + cell.out.size());
}

}  // namespace onecopy::cli
