// Files, descriptors and directories. Every call retries EINTR and answers with the reason of a failure.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace onecopy::os {

// open(2) with O_CLOEXEC added.
result<fd> open_file(const std::string& path, int flags, unsigned mode = 0);
result<fd> open_at(int directory, const std::string& name, int flags, unsigned mode = 0);
result<struct stat> status_of(int descriptor, const std::string& path_for_messages);
// True if the descriptor was opened for writing.
bool is_writable(int descriptor) noexcept;
// Another descriptor of the same description, with FD_CLOEXEC.
result<fd> duplicate(int descriptor);
// Follows symbolic links; nullopt when there is no such file.
result<std::optional<struct stat>> status_of_path(const std::string& path);
// Without following a last symbolic link; nullopt when there is no such file.
result<std::optional<struct stat>> status_at(int directory, const std::string& name);

// All of `bytes`, whatever write(2) takes at a time.
status write_at(int descriptor, std::span<const std::byte> bytes, std::uint64_t offset);
// All of `bytes`; a file that ends early is a failure of kind corrupt.
status read_at(int descriptor, std::span<std::byte> bytes, std::uint64_t offset);
// Blocks for [offset, offset + size), so that later writes can't run out of space; grows the file. A file system that
// can't reserve (EOPNOTSUPP) gets zeros written.
status reserve(int descriptor, std::uint64_t offset, std::uint64_t size);
result<std::string> read_whole(const std::string& path, std::size_t limit = 1 << 20);

// The target of a symbolic link; nullopt when there is none of that name.
result<std::optional<std::string>> read_link(int directory, const std::string& name);

// flock(2) without waiting: true if the lock was taken, false if somebody else holds it.
result<bool> try_lock_shared(int descriptor);
result<bool> try_lock_exclusive(int descriptor);
// Waits, at most `seconds`; a failure of kind busy then.
status lock_shared(int descriptor, double seconds, const char* what);
// A new file of this name, and the shared lock by which others see that its maker lives. Who collects what is not locked
// may meet it before: then it is made again. `locked` is a failure where the file system has no locks.
struct locked_file {
  fd file;
  status locked;
};
result<locked_file> create_locked(int directory, const std::string& name, unsigned mode);
status lock_exclusive(int descriptor, double seconds, const char* what);
void unlock(int descriptor) noexcept;

// Calls `visit` with each name but . and .. until it returns false.
status for_each_entry(int directory, const std::function<bool(const char* name)>& visit);

struct space {
  std::uint64_t total = 0, available = 0;
  bool is_tmpfs = false;
};
result<space> space_of(const std::string& path);

}  // namespace onecopy::os
