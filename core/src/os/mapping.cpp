#include "os/mapping.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/kernel.hpp"

namespace onecopy::os {

mapping::mapping(mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      writable_(std::exchange(other.writable_, false)) {}

mapping& mapping::operator=(mapping&& other) noexcept {
  if (this != &other) {
    unmap(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    writable_ = std::exchange(other.writable_, false);
  }
  return *this;
}

mapping::~mapping() { unmap(data_, size_); }

void unmap(void* address, std::size_t size) noexcept {
  if (address != nullptr) munmap(address, size);
}

result<mapping> mapping::map(int descriptor, std::uint64_t offset, std::uint64_t size, map_mode mode) {
  const int flags = mode == map_mode::shared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
  bool writable = mode != map_mode::read_only;
  const auto ask = [&] {
    return mmap(nullptr, size, PROT_READ | (writable ? PROT_WRITE : 0), flags, descriptor, static_cast<off_t>(offset));
  };
  void* address = ask();
  if (address == MAP_FAILED && errno == ENOMEM && mode == map_mode::private_pages) {
    writable = false;
    address = ask();
  }
  if (address == MAP_FAILED) return failure::from_errno("map " + std::to_string(size) + " bytes");
  mapping made;
  made.data_ = static_cast<std::byte*>(address);
  made.size_ = size;
  made.writable_ = writable;
  return made;
}

result<mapping> mapping::map_behind(std::span<const std::byte> front, int descriptor, std::uint64_t offset,
                                    std::uint64_t size) {
  const std::uint64_t front_pages = round_up(front.size(), page_size);
  const auto total = checked_add(front_pages, round_up(size, page_size));
  const std::string tried = "map " + std::to_string(size) + " bytes of a file";
  if (!total || *total == 0 || *total < size)
    return failure{error_kind::invalid_argument, tried, "there is nothing to map, or too much", ""};
  // The range is taken first, so that the two parts that replace it can only lie side by side.
  void* address = mmap(nullptr, *total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return failure::from_errno(tried);
  mapping made;
  made.data_ = static_cast<std::byte*>(address);
  made.size_ = static_cast<std::size_t>(*total);
  if (front_pages > 0) {
    if (mprotect(address, front_pages, PROT_READ | PROT_WRITE) != 0) return failure::from_errno(tried);
    std::copy(front.begin(), front.end(), made.data_);
  }
  made.writable_ = true;
  if (size == 0) return made;
  const auto place = [&](int protection) {
    return mmap(made.data_ + front_pages, size, protection, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, descriptor,
                static_cast<off_t>(offset)) != MAP_FAILED;
  };
  if (place(PROT_READ | PROT_WRITE)) return made;
  made.writable_ = false;
  if (errno == ENOMEM && place(PROT_READ)) return made;
  return failure::from_errno(tried);
}

result<mapping> mapping::copy_of(std::span<const std::byte> bytes) {
  void* address = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return failure::from_errno("map " + std::to_string(bytes.size()) + " bytes");
  mapping made;
  made.data_ = static_cast<std::byte*>(address);
  made.size_ = bytes.size();
  made.writable_ = true;
  std::copy(bytes.begin(), bytes.end(), made.data_);
  return made;
}

status mapping::make_writable() {
  if (writable_) return done();
  if (mprotect(data_, size_, PROT_READ | PROT_WRITE) != 0)
    return failure::from_errno("get private pages for " + std::to_string(size_) + " shared bytes", errno,
                               "This machine allows no overcommit (vm.overcommit_memory = 2): free memory, or copy only "
                               "the part that you change");
  writable_ = true;
  return done();
}

std::byte* mapping::release() noexcept {
  size_ = 0;
  return std::exchange(data_, nullptr);
}

namespace {

// Pages that are present or swapped but do not belong to the file: those are copies made by a write.
result<std::vector<byte_range>> scan_pages(int pagemap, std::uint64_t start, std::uint64_t end) {
  std::vector<byte_range> found;
  const std::uint64_t base = start;
  std::vector<page_region> runs(256);
  while (start < end) {
    pm_scan_arg request{};
    request.size = sizeof request;
    request.start = start;
    request.end = end;
    request.vec = reinterpret_cast<std::uintptr_t>(runs.data());
    request.vec_len = runs.size();
    request.category_inverted = page_is_file;
    request.category_mask = page_is_file;
    request.category_anyof_mask = page_is_present | page_is_swapped;
    request.return_mask = page_is_present;
    const int count = ioctl(pagemap, pagemap_scan, &request);
    if (count < 0) return failure::from_errno("scan the page map");
    for (const page_region& one : std::span(runs).first(static_cast<std::size_t>(count)))
      found.push_back({one.start - base, one.end - one.start});
    start = request.walk_end;
  }
  return found;
}

result<std::vector<byte_range>> read_pages(int pagemap, std::uint64_t start, std::uint64_t end) {
  constexpr std::uint64_t present = 1ull << 63, swapped = 1ull << 62, file_or_shared = 1ull << 61;
  std::vector<byte_range> found;
  std::vector<std::uint64_t> entries(4096);
  for (std::uint64_t page = start / page_size; page < end / page_size;) {
    const std::size_t want = std::min<std::uint64_t>(entries.size(), end / page_size - page);
    auto got = read_at(pagemap, std::as_writable_bytes(std::span(entries.data(), want)), page * 8);
    if (!got) return got.reason();
    for (std::size_t i = 0; i < want; ++i) {
      if ((entries[i] & (present | swapped)) == 0 || (entries[i] & file_or_shared) != 0) continue;
      const std::uint64_t offset = (page + i) * page_size - start;
      if (!found.empty() && found.back().offset + found.back().size == offset) found.back().size += page_size;
      else found.push_back({offset, page_size});
    }
    page += want;
  }
  return found;
}

}  // namespace

result<std::uint64_t> private_bytes(const void* address, std::size_t size) {
  auto ranges = private_ranges(address, size);
  if (!ranges) return ranges.reason();
  std::uint64_t bytes = 0;
  for (const byte_range& one : *ranges) bytes += one.size;
  return bytes;
}

result<std::vector<byte_range>> private_ranges(const void* address, std::size_t size) {
  auto pagemap = open_file("/proc/self/pagemap", O_RDONLY);
  if (!pagemap) return pagemap.reason();
  const auto start = reinterpret_cast<std::uintptr_t>(address);
  const std::uint64_t end = start + round_up(size, page_size);
  auto found = scan_pages(pagemap->get(), start, end);
  return found ? found : read_pages(pagemap->get(), start, end);
}

}  // namespace onecopy::os
