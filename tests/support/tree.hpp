// Object trees as plain C++ data: what a test writes into a region, and compares with what it reads back.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "onecopy/onecopy.hpp"

namespace test {

using onecopy::dtype, onecopy::node_kind;

struct tree {
  node_kind kind = node_kind::null;
  onecopy::array_spec spec;             // array, coded_string and categorical; validity is set when written
  std::vector<std::byte> data;
  std::vector<std::uint8_t> validity;   // empty: none
  std::vector<std::optional<std::string>> texts;  // string
  std::vector<bool> marked;             // string: arbitrary bytes; empty: none
  int offset_bytes = 0;                 // string: 4 or 8 writes it through arrow_strings
  int code_base = 0;
  bool ordered = false;
  std::vector<onecopy::record_field> fields;
  std::string tag;
  onecopy::list_form form = onecopy::list_form::list;
  std::uint64_t rows = 0;
  std::vector<tree> children;           // list, table; the levels of a categorical are children[0]
  std::vector<std::pair<std::string, tree>> attributes;
};

inline bool bit(const std::vector<std::uint8_t>& bits, std::uint64_t i) { return (bits[i / 8] >> (i % 8) & 1) != 0; }

inline std::size_t width(const onecopy::array_spec& spec) {
  return spec.item_size != 0 ? spec.item_size : size_of(spec.type);
}

class texts_source : public onecopy::string_source {
 public:
  explicit texts_source(const tree& from) : from_(from) {}
  std::uint64_t size() const override { return from_.texts.size(); }
  item at(std::uint64_t i) const override {
    const auto& text = from_.texts[i];
    if (!text) return {.text = {}, .missing = true};
    return {.text = *text, .bytes = !from_.marked.empty() && from_.marked[i]};
  }

 private:
  const tree& from_;
};

// ---- writing

inline void describe_arrow(onecopy::writer& w, onecopy::writer::slot at, const tree& from) {
  // Offsets that start above zero, as those of a slice do.
  struct buffers {
    std::vector<std::byte> offsets;
    std::string bytes = "before";
    std::vector<std::uint8_t> validity;
  };
  auto own = std::make_shared<buffers>();
  const auto put = [&] {
    const std::uint64_t end = own->bytes.size();
    const auto* raw = reinterpret_cast<const std::byte*>(&end);
    own->offsets.insert(own->offsets.end(), raw, raw + from.offset_bytes);
  };
  own->validity.resize(from.texts.size() / 8 + 1);
  put();
  for (std::size_t i = 0; i < from.texts.size(); ++i) {
    if (from.texts[i]) own->bytes += *from.texts[i], own->validity[i / 8] |= static_cast<std::uint8_t>(1u << (i % 8));
    put();
  }
  w.arrow_strings(at, from.texts.size(), own->offsets.data(), from.offset_bytes, own->bytes.data(),
                  own->validity.data());
  w.keep(own);
}

// Describes `from` to the writer, which borrows its buffers: it must stay as it is until published.
inline void describe(onecopy::writer& w, onecopy::writer::slot at, const tree& from) {
  onecopy::array_spec spec = from.spec;
  spec.validity = from.validity.empty() ? nullptr : from.validity.data();
  onecopy::writer::slot first = 0;
  switch (from.kind) {
    case node_kind::null: w.null(at); break;
    case node_kind::array:
      if (spec.type == dtype::record) w.records(at, spec, from.fields, from.data.data());
      else w.array(at, spec, from.data.data());
      break;
    case node_kind::string:
      if (from.offset_bytes != 0) {
        describe_arrow(w, at, from);
      } else {
        auto source = std::make_shared<texts_source>(from);
        w.strings(at, *source);
        w.keep(source);
      }
      break;
    case node_kind::coded_string:
      first = w.coded_strings(at, spec, from.data.data(), from.code_base);
      describe(w, first, from.children[0]);
      break;
    case node_kind::categorical:
      first = w.categorical(at, spec, from.data.data(), from.code_base, from.ordered);
      describe(w, first, from.children[0]);
      break;
    case node_kind::list:
    case node_kind::table:
      first = from.kind == node_kind::list ? w.list(at, from.children.size(), from.form)
                                           : w.table(at, from.children.size(), from.rows);
      for (std::size_t i = 0; i < from.children.size(); ++i)
        describe(w, first + static_cast<onecopy::writer::slot>(i), from.children[i]);
      break;
    case node_kind::opaque: w.opaque(at, from.tag, from.data); break;
  }
  if (from.attributes.empty()) return;
  std::vector<std::string_view> names;
  for (const auto& attribute : from.attributes) names.push_back(attribute.first);
  first = w.attributes(at, names);
  for (std::size_t i = 0; i < from.attributes.size(); ++i)
    describe(w, first + static_cast<onecopy::writer::slot>(i), from.attributes[i].second);
}

inline onecopy::region publish(const tree& from, const onecopy::publish_options& options = {}) {
  onecopy::writer w;
  describe(w, w.root(), from);
  return w.publish(options);
}

// ---- comparing; each answers "" or the first difference

inline std::string different_fields(const std::vector<onecopy::record_field>& got,
                                    const std::vector<onecopy::record_field>& want, const std::string& path) {
  if (got.size() != want.size()) return path + ": " + std::to_string(got.size()) + " fields";
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::string here = path + "." + want[i].name;
    const auto item = [](const auto& field) { return field.item_size ? field.item_size : size_of(field.type); };
    if (got[i].name != want[i].name) return here + ": called " + got[i].name;
    if (got[i].type != want[i].type) return here + ": type " + name_of(got[i].type);
    if (got[i].offset != want[i].offset) return here + ": offset " + std::to_string(got[i].offset);
    if (item(got[i]) != item(want[i])) return here + ": item size " + std::to_string(got[i].item_size);
    if (got[i].shape != want[i].shape) return here + ": shape";
    if (auto inside = different_fields(got[i].fields, want[i].fields, here); !inside.empty()) return inside;
  }
  return {};
}

