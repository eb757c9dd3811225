// What has nothing to do with flights: measuring, waiting for the others, writing the answers down.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string>
#include <thread>

namespace worker {

inline std::filesystem::path out(const std::string& file) {
  return std::filesystem::path(std::getenv("FLIGHTS_OUT")) / file;
}
inline std::string name() { return std::getenv("FLIGHTS_WORKER"); }

// Bytes that belong to this process alone: memory it allocated, and pages of shared memory that it wrote to.
inline double private_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("Anonymous:")) return 1024 * std::stod(line.substr(10));
  return 0;
}

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct report {
  double before = private_bytes(), attach_seconds = 0, attached_bytes = 0, working = 0;
  std::ostringstream lines;

  // Calls `attach`, then waits until every worker has attached.
  template <class Attach>
  auto attaching(Attach attach) {
    const double began = now();
    auto value = attach();
    attach_seconds = now() - began;
    attached_bytes = private_bytes() - before;
    std::ofstream{out(name() + ".ready")};
    while (!std::filesystem::exists(out("go"))) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    working = now();
    return value;
  }

  void answer(const std::string& topic, const std::string& what, double number) {
    lines << topic << '\t' << what << '\t' << std::setprecision(17) << number << '\n';
  }

  void finish() {
    const double grown = private_bytes() - before;
    answer("measured", "attach_seconds", attach_seconds);
    answer("measured", "attached_bytes", attached_bytes);
    answer("measured", "grown_bytes", grown);
    answer("measured", "work_seconds", now() - working);
    std::ofstream{out(name() + ".tsv")} << lines.str();
  }
};

}  // namespace worker
