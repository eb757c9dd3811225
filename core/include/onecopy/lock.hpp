// Locks that survive the death of their owner.
//
//     auto door = onecopy::open_shared<onecopy::mutex>("prices");      // sync.hpp
//     if (auto held = door.hold(); held.owner_died()) { repair(); held.repaired(); }
//
// The owner is a process, not a thread: any thread of it may unlock. No lock is recursive: a thread that locks again
// waits for itself. Unlocked and uncontended a lock and unlock cost about 20 ns and no system call.
#pragma once

#include <cstdint>

#include "onecopy/waiting.hpp"

namespace onecopy {

// 8 bytes. Bits 8-63: the number of the owner, 0: free. Bit 0: somebody may sleep. Bit 1: an owner died and nobody has
// called repaired(). Bit 2 is used by rwlock only.
struct mutex_state {
  alignas(8) std::uint64_t word = 0;
};

// A lock that is held until the end of the scope; what hold() and hold_shared() return.
template <class Lock, bool for_reading = false>
class [[nodiscard]] holding {
 public:
  holding(Lock& of, wait_result how) noexcept : of_(&of), how_(how) {}
  holding(holding&& other) noexcept : of_(other.of_), how_(other.how_) { other.how_ = wait_result::timed_out; }
  holding& operator=(holding&&) = delete;
  ~holding() {
    if (!held()) return;
    if constexpr (for_reading)
      of_->release_shared();
    else
      of_->release();
  }
  // False if the wait timed out or was interrupted; then nothing is held.
  bool held() const noexcept { return how_ == wait_result::done || how_ == wait_result::owner_died; }
  explicit operator bool() const noexcept { return held(); }
  bool owner_died() const noexcept { return how_ == wait_result::owner_died; }
  wait_result result() const noexcept { return how_; }
  // See mutex::repaired. Not for readers.
  void repaired() const { of_->repaired(); }

 private:
  Lock* of_;
  wait_result how_;
};

class mutex : public detail::synchronized<mutex_state> {
 public:
  using synchronized::synchronized;

  // done or owner_died: locked. timed_out or interrupted: not.
  wait_result acquire(const waiting& how_long = {});
  // Acquires now, and releases when what it returns goes out of scope. The mutex must outlive that.
  holding<mutex> hold(const waiting& how_long = {}) { return {*this, acquire(how_long)}; }
  // Answers false, changing nothing, if this process does not hold it.
  bool release() noexcept;
  // The owner says that what it found after an owner_died is whole again. Throws invalid_argument if this process
  // does not hold it.
  void repaired();

  // As std::mutex has them, for std::scoped_lock and its kin: only damaged() then tells that an owner died.
  void lock() { static_cast<void>(acquire()); }
  bool try_lock();
  void unlock();  // throws invalid_argument if this process does not hold it

  // At this moment: does this process hold it, does any, and has an owner died with nobody calling repaired() since?
  bool held() const;
  bool locked() const noexcept;
  bool damaged() const noexcept;
};

// 1,024 bytes. At most 120 processes hold it for reading at once, each up to 255 times; further readers wait.
struct rwlock_state {
  static constexpr int reader_slots = 120;
  // As mutex_state::word, and bit 2: all readers had left, so the writer may have begun to write.
  alignas(64) std::uint64_t writer = 0;
  std::uint64_t reserved[7] = {};
  // Bits 8-63: the number of a reading process; bits 0-7: how often it holds the lock. 0: free.
  std::uint64_t readers[reader_slots] = {};
};

// Many readers or one writer. A writer that waits keeps new readers out, so writers are not starved.
class rwlock : public detail::synchronized<rwlock_state> {
 public:
  using synchronized::synchronized;

  wait_result acquire(const waiting& how_long = {});  // for writing; as mutex::acquire
  // For reading. owner_died: a writer died and nobody has repaired what it left.
  wait_result acquire_shared(const waiting& how_long = {});
  // Throw invalid_argument if this process does not hold it that way.
  void unlock();
  void unlock_shared();
  bool release() noexcept;
  bool release_shared() noexcept;
  void repaired();  // by a writer

  holding<rwlock> hold(const waiting& how_long = {}) { return {*this, acquire(how_long)}; }
  holding<rwlock, true> hold_shared(const waiting& how_long = {}) { return {*this, acquire_shared(how_long)}; }

  bool damaged() const noexcept;
  // Processes that hold it for reading now, dead ones included until somebody wants to write.
  int readers() const noexcept;
  bool write_locked() const noexcept;

 private:
  bool add_reader(std::uint64_t number) noexcept;
  bool drop_reader(std::uint64_t number) noexcept;
};

// 8 bytes.
struct condition_state {
  alignas(8) std::uint32_t sequence = 0;  // counts notifications
  std::uint32_t reserved = 0;
};

// Waiting for a change of what a lock protects. A wait may end without a notification (when one process was notified
// and killed, the others look for themselves), so wait in a loop, or with a predicate.
class condition : public detail::synchronized<condition_state> {
 public:
  using synchronized::synchronized;

  // Unlocks `held`, waits for a notification, and locks it again, however the wait ends and however long that takes.
  // owner_died: notified or not, the lock's last owner died. Throws invalid_argument if this process does not hold it.
  wait_result wait(mutex& held, const waiting& how_long = {});
  // Waits until ready() is true, with the lock held at each call. timed_out and interrupted: it was not.
  template <class Predicate>
  wait_result wait_until(mutex& held, Predicate ready, const waiting& how_long = {});

  void notify_one() noexcept;
  void notify_all() noexcept;
};

namespace detail {
double steady_seconds() noexcept;
}

template <class Predicate>
wait_result condition::wait_until(mutex& held, Predicate ready, const waiting& how_long) {
  const double begun = detail::steady_seconds();
  bool died = false;
  while (!ready()) {
    waiting left = how_long;
    if (how_long.seconds >= 0) {
      left.seconds = how_long.seconds - (detail::steady_seconds() - begun);
      if (left.seconds <= 0) return wait_result::timed_out;
    }
    const wait_result how = wait(held, left);
    died = died || how == wait_result::owner_died;
    if (how == wait_result::interrupted) return how;
  }
  return died ? wait_result::owner_died : wait_result::done;
}

}  // namespace onecopy