inline std::string different(const onecopy::value& got, const tree& want, const std::string& path = "root");

inline std::string different_array(const onecopy::value& got, const tree& want, const std::string& path) {
  if (got.type() != want.spec.type) return path + ": dtype " + name_of(got.type());
  if (got.size() != want.spec.count) return path + ": " + std::to_string(got.size()) + " elements";
  if (got.item_size() != width(want.spec)) return path + ": item size " + std::to_string(got.item_size());
  auto shape = want.spec.shape;
  if (shape.empty() && !want.spec.scalar) shape = {want.spec.count};
  if (got.shape() != shape) return path + ": shape";
  if (shape.size() > 1 && got.order() != want.spec.order) return path + ": memory order";
  if (got.semantic() != want.spec.semantic) return path + ": semantic";
  if (got.unit() != want.spec.unit) return path + ": unit";
  if (got.data() == nullptr) return path + ": no data";
  if (got.data_bytes() != want.data.size()) return path + ": " + std::to_string(got.data_bytes()) + " bytes";
  if (!want.data.empty() && std::memcmp(got.data(), want.data.data(), want.data.size()) != 0)
    return path + ": data differs";
  // The smallest lie in their node; they are aligned for every element that fits there.
  if (reinterpret_cast<std::uintptr_t>(got.data()) % (want.data.size() > 16 ? 64 : 16) != 0)
    return path + ": data not aligned";
  if (got.data() != got.region().bytes().data() + got.data_offset()) return path + ": data_offset";
  for (std::uint64_t i = 0; i < got.size(); ++i) {
    const bool missing = !want.validity.empty() && !bit(want.validity, i);
    const bool in_bitmap = got.validity() != nullptr && !(got.validity()[i / 8] >> (i % 8) & 1);
    if (missing != in_bitmap) return path + ": validity of element " + std::to_string(i);
    if (missing && !got.is_missing(i)) return path + ": element " + std::to_string(i) + " should be missing";
  }
  return {};
}

