// Lazy vectors: what a touch costs, reading in sequence by four processes, a file beside the kernel's own mapping, random
// access and computing beyond the budget.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "onecopy/lazy_functions.hpp"
#include "support/measure.hpp"

namespace {

const std::uint64_t budget = bench::sized<std::uint64_t>(128u << 20, 16u << 20);

std::string size_of_bytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MB"; }

double wall() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);  // others work for us: a clock of this thread would not see them
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double median(std::vector<double> of) {
  std::nth_element(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(of.size() / 2), of.end());
  return of[of.size() / 2];
}

double sum(const double* data, std::uint64_t count) {
  double sums[4] = {};
  for (std::uint64_t i = 0; i + 4 <= count; i += 4)
    for (std::uint64_t k = 0; k < 4; ++k) sums[k] += data[i + k];
  return sums[0] + sums[1] + sums[2] + sums[3];
}

struct raw_file {
  const double* data;
  std::size_t bytes;
  explicit raw_file(const std::string& path, bool populate = false) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    bytes = std::filesystem::file_size(path);
    void* at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | (populate ? MAP_POPULATE : 0), file, 0);
    close(file);
    if (at == MAP_FAILED) std::abort();
    data = static_cast<const double*>(at);
  }
  ~raw_file() { munmap(const_cast<double*>(data), bytes); }
  raw_file(const raw_file&) = delete;
  raw_file& operator=(const raw_file&) = delete;
};

std::string random_file(const std::string& folder, const char* name, std::uint64_t count) {
  std::vector<double> numbers(count);
  std::mt19937_64 random(count + static_cast<unsigned char>(name[0]));
  for (double& one : numbers) one = static_cast<double>(random()) / 1.8446744073709552e19 - 0.5;
  std::ofstream(folder + "/" + name, std::ios::binary)
      .write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(count * 8));
  return folder + "/" + name;
}

// Every other chunk, from the end: no sequence is seen.
double touch_each(const volatile double* data, std::uint64_t chunk, std::uint64_t count) {
  std::vector<double> taken;
  for (std::uint64_t i = count; i > 0; --i) {
    const double begun = wall();
    (void)data[i * 2 * chunk / 8];
    taken.push_back((wall() - begun) * 1e6);
  }
  return median(taken);
}

void faults(const std::string& folder, bool one_processor) {
  for (const std::uint64_t chunk : {4096u, 65536u}) {
    const auto count = bench::sized<std::uint64_t>(400, 30);
    const std::string path = random_file(folder, "touched", (2 * count + 2) * chunk / 8);
    const auto ours = [&] {
      auto x = onecopy::lazy<double>((2 * count + 2) * chunk / 8, onecopy::lazy_source::sequence(0.0, 1.0),
                                     {.chunk_bytes = chunk});
      return touch_each(x.data(), chunk, count);
    };
    const auto mapped = [&] { return touch_each(raw_file(path).data, chunk, count); };
    const std::string size = std::to_string(chunk / 1024), how = one_processor ? "one processor" : "two processors";
    bench::write("cpp", {"lazy-fault-" + size + (one_processor ? "k-one" : "k"), "touch that fills " + size + " KB, " + how,
                         "us", "mmap of a file: touch of a page in the cache", bench::at_most(chunk == 4096 ? 12 : 40),
                         one_processor ? "" : "with two waking ones, some 25 us each on a virtual machine"},
                 bench::interleaved(5, ours, mapped));
    std::filesystem::remove(path);
  }
}

