// Trees made by chance, and the deterministic set with every kind of node and element.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <random>

#include "support/tree.hpp"

namespace test {

// A seed from ONECOPY_TEST_SEED, or a new one; print it with what fails.
inline std::uint64_t seed() {
  static const std::uint64_t chosen = [] {
    const char* text = std::getenv("ONECOPY_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
  }();
  return chosen;
}

class tree_maker {
 public:
  explicit tree_maker(std::uint64_t start) : random_(start) {}

  tree any(int depth = 4) {
    tree made = below(10) < 4 && depth > 0 ? container(depth) : leaf();
    if (depth > 0 && below(4) == 0) {
      for (std::uint64_t n = 1 + below(3), i = 0; i < n; ++i)
        made.attributes.emplace_back("attribute " + std::to_string(i) + word(), any(depth - 2));
    }
    return made;
  }

  tree leaf() {
    switch (below(9)) {
      case 0: return {};
      case 1: case 2: return strings(length(), below(2) == 0 ? 1 + below(5) : 1'000'000);
      case 3: return codes(node_kind::categorical);
      case 4: return codes(node_kind::coded_string);
      case 5: return opaque();
      case 6: return records();
      default: return array(dtypes[below(std::size(dtypes))]);
    }
  }

  tree array(dtype type) {
    tree made;
    made.kind = node_kind::array;
    made.spec.type = type;
    if (type == dtype::fixed_bytes) made.spec.item_size = 1 + below(20);
    if (type == dtype::fixed_utf32) made.spec.item_size = 4 * (1 + below(5));
    shape_of(made.spec);
    fill(made);
    if (below(3) == 0) made.validity = bitmap(made.spec.count);
    if ((type == dtype::int32 || type == dtype::int64 || type == dtype::float64) && below(3) == 0) {
      made.spec.semantic = static_cast<onecopy::semantic>(1 + below(4));
      made.spec.unit = static_cast<onecopy::time_unit>(1 + below(13));
    }
    return made;
  }

  tree strings(std::uint64_t count, std::uint64_t distinct) {
    tree made;
    made.kind = node_kind::string;
    std::vector<std::string> words(std::min(distinct, count));
    for (auto& text : words) text = word();
    const bool marks = below(6) == 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (below(7) == 0) made.texts.emplace_back();
      else made.texts.emplace_back(words[below(words.size())]);
      if (marks) made.marked.push_back(made.texts.back() && below(3) == 0);
    }
    if (!marks && below(3) == 0) made.offset_bytes = below(2) == 0 ? 4 : 8;
    return made;
  }

  tree codes(node_kind kind) {
    static constexpr dtype types[] = {dtype::int8, dtype::int16, dtype::int32, dtype::int64};
    tree made;
    made.kind = kind;
    made.spec.type = types[below(std::size(types))];
    made.spec.count = length();
    made.code_base = static_cast<int>(below(2));
    made.ordered = kind == node_kind::categorical && below(2) == 0;
    tree levels;
    levels.kind = node_kind::string;
    for (std::uint64_t n = 1 + below(100), i = 0; i < n; ++i) levels.texts.emplace_back(word() + std::to_string(i));
    const std::size_t item = size_of(made.spec.type);
    for (std::uint64_t i = 0; i < made.spec.count; ++i) {
      const auto code = static_cast<std::int64_t>(below(levels.texts.size() + 1)) - 1 + made.code_base;
      const auto* raw = reinterpret_cast<const std::byte*>(&code);
      made.data.insert(made.data.end(), raw, raw + item);
    }
    made.children.push_back(std::move(levels));
    return made;
  }

  tree records() {
    tree made;
    made.kind = node_kind::array;
    made.spec.type = dtype::record;
    made.spec.count = below(20);
    std::uint64_t end = 0;
    made.fields = fields(end, 2);
    made.spec.item_size = end + below(9);
    fill(made);
    return made;
  }

  tree opaque() {
    tree made;
    made.kind = node_kind::opaque;
    made.tag = below(2) == 0 ? "r-serialize" : "python-pickle";
    made.data.resize(length());
    for (auto& byte : made.data) byte = static_cast<std::byte>(random_());
    return made;
  }

  tree container(int depth) {
    tree made;
    if (below(3) == 0) {
      made.kind = node_kind::table;
      made.rows = below(50);
      for (std::uint64_t n = below(6), i = 0; i < n; ++i) {
        tree column;
        if (below(3) == 0) {
          column = strings(made.rows, 1 + below(100));
        } else {
          column.kind = node_kind::array;
          column.spec.type = dtypes[below(9)];
          column.spec.count = made.rows;
          fill(column);
        }
        made.children.push_back(std::move(column));
      }
    } else {
      made.kind = node_kind::list;
      made.form = static_cast<onecopy::list_form>(below(7));
      if (made.form == onecopy::list_form::dict) made.form = onecopy::list_form::tuple;  // needs names: below
      for (std::uint64_t n = below(8), i = 0; i < n; ++i) made.children.push_back(any(depth - 1));
    }
    return made;
  }

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  std::uint64_t longest = 4000;

  static constexpr dtype dtypes[] = {
      dtype::bool8,  dtype::int8,   dtype::int16,   dtype::int32,   dtype::int64,     dtype::uint8,      dtype::float64,
      dtype::uint16, dtype::uint32, dtype::uint64,  dtype::float16, dtype::float32,   dtype::complex64,
      dtype::complex128, dtype::raw, dtype::logical32, dtype::fixed_bytes, dtype::fixed_utf32};

  void fill(tree& made) {
    made.data.resize(made.spec.count * width(made.spec));
    for (auto& byte : made.data) byte = static_cast<std::byte>(random_() >> 7);
    if (made.spec.type == dtype::bool8)
      for (auto& byte : made.data) byte &= std::byte{1};
    if (made.spec.type == dtype::fixed_utf32)  // code points
      for (std::size_t i = 0; i < made.data.size(); ++i)
        if (i % 4 != 0) made.data[i] = {};
    if (made.spec.type == dtype::logical32) {
      for (std::uint64_t i = 0; i < made.spec.count; ++i) {
        static constexpr std::int32_t values[] = {0, 1, INT32_MIN};
        std::memcpy(made.data.data() + 4 * i, &values[below(3)], 4);
      }
    }
  }

 private:
  std::uint64_t length() {
    switch (below(8)) {
      case 0: return 0;
      case 1: return 1;
      case 2: return below(longest);  // pages
      default: return below(40);
    }
  }

  void shape_of(onecopy::array_spec& spec) {
    const std::uint64_t form = below(4);
    if (form == 0) {
      spec.scalar = true;
      spec.count = 1;
    } else if (form == 1) {
      spec.count = 1;
      for (std::uint64_t n = 1 + below(4), i = 0; i < n; ++i) spec.count *= spec.shape.emplace_back(below(7));
      spec.order = static_cast<onecopy::memory_order>(below(2));
    } else {
      spec.count = length();
    }
  }

  std::vector<std::uint8_t> bitmap(std::uint64_t count) {
    std::vector<std::uint8_t> bits(count / 8 + 1);
    for (auto& byte : bits) byte = static_cast<std::uint8_t>(random_());
    return bits;
  }

  std::vector<onecopy::record_field> fields(std::uint64_t& end, int depth) {
    std::vector<onecopy::record_field> made;
    for (std::uint64_t n = 1 + below(5), i = 0; i < n; ++i) {
      onecopy::record_field field;
      field.name = "f" + std::to_string(i) + word();
      field.offset = end + below(3);
      if (depth > 0 && below(4) == 0) {
        std::uint64_t inner = 0;
        field.type = dtype::record;
        field.fields = fields(inner, depth - 1);
        field.item_size = inner;
      } else {
        field.type = dtypes[below(std::size(dtypes) - 2)];
        field.item_size = size_of(field.type);
      }
      std::uint64_t bytes = field.item_size;
      if (below(3) == 0) field.shape.push_back(1 + below(3)), bytes *= field.shape[0];
      end = field.offset + bytes;
      made.push_back(std::move(field));
    }
    return made;
  }

  std::string word() {
    static constexpr const char* pieces[] = {"a", "Zürich", "",   "日本", "💾",
                                             "x y", "0", "NA", "\n", "long words are also words "};
    std::string text;
    for (std::uint64_t n = below(4), i = 0; i < n; ++i) text += pieces[below(std::size(pieces))];
    return text;
  }

  std::mt19937_64 random_;
};

// One tree with every kind of node, every element type, attributes and nesting; the same each time.
inline tree everything() {
  tree_maker make(20260101);
  make.longest = 40;
  tree all;
  all.kind = node_kind::list;
  std::vector<std::string> names;
  const auto add = [&](std::string name, tree part) {
    names.push_back(std::move(name));
    all.children.push_back(std::move(part));
  };
  add("null", {});
  for (const dtype type : tree_maker::dtypes) {
    tree vector;
    vector.kind = node_kind::array;
    vector.spec.type = type;
    if (type == dtype::fixed_bytes) vector.spec.item_size = 3;
    if (type == dtype::fixed_utf32) vector.spec.item_size = 8;
    vector.spec.count = 6;
    vector.spec.shape = {2, 3};
    vector.spec.order = onecopy::memory_order::row_major;
    make.fill(vector);
    vector.validity = {0b101101};
    add(name_of(type), std::move(vector));
  }
  tree unique = make.strings(12, 1'000'000), repeated = make.strings(300, 3), wide = make.strings(5, 5);
  unique.offset_bytes = repeated.offset_bytes = 0;
  wide.marked.clear();
  wide.offset_bytes = 8;
  add("strings", std::move(unique));
  add("repeated strings", std::move(repeated));
  add("wide offsets", std::move(wide));
  add("coded", make.codes(node_kind::coded_string));
  add("factor", make.codes(node_kind::categorical));
  add("records", make.records());
  add("opaque", make.opaque());
  tree when = make.array(dtype::float64);
  when.spec = {.type = dtype::float64, .count = 5, .semantic = onecopy::semantic::timestamp,
               .unit = onecopy::time_unit::second};
  make.fill(when);
  when.validity.clear();
  tree zone;
  zone.kind = node_kind::string;
  zone.texts = {"Europe/Zurich"};
  when.attributes.emplace_back("tzone", std::move(zone));
  add("timestamp", std::move(when));
  tree table;
  table.kind = node_kind::table;
  table.rows = 4;
  for (const dtype type : {dtype::int32, dtype::float64}) {
    tree column;
    column.kind = node_kind::array;
    column.spec = {.type = type, .count = 4};
    make.fill(column);
    table.children.push_back(std::move(column));
  }
  tree columns;
  columns.kind = node_kind::string;
  columns.texts = {"number", "amount"};
  table.attributes.emplace_back("names", std::move(columns));
  tree nested;
  nested.kind = node_kind::list;
  nested.form = onecopy::list_form::tuple;
  nested.children = {std::move(table), tree{}};
  add("nested", std::move(nested));
  tree labels;
  labels.kind = node_kind::string;
  for (auto& name : names) labels.texts.emplace_back(name);
  all.attributes.emplace_back("names", std::move(labels));
  return all;
}

}  // namespace test
