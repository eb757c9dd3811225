#include "render/element.hpp"

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "render/time.hpp"

namespace onecopy::cli {

namespace {

// What one element is made of: enough to read it from bytes that need not be aligned, as fields of records are not.
struct layout {
  dtype type;
  std::size_t item_size;
  onecopy::semantic semantic = onecopy::semantic::none;
  time_unit unit = time_unit::none;
  const std::vector<record_field>* fields = nullptr;
};

template <class T>
T load(const std::byte* at) {
  T item;
  std::memcpy(&item, at, sizeof item);
  return item;
}

double half_to_double(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  double magnitude = 0;
  if (exponent == 31)
    magnitude = fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  else if (exponent == 0)
    magnitude = std::ldexp(fraction, -24);
  else
    magnitude = std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// R's NA_real_ is a NaN whose low word is 1954.
bool is_r_na(double number) {
  if (!std::isnan(number)) return false;
  std::uint64_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return (bits & 0xFFFFFFFF) == 1954;
}

bool is_time(const layout& of) { return of.semantic != semantic::none; }

template <class Float>
void append_float(buffer& out, Float number, bool json) {
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(out), "{}", number);
    return;
  }
  const char* word = std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  if (json) add(out, '"');
  add(out, json ? word : std::isnan(number) ? "NaN" : number > 0 ? "Inf" : "-Inf");
  if (json) add(out, '"');
}

template <class Float>
bool append_complex(buffer& out, const std::byte* at, bool json) {
  const auto re = load<Float>(at), im = load<Float>(at + sizeof(Float));
  if (is_r_na(static_cast<double>(re)) || is_r_na(static_cast<double>(im))) return false;
  if (json) add(out, '[');
  append_float(out, re, json);
  if (json) add(out, ',');
  else if (!(im < 0)) add(out, '+');
  append_float(out, im, json);
  add(out, json ? ']' : 'i');
  return true;
}

// Times go into JSON as strings. Returns false when there is no calendar form.
bool append_moment(buffer& out, const layout& of, moment when, bool json) {
  buffer text;
  if (!append_time(text, of.semantic, of.unit, when)) return false;
  if (json) add(out, '"');
  add(out, std::string_view(text.data(), text.size()));
  if (json) add(out, '"');
  return true;
}

bool append_integer(buffer& out, const layout& of, std::int64_t number, bool json) {
  if (is_time(of)) {
    // NumPy's NaT.
    if (number == std::numeric_limits<std::int64_t>::min()) return false;
    if (append_moment(out, of, {true, number, 0}, json)) return true;
  }
  fmt::format_to(std::back_inserter(out), "{}", number);
  return true;
}

bool append_double(buffer& out, const layout& of, double number, bool json) {
  if (is_r_na(number) || (is_time(of) && std::isnan(number))) return false;
  if (is_time(of) && append_moment(out, of, {false, 0, number}, json)) return true;
  append_float(out, number, json);
  return true;
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = 0xFFFD;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 63));
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

std::string fixed_text(const layout& of, const std::byte* at) {
  std::string text;
  if (of.type == dtype::fixed_bytes) {
    text.assign(reinterpret_cast<const char*>(at), of.item_size);
    while (!text.empty() && text.back() == '\0') text.pop_back();
    return text;
  }
  for (std::size_t i = 0; i + 4 <= of.item_size; i += 4) append_utf8(text, load<std::uint32_t>(at + i));
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

bool append_element(buffer& out, const layout& of, const std::byte* at, bool json);

void append_field(buffer& out, const record_field& field, std::span<const std::uint64_t> shape, std::size_t item_size,
                  const std::byte* at) {
  if (shape.empty()) {
    const layout of{.type = field.type, .item_size = item_size, .fields = &field.fields};
    if (!append_element(out, of, at, true)) add(out, "null");
    return;
  }
  std::size_t step = item_size;
  for (const auto extent : shape.subspan(1)) step *= extent;
  add(out, '[');
  for (std::uint64_t i = 0; i < shape[0]; ++i) {
    if (i > 0) add(out, ',');
    append_field(out, field, shape.subspan(1), item_size, at + i * step);
  }
  add(out, ']');
}

void append_record(buffer& out, const std::vector<record_field>& fields, const std::byte* at) {
  add(out, '{');
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& field = fields[i];
    if (i > 0) add(out, ',');
    append_json_string(out, field.name);
    add(out, ':');
    append_field(out, field, field.shape, field.item_size != 0 ? field.item_size : size_of(field.type),
                 at + field.offset);
  }
  add(out, '}');
}

