// Attaching to an object of another process, and letting go; beside the bare system calls for a file of the same size.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <sstream>

#include "onecopy/onecopy.hpp"
#include "support/measure.hpp"

namespace {

std::vector<std::string> lines(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> all;
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

struct raw_mapping {
  void* address;
  std::size_t size;
};

// What any library must do at least: open, ask for the size, map, close, and read one number.
raw_mapping map_file(const std::string& path, double& sum) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (file < 0 || fstat(file, &info) != 0) std::abort();
  const auto size = static_cast<std::size_t>(info.st_size);
  void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (address == MAP_FAILED) std::abort();
  sum += static_cast<const double*>(address)[8];
  return {address, size};
}

void measure(const char* id, const char* what, std::size_t elements, bool goal) {
  const std::size_t objects = bench::sized<std::size_t>(elements < 1000 ? 1000 : 16, 4);
  const bench::other_process holder([&] {
    static std::vector<onecopy::array<double>> held;
    const std::vector<double> data(elements, 1.5);
    std::string handles;
    for (std::size_t i = 0; i < objects; ++i) {
      held.push_back(onecopy::share(std::span<const double>(data)));
      handles += held.back().handle().text() + '\n';
    }
    return handles;
  });
  const auto handles = lines(holder.text());
  if (handles.size() != objects) std::abort();
  std::vector<std::string> paths;
  for (const auto& handle : handles)
    paths.push_back(onecopy::store::directory() + '/' + onecopy::handle::parse(handle).id.text());

  double sum = 0;
  bench::samples let_go;
  const double each = 1e6 / static_cast<double>(objects);
  const auto ours = [&] {
    std::vector<onecopy::array<double>> attached;
    attached.reserve(objects);
    const double seconds = bench::time_of([&] {
      for (const auto& handle : handles) {
        attached.push_back(onecopy::attach<onecopy::array<double>>(handle));
        sum += attached.back()[0];
      }
    });
    let_go.ours.push_back(bench::time_of([&] { attached.clear(); }) * each);
    return seconds * each;
  };
  const auto baseline = [&] {
    std::vector<raw_mapping> mapped;
    mapped.reserve(objects);
    const double seconds = bench::time_of([&] {
      for (const auto& path : paths) mapped.push_back(map_file(path, sum));
    });
    let_go.baseline.push_back(bench::time_of([&] {
      for (const auto& one : mapped) munmap(one.address, one.size);
    }) * each);
    return seconds * each;
  };
  const auto attached = bench::interleaved(elements < 1000 ? 15 : 40, ours, baseline);
  bench::keep(&sum);
  bench::write("cpp",
               {id, std::string("attach ") + what + " by handle, read one element", "us",
                "open, fstat, mmap, read one, close", goal ? bench::at_most(10) : bench::no_goal()},
               attached);
  bench::write("cpp", {std::string(id) + "-end", std::string("let go of ") + what, "us", "munmap"}, let_go);
}

}  // namespace

int main() {
  measure("attach-small", "100 doubles", 100, true);
  measure("attach-large", "64 MB of doubles", bench::sized<std::size_t>(8 << 20, 1 << 16), true);
}
