// font_cache: fonts for many processes, each in memory once.
//
//     font_cache [seconds [processes]]
//
// A service keeps a cache of fonts; content processes ask for them over channels. Fonts of this machine are used where
// they lie, as mapped files; downloaded ones are sealed memory. Content processes are killed at random and replaced.
// The same is then done with private copies, and the memory of both is printed. Exit status 0 if every font that was
// read was whole, and nothing was left over.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "content.hpp"
#include "font.hpp"
#include "service.hpp"

namespace {

// What a process costs the machine: its own memory, and its part of what it shares with others.
double megabytes_of(pid_t process) {
  std::ifstream lines("/proc/" + std::to_string(process) + "/smaps_rollup");
  for (std::string line; std::getline(lines, line);)
    if (line.rfind("Pss:", 0) == 0) return std::strtod(line.c_str() + 4, nullptr) / 1024;
  return 0;
}

pid_t start_content(const std::string& program, const std::string& path, unsigned seed, bool copies) {
  const pid_t child = fork();
  if (child != 0) return child;
  const std::string text = std::to_string(seed);
  const char* how = copies ? "copies" : "shared";
  execl(program.c_str(), program.c_str(), "--content", path.c_str(), text.c_str(), how, nullptr);
  _exit(127);
}

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

struct outcome {
  double megabytes = 0;  // of all content processes together
  unsigned killed = 0, wrong = 0;
};

outcome serve(font_service& service, const std::string& program, const std::string& path, double seconds,
              std::size_t processes, bool copies) {
  std::mt19937 random(20260101);
  std::vector<pid_t> children;
  outcome all;
  unsigned seed = 1;
  while (children.size() < processes) children.push_back(start_content(program, path, seed++, copies));
  for (double passed = 0; passed < seconds; passed += 0.25) {
    service.run(0.25);
    pid_t& victim = children[random() % children.size()];
    kill(victim, SIGKILL);
    int status = 0;
    waitpid(victim, &status, 0);
    ++all.killed;
    all.wrong += WIFEXITED(status) && WEXITSTATUS(status) != 0;
    victim = start_content(program, path, seed++, copies);
  }
  service.run(1.5);  // until each has its fill of fonts
  for (const pid_t child : children) all.megabytes += megabytes_of(child);
  for (const pid_t child : children) {
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    all.wrong += WIFEXITED(status) && WEXITSTATUS(status) != 0;
  }
  service.run(0.2);  // notices the ends
  return all;
}

}  // namespace

int main(int count, char** words) {
  if (count == 5 && std::string(words[1]) == "--content")
    return run_content(words[2], static_cast<unsigned>(std::atoi(words[3])), std::string(words[4]) == "copies");
  const double seconds = count > 1 ? std::atof(words[1]) : 5;
  const std::size_t processes = count > 2 ? static_cast<std::size_t>(std::atoi(words[2])) : 6;
  const auto fonts = installed_fonts();
  if (fonts.empty() || processes == 0) {
    std::fprintf(stderr, "font_cache: %s\n", fonts.empty() ? "no fonts: install fonts-dejavu-core" : "no processes");
    return 2;
  }
  const char* folder = std::getenv("TMPDIR");
  const std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/font-cache-" + std::to_string(getpid());
  font_service service(path, fonts, 2 << 20);
  const std::string program = "/proc/self/exe";
  const outcome shared = serve(service, program, path, seconds, processes, false);
  const std::uint64_t answers = service.so_far().answers;
  const outcome copies = serve(service, program, path, seconds, processes, true);
  service.cache().trim();
  const auto left = service.cache().statistics();
  std::size_t in_use = 0;
  for (const auto& entry : service.cache().entries()) in_use += entry.in_use;

  std::printf("%zu fonts, %zu content processes, %u of them killed at random, %llu requests answered\n", fonts.size(),
              processes, shared.killed + copies.killed, static_cast<unsigned long long>(service.so_far().answers));
  std::printf("memory of the content processes: %.1f MB with shared fonts, %.1f MB with a copy in each\n",
              shared.megabytes, copies.megabytes);
  std::printf("the service: %llu loads, %llu evictions that freed %.1f MB; %.1f MB cached at the end, %zu in use\n",
              static_cast<unsigned long long>(left.loads), static_cast<unsigned long long>(service.so_far().evictions),
              megabytes(service.so_far().freed), megabytes(left.bytes), in_use);
  const bool good = shared.wrong == 0 && copies.wrong == 0 && answers > 0 && in_use == 0 && service.clients() == 0 &&
                    left.bytes <= 2u << 20 && service.so_far().evictions > 0 && shared.megabytes < copies.megabytes;
  std::printf("%s\n", good ? "every font was whole, and nothing is left over" : "SOMETHING IS WRONG");
  return good ? 0 : 1;
}
