#include "os/touched_memory.hpp"

#include <sys/mman.h>

#include <cstring>

namespace onecopy::os {

void expect_page_faults(void* address, std::size_t size) noexcept {
  madvise(address, size, MADV_NOHUGEPAGE);
  madvise(address, size, MADV_DONTDUMP);
}

void drop_private_pages(void* address, std::size_t size) noexcept { madvise(address, size, MADV_DONTNEED); }
void forbid_access(void* address, std::size_t size) noexcept { mprotect(address, size, PROT_NONE); }

status replace_with_memory(void* address, std::size_t size, std::byte filler) {
  // Filled elsewhere first and then moved, so that no thread sees it half filled.
  void* made = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) return failure::from_errno("map " + std::to_string(size) + " bytes");
  std::memset(made, static_cast<int>(filler), size);
  if (mremap(made, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, address) != MAP_FAILED) return done();
  auto reason = failure::from_errno("replace " + std::to_string(size) + " mapped bytes");
  munmap(made, size);
  return reason;
}

status replace_with_file(void* address, std::size_t size, int descriptor, std::uint64_t offset) {
  void* made = mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor,
                    static_cast<off_t>(offset));
  if (made == MAP_FAILED) return failure::from_errno("map " + std::to_string(size) + " bytes");
  return done();
}

}  // namespace onecopy::os
