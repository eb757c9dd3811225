// The fields of records: written as a table beside the data, and read back with checks.
//
// The table has a row for each field and the columns name (string), type (uint8), offset (uint64), size (uint64, bytes
// of one element), shape (a list of uint64 arrays) and fields (a list: null, or the table of a nested record).
#include <string>

#include "base/arithmetic.hpp"
#include "object/description.hpp"
#include "onecopy/value.hpp"

namespace onecopy {
namespace {

[[noreturn]] void wrong_field(const std::string& name, const char* happened) {
  raise({error_kind::invalid_argument, "describe the field \"" + name + "\" of a record", happened, ""});
}

std::size_t element_size(const record_field& field) {
  const std::size_t natural = size_of(field.type);
  if (field.item_size != 0 && natural != 0 && field.item_size != natural)
    wrong_field(field.name, "its size is not that of its type");
  const std::size_t size = field.item_size != 0 ? field.item_size : natural;
  if (size == 0) wrong_field(field.name, "its size is not given");
  return size;
}

void check_fields(std::span<const record_field> fields, std::size_t width) {
  for (const auto& field : fields) {
    std::uint64_t bytes = element_size(field);
    for (const auto extent : field.shape) {
      const auto next = checked_mul(bytes, extent);
      if (!next) wrong_field(field.name, "its shape is larger than memory");
      bytes = *next;
    }
    if (!within(field.offset, bytes, width)) wrong_field(field.name, "it ends outside the record");
    if ((field.type == dtype::record) != !field.fields.empty())
      wrong_field(field.name, "a record has fields, and nothing else has");
    if (field.type == dtype::record) check_fields(field.fields, element_size(field));
  }
}

template <class T>
void numbers(writer& to, writer::slot at, std::vector<T> items) {
  auto kept = std::make_shared<std::vector<T>>(std::move(items));
  to.array(at, {.type = dtype_of<T>, .count = kept->size()}, kept->data());
  to.keep(kept);
}

void write_fields(writer& to, writer::slot at, std::span<const record_field> fields) {
  const auto column = to.table(at, 6, fields.size());
  to.names(at, {"name", "type", "offset", "size", "shape", "fields"});
  auto names = std::make_shared<std::vector<std::string>>();
  auto views = std::make_shared<std::vector<std::string_view>>();
  std::vector<std::uint8_t> types;
  std::vector<std::uint64_t> offsets, sizes;
  for (const auto& field : fields) {
    names->push_back(field.name);
    types.push_back(static_cast<std::uint8_t>(field.type));
    offsets.push_back(field.offset);
    sizes.push_back(element_size(field));
  }
  views->assign(names->begin(), names->end());
  to.strings(column, std::span<const std::string_view>(*views));
  to.keep(names);
  to.keep(views);
  numbers(to, column + 1, std::move(types));
  numbers(to, column + 2, std::move(offsets));
  numbers(to, column + 3, std::move(sizes));
  const auto shape = to.list(column + 4, fields.size()), nested = to.list(column + 5, fields.size());
  for (writer::slot i = 0; i < fields.size(); ++i) {
    numbers(to, shape + i, fields[i].shape);
    if (fields[i].type == dtype::record) write_fields(to, nested + i, fields[i].fields);
    else to.null(nested + i);
  }
}

[[noreturn]] void damaged(const char* happened) {
  raise({error_kind::corrupt, "read the fields of a record", happened, "It was changed after it was written"});
}

std::vector<record_field> read_fields(const value& table, std::size_t width) {
  if (table.kind() != node_kind::table || table.size() < 6) damaged("they are not a table of six columns");
  const value names = table.child(0), shapes = table.child(4), nested = table.child(5);
  const bool strings = names.kind() == node_kind::string || names.kind() == node_kind::coded_string;
  if (!strings || shapes.kind() != node_kind::list || nested.kind() != node_kind::list) damaged("a column is amiss");
  const auto types = table.child(1).as<std::uint8_t>();
  const auto offsets = table.child(2).as<std::uint64_t>(), sizes = table.child(3).as<std::uint64_t>();
  const auto count = names.size();
  if (types.size() != count || offsets.size() != count || sizes.size() != count || shapes.size() != count ||
      nested.size() != count)
    damaged("its columns differ in length");
  std::vector<record_field> fields;
  for (std::size_t i = 0; i < count; ++i) {
    const auto type = static_cast<dtype>(types[i]);
    const auto shape = shapes.child(i).as<std::uint64_t>();
    record_field field{.name = std::string(names.string(i)), .type = type, .offset = offsets[i], .item_size = sizes[i],
                       .shape = {shape.begin(), shape.end()}};
    const std::size_t natural = size_of(type);
    if (type == dtype::none || type > dtype::record || (natural != 0 && natural != field.item_size))
      damaged("a field has no valid type");
    std::optional<std::uint64_t> bytes = field.item_size;
    for (const auto extent : field.shape) bytes = bytes ? checked_mul(*bytes, extent) : bytes;
    if (!bytes || !within(field.offset, *bytes, width)) damaged("a field ends outside the record");
    if (type == dtype::record) field.fields = read_fields(nested.child(i), field.item_size);
    fields.push_back(std::move(field));
  }
  return fields;
}

}  // namespace

void writer::records(slot at, const array_spec& spec, std::span<const record_field> fields, const void* data) {
  if (spec.type != dtype::record) raise({error_kind::invalid_argument, "describe records", "their type is not record", ""});
  check_fields(fields, spec.item_size);
  impl_->fill_array(at, node_kind::array, spec, data);
  const slot schema = impl_->layout.reserve(1);
  impl_->layout.node(at).child = schema;
  write_fields(*this, schema, fields);
}

std::vector<record_field> value::fields() const {
  require_type(dtype::record, "read the fields of");
  return read_fields(value(region(), record().child), item_size());
}

}  // namespace onecopy
