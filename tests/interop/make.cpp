// Shares one object of each kind under the name c-<kind>, and waits until its input ends. What make.R does in R.
#include <cmath>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <onecopy/onecopy.hpp>

namespace {

using namespace onecopy;

const double nan_value = std::nan("");
const double doubles[] = {1.5, nan_value, -INFINITY, 3};
const std::int32_t integers[] = {1, INT32_MIN, 3};
const std::int32_t logicals[] = {1, INT32_MIN, 0};
const std::int8_t levels_of_factor[] = {1, -1, 0};
const double matrix[] = {1, 3, 5, 2, 4, 6};  // 2 x 3, row after row
const std::int32_t days[] = {19782, INT32_MIN, 0};
const std::int64_t instants[] = {0, INT64_MIN, 1709164800000};
const double three[] = {1, 2, 3};
const std::uint8_t second_is_missing = 0b101;

class texts : public string_source {
 public:
  texts(std::initializer_list<const char*> items, std::size_t times = 1) {
    for (std::size_t i = 0; i < times; ++i)
      for (const char* text : items)
        items_.push_back(text == nullptr ? item{.text = "", .missing = true} : item{.text = text});
  }
  std::uint64_t size() const override { return items_.size(); }
  item at(std::uint64_t i) const override { return items_[i]; }

 private:
  std::vector<item> items_;
};

const texts words{"one", nullptr, "thr\u00e9\u00e9", ""};
const texts repeated({"a", "b", nullptr}, 50);
const texts letters{"x", "y", "z"};
const texts column_of_text{"p", nullptr, "q"};

// Describes one object and shares it under its kind's name.
template <class Describe>
region share(const std::string& kind, Describe describe) {
  writer w;
  describe(w);
  return w.publish({.name = "c-" + kind});
}

std::vector<region> share_all() {
  std::vector<region> held;
  held.push_back(share("doubles", [](writer& w) { w.array(w.root(), {.type = dtype::float64, .count = 4}, doubles); }));
  held.push_back(share("integers", [](writer& w) {
    w.array(w.root(), {.type = dtype::int32, .count = 3, .least_is_missing = true}, integers);
  }));
  held.push_back(share("logicals", [](writer& w) { w.array(w.root(), {.type = dtype::logical32, .count = 3}, logicals); }));
  held.push_back(share("strings", [](writer& w) { w.strings(w.root(), words); }));
  held.push_back(share("repeated", [](writer& w) { w.strings(w.root(), repeated); }));
  held.push_back(share("factor", [](writer& w) {
    const auto levels = w.categorical(w.root(), {.type = dtype::int8, .count = 3}, levels_of_factor, 0, false);
    static const std::string_view names[] = {"v", "u"};
    w.strings(levels, names);
  }));
  held.push_back(share("matrix", [](writer& w) {
    w.array(w.root(), {.type = dtype::float64, .count = 6, .shape = {2, 3}, .order = memory_order::row_major}, matrix);
  }));
  held.push_back(share("dates", [](writer& w) {
    w.array(w.root(), {.type = dtype::int32, .count = 3, .semantic = semantic::date, .unit = time_unit::day,
                       .validity = &second_is_missing, .least_is_missing = true}, days);
  }));
  held.push_back(share("times", [](writer& w) {
    w.array(w.root(), {.type = dtype::int64, .count = 3, .semantic = semantic::timestamp, .unit = time_unit::millisecond},
            instants);
    static const std::string_view zone_attribute[] = {"tzone"};
    static const std::string_view zone[] = {"Europe/Berlin"};
    w.strings(w.attributes(w.root(), zone_attribute), zone);
  }));
  held.push_back(share("nested", [](writer& w) {
    const auto both = w.list(w.root(), 2, list_form::dict);
    w.names(w.root(), {"a", "b"});
    w.array(both, {.type = dtype::float64, .count = 3}, three);
    const auto inner = w.list(both + 1, 2);
    w.strings(inner, letters);
    w.null(inner + 1);
  }));
  held.push_back(share("table", [](writer& w) {
    static const double numbers[] = {1.5, nan_value, 3};
    const auto columns = w.table(w.root(), 2, 3);
    w.array(columns, {.type = dtype::float64, .count = 3}, numbers);
    w.strings(columns + 1, column_of_text);
    w.names(w.root(), {"n", "s"});
  }));
  return held;
}

}  // namespace

int main() {
  const std::vector<region> held = share_all();
  std::cout << "ready" << std::endl;
  std::string rest{std::istreambuf_iterator<char>(std::cin), {}};
}
