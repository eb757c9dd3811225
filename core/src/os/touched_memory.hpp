// Mappings whose pages are filled when they are touched.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.hpp"

namespace onecopy::os {

// Never huge pages, never part of a core dump (which would touch them all).
void expect_page_faults(void* address, std::size_t size) noexcept;
// Private copies of pages are given up: the next touch sees the file's page again.
void drop_private_pages(void* address, std::size_t size) noexcept;
// Every access raises SIGSEGV from now on.
void forbid_access(void* address, std::size_t size) noexcept;
// Puts private memory, each byte of it `filler`, in place of [address, address + size) at once.
status replace_with_memory(void* address, std::size_t size, std::byte filler);
// Puts the file's pages, shared and writable, in place of [address, address + size).
status replace_with_file(void* address, std::size_t size, int descriptor, std::uint64_t offset);

}  // namespace onecopy::os
