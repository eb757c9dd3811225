// userfaultfd(2): page faults of one process, answered by another.
//
// A descriptor belongs to the address space of the process that made it. Sent to another process it lets that process
// read the faults and answer them, which is how the pager serves its clients.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace onecopy::os {

struct userfault {
  fd descriptor;
  // False with UFFD_USER_MODE_ONLY, which needs no privilege: system calls that touch an unfilled page then fail with
  // EFAULT instead of waiting.
  bool serves_system_calls = false;
};
// Non-blocking. Failures of kind unsupported say what this machine lacks and what to do.
result<userfault> make_userfault();

// False for a descriptor of anything else; true where that can't be found out.
bool is_userfault(int descriptor) noexcept;

// Faults of [address, address + size), whole pages of a mapping of a tmpfs file, are reported from now on: for pages
// that the file doesn't have, and for pages that it has but this mapping doesn't show yet. Without the second kind, a
// zero page planted by a stranger's mapping of the same file would be seen as data.
status register_faults(int descriptor, void* address, std::size_t size, bool writes_too);
void unregister_faults(int descriptor, void* address, std::size_t size) noexcept;

struct fault {
  std::uintptr_t address = 0;
  bool write = false;      // by a store
  bool protection = false; // a store to a page that is there, but was protected by protect_pages
};
// Faults that wait to be answered; 0: none just now. Fails with peer_closed when the process has gone.
result<std::size_t> read_faults(int descriptor, std::span<fault> out);

enum class answer {
  given,   // the threads that waited go on
  absent,  // the file doesn't have (all of) these pages
  gone,    // the process has ended, or has unmapped the range
};
// Shows pages that the file has. Pages that the mapping shows already are left as they are.
answer show_pages(int descriptor, std::uintptr_t address, std::size_t size, bool protected_from_writes);
// Lets waiting threads look again: they fault again where there still is nothing to see.
answer wake_faults(int descriptor, std::uintptr_t address, std::size_t size);
// on: the next store to each page is reported, and waits. off: waiting stores go on.
answer protect_pages(int descriptor, std::uintptr_t address, std::size_t size, bool on);
// Copies `bytes` into a private mapping, for its process alone. Pages that are there already are left as they are.
answer plant_private_pages(int descriptor, std::uintptr_t address, std::span<const std::byte> bytes);

// True if show_pages can protect (Linux 6.4), so that the first store to a page is noticed.
bool can_show_protected() noexcept;

}  // namespace onecopy::os
