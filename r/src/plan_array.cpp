// Arrays, dates, factors, strings and records: which of them R can use where they lie, and how the others are read.
#include <algorithm>
#include <climits>
#include <cstring>

#include "plan.h"

namespace ocr {

using onecopy::dtype;
using onecopy::semantic;
using onecopy::time_unit;
using onecopy::value;

namespace {

// Attributes shorter than this are cheaper as ordinary character vectors: R looks at them all the time.
constexpr std::uint64_t short_attribute = 256;

double seconds_in(time_unit unit) {
  switch (unit) {
    case time_unit::week: return 604800;
    case time_unit::day: return 86400;
    case time_unit::hour: return 3600;
    case time_unit::minute: return 60;
    case time_unit::millisecond: return 1e-3;
    case time_unit::microsecond: return 1e-6;
    case time_unit::nanosecond: return 1e-9;
    case time_unit::picosecond: return 1e-12;
    case time_unit::femtosecond: return 1e-15;
    case time_unit::attosecond: return 1e-18;
    default: return 1;
  }
}

const char* difftime_units(time_unit unit) {
  switch (unit) {
    case time_unit::minute: return "mins";
    case time_unit::hour: return "hours";
    case time_unit::day: return "days";
    case time_unit::week: return "weeks";
    default: return "secs";
  }
}

bool r_layout(const value& v) {
  return v.order() == onecopy::memory_order::column_major || v.shape().size() < 2;
}

conversion strided(const value& v, conversion_rule rule, double scale) {
  conversion how{};
  how.from = v.type();
  how.rule = rule;
  how.scale = scale;
  how.data = v.data();
  how.validity = v.validity();
  how.item_size = static_cast<std::uint32_t>(v.item_size());
  how.count = static_cast<R_xlen_t>(v.size());
  const auto shape = v.shape();
  if (r_layout(v)) {
    how.dimensions = 1;
    how.shape[0] = how.count;
    how.stride[0] = static_cast<std::ptrdiff_t>(v.item_size());
    return how;
  }
  if (shape.size() > max_dimensions)
    throw onecopy::error(onecopy::error_kind::unsupported, "read a shared array",
                         "it has more than " + std::to_string(max_dimensions) + " dimensions");
  how.dimensions = static_cast<std::uint8_t>(shape.size());
  auto stride = static_cast<std::ptrdiff_t>(v.item_size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    how.shape[d] = static_cast<R_xlen_t>(shape[d]);
    how.stride[d] = stride;
    stride *= static_cast<std::ptrdiff_t>(shape[d]);
  }
  return how;
}

void append_utf8(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (point >> 18 & 7));
    out += static_cast<char>(0x80 | (point >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  }
}

std::string fixed_text(const std::byte* at, std::size_t width, bool utf32) {
  std::string out;
  if (!utf32) {
    out.assign(reinterpret_cast<const char*>(at), width);
    return out.substr(0, out.find('\0'));
  }
  for (std::size_t i = 0; i + 4 <= width; i += 4) {
    std::uint32_t point;
    std::memcpy(&point, at + i, 4);
    if (point == 0) break;
    append_utf8(out, point);
  }
  return out;
}

}  // namespace

void planner::use_conversion(std::uint32_t item, const conversion& how, SEXPTYPE type, bool lazy) {
  planned& p = at(item);
  p.type = static_cast<std::uint8_t>(type);
  p.length = how.count;
  p.bytes = static_cast<std::uint64_t>(how.count) * element_size(type);
  p.how = lazy && how.count >= options_.views.min_length ? making::converted : making::numbers;
  p.detail = static_cast<std::uint32_t>(out_.conversions.size());
  out_.conversions.push_back(how);
}

void planner::array(std::uint32_t item, const value& v, attribute_pairs& derived) {
  if (v.type() == dtype::record) return records(item, v, derived);
  if (v.type() == dtype::fixed_bytes || v.type() == dtype::fixed_utf32) return fixed_texts(item, v);
  const auto shape = v.shape();
  if (shape.size() >= 2) {
    std::vector<int> dims;
    for (std::uint64_t extent : shape) {
      if (extent > INT_MAX)
        throw onecopy::error(onecopy::error_kind::unsupported, "read a shared array",
                             "one of its dimensions is longer than R's matrices can be (2^31 - 1)");
      dims.push_back(static_cast<int>(extent));
    }
    derived.push_back({"dim", integers(std::move(dims))});
  }

  conversion_rule rule = conversion_rule::number;
  double scale = 1;
  const bool calendar = v.unit() == time_unit::month || v.unit() == time_unit::year;
  auto count_in = [&](double unit_seconds) {
    rule = conversion_rule::scaled;
    scale = seconds_in(v.unit()) / unit_seconds;
    if (calendar) {
      rule = v.unit() == time_unit::month ? conversion_rule::months : conversion_rule::years;
      scale = 86400 / unit_seconds;
    }
  };
  switch (v.semantic()) {
    case semantic::date:
      count_in(86400);
      derived.push_back({"class", texts({"Date"})});
      break;
    case semantic::timestamp:
      count_in(1);
      derived.push_back({"class", texts({"POSIXct", "POSIXt"})});
      break;
    case semantic::timespan:
    case semantic::timeofday: {
      const char* units = difftime_units(v.unit());
      count_in(calendar ? 86400 : seconds_in(v.unit()) < 1 ? 1 : seconds_in(v.unit()));
      derived.push_back({"class", texts({"difftime"})});
      derived.push_back({"units", texts({calendar ? "days" : units})});
      break;
    }
    default:
      if (v.type() == dtype::int64) derived.push_back({"class", texts({"integer64"})});
  }

  const bool native = v.type() == dtype::logical32 || v.type() == dtype::int32 || v.type() == dtype::float64 ||
                      v.type() == dtype::complex128 || v.type() == dtype::raw ||
                      (v.type() == dtype::int64 && rule == conversion_rule::number);
  const bool same_number = rule == conversion_rule::number || (rule == conversion_rule::scaled && scale == 1);
  const bool sentinels = !v.validity() || v.least_is_missing();
  SEXPTYPE type = r_type_for(v.type(), rule);
  if (v.type() == dtype::int32 && same_number) type = INTSXP;
  if (type == NILSXP)
    throw onecopy::error(onecopy::error_kind::unsupported, "read a shared array",
                         std::string("R has no type for ") + onecopy::name_of(v.type()));
  if (native && same_number && sentinels && r_layout(v)) {
    planned& p = at(item);
    p.type = static_cast<std::uint8_t>(type);
    p.data = v.data();
    p.offset = v.data_offset();
    p.bytes = v.data_bytes();
    if (p.length >= options_.views.min_length) {
      p.how = making::view;
      return;
    }
    p.how = making::numbers;
    conversion how = strided(v, conversion_rule::number, 1);
    how.validity = nullptr;
    p.detail = static_cast<std::uint32_t>(out_.conversions.size());
    out_.conversions.push_back(how);
    return;
  }
  conversion how = strided(v, type == INTSXP ? conversion_rule::number : rule, scale);
  if (sentinels) how.validity = nullptr;
  use_conversion(item, how, type, true);
}

void planner::categorical(std::uint32_t item, const value& v, attribute_pairs& derived) {
  const value dictionary = v.dictionary();
  if (options_.with_attributes) {
    const std::uint32_t levels = node(dictionary, true);
    at(levels).as_text = true;
    derived.push_back({"levels", levels});
  }
  derived.push_back({"class", v.ordered() ? texts({"ordered", "factor"}) : texts({"factor"})});
  if (v.type() == dtype::int32 && v.code_base() == 1 && !v.validity()) {
    planned& p = at(item);
    p.type = INTSXP;
    p.data = v.data();
    p.offset = v.data_offset();
    p.bytes = v.data_bytes();
    p.how = p.length >= options_.views.min_length ? making::view : making::numbers;
    p.detail = static_cast<std::uint32_t>(out_.conversions.size());
    conversion how = strided(v, conversion_rule::number, 1);
    how.validity = nullptr;
    out_.conversions.push_back(how);
    return;
  }
  use_conversion(item, strided(v, conversion_rule::codes, 1.0 - v.code_base()), INTSXP, true);
}

void planner::strings(std::uint32_t item, const value& v, bool attribute) {
  planned& p = at(item);
  p.type = STRSXP;
  const bool few = p.length < options_.views.min_length || (attribute && v.size() < short_attribute);
  if (!few) {
    p.how = making::string_view;
    return;
  }
  p.how = making::texts;
  p.detail = static_cast<std::uint32_t>(out_.texts.size());
  const std::uint8_t* marks = v.kind() == onecopy::node_kind::string ? v.encodings() : nullptr;
  for (std::uint64_t i = 0; i < v.size(); ++i) {
    planned_text text;
    text.missing = v.is_missing(i);
    if (!text.missing) text.text = v.string(i);
    text.bytes = marks && marks[i];
    out_.texts.push_back(text);
  }
}

void planner::fixed_texts(std::uint32_t item, const value& v) {
  const conversion how = strided(v, conversion_rule::number, 1);
  planned& p = at(item);
  p.how = making::texts;
  p.type = STRSXP;
  p.detail = static_cast<std::uint32_t>(out_.texts.size());
  const bool utf32 = v.type() == dtype::fixed_utf32;
  // In R's order; the array may be row-major.
  for (R_xlen_t i = 0; i < how.count; ++i) {
    std::ptrdiff_t offset = 0;
    R_xlen_t position = i;
    for (int d = 0; d < how.dimensions; ++d) {
      offset += (position % how.shape[d]) * how.stride[d];
      position /= how.shape[d];
    }
    const bool missing = how.validity && v.is_missing(static_cast<std::uint64_t>(offset) / how.item_size);
    planned_text text{out_.owned.emplace_back(fixed_text(how.data + offset, how.item_size, utf32)), missing};
    text.bytes = !utf32 && std::any_of(text.text.begin(), text.text.end(), [](char c) { return c < 0; });
    out_.texts.push_back(text);
  }
}

void planner::records(std::uint32_t item, const value& v, attribute_pairs& derived) {
  const bool one = v.shape().empty();
  fields(item, v.fields(), v.data(), v.item_size(), static_cast<R_xlen_t>(v.size()), derived);
  if (!one && v.size() <= INT_MAX) {
    derived.push_back({"class", texts({"data.frame"})});
    derived.push_back({"row.names", integers({NA_INTEGER, -static_cast<int>(v.size())})});
  }
}

void planner::fields(std::uint32_t item, const std::vector<onecopy::record_field>& list, const std::byte* data,
                     std::uint64_t stride, R_xlen_t rows, attribute_pairs& derived) {
  planned& top = at(item);
  top.how = making::list;
  top.type = VECSXP;
  top.length = static_cast<R_xlen_t>(list.size());
  top.children = static_cast<std::uint32_t>(list.size());
  top.first_child = static_cast<std::uint32_t>(out_.links.size());
  const std::uint32_t first = top.first_child, node_index = top.node;
  out_.links.resize(out_.links.size() + list.size());
  planned names;
  names.how = making::texts;
  names.type = STRSXP;
  names.length = static_cast<R_xlen_t>(list.size());
  names.detail = static_cast<std::uint32_t>(out_.texts.size());
  for (const auto& field : list) out_.texts.push_back({out_.owned.emplace_back(field.name)});
  derived.push_back({"names", add(names)});

  for (std::size_t f = 0; f < list.size(); ++f) {
    const onecopy::record_field& field = list[f];
    planned start;
    start.node = node_index;
    const std::uint32_t column = add(start);
    out_.links[first + f] = column;
    attribute_pairs own_attributes;
    std::size_t width = field.item_size ? field.item_size : onecopy::size_of(field.type);
    R_xlen_t each = 1;
    for (std::uint64_t extent : field.shape) each *= static_cast<R_xlen_t>(extent);
    if (field.type == dtype::record && each == 1) {
      fields(column, field.fields, data + field.offset, stride, rows, own_attributes);
      own_attributes.push_back({"class", texts({"data.frame"})});
      own_attributes.push_back({"row.names", integers({NA_INTEGER, -static_cast<int>(rows)})});
    } else if (field.type == dtype::fixed_bytes || field.type == dtype::fixed_utf32) {
      planned& p = at(column);
      p.how = making::texts;
      p.type = STRSXP;
      p.length = rows;
      p.detail = static_cast<std::uint32_t>(out_.texts.size());
      for (R_xlen_t i = 0; i < rows; ++i)
        out_.texts.push_back({out_.owned.emplace_back(fixed_text(data + field.offset + static_cast<std::uint64_t>(i) * stride,
                                                                 width, field.type == dtype::fixed_utf32))});
    } else {
      SEXPTYPE type = r_type_for(field.type, conversion_rule::number);
      conversion how{};
      how.from = type == NILSXP ? dtype::raw : field.type;  // what R can't read is shown as its bytes
      if (type == NILSXP) {
        type = RAWSXP;
        each *= static_cast<R_xlen_t>(width);
        width = 1;
      }
      how.data = data + field.offset;
      how.item_size = static_cast<std::uint32_t>(width);
      how.dimensions = 2;
      how.scale = 1;
      how.count = rows * each;
      how.shape[0] = rows;
      how.stride[0] = static_cast<std::ptrdiff_t>(stride);
      how.shape[1] = each;
      how.stride[1] = static_cast<std::ptrdiff_t>(width);
      if (each == 1) how.dimensions = 1;
      // A field of a record isn't a node, so no handle could name it: it is copied.
      use_conversion(column, how, type, false);
      if (field.type == dtype::int64) own_attributes.push_back({"class", texts({"integer64"})});
      if (each != 1) own_attributes.push_back({"dim", integers({static_cast<int>(rows), static_cast<int>(each)})});
    }
    at(column).first_attribute = static_cast<std::uint32_t>(out_.attributes.size());
    at(column).attributes = static_cast<std::uint32_t>(own_attributes.size());
    out_.attributes.insert(out_.attributes.end(), own_attributes.begin(), own_attributes.end());
  }
}

}  // namespace ocr
