#include "render/csv.hpp"

#include <algorithm>
#include <optional>

#include "render/column.hpp"
#include "render/json.hpp"

namespace onecopy::cli {

namespace {

// Quotes what was appended to `out` since `start`, where CSV needs it.
void quote_since(buffer& out, std::size_t start) {
  const std::string_view text(out.data() + start, out.size() - start);
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) return;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  quoted += '"';
  out.resize(start);
  add(out, quoted);
}

void append_quoted(buffer& out, std::string_view text) {
  const auto start = out.size();
  add(out, text);
  if (!text.empty()) quote_since(out, start);
}

bool is_text(const std::optional<value>& node, std::uint64_t size) {
  return node && (node->kind() == node_kind::string || node->kind() == node_kind::coded_string) && node->size() == size;
}

void write_header(sink& to, const std::vector<std::string>& names, bool row_names) {
  if (row_names) add(to.out, names.empty() ? "" : ",");
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) add(to.out, ',');
    append_quoted(to.out, names[i]);
  }
  add(to.out, '\n');
}

void write_table(sink& to, const value& node, const csv_style& style) {
  auto names = names_of(node);
  names.resize(node.size());
  std::vector<column> columns;
  for (std::uint64_t i = 0; i < node.size(); ++i) columns.emplace_back(node.child(i), node.rows());
  const auto row_names = node.attribute("row.names");
  const bool named = is_text(row_names, node.rows());
  if (style.header) write_header(to, names, named);
  const std::uint64_t rows = std::min(node.rows(), style.head);
  for (std::uint64_t row = 0; row < rows; ++row) {
    if (named) append_quoted(to.out, row_names->string(row));
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (i > 0 || named) add(to.out, ',');
      const auto start = to.out.size();
      if (columns[i].text(to.out, row)) quote_since(to.out, start);
      else add(to.out, style.missing);
    }
    add(to.out, '\n');
    to.maybe_flush();
  }
}

// Row or column names of an R matrix.
std::optional<value> dimension_names(const value& node, std::uint64_t dimension, std::uint64_t size) {
  const auto both = node.attribute("dimnames");
  if (!both || both->kind() != node_kind::list || both->size() <= dimension) return std::nullopt;
  auto names = std::optional<value>(both->child(dimension));
  return is_text(names, size) ? names : std::nullopt;
}

void write_matrix(sink& to, const value& node, const csv_style& style) {
  const auto shape = node.shape();
  const auto strides = strides_of(shape, node.order());
  const elements items(node);
  const auto row_names = dimension_names(node, 0, shape[0]);
  const auto column_names = dimension_names(node, 1, shape[1]);
  if (style.header && column_names) {
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < shape[1]; ++i) names.emplace_back(column_names->string(i));
    write_header(to, names, row_names.has_value());
  }
  const std::uint64_t rows = std::min(shape[0], style.head);
  for (std::uint64_t row = 0; row < rows; ++row) {
    if (row_names) append_quoted(to.out, row_names->string(row));
    for (std::uint64_t i = 0; i < shape[1]; ++i) {
      if (i > 0 || row_names) add(to.out, ',');
      const auto start = to.out.size();
      if (items.text(to.out, row * strides[0] + i * strides[1])) quote_since(to.out, start);
      else add(to.out, style.missing);
    }
    add(to.out, '\n');
    to.maybe_flush();
  }
}

void write_records(sink& to, const value& node, const csv_style& style) {
  const auto fields = node.fields();
  if (style.header) {
    std::vector<std::string> names;
    for (const auto& field : fields) names.push_back(field.name);
    write_header(to, names, false);
  }
  const record_reader reader(node);
  const std::uint64_t count = std::min(node.size(), style.head);
  for (std::uint64_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) add(to.out, ',');
      const auto start = to.out.size();
      if (reader.text(to.out, row, i)) quote_since(to.out, start);
      else add(to.out, style.missing);
    }
    add(to.out, '\n');
    to.maybe_flush();
  }
}

void write_vector(sink& to, const value& node, const csv_style& style) {
  const elements items(node);
  const std::uint64_t count = std::min(node.size(), style.head);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!items.text(to.out, i)) add(to.out, style.missing);
    add(to.out, '\n');
    to.maybe_flush();
  }
}

}  // namespace

bool fits_csv(const value& node) {
  return node.kind() == node_kind::table || (has_elements(node) && node.shape().size() <= 2);
}

void write_csv(sink& to, const value& node, const csv_style& style) {
  if (node.kind() == node_kind::table) return write_table(to, node, style);
  if (node.kind() == node_kind::array && node.type() == dtype::record) return write_records(to, node, style);
  if (node.shape().size() == 2) return write_matrix(to, node, style);
  write_vector(to, node, style);
}

}  // namespace onecopy::cli
