// Shares one object of every kind, under names, and holds them until standard input ends.
//
//     cli_fixture [FILE]      also saves the table to FILE
//     cli_fixture --many N    N small objects instead
//     cli_fixture --lazy      two lazy objects instead, of which parts are filled
//     cli_fixture --lazy-file FILE    a lazy object that is this file, in place, of doubles
//     cli_fixture --lazy-large MIB    one of so many MiB, all of it touched
#include <cmath>
#include <complex>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <onecopy/lazy.hpp>
#include <onecopy/onecopy.hpp>

namespace {

using namespace onecopy;

std::vector<region> held;

region publish(writer& w, const std::string& name, publish_options options = {}) {
  options.name = name;
  held.push_back(w.publish(options));
  return held.back();
}

double r_na() {
  const std::uint64_t bits = 0x7FF00000000007A2;
  double number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

// Strings are borrowed until publish(), so they must not be temporaries.
using words_of = std::initializer_list<std::string_view>;
std::span<const std::string_view> lasting(words_of words) {
  static std::vector<std::vector<std::string_view>> kept;
  return kept.emplace_back(words);
}

class texts : public string_source {
 public:
  explicit texts(std::vector<item> items) : items_(std::move(items)) {}
  std::uint64_t size() const override { return items_.size(); }
  item at(std::uint64_t i) const override { return items_[i]; }

 private:
  std::vector<item> items_;
};

void describe_table(writer& w) {
  static const double numbers[] = {1.5, r_na(), std::nan(""), -INFINITY};
  static const std::int32_t integers[] = {1, INT32_MIN, 3, 4};
  static const std::int32_t truths[] = {1, 0, INT32_MIN, 1};
  static const double instants[] = {1357034400, 1357034400.25, r_na(), 0};
  static const std::int32_t days[] = {15706, 0, -1, 19000};
  static const std::int8_t codes[] = {0, 1, -1, 0};
  static const std::int64_t nanoseconds[] = {1, 1000000000, INT64_MIN, 1357034400000000000};
  static const texts words({{.text = "plain"}, {.text = "comma, \"quote\""}, {.text = ""}, {.text = "", .missing = true}});
  const auto at = w.table(w.root(), 8, 4);
  w.array(at, {.type = dtype::float64, .count = 4}, numbers);
  w.array(at + 1, {.type = dtype::int32, .count = 4, .least_is_missing = true}, integers);
  w.array(at + 2, {.type = dtype::logical32, .count = 4}, truths);
  w.strings(at + 3, words);
  w.array(at + 4, {.type = dtype::float64, .count = 4, .semantic = semantic::timestamp, .unit = time_unit::second},
          instants);
  w.array(at + 5, {.type = dtype::int32, .count = 4, .semantic = semantic::date, .unit = time_unit::day}, days);
  const auto levels = w.categorical(at + 6, {.type = dtype::int8, .count = 4}, codes, 0, false);
  w.strings(levels, lasting({"low", "high"}));
  w.array(at + 7, {.type = dtype::int64, .count = 4, .semantic = semantic::timestamp, .unit = time_unit::nanosecond},
          nanoseconds);
  w.names(w.root(), {"number", "integer", "truth", "text", "instant", "day", "level", "nano"});
}

void share_all(const char* file) {
  {
    writer w;
    describe_table(w);
    publish(w, "table");
    if (file != nullptr) w.publish({.where = backing::file, .path = file});
  }
  {
    static const double matrix[] = {1, 2, 3, 4, 5, 6};
    writer w;
    w.array(w.root(), {.type = dtype::float64, .count = 6, .shape = {2, 3}}, matrix);
    const std::string_view names[] = {"dimnames"};
    const auto both = w.list(w.attributes(w.root(), names), 2);
    w.strings(both, lasting({"r1", "r2"}));
    w.strings(both + 1, lasting({"a", "b", "c"}));
    publish(w, "matrix");
  }
  {
    static const std::int16_t rows[] = {1, 2, 3, 4, 5, 6};
    writer w;
    w.array(w.root(), {.type = dtype::int16, .count = 6, .shape = {2, 3}, .order = memory_order::row_major}, rows);
    publish(w, "rowmajor");
  }
  {
    static const std::uint8_t cube[] = {0, 1, 2, 3, 4, 5, 6, 7};
    writer w;
    w.array(w.root(), {.type = dtype::uint8, .count = 8, .shape = {2, 2, 2}, .order = memory_order::row_major}, cube);
    publish(w, "cube");
  }
  {
    static const double one[] = {42};
    writer w;
    const auto at = w.list(w.root(), 4, list_form::dict);
    w.array(at, {.type = dtype::float64, .count = 1, .scalar = true}, one);
    const auto inner = w.list(at + 1, 2);
    w.strings(inner, lasting({"deep", "text"}));
    w.null(inner + 1);
    w.names(at + 1, {"words", "nothing"});
    w.opaque(at + 2, "python-pickle", std::as_bytes(std::span("pickled", 7)));
    static const std::complex<double> z[] = {{1, -2}};
    w.array(at + 3, {.type = dtype::complex128, .count = 1}, z);
    w.names(w.root(), {"answer", "inner", "odd", "complex"});
    publish(w, "nested");
  }
  {
    struct point {
      std::int32_t x, y;
      double weight[2];
    };
    static const point points[] = {{1, 2, {0.5, 1}}, {3, 4, {2, 4}}};
    const record_field fields[] = {{.name = "x", .type = dtype::int32, .offset = 0},
                                   {.name = "y", .type = dtype::int32, .offset = 4},
                                   {.name = "weight", .type = dtype::float64, .offset = 8, .shape = {2}}};
    writer w;
    w.records(w.root(), {.type = dtype::record, .count = 2, .item_size = sizeof(point)}, fields, points);
    publish(w, "records");
  }
  {
    writer w;
    w.strings(w.root(), lasting({"one", "zwei", "три"}));
    publish(w, "words", {.keep = true});
  }
  {
    static const double many[1000] = {1};
    writer w;
    w.array(w.root(), {.type = dtype::float64, .count = 1000}, many);
    publish(w, "counter", {.writable = true});
    publish(w, "");
  }
  {
    writer w;
    w.null(w.root());
    publish(w, "null");
  }
}

void share_many(std::size_t count) {
  static const double one[] = {1};
  for (std::size_t i = 0; i < count; ++i) {
    writer w;
    w.array(w.root(), {.type = dtype::float64, .count = 1}, one);
    publish(w, "");
  }
}

std::vector<lazy_vector> lazy_held;

// 80 MB of float64 with 3 chunks filled, 4 MB of int32 with none.
void make_lazy_objects() {
  const auto numbers = lazy<double>(10'000'000, lazy_source::sequence(0.0, 0.5));
  for (const std::size_t i : {std::size_t{0}, std::size_t{1'000'000}, std::size_t{9'999'999}}) (void)numbers.at(i);
  lazy_held.push_back(numbers.vector());
  lazy_held.push_back(make_lazy(dtype::int32, 1'000'000, lazy_source::sequence(std::int64_t{0}, std::int64_t{1})));
}

void make_lazy_file(const std::string& path) {
  const auto numbers = lazy<double>(std::filesystem::file_size(path) / 8, lazy_source::binary_file(path), {.in_place = true});
  (void)numbers.at(0);
  lazy_held.push_back(numbers.vector());
}

void make_lazy_large(std::uint64_t mebibytes) {
  const auto numbers = lazy<double>(mebibytes << 17, lazy_source::sequence(0.0, 0.5));
  const volatile double* data = numbers.data();
  for (std::uint64_t i = 0; i < numbers.size(); i += 512) (void)data[i];
  lazy_held.push_back(numbers.vector());
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 2 && std::string_view(argv[1]) == "--lazy") make_lazy_objects();
  else if (argc == 3 && std::string_view(argv[1]) == "--lazy-file") make_lazy_file(argv[2]);
  else if (argc == 3 && std::string_view(argv[1]) == "--lazy-large") make_lazy_large(std::stoul(argv[2]));
  else if (argc == 3 && std::string_view(argv[1]) == "--many") share_many(std::stoul(argv[2]));
  else share_all(argc > 1 ? argv[1] : nullptr);
  std::cout << "shared " << held.size() << std::endl;
  std::string line;
  std::getline(std::cin, line);
  return 0;
} catch (const std::exception& problem) {
  std::cerr << "cli_fixture: " << problem.what() << '\n';
  return 1;
}
