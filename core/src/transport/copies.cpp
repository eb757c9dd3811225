#include "transport/copies.hpp"

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "onecopy/channel.hpp"

namespace onecopy {
namespace {

using reporter = std::function<void(const copy_report&)>;

std::atomic<std::uint64_t> least{0};  // 0: nobody asked
std::mutex guard;
// Never destroyed: channels may send until the very end of the process.
std::shared_ptr<const reporter>& chosen() {
  static auto* const current = new std::shared_ptr<const reporter>;
  return *current;
}

void print(const copy_report& copy) {
  // One write, so that the lines of several processes stay whole.
  dprintf(2, "onecopy: %llu bytes were copied: %s%s%s\n", static_cast<unsigned long long>(copy.bytes), copy.what.c_str(),
          copy.where.empty() ? "" : " at ", copy.where.c_str());
}

}  // namespace

void report_copies(std::uint64_t threshold, std::function<void(const copy_report&)> report) {
  const std::lock_guard held(guard);
  chosen() = std::make_shared<const reporter>(report ? std::move(report) : reporter(print));
  least.store(threshold, std::memory_order_release);
}

namespace transport {

std::string place(const code_place& from) {
  std::string file = from.file_name();
  if (file.empty()) return {};
  file.erase(0, file.rfind('/') + 1);
  return file + ":" + std::to_string(from.line());
}

void note_copy(std::uint64_t bytes, const char* what, const code_place& from) {
  const std::uint64_t threshold = least.load(std::memory_order_acquire);
  if (threshold == 0 || bytes < threshold) return;
  std::shared_ptr<const reporter> report;
  {
    const std::lock_guard held(guard);
    report = chosen();
  }
  // Outside the lock: the callback may send, copy and report itself.
  (*report)({bytes, what, place(from)});
}

}  // namespace transport
}  // namespace onecopy
