#include "os/userfault.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/kernel.hpp"

namespace onecopy::os {

namespace {

constexpr std::uint64_t wanted = UFFD_FEATURE_MISSING_SHMEM | feature_minor_shmem | feature_wp_shmem;

bool agree(int descriptor) {
  uffdio_api request{UFFD_API, wanted, 0};
  return ioctl(descriptor, UFFDIO_API, &request) == 0;
}

int from_device() {
  const int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device < 0) return -1;
  const int made = ioctl(device, userfaultfd_ioc_new, O_CLOEXEC | O_NONBLOCK);
  const int saved = errno;
  close(device);
  errno = saved;
  return made;
}

answer outcome_of(int os_error) {
  switch (os_error) {
    case ENOENT: case ESRCH: case EINVAL: case EBADF: return answer::gone;
    default: return answer::absent;
  }
}

}  // namespace

result<userfault> make_userfault() {
  constexpr int flags = O_CLOEXEC | O_NONBLOCK;
  bool all = true;
  int number = static_cast<int>(syscall(SYS_userfaultfd, flags));
  const int refused = number < 0 ? errno : 0;
  if (number < 0) number = from_device();
  if (number < 0) {
    all = false;
    number = static_cast<int>(syscall(SYS_userfaultfd, flags | uffd_user_mode_only));
  }
  if (number < 0 && (errno == EMFILE || errno == ENFILE)) return failure::from_errno("make a userfaultfd");
  if (number < 0)
    return failure{error_kind::unsupported, "fill memory when it is touched (userfaultfd)",
                   refused == ENOSYS ? "this kernel, or the container's seccomp profile, has no such system call"
                                     : "the kernel refuses it",
                   "In a container, allow the system call userfaultfd (seccomp profile) or pass --device "
                   "/dev/userfaultfd; `onecopy doctor` tells what this machine allows", errno};
  fd made(number);
  if (!agree(made.get()))
    return failure{error_kind::unsupported, "fill memory when it is touched (userfaultfd)",
                   "this kernel can't do it for shared memory", "Linux 5.19 or newer is needed", errno};
  return userfault{std::move(made), all};
}

bool is_userfault(int descriptor) noexcept {
  char link[48], target[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const auto size = readlink(link, target, sizeof target);
  constexpr std::string_view wanted_target = "anon_inode:[userfaultfd]";
  return size < 0 || std::string_view(target, static_cast<std::size_t>(size)) == wanted_target;
}

status register_faults(int descriptor, void* address, std::size_t size, bool writes_too) {
  uffdio_register request{};
  request.range = {reinterpret_cast<std::uintptr_t>(address), size};
  request.mode = UFFDIO_REGISTER_MODE_MISSING | register_minor | (writes_too ? register_wp : 0);
  if (ioctl(descriptor, UFFDIO_REGISTER, &request) == 0) return done();
  return failure::from_errno("watch " + std::to_string(size) + " bytes for page faults (UFFDIO_REGISTER)", errno,
                             errno == EINVAL ? "Lazy objects need a store on tmpfs: set ONECOPY_DIR to a directory "
                                               "below /dev/shm" : "");
}

void unregister_faults(int descriptor, void* address, std::size_t size) noexcept {
  const int saved = errno;
  uffdio_range range{reinterpret_cast<std::uintptr_t>(address), size};
  ioctl(descriptor, UFFDIO_UNREGISTER, &range);
  errno = saved;
}

result<std::size_t> read_faults(int descriptor, std::span<fault> out) {
  std::array<uffd_msg, 16> messages;
  ssize_t got = 0;
  const std::size_t room = std::min(out.size(), messages.size());
  do got = read(descriptor, messages.data(), room * sizeof messages[0]);
  while (got < 0 && errno == EINTR);
  if (got == 0 || (got < 0 && errno == EAGAIN)) return std::size_t{0};
  if (got < 0) return failure::from_errno("read page faults");
  std::size_t count = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(got) / sizeof messages[0]; ++i) {
    if (messages[i].event != UFFD_EVENT_PAGEFAULT) continue;
    const auto& seen = messages[i].arg.pagefault;
    out[count++] = {static_cast<std::uintptr_t>(seen.address) & ~static_cast<std::uintptr_t>(page_size - 1),
                    (seen.flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0, (seen.flags & UFFD_PAGEFAULT_FLAG_WP) != 0};
  }
  return count;
}

answer wake_faults(int descriptor, std::uintptr_t address, std::size_t size) {
  uffdio_range range{address, size};
  return ioctl(descriptor, UFFDIO_WAKE, &range) == 0 ? answer::given : outcome_of(errno);
}

answer show_pages(int descriptor, std::uintptr_t address, std::size_t size, bool protected_from_writes) {
  const std::uintptr_t end = address + size;
  bool skipped = false;
  for (std::uintptr_t at = address; at < end;) {
    uffdio_continue_now request{};
    request.range = {at, end - at};
    request.mode = protected_from_writes ? continue_mode_wp : 0;
    if (ioctl(descriptor, uffdio_continue_request, &request) == 0) break;
    if (request.mapped > 0) at += static_cast<std::uintptr_t>(request.mapped);
    if (errno == EAGAIN) continue;  // the address space changed meanwhile, or only a part was done
    if (errno != EEXIST) {
      const answer seen = outcome_of(errno);
      wake_faults(descriptor, address, size);
      return seen;
    }
    // A page that is shown already, perhaps as a private copy. The ioctl stops there, and wakes nobody.
    at += page_size;
    skipped = true;
  }
  return skipped ? wake_faults(descriptor, address, size) : answer::given;
}

answer protect_pages(int descriptor, std::uintptr_t address, std::size_t size, bool on) {
  uffdio_writeprotect_now request{{address, size}, on ? writeprotect_mode_wp : 0};
  int outcome = 0;
  do outcome = ioctl(descriptor, uffdio_writeprotect_request, &request);
  while (outcome != 0 && errno == EAGAIN);
  return outcome == 0 ? answer::given : outcome_of(errno);
}

answer plant_private_pages(int descriptor, std::uintptr_t address, std::span<const std::byte> bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    uffdio_copy request{};
    request.dst = address + at;
    request.src = reinterpret_cast<std::uintptr_t>(bytes.data() + at);
    request.len = bytes.size() - at;
    if (ioctl(descriptor, UFFDIO_COPY, &request) == 0) break;
    if (request.copy > 0) at += static_cast<std::size_t>(request.copy);
    if (errno == EAGAIN) continue;
    if (errno != EEXIST) return outcome_of(errno);
    at += page_size;
  }
  return wake_faults(descriptor, address, bytes.size());
}

bool can_show_protected() noexcept {
  static const bool can = [] {
    utsname name;
    if (uname(&name) != 0) return false;
    char* rest = nullptr;
    const long major = std::strtol(name.release, &rest, 10);
    const long minor = *rest == '.' ? std::strtol(rest + 1, nullptr, 10) : 0;
    return major > 6 || (major == 6 && minor >= 4);
  }();
  return can;
}

}  // namespace onecopy::os
