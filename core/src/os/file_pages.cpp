#include "os/file_pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/kernel.hpp"
#include "os/mapping.hpp"

namespace onecopy::os {

bool answers_soon(int descriptor) noexcept {
  struct statfs info {};
  if (fstatfs(descriptor, &info) != 0) return false;
  // By number: not all of them have a name in the headers.
  constexpr std::uint32_t slow[] = {
      0x6969 /* NFS */, 0x517b /* SMB */, 0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */, 0x65735546 /* FUSE */,
      0x00c36400 /* Ceph */, 0x5346414f /* AFS */, 0x6b414653 /* kAFS */, 0x01021997 /* 9P */, 0x0bd00bd0 /* Lustre */,
      0x73757245 /* Coda */, 0x01161970 /* GFS2 */, 0x7461636f /* OCFS2 */, 0x564c /* NCP */, 0x47504653 /* GPFS */,
      0x20030528 /* OrangeFS */};
  return std::find(std::begin(slow), std::end(slow), static_cast<std::uint32_t>(info.f_type)) == std::end(slow);
}

status read_in(void* address, std::size_t size) {
  int outcome = 0;
  do outcome = madvise(address, size, madv_populate_read);
  while (outcome != 0 && (errno == EINTR || errno == EAGAIN));
  if (outcome == 0 || errno == EINVAL) return done();
  if (errno == EFAULT || errno == EHWPOISON)
    return failure{error_kind::corrupt, "read " + std::to_string(size) + " bytes of a file", "it doesn't have them", "",
                   errno};
  return failure::from_errno("read " + std::to_string(size) + " bytes of a file");
}

void read_ahead(void* address, std::size_t size) noexcept { madvise(address, size, MADV_WILLNEED); }

namespace {

// Calls `each` with the kernel's answer for up to 64 MiB at a time; stops when it answers false.
template <class F>
void look(const void* address, std::size_t size, F&& each) {
  constexpr std::size_t window = 16384;
  unsigned char seen[window];
  auto* at = const_cast<unsigned char*>(static_cast<const unsigned char*>(address));
  std::size_t left = round_up(size, page_size) / page_size;
  while (left > 0) {
    const std::size_t some = std::min(left, window);
    if (mincore(at, some * page_size, seen) != 0) std::memset(seen, 0, some);
    if (!each(std::span<const unsigned char>(seen, some))) return;
    at += some * page_size;
    left -= some;
  }
}

}  // namespace

bool tells_what_is_in_memory(int descriptor) noexcept {
  struct stat info {};
  if (fstat(descriptor, &info) != 0) return false;
  // Far behind its end, where nothing can be in memory.
  const std::uint64_t behind = round_up(static_cast<std::uint64_t>(info.st_size), page_size) + (1ull << 32);
  void* nothing = mmap(nullptr, page_size, PROT_READ, MAP_PRIVATE, descriptor, static_cast<off_t>(behind));
  if (nothing == MAP_FAILED) return false;
  unsigned char seen = 1;
  const bool told = mincore(nothing, page_size, &seen) == 0;
  munmap(nothing, page_size);
  return told && (seen & 1) == 0;
}

std::uint64_t bytes_in_memory(const void* address, std::size_t size) {
  std::uint64_t pages = 0;
  look(address, size, [&](std::span<const unsigned char> seen) {
    for (const unsigned char one : seen) pages += one & 1;
    return true;
  });
  return std::min<std::uint64_t>(pages * page_size, size);
}

bool all_in_memory(const void* address, std::size_t size) {
  bool all = true;
  look(address, size, [&](std::span<const unsigned char> seen) {
    return all = std::all_of(seen.begin(), seen.end(), [](unsigned char one) { return (one & 1) != 0; });
  });
  return all;
}

std::uint64_t bytes_in_memory(const std::string& path, std::uint64_t offset, std::uint64_t size) {
  auto file = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!file || size == 0 || !tells_what_is_in_memory(file->get())) return 0;
  const std::uint64_t begin = round_down(offset, page_size);
  auto mapped = mapping::map(file->get(), begin, offset + size - begin, map_mode::read_only);
  return mapped ? std::min(size, bytes_in_memory(mapped->data(), mapped->size())) : 0;
}

void give_back(void* address, std::size_t size) noexcept { madvise(address, size, madv_pageout); }

status lock_in_memory(void* address, std::size_t size) {
  if (mlock(address, size) == 0) return done();
  const int why = errno;
  if (why != ENOMEM && why != EPERM && why != EAGAIN)
    return failure::from_errno("keep " + std::to_string(size) + " bytes of a file in memory (mlock)", why);
  munlock(address, size);  // a part of it may be locked
  return failure{error_kind::no_memory, "keep " + std::to_string(size) + " bytes of a file in memory",
                 "this process may lock less than that, or the file doesn't have them",
                 "Raise the limit (ulimit -l), pin less, or make the vector with in_place = false", why};
}

void unlock_in_memory(void* address, std::size_t size) noexcept { munlock(address, size); }

status show_file(void* address, std::size_t size, int descriptor, std::uint64_t offset) {
  if (put_file(reinterpret_cast<std::uintptr_t>(address), size, descriptor, offset)) return done();
  return failure::from_errno("map " + std::to_string(size) + " bytes of a file");
}

bool put_filler(std::uintptr_t address, std::size_t size, std::byte filler) noexcept {
  // Filled elsewhere first and then moved, so that no thread sees it half filled.
  void* made = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) return false;
  std::memset(made, static_cast<int>(filler), size);
  if (mremap(made, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, reinterpret_cast<void*>(address)) != MAP_FAILED)
    return true;
  munmap(made, size);
  return false;
}

bool put_file(std::uintptr_t address, std::size_t size, int descriptor, std::uint64_t offset) noexcept {
  return mmap(reinterpret_cast<void*>(address), size, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, descriptor, static_cast<off_t>(offset)) != MAP_FAILED;
}

std::size_t pages_missing(std::uintptr_t address, std::size_t most) noexcept {
  unsigned char seen[64];
  most = std::min(most, sizeof seen);
  if (mincore(reinterpret_cast<void*>(address), most * page_size, seen) != 0) return 1;
  std::size_t count = 0;
  while (count < most && (seen[count] & 1) == 0) ++count;
  return count;
}

}  // namespace onecopy::os
