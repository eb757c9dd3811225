// Who takes part in a shared object, and whether it still lives.
#pragma once

#include <atomic>
#include <cstdint>

#include "onecopy/waiting.hpp"
#include "os/fd.hpp"
#include "os/presence.hpp"

namespace onecopy {

class participant {
 public:
  // Takes a descriptor of its own; nothing else may use its description. Under os::fork_mutex().
  explicit participant(os::fd watch);
  ~participant();
  participant(const participant&) = delete;
  participant& operator=(const participant&) = delete;

  // Two loads, unless this is a forked child that asks for the first time.
  std::uint64_t number() {
    if (epoch_.load(std::memory_order_acquire) != os::fork_epoch()) [[unlikely]] enter();
    return number_.load(std::memory_order_relaxed);
  }
  bool lives(std::uint64_t number) const noexcept { return os::is_present(watch_.get(), number); }

 private:
  friend std::shared_ptr<participant> take_part(int descriptor);
  void enter();
  void enter_locked();

  os::fd watch_;  // never locked: the kernel does not tell a description about its own locks
  os::presence presence_;
  std::atomic<std::uint64_t> epoch_{0}, number_{0};
};

}  // namespace onecopy
