#include "os/bus_guard.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "base/arithmetic.hpp"

namespace onecopy::os {

// Read by the signal handler without a lock: `end` is set last and cleared first, and slots are never given back.
struct bus_guard::slot {
  std::atomic<std::uintptr_t> begin{0}, end{0};
  std::atomic<bool> hit{false};
  std::atomic<bus_rescuer*> rescuer{nullptr};
};

struct bus_guard_registry {
  static constexpr std::size_t slots_in_block = 512;
  struct block {
    block() = default;
    std::array<bus_guard::slot, slots_in_block> slots;
    std::atomic<block*> next;
  };
  static inline block first;
  static inline std::mutex lock;
  static inline std::vector<bus_guard::slot*> unused;  // with the lock held
  static inline struct sigaction previous {};

  static bus_guard::slot* find(std::uintptr_t address) noexcept {
    for (block* b = &first; b != nullptr; b = b->next.load(std::memory_order_acquire))
      for (auto& s : b->slots)
        if (address < s.end.load(std::memory_order_acquire) && address >= s.begin.load(std::memory_order_relaxed))
          return &s;
    return nullptr;
  }

  // With the lock held.
  static bus_guard::slot* take() {
    static block* last = nullptr;
    static std::size_t slots_made = 0;
    if (unused.empty()) {
      unused.reserve(slots_made + slots_in_block);  // giving back must not need memory
      block* fresh = last == nullptr ? &first : new block;
      slots_made += slots_in_block;
      for (auto& s : fresh->slots) unused.push_back(&s);
      if (last != nullptr) last->next.store(fresh, std::memory_order_release);
      last = fresh;
    }
    bus_guard::slot* s = unused.back();
    unused.pop_back();
    return s;
  }

  static void on_bus_error(int number, siginfo_t* info, void* context) {
    const int saved = errno;
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    bus_guard::slot* s = find(address);
    bus_rescuer* rescuer = s == nullptr ? nullptr : s->rescuer.load(std::memory_order_relaxed);
    if (rescuer != nullptr && info->si_code > 0) {
      // A handler of another signal, in the middle of this, may touch such a page as well.
      sigset_t all, before;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      const bool rescued = rescuer->rescue(address);
      if (rescued) s->hit.store(true, std::memory_order_release);
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      errno = saved;
      if (rescued) return;
    } else if (s != nullptr && info->si_code > 0) {
      // All that follows is beyond the end of the file too, so the rest goes at once: page by page a large file would
      // use up the mappings that a process may have.
      const std::uintptr_t page = round_down(address, page_size);
      const std::uintptr_t end = s->end.load(std::memory_order_relaxed);
      void* zeros = mmap(reinterpret_cast<void*>(page), end - page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
      if (zeros != MAP_FAILED) {
        s->hit.store(true, std::memory_order_release);
        errno = saved;
        return;
      }
    }
    errno = saved;
    pass_on(number, info, context);
  }

  static void pass_on(int number, siginfo_t* info, void* context) {
    // Two handlers that were put in place by turns may each have the other as their predecessor.
    static std::atomic<int> depth{0};
    const bool in_circles = depth.fetch_add(1) > 16;
    if (!in_circles && (previous.sa_flags & SA_SIGINFO) != 0) {
      previous.sa_sigaction(number, info, context);
    } else if (!in_circles && previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
      previous.sa_handler(number);
    } else {
      // The access is repeated after the handler returns, and ends the process as it would have without us. A signal
      // that somebody sent is not repeated: send it again.
      signal(number, SIG_DFL);
      if (info->si_code <= 0) ::raise(number);
    }
    depth.fetch_sub(1);
  }

  // With the lock held. Another library may have put its handler in place of ours since.
  static status install() {
    struct sigaction current {};
    sigaction(SIGBUS, nullptr, &current);
    if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == on_bus_error) return done();
    struct sigaction ours {};
    ours.sa_sigaction = on_bus_error;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    previous = current;
    if (sigaction(SIGBUS, &ours, nullptr) != 0) return failure::from_errno("guard a mapped file (sigaction)");
    return done();
  }
};

// A forked child must not find the lock taken by a thread that it doesn't have. Handlers that were registered first run
// last before a fork: so those who guard something while they hold a lock of their own have it already.
[[maybe_unused]] static const int forks_wait =
    pthread_atfork([] { bus_guard_registry::lock.lock(); }, [] { bus_guard_registry::lock.unlock(); },
                   [] { bus_guard_registry::lock.unlock(); });

bus_guard::bus_guard(bus_guard&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
bus_guard& bus_guard::operator=(bus_guard&& other) noexcept {
  if (this != &other) {
    bus_guard old(std::move(*this));
    slot_ = std::exchange(other.slot_, nullptr);
  }
  return *this;
}

bus_guard::~bus_guard() {
  if (slot_ == nullptr) return;
  const std::lock_guard held(bus_guard_registry::lock);
  slot_->end.store(0, std::memory_order_release);
  bus_guard_registry::unused.push_back(slot_);
}

result<bus_guard> bus_guard::protect(void* address, std::size_t size, bus_rescuer* rescuer) {
  using registry = bus_guard_registry;
  const std::lock_guard held(registry::lock);
  if (auto ready = registry::install(); !ready) return ready.reason();
  bus_guard made;
  made.slot_ = registry::take();
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  made.slot_->hit.store(false, std::memory_order_relaxed);
  made.slot_->rescuer.store(rescuer, std::memory_order_relaxed);
  made.slot_->begin.store(begin, std::memory_order_relaxed);
  made.slot_->end.store(begin + size, std::memory_order_release);
  return made;
}

bool bus_guard::was_hit() const noexcept { return slot_ != nullptr && slot_->hit.load(std::memory_order_acquire); }

}  // namespace onecopy::os