inline std::string different_texts(const onecopy::value& got, const std::vector<std::optional<std::string>>& want,
                                   const std::vector<bool>& marked, const std::string& path) {
  if (got.size() != want.size()) return path + ": " + std::to_string(got.size()) + " strings";
  for (std::uint64_t i = 0; i < want.size(); ++i) {
    const std::string here = path + "[" + std::to_string(i) + "]";
    if (got.is_missing(i) != !want[i]) return here + ": missing";
    if (got.string(i) != want[i].value_or("")) return here + ": \"" + std::string(got.string(i)) + "\"";
    // Where a coded string's marks lie is up to the dictionary.
    if (got.kind() == node_kind::string && want[i]) {
      const bool is_marked = got.encodings() != nullptr && got.encodings()[i] != 0;
      if (is_marked != (!marked.empty() && marked[i])) return here + ": bytes mark";
    }
  }
  return {};
}

// The strings that a coded_string of the model stands for.
inline std::vector<std::optional<std::string>> decoded(const tree& from) {
  std::vector<std::optional<std::string>> texts;
  const std::size_t item = width(from.spec);
  for (std::uint64_t i = 0; i < from.spec.count; ++i) {
    std::int64_t code = 0;
    std::memcpy(&code, from.data.data() + i * item, item);
    const unsigned spare = static_cast<unsigned>(64 - 8 * item);
    code = static_cast<std::int64_t>(static_cast<std::uint64_t>(code) << spare) >> spare;
    code -= from.code_base;
    const bool missing = code < 0 || (!from.validity.empty() && !bit(from.validity, i));
    texts.push_back(missing ? std::nullopt : from.children[0].texts[static_cast<std::size_t>(code)]);
  }
  return texts;
}

inline std::string different(const onecopy::value& got, const tree& want, const std::string& path) {
  const bool strings = want.kind == node_kind::string &&
                       (got.kind() == node_kind::string || got.kind() == node_kind::coded_string);
  if (got.kind() != want.kind && !strings) return path + ": kind " + name_of(got.kind());
  std::string found;
  switch (want.kind) {
    case node_kind::null: break;
    case node_kind::array:
      found = different_array(got, want, path);
      if (found.empty() && want.spec.type == dtype::record) found = different_fields(got.fields(), want.fields, path);
      break;
    case node_kind::string:
      got.kind() == node_kind::string ? void(got.strings()) : got.check_codes();
      found = different_texts(got, want.texts, want.marked, path);
      break;
    case node_kind::coded_string:
      got.check_codes();
      found = different_texts(got, decoded(want), {}, path);
      break;
    case node_kind::categorical:
      got.check_codes();
      found = different_array(got, want, path);
      if (found.empty() && got.code_base() != want.code_base) found = path + ": code base";
      if (found.empty() && got.ordered() != want.ordered) found = path + ": ordered";
      if (found.empty()) found = different(got.dictionary(), want.children[0], path + ".levels");
      break;
    case node_kind::list:
    case node_kind::table:
      if (got.size() != want.children.size()) return path + ": " + std::to_string(got.size()) + " children";
      if (want.kind == node_kind::list && got.form() != want.form) return path + ": list form";
      if (want.kind == node_kind::table && got.rows() != want.rows) return path + ": rows";
      for (std::uint64_t i = 0; i < want.children.size() && found.empty(); ++i)
        found = different(got.child(i), want.children[i], path + "[" + std::to_string(i) + "]");
      break;
    case node_kind::opaque:
      if (got.tag() != want.tag) return path + ": tag " + std::string(got.tag());
      if (got.opaque_bytes().size() != want.data.size() ||
          (!want.data.empty() && std::memcmp(got.opaque_bytes().data(), want.data.data(), want.data.size()) != 0))
        return path + ": bytes differ";
      break;
  }
  if (!found.empty()) return found;
  if (got.attribute_count() != want.attributes.size())
    return path + ": " + std::to_string(got.attribute_count()) + " attributes";
  for (std::size_t i = 0; i < want.attributes.size(); ++i) {
    const auto& [name, attribute] = want.attributes[i];
    if (got.attribute_name(i) != name) return path + "@" + name + ": called " + std::string(got.attribute_name(i));
    found = different(got.attribute(i), attribute, path + "@" + name);
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace test
