// Memory mappings with one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.hpp"

namespace onecopy::os {

enum class map_mode {
  // MAP_PRIVATE, readable and writable: a write copies its page into this process. Falls back to read_only where the
  // kernel refuses to promise memory for it (vm.overcommit_memory = 2).
  private_pages,
  read_only,   // MAP_PRIVATE, PROT_READ
  shared,      // MAP_SHARED, readable and writable
};

class mapping {
 public:
  mapping() = default;
  mapping(mapping&& other) noexcept;
  mapping& operator=(mapping&& other) noexcept;
  ~mapping();

  // Maps [offset, offset + size) of the file; offset is a multiple of the page size. Touching bytes beyond the end of
  // the file raises SIGBUS: the caller has checked the file's size, and that nobody can shrink it.
  static result<mapping> map(int descriptor, std::uint64_t offset, std::uint64_t size, map_mode mode);

  // Private pages with a copy of `front`, followed without a gap by [offset, offset + size) of the file, as
  // private_pages. Both or one of them may be empty.
  static result<mapping> map_behind(std::span<const std::byte> front, int descriptor, std::uint64_t offset,
                                    std::uint64_t size);

  // Private pages of no file, with a copy of `bytes`, which are not empty.
  static result<mapping> copy_of(std::span<const std::byte> bytes);

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool writable() const noexcept { return writable_; }
  // After the read_only fallback: asks again for private pages. A failure of kind no_memory when refused.
  status make_writable();
  // The caller takes over the address range and must munmap it.
  std::byte* release() noexcept;

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool writable_ = false;
};

void unmap(void* address, std::size_t size) noexcept;

// How many bytes of [address, address + size) are private copies of this process, by /proc/self/pagemap. The range is
// of a MAP_PRIVATE mapping of a file; address is page-aligned. A failure where the kernel doesn't tell.
result<std::uint64_t> private_bytes(const void* address, std::size_t size);
// Where they are: whole pages, first to last, `offset` counted from address.
struct byte_range {
  std::uint64_t offset = 0, size = 0;
};
result<std::vector<byte_range>> private_ranges(const void* address, std::size_t size);

}  // namespace onecopy::os
