#include "os/presence.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "base/arithmetic.hpp"
#include "os/directory.hpp"
#include "os/fd.hpp"
#include "os/system.hpp"

namespace onecopy::os {

namespace {

struct flock byte_of(std::uint64_t number, short type) {
  struct flock range;
  std::memset(&range, 0, sizeof range);  // l_pid must be 0 for open file description locks
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>((std::uint64_t{1} << 62) + number);
  range.l_len = 1;
  return range;
}

std::uint64_t no_epoch = 0;
// One page that the kernel empties in a forked child, however the child is made.
std::atomic<std::uint64_t*> epoch_page = &no_epoch;

}  // namespace

presence::presence(presence&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

presence& presence::operator=(presence&& other) noexcept {
  if (this != &other) {
    unmap(page_);
    page_ = std::exchange(other.page_, nullptr);
  }
  return *this;
}

presence::~presence() { unmap(page_); }

void presence::unmap(void* page) noexcept {
  if (page != nullptr) munmap(page, page_size);
}

void presence::forget() noexcept { page_ = nullptr; }

result<presence> presence::enter(int descriptor, std::uint64_t number) {
  auto own = reopen(descriptor, O_RDONLY);
  if (!own) {
    auto reason = std::move(own).reason();
    if (reason.os_error == ENOENT) reason.remedy = "Mount /proc: onecopy needs it to watch the owners of locks";
    return reason;
  }
  // A shared lock, because an exclusive one would need a descriptor that can write.
  auto range = byte_of(number, F_RDLCK);
  if (fcntl(own->get(), F_OFD_SETLK, &range) != 0) {
    auto reason = failure::from_errno("take part in a lock (F_OFD_SETLK)");
    if (reason.os_error == EINVAL || reason.os_error == ENOLCK) {
      reason.kind = error_kind::unsupported;
      reason.remedy = "This file system has no open file description locks: keep the object in shared memory or on a "
                      "local disk";
    }
    return reason;
  }
  // Never touched, so it may lie beyond the end of the file.
  void* page = mmap(nullptr, page_size, PROT_NONE, MAP_PRIVATE, own->get(), 0);
  if (page == MAP_FAILED) return failure::from_errno("map the page that holds a lock");
  presence made;
  made.page_ = page;
  if (madvise(page, page_size, MADV_DONTFORK) != 0)
    return failure::from_errno("keep a lock from forked children (MADV_DONTFORK)");
  return made;
}

bool is_present(int descriptor, std::uint64_t number) noexcept {
  const int saved = errno;
  auto range = byte_of(number, F_WRLCK);  // conflicts with every lock of another description
  const bool answered = fcntl(descriptor, F_OFD_GETLK, &range) == 0;
  errno = saved;
  return !answered || range.l_type != F_UNLCK;
}

std::uint64_t fork_epoch() noexcept {
  return std::atomic_ref(*epoch_page.load(std::memory_order_acquire)).load(std::memory_order_acquire);
}

void fork_epoch_begin() {
  if (epoch_page.load() == &no_epoch) {
    void* page = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) raise(failure::from_errno("map a page that tells a forked child from its parent"));
    if (madvise(page, page_size, MADV_WIPEONFORK) != 0) {
      auto reason = failure::from_errno("ask for a page that is emptied in forked children (MADV_WIPEONFORK)");
      munmap(page, page_size);
      raise(reason);
    }
    epoch_page = static_cast<std::uint64_t*>(page);
  }
  if (fork_epoch() != 0) return;
  std::array<std::uint8_t, 8> random;
  random_bytes(random);
  std::uint64_t epoch;
  std::memcpy(&epoch, random.data(), sizeof epoch);
  std::atomic_ref(*epoch_page.load()).store(epoch | 1, std::memory_order_release);
}

std::mutex& fork_mutex() {
  // Never destroyed: other threads may still wait for locks while the process exits.
  static std::mutex* const mutex = [] {
    pthread_atfork([] { fork_mutex().lock(); }, [] { fork_mutex().unlock(); }, [] { fork_mutex().unlock(); });
    return new std::mutex;
  }();
  return *mutex;
}

}  // namespace onecopy::os
