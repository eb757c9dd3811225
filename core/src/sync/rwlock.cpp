// A writer owns the word `writer`, then waits until every reader's slot is empty. A reader announces itself in a slot,
// then looks whether there is a writer; if so it takes itself out again and waits. Both steps are sequentially
// consistent, so at least one of the two sees the other.
#include <algorithm>
#include <atomic>

#include "onecopy/error.hpp"
#include "onecopy/lock.hpp"
#include "sync/owner_word.hpp"
#include "sync/patience.hpp"

namespace onecopy {

namespace {

constexpr std::uint64_t times_held = 0xff;
using sync::at_death;
using sync::owner_of;
using sync::owner_shift;

[[noreturn]] void not_held(const char* tried) {
  throw error(error_kind::invalid_argument, tried, "this process does not hold it that way",
              "Only a process that has locked it may do this; after fork() that is the parent");
}

wait_result how_left(std::uint64_t word) noexcept {
  return (word & sync::damaged) != 0 ? wait_result::owner_died : wait_result::done;
}

// Frees the slots of dead readers. True if one became free.
bool bury_readers(rwlock_state& state, const participant& who) noexcept {
  bool any = false;
  for (auto& slot : state.readers) {
    std::atomic_ref at(slot);
    std::uint64_t seen = at.load();
    if (seen != 0 && !who.lives(owner_of(seen))) any = at.compare_exchange_strong(seen, 0) || any;
  }
  return any;
}

}  // namespace

wait_result rwlock::acquire(const waiting& how_long) {
  const double begun = detail::steady_seconds();
  const std::uint64_t me = who_->number();
  const wait_result how = sync::acquire_word(state_->writer, *who_, how_long, at_death::damages_once_entered);
  if (how != wait_result::done && how != wait_result::owner_died) return how;
  waiting left = how_long;
  if (left.seconds > 0) left.seconds = std::max(0.0, left.seconds - (detail::steady_seconds() - begun));
  sync::patience wait(left);
  for (auto& slot : state_->readers) {
    std::atomic_ref at(slot);
    std::uint64_t checked = 0;
    for (std::uint64_t seen = at.load(); seen != 0; seen = at.load()) {
      if (owner_of(seen) != me && (wait.look_closer() || checked != owner_of(seen))) {
        if (!who_->lives(owner_of(seen))) {
          at.compare_exchange_strong(seen, 0);
          continue;
        }
        checked = owner_of(seen);
      }
      if (const auto over = wait.sleep(sync::low_half(slot), static_cast<std::uint32_t>(seen))) {
        sync::release_word(state_->writer, *who_, os::everyone);
        return *over;
      }
    }
  }
  std::atomic_ref(state_->writer).fetch_or(sync::entered);
  return how;
}

wait_result rwlock::acquire_shared(const waiting& how_long) {
  const std::uint64_t me = who_->number();
  std::atomic_ref writer(state_->writer);
  sync::patience wait(how_long);
  std::uint64_t checked = 0;
  for (;;) {
    std::uint64_t seen = writer.load();
    const std::uint64_t owner = owner_of(seen);
    if (owner == 0) {
      if (add_reader(me)) {
        seen = writer.load();
        if (owner_of(seen) == 0) return how_left(seen);
        drop_reader(me);
        continue;
      }
      // No slot: of dead readers, or 120 processes read at once.
      if (bury_readers(*state_, *who_)) continue;
      const std::uint64_t first = std::atomic_ref(state_->readers[0]).load();
      if (const auto over = wait.sleep(sync::low_half(state_->readers[0]), static_cast<std::uint32_t>(first)))
        return *over;
      continue;
    }
    if (owner != me && (wait.look_closer() || owner != checked)) {
      if (sync::bury_owner(state_->writer, seen, *who_, at_death::damages_once_entered)) continue;
      checked = owner;
    }
    if (!wait.may_wait()) return wait_result::timed_out;
    if ((seen & sync::sleepers) == 0) {
      if (!writer.compare_exchange_weak(seen, seen | sync::sleepers)) continue;
      seen |= sync::sleepers;
    }
    if (const auto over = wait.sleep(sync::low_half(state_->writer), static_cast<std::uint32_t>(seen))) return *over;
  }
}

bool rwlock::add_reader(std::uint64_t number) noexcept {
  // The first slot tried is another for each process, so that readers don't meet in one cache line.
  const auto start = static_cast<int>(number % rwlock_state::reader_slots);
  for (int turn = 0; turn < rwlock_state::reader_slots; ++turn) {
    const int i = (start + turn) % rwlock_state::reader_slots;
    std::atomic_ref at(state_->readers[i]);
    std::uint64_t seen = at.load();
    if (seen == 0 && at.compare_exchange_strong(seen, number << owner_shift | 1)) return true;
    while (owner_of(seen) == number && (seen & times_held) < times_held)
      if (at.compare_exchange_weak(seen, seen + 1)) return true;
  }
  return false;
}

bool rwlock::drop_reader(std::uint64_t number) noexcept {
  const auto start = static_cast<int>(number % rwlock_state::reader_slots);
  for (int turn = 0; turn < rwlock_state::reader_slots; ++turn) {
    std::uint64_t& slot = state_->readers[(start + turn) % rwlock_state::reader_slots];
    std::atomic_ref at(slot);
    std::uint64_t seen = at.load();
    while (owner_of(seen) == number) {
      const std::uint64_t next = (seen & times_held) > 1 ? seen - 1 : 0;
      if (!at.compare_exchange_weak(seen, next)) continue;
      if (next == 0 && owner_of(std::atomic_ref(state_->writer).load()) != 0)
        os::futex_wake(sync::low_half(slot), os::everyone);
      return true;
    }
  }
  return false;
}

bool rwlock::release() noexcept { return sync::release_word(state_->writer, *who_, os::everyone); }

bool rwlock::release_shared() noexcept {
  try {
    return drop_reader(who_->number());
  } catch (...) {
    return false;  // a forked child that can't take part reads nothing
  }
}

void rwlock::unlock() {
  if (!release()) not_held("unlock a rwlock for writing");
}

void rwlock::unlock_shared() {
  if (!release_shared()) not_held("unlock a rwlock for reading");
}

void rwlock::repaired() {
  if (!sync::repair_word(state_->writer, *who_)) not_held("call a rwlock repaired");
}

bool rwlock::damaged() const noexcept { return (std::atomic_ref(state_->writer).load() & sync::damaged) != 0; }
bool rwlock::write_locked() const noexcept { return owner_of(std::atomic_ref(state_->writer).load()) != 0; }

int rwlock::readers() const noexcept {
  int count = 0;
  for (auto& slot : state_->readers) count += std::atomic_ref(slot).load() != 0;
  return count;
}

}  // namespace onecopy
