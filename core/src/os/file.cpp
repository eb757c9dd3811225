#include "os/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <memory>

namespace onecopy::os {

namespace {

template <class Call>
auto retry(Call call) {
  auto answer = call();
  while (answer == -1 && errno == EINTR) answer = call();
  return answer;
}

std::string number(int descriptor) { return "descriptor " + std::to_string(descriptor); }

result<bool> try_lock(int descriptor, int how) {
  if (retry([&] { return flock(descriptor, how | LOCK_NB); }) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return failure::from_errno("lock " + number(descriptor));
}

// A lock holder may be stopped for good (SIGSTOP), so nobody waits for one without an end.
status lock(int descriptor, int how, double seconds, const char* what) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (long nap_ns = 2'000;; nap_ns = nap_ns < 2'000'000 ? nap_ns * 2 : nap_ns) {
    auto taken = try_lock(descriptor, how);
    if (!taken) return taken.reason();
    if (*taken) return done();
    if (std::chrono::steady_clock::now() >= end)
      return failure{error_kind::busy, std::string("lock ") + what, "another process holds it for long",
                     "Try again, or look for a stopped process that uses onecopy"};
    timespec nap{0, nap_ns};
    nanosleep(&nap, nullptr);
  }
}

}  // namespace

void fd::reset(int number) noexcept {
  if (number_ >= 0) {
    // Linux frees the number even when close is interrupted; calling it again could close somebody else's.
    const int saved = errno;
    ::close(number_);
    errno = saved;
  }
  number_ = number;
}

result<fd> open_file(const std::string& path, int flags, unsigned mode) { return open_at(AT_FDCWD, path, flags, mode); }

result<fd> open_at(int directory, const std::string& name, int flags, unsigned mode) {
  const int number = retry([&] { return openat(directory, name.c_str(), flags | O_CLOEXEC, mode); });
  if (number < 0) return failure::from_errno("open " + name);
  return fd(number);
}

result<struct stat> status_of(int descriptor, const std::string& path_for_messages) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) return failure::from_errno("examine " + path_for_messages);
  return info;
}

result<fd> duplicate(int descriptor) {
  const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return failure::from_errno("duplicate a descriptor");
  return fd(copy);
}

bool is_writable(int descriptor) noexcept {
  const int flags = fcntl(descriptor, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

result<std::optional<struct stat>> status_of_path(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) return std::optional(info);
  if (errno == ENOENT) return std::optional<struct stat>{};
  return failure::from_errno("examine " + path);
}

result<std::optional<struct stat>> status_at(int directory, const std::string& name) {
  struct stat info;
  if (fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return std::optional(info);
  if (errno == ENOENT) return std::optional<struct stat>{};
  return failure::from_errno("examine " + name);
}

status write_at(int descriptor, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const auto written =
        retry([&] { return pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (written < 0 && errno == EFAULT)
      return failure{error_kind::corrupt, "write " + std::to_string(bytes.size()) + " bytes of a region",
                     "memory that should be copied can't be read: the file that it lies in was cut short, or a lazy part of it "
                     "can't be filled",
                     "Map the file again, as it is now", EFAULT};
    if (written < 0)
      return failure::from_errno("write " + std::to_string(bytes.size()) + " bytes of a region");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return done();
}

status read_at(int descriptor, std::span<std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const auto got = retry([&] { return pread(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (got < 0) return failure::from_errno("read " + std::to_string(bytes.size()) + " bytes of a region");
    if (got == 0)
      return failure{error_kind::corrupt, "read a region", "the file ends before the bytes it should have",
                     "It was cut short: write it again"};
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return done();
}

status reserve(int descriptor, std::uint64_t offset, std::uint64_t size) {
  if (size == 0) return done();
  const std::string tried = "reserve " + std::to_string(size) + " bytes";
  const auto start = static_cast<off_t>(offset), length = static_cast<off_t>(size);
  if (retry([&] { return fallocate(descriptor, 0, start, length); }) == 0) return done();
  if (errno != EOPNOTSUPP && errno != ENOSYS) return failure::from_errno(tried);
  struct stat info;
  if (fstat(descriptor, &info) != 0) return failure::from_errno(tried);
  // A hole would ask for its block when it is first touched, and a full file system then ends the process that touches
  // it. So every block that isn't there is written.
  const std::vector<std::byte> zeros(std::min<std::uint64_t>(size, 1 << 20));
  for (std::uint64_t at = std::max(offset, static_cast<std::uint64_t>(info.st_size)); at < offset + size;
       at += zeros.size()) {
    const auto part = std::min<std::uint64_t>(zeros.size(), offset + size - at);
    if (auto written = write_at(descriptor, std::span(zeros).first(static_cast<std::size_t>(part)), at); !written)
      return written;
  }
  return done();
}

result<std::string> read_whole(const std::string& path, std::size_t limit) {
  auto file = open_file(path, O_RDONLY);
  if (!file) return file.reason();
  std::string text;
  char block[4096];
  while (text.size() < limit) {
    const auto got = retry([&] { return read(file->get(), block, sizeof block); });
    if (got < 0) return failure::from_errno("read " + path);
    if (got == 0) break;
    text.append(block, static_cast<std::size_t>(got));
  }
  return text;
}

result<std::optional<std::string>> read_link(int directory, const std::string& name) {
  char target[4096];
  const auto size = readlinkat(directory, name.c_str(), target, sizeof target);
  if (size >= 0) return std::optional(std::string(target, static_cast<std::size_t>(size)));
  if (errno == ENOENT) return std::optional<std::string>{};
  return failure::from_errno("read the link " + name);
}

result<bool> try_lock_shared(int descriptor) { return try_lock(descriptor, LOCK_SH); }
result<bool> try_lock_exclusive(int descriptor) { return try_lock(descriptor, LOCK_EX); }
status lock_shared(int descriptor, double seconds, const char* what) { return lock(descriptor, LOCK_SH, seconds, what); }
result<locked_file> create_locked(int directory, const std::string& name, unsigned mode) {
  for (;;) {
    auto file = open_at(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (!file) return file.reason();
    // Waited for: who takes it for a leftover has it locked until it is removed.
    auto locked = lock_shared(file->get(), 10, "a new file");
    auto info = status_of(file->get(), name);
    if (!info) return info.reason();
    if (info->st_nlink > 0) return locked_file{*std::move(file), std::move(locked)};
  }
}
status lock_exclusive(int descriptor, double seconds, const char* what) {
  return lock(descriptor, LOCK_EX, seconds, what);
}
void unlock(int descriptor) noexcept { flock(descriptor, LOCK_UN); }

status for_each_entry(int directory, const std::function<bool(const char*)>& visit) {
  // fdopendir takes the descriptor over, and a second description has its own position.
  const int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return failure::from_errno("list the store");
  std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(own), closedir);
  if (!entries) {
    const int saved = errno;
    ::close(own);
    return failure::from_errno("list the store", saved);
  }
  for (errno = 0; const dirent* entry = readdir(entries.get()); errno = 0) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (!visit(entry->d_name)) return done();
  }
  if (errno != 0) return failure::from_errno("list the store");
  return done();
}

result<space> space_of(const std::string& path) {
  struct statfs info;
  if (retry([&] { return statfs(path.c_str(), &info); }) != 0)
    return failure::from_errno("ask how much room " + path + " has");
  const auto block = static_cast<std::uint64_t>(info.f_bsize);
  return space{info.f_blocks * block, info.f_bavail * block, info.f_type == TMPFS_MAGIC};
}

}  // namespace onecopy::os
