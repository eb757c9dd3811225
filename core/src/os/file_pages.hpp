// Pages of a file that is mapped where it lies: what the kernel's page cache has of them, and how to ask it for more or
// less. Ranges are whole pages of one mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"

namespace onecopy::os {

// False for file systems that may take for ever to answer, or forget what they had: over a network, or in a program
// (FUSE). A mapping of theirs has nobody who could give up waiting.
bool answers_soon(int descriptor) noexcept;

// Reads the pages in, and shows them. A failure of kind corrupt when one can't be had: beyond the end of the file, or a
// disk that doesn't deliver. Kernels before 5.14 do nothing, and call it success.
status read_in(void* address, std::size_t size);
// Begins reading, and returns.
void read_ahead(void* address, std::size_t size) noexcept;
// What is in memory of a file the kernel tells to those only who own it or may write to it. To all others it says of
// every page that it is there: then this answers false, and the next two mean nothing.
bool tells_what_is_in_memory(int descriptor) noexcept;
// Bytes of the range that are in memory now, for whatever process.
std::uint64_t bytes_in_memory(const void* address, std::size_t size);
bool all_in_memory(const void* address, std::size_t size);
// The same of a file of which no mapping is at hand; 0 if it can't be opened, or the kernel doesn't tell.
std::uint64_t bytes_in_memory(const std::string& path, std::uint64_t offset, std::uint64_t size);
// Asks the kernel to give the memory back; it keeps what others have mapped. Private copies stay.
void give_back(void* address, std::size_t size) noexcept;
// A failure of kind no_memory when the limit (RLIMIT_MEMLOCK) is too low.
status lock_in_memory(void* address, std::size_t size);
void unlock_in_memory(void* address, std::size_t size) noexcept;

// Private, writable pages of the file in place of [address, address + size).
status show_file(void* address, std::size_t size, int descriptor, std::uint64_t offset);

// For signal handlers: these neither allocate nor lock. False, and nothing changed, if the kernel refuses.
bool put_filler(std::uintptr_t address, std::size_t size, std::byte filler) noexcept;
bool put_file(std::uintptr_t address, std::size_t size, int descriptor, std::uint64_t offset) noexcept;
// How many pages from `address` on, at most `most` (64 or fewer), are not in memory.
std::size_t pages_missing(std::uintptr_t address, std::size_t most) noexcept;

}  // namespace onecopy::os
