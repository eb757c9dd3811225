// Locks on single bytes of a file, owned by the open file description: the kernel gives them back when its last
// descriptor is closed, so also when the process dies. The bytes need not exist.
#pragma once

#include <cstdint>

#include "base/result.hpp"

namespace onecopy::os {

// True if the lock was taken, false if somebody else has it. The descriptor must be open for writing.
result<bool> try_lock_byte(int descriptor, std::uint64_t byte);

}  // namespace onecopy::os