// Where client and pager share a processor, as they do on a busy machine, none has to be woken up. A process and a store
// of its own, since a pager stays where it was started.
void faults_on_one_processor(const std::string& folder) {
  const char* given = std::getenv("ONECOPY_DIR");
  const std::string store = std::string(given != nullptr ? given : "/dev/shm/onecopy-bench") + "-one";
  std::filesystem::create_directory(store);
  std::filesystem::permissions(store, std::filesystem::perms::owner_all);
  const pid_t child = fork();
  if (child == 0) {
    setenv("ONECOPY_DIR", store.c_str(), 1);
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(sched_getcpu(), &first);
    if (sched_setaffinity(0, sizeof first, &first) != 0) _exit(1);
    faults(folder, true);
    std::fflush(nullptr);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::filesystem::remove_all(store);
  if (status != 0) std::abort();
}

// Each of four processes reads its quarter; the clock runs from the first to the last.
void four_readers() {
  const std::uint64_t elements = 4 * budget / 8, part = elements / 4;
  bench::samples taken;
  std::uint64_t fills = 0, peak = 0;
  const int rounds = bench::sized(5, 1);
  for (int round = 0; round < rounds; ++round) {
    auto x = onecopy::lazy<double>(elements, onecopy::lazy_source::sequence(0.0, 1.0));
    std::vector<pid_t> readers;
    int go[2], ready[2];
    if (pipe(go) != 0 || pipe(ready) != 0) std::abort();
    for (std::uint64_t i = 0; i < 4; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        char byte = 0;
        close(go[1]);
        x.vector().ensure(0, 0);
        if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) < 0) _exit(2);
        const double got = sum(x.data() + i * part, part), first = static_cast<double>(i * part);
        const double n = static_cast<double>(part);
        const double right = n * first + n * (n - 1) / 2;
        _exit(std::abs(got - right) <= right * 1e-9 ? 0 : 1);
      }
      readers.push_back(child);
    }
    char byte;
    for (int i = 0; i < 4; ++i)
      if (read(ready[0], &byte, 1) != 1) std::abort();
    close(go[0]);
    const double begun = wall();
    close(go[1]);
    for (const pid_t one : readers) {
      int status = 1;
      waitpid(one, &status, 0);
      if (status != 0) {
        std::cerr << "a reader saw wrong numbers" << std::endl;
        std::exit(1);
      }
    }
    taken.ours.push_back(static_cast<double>(elements) * 8 / (wall() - begun) / 1e9);
    close(ready[0]);
    close(ready[1]);
    fills += x.vector().count().fills;
    peak = onecopy::pager::look().peak_resident;
  }
  // The baseline: the same numbers, computed and summed by as many processes without keeping them anywhere.
  for (int round = 0; round < rounds; ++round) {
    std::vector<pid_t> workers;
    const double begun = wall();
    for (std::uint64_t i = 0; i < 4; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        std::vector<double> block(65536 / 8);
        double total = 0;
        for (std::uint64_t at = i * part; at < (i + 1) * part; at += block.size()) {
          for (std::size_t k = 0; k < block.size(); ++k) block[k] = static_cast<double>(at + k);
          total += sum(block.data(), block.size());
        }
        bench::keep(&total);
        _exit(0);
      }
      workers.push_back(child);
    }
    for (const pid_t one : workers) waitpid(one, nullptr, 0);
    taken.baseline.push_back(static_cast<double>(elements) * 8 / (wall() - begun) / 1e9);
  }
  if (peak > budget) {
    std::cerr << "the budget was exceeded: " << peak << std::endl;
    std::exit(1);
  }
  bench::write("cpp", {"lazy-four-readers", "4 processes read " + size_of_bytes(elements * 8) + ", 4 budgets", "GB/s",
                       "4 processes that compute the numbers and keep none", bench::at_least(2),
                       std::to_string(fills) + " fills of " +
                           std::to_string(static_cast<std::uint64_t>(rounds) * elements * 8 / 65536) + " chunks"},
               taken);
}

void files(const std::string& folder) {
  const std::uint64_t count = budget / 2 / 8;
  const std::string path = random_file(folder, "numbers", count);
  const auto rate = [&](auto&& read) {
    const double begun = wall();
    const double got = read();
    bench::keep(&got);
    return static_cast<double>(count) * 8 / (wall() - begun) / 1e9;
  };
  const auto mapped = [&] { return rate([&] { return sum(raw_file(path).data, count); }); };
  bench::write("cpp", {"lazy-file", "sum of a file of " + size_of_bytes(count * 8) + ", within the budget", "GB/s",
                       "mmap", bench::ratio_at_least(0.8)},
               bench::interleaved(9, [&] {
                 return rate([&] {
                   auto x = onecopy::lazy<double>(count, onecopy::lazy_source::binary_file(path), {.in_place = true});
                   return sum(x.data(), count);
                 });
               }, mapped));
  bench::write("cpp", {"lazy-file-paged", "the same through the pager", "GB/s", "mmap"},
               bench::interleaved(5, [&] {
                 return rate([&] {
                   auto x = onecopy::lazy<double>(count, onecopy::lazy_source::binary_file(path), {.in_place = false});
                   return sum(x.data(), count);
                 });
               }, mapped));
}

