// Events, semaphores, barriers and counters in shared memory. See waiting.hpp for what they have in common.
#pragma once

#include <atomic>
#include <cstdint>

#include "onecopy/lock.hpp"

namespace onecopy {

// 8 bytes. Bit 0 of word: set; the other bits count how often it was set.
struct event_state {
  alignas(8) std::uint32_t word = 0;
  std::uint32_t reserved = 0;
};

// A flag that processes wait for; it stays set until cleared. Whoever waits when it is set is released, even if it is
// cleared at once.
class event : public detail::synchronized<event_state> {
 public:
  using synchronized::synchronized;
  void set() noexcept;
  void clear() noexcept;
  bool is_set() const noexcept;
  wait_result wait(const waiting& how_long = {});  // done, timed_out or interrupted
};

// 1,024 bytes. Make it with semaphore::with_units; all zeros is a semaphore without units.
struct semaphore_state {
  static constexpr int holder_slots = 120;
  alignas(64) mutex_state guard;
  std::uint32_t units = 0;    // in all: given out or not
  std::uint32_t limit = 0;    // of units; 0: none
  std::uint32_t changes = 0;  // counts releases; waiters sleep on it
  std::uint32_t sleepers = 0; // 1: somebody may sleep
  std::uint64_t reserved[5] = {};
  // Bits 8-63: the number of a process; bits 0-7: the units that it holds. 0: free.
  std::uint64_t holders[holder_slots] = {};
};

// A number of units that processes take and give back. The units of a process that dies come back by themselves. At
// most 120 processes hold units at once, each at most 255; more wait.
class semaphore : public detail::synchronized<semaphore_state> {
 public:
  using synchronized::synchronized;
  // A state with `units` to take, and never more than `limit` (0: no limit).
  static semaphore_state with_units(std::uint32_t units, std::uint32_t limit = 0);

  wait_result acquire(const waiting& how_long = {});  // done, timed_out or interrupted
  // Gives back a unit. A process that holds none adds one. Throws invalid_argument if there were more than the limit.
  void release();
  // Units to be had now, and those that this process holds.
  std::uint32_t available();
  std::uint32_t held() const;

 private:
  std::uint32_t free_units() const noexcept;
  bool take(std::uint64_t number) noexcept;
  bool collect_dead() noexcept;
  void announce() noexcept;
};

// 1,024 bytes. Make it with barrier::for_parties.
struct barrier_state {
  static constexpr int party_slots = 60;
  struct party {
    std::uint64_t number = 0;   // of the process; 0: free
    std::uint64_t arrival = 0;  // bits 32-63: the round; bits 0-31: how many of its threads wait in that round
  };
  alignas(64) mutex_state guard;
  std::uint32_t parties = 0;
  std::uint32_t round = 1;      // waiters sleep on it
  std::uint32_t broken = 0;     // 1: until reset()
  std::uint32_t broken_rounds = 0;  // bit i: the last round that is i modulo 32 was broken off
  std::uint64_t reserved[5] = {};
  party members[party_slots] = {};
};

// Waits until a number of parties (processes, or threads of them) have come. A process belongs to the barrier from its
// first wait() until leave(); if it dies before, those who wait and those who come are told: broken. (A process that
// dies before its first wait() was never seen: give a timeout.) At most 60 processes.
class barrier : public detail::synchronized<barrier_state> {
 public:
  using synchronized::synchronized;
  static barrier_state for_parties(std::uint32_t parties);  // throws invalid_argument for 0

  // done, timed_out, interrupted (this party has not come then) or broken. Throws no_memory for a 61st process.
  wait_result wait(const waiting& how_long = {});
  // This process belongs to it no longer. Harmless if it does not.
  void leave();
  // Breaks it for those who wait and those who come.
  void abort();
  // Forgets everybody and works again. Those who wait are told: broken.
  void reset();
  std::uint32_t parties() const noexcept { return state_->parties; }
  bool is_broken() const noexcept;
  std::uint32_t waiting_now() const noexcept;

 private:
  barrier_state::party* mine(std::uint64_t number, bool join) noexcept;
  std::uint32_t arrived() const noexcept;
  bool somebody_died() const noexcept;
  void break_off() noexcept;
};

// 8 bytes.
struct counter_state {
  alignas(8) std::int64_t value = 0;
};

// A number that all change without a lock. Wraps around at 64 bits.
class counter : public detail::synchronized<counter_state> {
 public:
  using synchronized::synchronized;
  std::int64_t load() const noexcept { return std::atomic_ref(state_->value).load(); }
  void store(std::int64_t to) noexcept { std::atomic_ref(state_->value).store(to); }
  // Answers with the value before.
  std::int64_t fetch_add(std::int64_t by) noexcept { return std::atomic_ref(state_->value).fetch_add(by); }
  std::int64_t exchange(std::int64_t to) noexcept { return std::atomic_ref(state_->value).exchange(to); }
  // Stores `to` if the value is `expected`; otherwise puts the value there and answers false.
  bool compare_exchange(std::int64_t& expected, std::int64_t to) noexcept {
    return std::atomic_ref(state_->value).compare_exchange_strong(expected, to);
  }
};
static_assert(std::atomic_ref<std::int64_t>::is_always_lock_free);

}  // namespace onecopy
