#include "os/system.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>

#include "base/arithmetic.hpp"
#include "base/hash.hpp"
#include "os/file.hpp"

namespace onecopy::os {

void random_bytes(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const auto got = getrandom(out.data(), out.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      // An id made from anything weaker might be used twice, and would then show one object in place of another.
      raise(failure::from_errno("make a random id (getrandom)"));
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

std::string host_identity() {
  std::string source;
  if (auto boot = read_whole("/proc/sys/kernel/random/boot_id")) {
    source = *boot;
  } else {
    if (auto machine = read_whole("/etc/machine-id")) source = *machine;
    char name[256] = {};
    gethostname(name, sizeof name - 1);
    source += name;
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, xxh64(std::as_bytes(std::span(source))));
  return text;
}

std::uint64_t user_id() noexcept { return geteuid(); }

std::string process_name() { return std::to_string(getpid()); }

std::string process_namespace() {
  auto link = read_link(AT_FDCWD, "/proc/self/ns/pid");  // pid:[4026531836]
  if (!link || !*link) return "0";
  const auto open = (*link)->find('['), close = (*link)->find(']');
  return open == std::string::npos || close == std::string::npos ? "0" : (*link)->substr(open + 1, close - open - 1);
}

std::string environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

double wall_clock() noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

namespace {

constexpr std::uint64_t unlimited = UINT64_MAX;

// The number in a file that holds one, or "max".
std::uint64_t number_in(const std::string& path) {
  auto text = read_whole(path);
  return text && !text->empty() && text->front() >= '0' && text->front() <= '9'
             ? std::strtoull(text->c_str(), nullptr, 10)
             : unlimited;
}

// The least that this control group or one above it has left, by cgroup v2's files.
std::uint64_t left_in_control_group() {
  auto own = read_whole("/proc/self/cgroup");
  if (!own) return unlimited;
  const auto unified = own->rfind("0::/", 0) == 0 ? 0 : own->find("\n0::/");
  if (unified == std::string::npos) return unlimited;
  const auto start = own->find("::", unified) + 2;
  std::string group = own->substr(start, own->find('\n', start) - start);
  std::uint64_t least = unlimited;
  for (;;) {
    const std::string folder = "/sys/fs/cgroup" + group;
    const auto limit = number_in(folder + "/memory.max"), used = number_in(folder + "/memory.current");
    if (limit != unlimited && used != unlimited) least = std::min(least, limit > used ? limit - used : 0);
    if (group.empty() || group == "/") return least;
    group.resize(group.rfind('/'));
  }
}

// The locks on each of the files. True if the list came in several pieces, for which see below.
bool read_lock_list(std::map<file_identity, std::size_t>& counts) {
  for (auto& [file, count] : counts) count = 0;
  if (counts.empty()) return false;
  auto text = read_whole("/proc/locks", std::size_t{1} << 28);
  if (!text) return false;
  for (std::size_t line = 0; line < text->size();) {
    std::size_t end = text->find('\n', line);
    if (end == std::string::npos) end = text->size();
    // 12: FLOCK  ADVISORY  READ 4711 00:1b:56 0 EOF      a "->" before FLOCK marks somebody who waits for a lock
    const std::string row(text->data() + line, end - line);
    unsigned high = 0, low = 0;
    std::uint64_t inode = 0;
    if (std::sscanf(row.c_str(), "%*[0-9:] FLOCK %*s %*s %*s %x:%x:%" SCNu64, &high, &low, &inode) == 3)
      if (const auto at = counts.find({makedev(high, low), inode}); at != counts.end()) ++at->second;
    line = end + 1;
  }
  // The kernel's buffer is one page, of which the last line may not have used all.
  return text->size() + 128 > page_size;
}

}  // namespace

std::uint64_t available_memory() {
  // Without /proc: what nobody uses at all, which is less than could be had.
  struct sysinfo all {};
  std::uint64_t machine = sysinfo(&all) == 0 ? (all.freeram + all.bufferram) * all.mem_unit : unlimited;
  if (auto text = read_whole("/proc/meminfo")) {
    const auto at = text->find("MemAvailable:");
    if (at != std::string::npos) machine = std::strtoull(text->c_str() + at + 13, nullptr, 10) * 1024;
  }
  return std::min(machine, left_in_control_group());
}

std::uint64_t mapping_limit() {
  if (auto text = read_whole("/proc/sys/vm/max_map_count")) return std::strtoull(text->c_str(), nullptr, 10);
  return 65530;
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::size_t count_locks(std::uint64_t device, std::uint64_t inode) {
  const file_identity one{device, inode};
  return count_locks(std::span(&one, 1)).front();
}

std::vector<std::size_t> count_locks(std::span<const file_identity> files) {
  std::map<file_identity, std::size_t> counts;
  for (const auto& file : files) counts[file] = 0;
  // The kernel gives the list page by page, by position: locks that come or go meanwhile, of any process, make it show
  // others twice or not at all. Two readings that agree were most likely undisturbed.
  bool in_pieces = read_lock_list(counts);
  for (int again = 0; in_pieces && again < 4; ++again) {
    const auto before = counts;
    in_pieces = read_lock_list(counts);
    if (counts == before) break;
  }
  std::vector<std::size_t> in_order;
  in_order.reserve(files.size());
  for (const auto& file : files) in_order.push_back(counts[file]);
  return in_order;
}

}  // namespace onecopy::os
