// Objects of very many parts: a list of a million scalars, a million strings.
#include <memory>

#include "onecopy/onecopy.hpp"
#include "support/measure.hpp"

namespace {

void scalars() {
  const std::size_t count = bench::sized<std::size_t>(1'000'000, 1000);
  std::vector<double> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<double>(i);
  double sum = 0;
  const auto ours = [&] {
    return bench::time_of([&] {
      onecopy::writer w;
      const auto first = w.list(w.root(), count);
      for (std::size_t i = 0; i < count; ++i)
        w.array(first + static_cast<onecopy::writer::slot>(i),
                {.type = onecopy::dtype::float64, .count = 1, .scalar = true}, &numbers[i]);
      const onecopy::value list(w.publish());
      for (std::size_t i = 0; i < count; ++i) sum += list.child(i).as<double>()[0];
    });
  };
  // As a program has them that allocates each.
  const auto baseline = [&] {
    return bench::time_of([&] {
      std::vector<std::unique_ptr<double>> list;
      for (const double number : numbers) list.push_back(std::make_unique<double>(number));
      for (const auto& one : list) sum += *one;
    });
  };
  const auto taken = bench::interleaved(5, ours, baseline);
  bench::keep(&sum);
  bench::write("cpp", {"scalars", "list of " + std::to_string(count) + " scalars: share and touch all", "s",
                       "a vector of unique_ptr<double>: make and touch all", bench::at_most(0.6)}, taken);
}

void strings(const char* id, const char* what, std::size_t different) {
  const std::size_t count = bench::sized<std::size_t>(1'000'000, 1000);
  std::vector<std::string> owned(count);
  for (std::size_t i = 0; i < count; ++i) owned[i] = "a string of some length " + std::to_string(i % different);
  const std::vector<std::string_view> views(owned.begin(), owned.end());
  std::size_t total = 0;
  const auto share = [&] {
    return bench::time_of([&] {
      onecopy::writer w;
      w.strings(w.root(), views);
      const auto shared = w.publish();
      bench::keep(shared.bytes().data());
    });
  };
  const auto copy = [&] {
    return bench::time_of([&] {
      std::vector<std::string> all(views.begin(), views.end());
      bench::keep(all.data());
    });
  };
  bench::write("cpp", {std::string(id) + "-share", std::string("share ") + std::to_string(count) + " " + what, "s",
                       "copy them into a vector<string>"}, bench::interleaved(5, share, copy));
  onecopy::writer w;
  w.strings(w.root(), views);
  const onecopy::value shared(w.publish());
  const auto read = [&] {
    return bench::time_of([&] {
      for (std::size_t i = 0; i < count; ++i) total += shared.string(i).size();
    });
  };
  const auto read_plain = [&] {
    return bench::time_of([&] {
      for (const auto& one : owned) total += std::string_view(one).size();
    });
  };
  bench::write("cpp", {std::string(id) + "-read", std::string("read ") + std::to_string(count) + " " + what, "s",
                       "read them from a vector<string>"}, bench::interleaved(9, read, read_plain));
  bench::keep(&total);
}

}  // namespace

int main() {
  scalars();
  strings("unique-strings", "different strings", std::size_t(-1));
  strings("repeated-strings", "strings of 100 values", 100);
}
