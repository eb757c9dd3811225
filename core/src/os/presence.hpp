// Being alive, as the kernel sees it: a one-byte lock on a file far beyond its end, held by a mapping.
//
// Whoever is present under a number holds a shared open-file-description lock on the byte 2^62 + number. The lock
// belongs to a mapping that forked children do not get, so it ends when this process dies, execs or leaves, whatever
// its children do; and it ends only after the last thread of the process has lost its memory, so that nobody who is
// found absent can still write. docs/decisions/0004-robust-locks.md has the reasons and what was measured.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/result.hpp"

namespace onecopy::os {

inline constexpr std::uint64_t presence_number_limit = std::uint64_t{1} << 56;

class presence {
 public:
  presence() = default;
  presence(presence&& other) noexcept;
  presence& operator=(presence&& other) noexcept;
  ~presence();

  // Present on the file of `descriptor` under `number` (1 <= number < presence_number_limit). The descriptor stays the
  // caller's. Only one process may be present under a number; numbers are drawn at random. The caller holds
  // fork_mutex(), or a child forked meanwhile could keep the lock. Fails with unsupported where the file system has
  // no such locks or /proc is missing, and with no_memory or system when mappings or descriptors are used up.
  static result<presence> enter(int descriptor, std::uint64_t number);
  // After a fork, in the child: what is there belongs to the parent, and its address may be somebody else's by now.
  void forget() noexcept;

 private:
  static void unmap(void* page) noexcept;
  void* page_ = nullptr;
};

// True if some process is present on the file of `descriptor` under `number`. A quarter of a microsecond. When the
// kernel gives no answer, true: taking a lock away from the living is worse than waiting.
bool is_present(int descriptor, std::uint64_t number) noexcept;

// A number that changes in a forked child and stays the same otherwise; never 0 once fork_epoch_begin() was called.
// A plain load, for fast paths.
std::uint64_t fork_epoch() noexcept;
// Gives the epoch a value where it has none: in a fresh process, and in the child after a fork. Under fork_mutex().
void fork_epoch_begin();
// Held during fork(), so that a child finds nothing half done under it.
std::mutex& fork_mutex();

}  // namespace onecopy::os
