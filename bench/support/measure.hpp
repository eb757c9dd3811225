// What the C++ benchmarks share: measuring two things in turns, and writing a row for the table that bench/run prints.
//
// Rows go to the file that ONECOPY_BENCH_ROWS names, one JSON object a line (docs/benchmarks.md has the fields). Samples
// are written, not medians: bench/run decides what they mean, for all languages alike.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

// Seconds on the wall; or, with ONECOPY_BENCH_CLOCK=cpu, seconds that this thread was on a processor, user and kernel:
// nearer the truth when others keep the machine busy. What is measured here happens in one thread.
inline double now() {
  static const char* which = std::getenv("ONECOPY_BENCH_CLOCK");
  static const bool cpu = which != nullptr && std::string_view(which) == "cpu";
  timespec time{};
  clock_gettime(cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Seconds that `work` takes.
template <class Work>
double time_of(Work&& work) {
  const double begun = now();
  work();
  return now() - begun;
}

// The compiler must believe that somebody reads what is at `address`, so it may not leave out what wrote it.
inline void keep(const void* address) { asm volatile("" : : "g"(address) : "memory"); }

inline bool tiny() {
  const char* size = std::getenv("ONECOPY_BENCH_SIZE");
  return size != nullptr && std::string_view(size) == "tiny";
}
template <class T>
T sized(T full, T small) {
  return tiny() ? small : full;
}

struct samples {
  std::vector<double> ours, baseline;
};

// Measures ours and the baseline in turns, so that what else the machine does falls on both. Each call returns its own
// sample: it times only what belongs to it.
template <class Ours, class Baseline>
samples interleaved(int rounds, Ours&& ours, Baseline&& baseline) {
  samples taken;
  rounds = sized(rounds, 2);
  ours();
  baseline();  // the first time pays for page tables, directories and caches
  for (int i = 0; i < rounds; ++i) {
    // Who comes first changes, for the second may find caches that the first one filled or emptied.
    if (i % 2 == 0) taken.ours.push_back(ours());
    taken.baseline.push_back(baseline());
    if (i % 2 == 1) taken.ours.push_back(ours());
  }
  return taken;
}

inline std::uint64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_minflt);
}

// A field of /proc/self/status or smaps_rollup, in bytes; 0 if it is not there.
inline std::uint64_t proc_field(const char* file, std::string_view field) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.compare(0, field.size(), field) == 0 && line[field.size()] == ':')
      return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
  return 0;
}

// What the design asks for. `of`: "ratio" (ours / baseline) or "ours"; `at`: "least" or "most".
struct goal {
  const char* of = "";
  const char* at = "";
  double value = 0;
};
inline goal ratio_at_least(double value) { return {"ratio", "least", value}; }
inline goal ratio_at_most(double value) { return {"ratio", "most", value}; }
inline goal at_least(double value) { return {"ours", "least", value}; }
inline goal at_most(double value) { return {"ours", "most", value}; }
inline goal no_goal() { return {}; }

namespace detail {

inline std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= ' ') out += c;
  }
  return out + '"';
}

inline std::string list_of(const std::vector<double>& numbers) {
  std::string out = "[";
  char digits[32];
  for (const double number : numbers) {
    std::snprintf(digits, sizeof digits, "%s%.9g", out.size() > 1 ? "," : "", number);
    out += digits;
  }
  return out + ']';
}

}  // namespace detail

struct row {
  std::string id;        // short, unique in its part, stays the same between versions
  std::string what;      // as a person says it
  std::string unit;      // of both samples: "s", "us", "GB/s", "1/s", "bytes", ...
  std::string against;   // what the baseline is
  bench::goal goal = {};
  std::string note = {};
};

inline void write(const char* part, const row& what, const samples& taken) {
  const std::string line =
      "{\"part\":" + detail::quoted(part) + ",\"id\":" + detail::quoted(what.id) + ",\"what\":" +
      detail::quoted(what.what) + ",\"unit\":" + detail::quoted(what.unit) + ",\"against\":" +
      detail::quoted(what.against) + ",\"ours\":" + detail::list_of(taken.ours) + ",\"baseline\":" +
      detail::list_of(taken.baseline) + ",\"goal_of\":" + detail::quoted(what.goal.of) + ",\"goal_at\":" +
      detail::quoted(what.goal.at) + ",\"goal\":" + detail::list_of({what.goal.value}) + ",\"note\":" +
      detail::quoted(what.note) + "}";
  const char* file = std::getenv("ONECOPY_BENCH_ROWS");
  if (file == nullptr) {
    std::cout << line << std::endl;
    return;
  }
  std::ofstream(file, std::ios::app) << line << '\n';
}

// A row that says why there are no figures.
inline void not_run(const char* part, const row& what, const std::string& why) {
  const std::string line = "{\"part\":" + detail::quoted(part) + ",\"id\":" + detail::quoted(what.id) + ",\"what\":" +
                           detail::quoted(what.what) + ",\"not_run\":" + detail::quoted(why) + "}";
  const char* file = std::getenv("ONECOPY_BENCH_ROWS");
  if (file == nullptr) std::cout << line << std::endl;
  else std::ofstream(file, std::ios::app) << line << '\n';
}

// Runs `child` in a forked process that lives until the returned object ends; what `child` writes to the descriptor it
// is given is text() here. For objects that must be held by somebody else, or they would be found in our own process.
class other_process {
 public:
  explicit other_process(const std::function<std::string()>& child) {
    int answer[2], stop[2];
    if (pipe(answer) != 0 || pipe(stop) != 0) std::abort();
    child_ = fork();
    if (child_ < 0) std::abort();
    if (child_ == 0) {
      close(answer[0]);
      close(stop[1]);
      const auto keep_until_told = [&](const std::string& text) {
        if (::write(answer[1], text.data(), text.size()) < 0) _exit(1);
        close(answer[1]);
        char end;
        while (::read(stop[0], &end, 1) > 0) {
        }
      };
      hold(child, keep_until_told);
      _exit(0);
    }
    close(answer[1]);
    close(stop[0]);
    stop_ = stop[1];
    char part[65536];
    for (ssize_t got; (got = ::read(answer[0], part, sizeof part)) > 0;) text_.append(part, static_cast<std::size_t>(got));
    close(answer[0]);
  }
  ~other_process() {
    close(stop_);
    waitpid(child_, nullptr, 0);
  }
  other_process(const other_process&) = delete;
  other_process& operator=(const other_process&) = delete;
  const std::string& text() const { return text_; }

 private:
  // `child` makes what it holds static or local to itself; it must live while the parent measures.
  static void hold(const std::function<std::string()>& child, const std::function<void(const std::string&)>& wait) {
    try {
      wait(child());
    } catch (const std::exception& why) {
      std::cerr << why.what() << std::endl;
      _exit(1);
    }
  }
  pid_t child_ = -1;
  int stop_ = -1;
  std::string text_;
};

}  // namespace bench
