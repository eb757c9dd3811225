// The machine and this process: identity, limits, randomness, time, locks of others.
#pragma once

#include <cstddef>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace onecopy::os {

// From getrandom(2). Throws onecopy::error where there is none.
void random_bytes(std::span<std::uint8_t> out);
// 16 hex digits of /proc/sys/kernel/random/boot_id, the same in every container of a machine; or of a hash of the
// machine id and the host's name where /proc is not there.
std::string host_identity();
std::uint64_t user_id() noexcept;
// This process's name under /proc, for other processes of the same pid namespace. For finding, never for deciding.
std::string process_name();
// A number for the set of processes that know each other by the same numbers (a pid namespace: usually one for the
// machine and one for each container); "0" where /proc doesn't tell.
std::string process_namespace();
// The value of an environment variable, or "".
std::string environment(const char* name);
// Seconds since 1970.
double wall_clock() noexcept;
// Bytes of memory that can still be taken before the kernel begins to kill processes: what the machine has available, or
// what is left of this control group's limit if that is less.
std::uint64_t available_memory();
std::uint64_t mapping_limit();     // vm.max_map_count
std::uint64_t descriptor_limit();  // RLIMIT_NOFILE, soft
void raise_descriptor_limit() noexcept;  // to what this process may have at most; inherited by its children
// flock(2) holders of an inode, by /proc/locks, as seen from this pid namespace; 0 where it isn't there.
std::size_t count_locks(std::uint64_t device, std::uint64_t inode);
// The same for many at the price of one.
struct file_identity {
  std::uint64_t device = 0, inode = 0;
  auto operator<=>(const file_identity&) const = default;
};
std::vector<std::size_t> count_locks(std::span<const file_identity> files);

}  // namespace onecopy::os
