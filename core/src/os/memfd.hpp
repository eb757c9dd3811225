// Memory that has no name: memfd_create and its seals.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace onecopy::os {

// An empty memfd that can be sealed. `label` shows up in /proc/<pid>/maps.
result<fd> make_memfd(const char* label);
// No more writes, shrinking, growing or sealing. Fails (busy) while a writable shared mapping exists.
status seal(int descriptor);
// As seal(), but mappings that can write already stay writable: for mutable objects.
status seal_size(int descriptor);
// True if the kernel guarantees that the bytes and the size can't change.
bool is_sealed(int descriptor) noexcept;
bool is_size_sealed(int descriptor) noexcept;
// True for a memfd that seals can still be added to.
bool can_be_sealed(int descriptor) noexcept;

}  // namespace onecopy::os