void random_access(const std::string& folder) {
  const std::uint64_t elements = 4 * budget / 8, reads = bench::sized<std::uint64_t>(4000, 200);
  const std::string path = random_file(folder, "random", elements);
  auto x = onecopy::lazy<double>(elements, onecopy::lazy_source::sequence(0.0, 1.0));
  auto small = onecopy::lazy<double>(elements, onecopy::lazy_source::sequence(0.0, 1.0), {.chunk_bytes = 4096});
  auto file = onecopy::lazy<double>(elements, onecopy::lazy_source::binary_file(path), {.in_place = true});
  std::mt19937_64 random(1);
  const auto each = [&](const double* data) {
    double total = 0;
    const double begun = wall();
    for (std::uint64_t i = 0; i < reads; ++i) total += data[random() % elements];
    bench::keep(&total);
    return (wall() - begun) * 1e6 / static_cast<double>(reads);
  };
  const raw_file mapped(path);
  const auto plain = [&] {
    const raw_file fresh(path);
    return each(fresh.data);
  };
  const std::string what = ", random element of " + size_of_bytes(elements * 8) + ", 4 budgets";
  bench::write("cpp", {"lazy-random-64k", "chunks of 64 KB" + what, "us", "mmap of a file in the page cache"},
               bench::interleaved(5, [&] { return each(x.data()); }, plain));
  bench::write("cpp", {"lazy-random-4k", "chunks of 4 KB" + what, "us", "mmap of a file in the page cache"},
               bench::interleaved(5, [&] { return each(small.data()); }, plain));
  bench::write("cpp", {"lazy-random-file", "a file" + what, "us", "mmap of a file in the page cache"},
               bench::interleaved(5, [&] { return each(file.vector().another_view() ? file.data() : nullptr); }, plain));
  std::filesystem::remove(path);
}

// x + y > 0, counted, over files of twice the budget each, and over vectors that the pager makes.
void expressions(const std::string& folder) {
  const std::uint64_t count = 2 * budget / 8;
  const std::string a = random_file(folder, "a", count), b = random_file(folder, "b", count);
  const auto plain = [&] {
    const double begun = wall();
    const raw_file x(a), y(b);
    std::uint64_t total = 0;
    for (std::uint64_t i = 0; i < count; ++i) total += x.data[i] + y.data[i] > 0;
    bench::keep(&total);
    return wall() - begun;
  };
  const auto ours = [&](bool in_place) {
    const double begun = wall();
    auto x = onecopy::lazy<double>(count, onecopy::lazy_source::binary_file(a), {.in_place = in_place});
    auto y = onecopy::lazy<double>(count, onecopy::lazy_source::binary_file(b), {.in_place = in_place});
    const std::uint64_t total = onecopy::sum(x + y > 0);
    if (total == 0 || total == count) std::abort();
    return wall() - begun;
  };
  const std::string what = "sum(x + y > 0), " + size_of_bytes(2 * count * 8) + ", 4 budgets";
  bench::write("cpp", {"lazy-sum", what, "s", "a loop over mmap of both files"},
               bench::interleaved(5, [&] { return ours(true); }, plain));
  bench::write("cpp", {"lazy-sum-paged", what + ", through the pager", "s", "a loop over mmap of both files"},
               bench::interleaved(3, [&] { return ours(false); }, plain));
  const auto stored = [&] {
    auto x = onecopy::lazy<double>(count, onecopy::lazy_source::binary_file(a), {.in_place = true});
    auto y = onecopy::lazy<double>(count, onecopy::lazy_source::binary_file(b), {.in_place = true});
    const double begun = wall();
    onecopy::lazy_array<bool> z = x + y > 0;
    std::uint64_t total = 0;
    for (std::uint64_t i = 0; i < count; ++i) total += z[i];
    bench::keep(&total);
    return wall() - begun;
  };
  bench::write("cpp", {"lazy-expression", what + ", as a lazy vector", "s", "a loop over mmap of both files"},
               bench::interleaved(3, stored, plain));
}

}  // namespace

int main() {
  setenv("ONECOPY_LAZY_BUDGET", std::to_string(budget).c_str(), 1);
  std::string folder = "/var/tmp/onecopy-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const char* only = std::getenv("ONECOPY_BENCH_ONLY");
  const auto wanted = [&](const char* name) { return only == nullptr || std::string_view(only) == name; };
  if (wanted("faults")) {
    faults_on_one_processor(folder);
    faults(folder, false);
  }
  if (wanted("readers")) four_readers();
  if (wanted("files")) files(folder);
  if (wanted("random")) random_access(folder);
  if (wanted("expressions")) expressions(folder);
  std::filesystem::remove_all(folder);
}
