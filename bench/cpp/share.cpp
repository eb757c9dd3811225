// share() of a large array against malloc + memcpy of the same bytes, and what it costs beside the object itself.
#include <sys/statvfs.h>

#include <cstring>
#include <vector>

#include "onecopy/onecopy.hpp"
#include "support/measure.hpp"

namespace {

// Peak resident memory since the last call, in bytes; the kernel forgets the old peak when it is told to.
std::uint64_t peak_resident() { return bench::proc_field("/proc/self/status", "VmHWM"); }
void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

std::uint64_t used_in_store() {
  struct statvfs info {};
  if (statvfs(onecopy::store::directory().c_str(), &info) != 0) return 0;
  return (info.f_blocks - info.f_bfree) * info.f_frsize;
}

}  // namespace

int main() {
  const std::size_t count = bench::sized<std::size_t>(64 << 20, 1 << 17);
  const std::size_t bytes = count * sizeof(double);
  const double gigabytes = static_cast<double>(bytes) / 1e9;
  const std::string size = std::to_string(bytes >> 20) + " MB of doubles";
  std::vector<double> source(count);
  for (std::size_t i = 0; i < count; ++i) source[i] = static_cast<double>(i);
  std::uint64_t faults_ours = 0, faults_baseline = 0;

  const auto ours = [&] {
    const auto before = bench::page_faults();
    const double begun = bench::now();
    const auto shared = onecopy::share(std::span<const double>(source));
    const double seconds = bench::now() - begun;
    faults_ours = bench::page_faults() - before;
    bench::keep(shared.data());
    return gigabytes / seconds;
  };
  const auto baseline = [&] {
    const auto before = bench::page_faults();
    const double begun = bench::now();
    void* copy = std::malloc(bytes);
    std::memcpy(copy, source.data(), bytes);
    bench::keep(copy);
    const double seconds = bench::now() - begun;
    faults_baseline = bench::page_faults() - before;
    std::free(copy);
    return gigabytes / seconds;
  };
  const auto taken = bench::interleaved(9, ours, baseline);
  bench::write("cpp",
               {"share", "share " + size, "GB/s", "malloc + memcpy", bench::ratio_at_least(1.5),
                "page faults: " + std::to_string(faults_ours) + " ours, " + std::to_string(faults_baseline) + " theirs"},
               taken);

  bench::samples extra;
  for (int i = 0; i < bench::sized(3, 1); ++i) {
    forget_peak();
    const auto resident = peak_resident(), used = used_in_store();
    const auto shared = onecopy::share(std::span<const double>(source));
    extra.ours.push_back(static_cast<double>(peak_resident() - resident + used_in_store() - used));
    extra.baseline.push_back(static_cast<double>(bytes));
    bench::keep(shared.data());
  }
  // The file system's count is of the whole machine; in a tiny run other tests share it, so that proves nothing.
  bench::write("cpp",
               {"share-memory", "peak extra memory of share " + size, "bytes", "the bytes of the object",
                bench::ratio_at_most(1.02), "grown in the process and in the store's file system"},
               extra);
}
