// Writes the seeds of the fuzz targets: make_corpus <folder>. One region for each kind of node.
#include <fstream>
#include <functional>
#include <iostream>

#include "onecopy/onecopy.hpp"

namespace {

using namespace onecopy;

struct words final : string_source {
  std::uint64_t count;
  explicit words(std::uint64_t n) : count(n) {}
  std::uint64_t size() const override { return count; }
  item at(std::uint64_t i) const override {
    static constexpr std::string_view some[] = {"one", "two", "thr\xc3\xa9\xc3\xa9", ""};
    return {.text = some[i % 4], .missing = i % 5 == 4, .bytes = count == 3 && i == 0};
  }
};

void save(const std::string& path, const std::function<void(writer&)>& describe) {
  writer w;
  describe(w);
  const auto region = w.publish({.where = backing::memfd});
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(region.bytes().data()), static_cast<std::streamsize>(region.bytes().size()));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return std::cerr << "usage: make_corpus FOLDER\n", 2;
  const std::string folder = std::string(arguments[1]) + "/region/";
  static const double numbers[12] = {1, 2, 3};
  static const std::int32_t codes[4] = {1, 2, INT32_MIN, 1};
  static const std::uint8_t bits[2] = {0x5a, 0x0f};
  const words few(3), repeated(100);
  save(folder + "null", [](writer& w) { w.null(0); });
  save(folder + "scalar", [](writer& w) { w.array(0, {.type = dtype::float64, .count = 1, .scalar = true}, numbers); });
  save(folder + "matrix", [](writer& w) {
    w.array(0, {.type = dtype::float64, .count = 12, .shape = {3, 4}, .validity = bits}, numbers);
  });
  save(folder + "strings", [&](writer& w) { w.strings(0, few); });
  save(folder + "coded", [&](writer& w) { w.strings(0, repeated); });
  save(folder + "factor", [&](writer& w) {
    w.strings(w.categorical(0, {.type = dtype::int32, .count = 4}, codes, 1, true), few);
  });
  save(folder + "opaque", [](writer& w) { w.opaque(0, "r-serialize", std::as_bytes(std::span(bits))); });
  save(folder + "records", [](writer& w) {
    const std::vector<record_field> inner{{.name = "x", .type = dtype::int32}};
    const std::vector<record_field> fields{{.name = "a", .type = dtype::int32, .shape = {2}},
                                           {.name = "b", .type = dtype::record, .offset = 8, .item_size = 4, .fields = inner}};
    w.records(0, {.type = dtype::record, .count = 4, .item_size = 12}, fields, numbers);
  });
  save(folder + "table", [&](writer& w) {
    const auto column = w.table(0, 3, 3);
    w.array(column, {.type = dtype::float64, .count = 3}, numbers);
    w.strings(column + 1, few);
    w.list(column + 2, 3);
    w.names(0, {"x", "y", "z"});
  });
}