bool append_element(buffer& out, const layout& of, const std::byte* at, bool json) {
  switch (of.type) {
    case dtype::bool8: add(out, load<std::uint8_t>(at) != 0 ? "true" : "false"); return true;
    case dtype::int8: return append_integer(out, of, load<std::int8_t>(at), json);
    case dtype::int16: return append_integer(out, of, load<std::int16_t>(at), json);
    case dtype::int32: return append_integer(out, of, load<std::int32_t>(at), json);
    case dtype::int64: return append_integer(out, of, load<std::int64_t>(at), json);
    case dtype::uint8: return append_integer(out, of, load<std::uint8_t>(at), json);
    case dtype::uint16: return append_integer(out, of, load<std::uint16_t>(at), json);
    case dtype::uint32: return append_integer(out, of, load<std::uint32_t>(at), json);
    case dtype::uint64: fmt::format_to(std::back_inserter(out), "{}", load<std::uint64_t>(at)); return true;
    case dtype::float16: return append_double(out, of, half_to_double(load<std::uint16_t>(at)), json);
    case dtype::float32: append_float(out, load<float>(at), json); return true;
    case dtype::float64: return append_double(out, of, load<double>(at), json);
    case dtype::complex64: return append_complex<float>(out, at, json);
    case dtype::complex128: return append_complex<double>(out, at, json);
    case dtype::raw: {
      const auto byte = std::to_integer<unsigned>(load<std::byte>(at));
      if (json) fmt::format_to(std::back_inserter(out), "{}", byte);
      else fmt::format_to(std::back_inserter(out), "{:02x}", byte);
      return true;
    }
    case dtype::logical32: {
      const auto truth = load<std::int32_t>(at);
      if (truth == std::numeric_limits<std::int32_t>::min()) return false;
      add(out, truth != 0 ? "true" : "false");
      return true;
    }
    case dtype::fixed_bytes:
    case dtype::fixed_utf32: {
      const std::string text = fixed_text(of, at);
      if (json) append_json_string(out, text);
      else add(out, text);
      return true;
    }
    case dtype::record: append_record(out, *of.fields, at); return true;
    case dtype::none: break;
  }
  throw error(error_kind::unsupported, "print an element", "its type is unknown to this version",
              "Use a newer onecopy, or --raw");
}

std::int64_t raw_code(const value& node, std::uint64_t i) {
  const std::byte* at = node.data() + i * node.item_size();
  switch (node.type()) {
    case dtype::int8: return load<std::int8_t>(at);
    case dtype::int16: return load<std::int16_t>(at);
    case dtype::int32: return load<std::int32_t>(at);
    case dtype::int64: return load<std::int64_t>(at);
    case dtype::uint8: return load<std::uint8_t>(at);
    case dtype::uint16: return load<std::uint16_t>(at);
    case dtype::uint32: return load<std::uint32_t>(at);
    case dtype::uint64: return static_cast<std::int64_t>(load<std::uint64_t>(at));
    default: return -1;
  }
}

// Which level element i has. Codes are data, so they are checked here and not when the object is attached.
std::uint64_t level_of(const value& node, const elements& levels, std::uint64_t i) {
  const std::int64_t level = raw_code(node, i) - node.code_base();
  if (level < 0 || static_cast<std::uint64_t>(level) >= levels.size())
    throw error(error_kind::corrupt, "read element " + std::to_string(i) + " of a categorical",
                "its code is beyond the levels");
  return static_cast<std::uint64_t>(level);
}

}  // namespace

void append_json_string(buffer& out, std::string_view text) {
  add(out, nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

bool has_elements(const value& node) {
  switch (node.kind()) {
    case node_kind::array:
    case node_kind::string:
    case node_kind::coded_string:
    case node_kind::categorical: return true;
    default: return false;
  }
}

elements::elements(value node) : node_(std::move(node)) {
  if (!has_elements(node_))
    throw error(error_kind::wrong_type, "print elements", std::string("it is of kind ") + name_of(node_.kind()));
  if (node_.kind() == node_kind::array && node_.type() == dtype::record) fields_ = node_.fields();
  if (node_.kind() == node_kind::categorical) levels_ = std::make_unique<elements>(node_.dictionary());
}

bool record_reader::text(buffer& out, std::uint64_t row, std::size_t which) const {
  if (node_.is_missing(row)) return false;
  const auto& field = fields_.at(which);
  const std::byte* at = node_.data() + row * node_.item_size() + field.offset;
  const std::size_t item_size = field.item_size != 0 ? field.item_size : size_of(field.type);
  if (field.shape.empty())
    return append_element(out, {.type = field.type, .item_size = item_size, .fields = &field.fields}, at, false);
  append_field(out, field, field.shape, item_size, at);
  return true;
}

bool elements::text(buffer& out, std::uint64_t i) const {
  if (node_.is_missing(i)) return false;
  switch (node_.kind()) {
    case node_kind::string:
    case node_kind::coded_string: add(out, node_.string(i)); return true;
    case node_kind::categorical: return levels_->text(out, level_of(node_, *levels_, i));
    default: break;
  }
  const layout of{.type = node_.type(), .item_size = node_.item_size(), .semantic = node_.semantic(),
                  .unit = node_.unit(), .fields = &fields_};
  return append_element(out, of, node_.data() + i * node_.item_size(), false);
}

void elements::json(buffer& out, std::uint64_t i) const {
  if (node_.is_missing(i)) return add(out, "null");
  switch (node_.kind()) {
    case node_kind::string:
    case node_kind::coded_string: return append_json_string(out, node_.string(i));
    case node_kind::categorical: return levels_->json(out, level_of(node_, *levels_, i));
    default: break;
  }
  const layout of{.type = node_.type(), .item_size = node_.item_size(), .semantic = node_.semantic(),
                  .unit = node_.unit(), .fields = &fields_};
  if (!append_element(out, of, node_.data() + i * node_.item_size(), true)) add(out, "null");
}

}  // namespace onecopy::cli
