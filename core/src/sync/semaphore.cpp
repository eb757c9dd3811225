// The holders' slots are the truth: units to be had = units in all - the sum of what the slots say. A slot is one word,
// so taking or giving back a unit happens in one instant or not at all.
#include <atomic>

#include "onecopy/coordination.hpp"
#include "onecopy/error.hpp"
#include "sync/owner_word.hpp"
#include "sync/patience.hpp"

namespace onecopy {

namespace {
constexpr std::uint64_t units_held = 0xff;
using sync::owner_of;
}  // namespace

semaphore_state semaphore::with_units(std::uint32_t units, std::uint32_t limit) {
  if (limit != 0 && units > limit)
    throw error(error_kind::invalid_argument, "make a semaphore of " + std::to_string(units) + " units",
                "its limit is " + std::to_string(limit));
  semaphore_state state;
  state.units = units;
  state.limit = limit;
  return state;
}

std::uint32_t semaphore::free_units() const noexcept {
  std::uint64_t given = 0;
  for (auto& slot : state_->holders) given += std::atomic_ref(slot).load() & units_held;
  const std::uint32_t all = std::atomic_ref(state_->units).load();
  return given >= all ? 0 : all - static_cast<std::uint32_t>(given);
}

// Inside the guard.
bool semaphore::take(std::uint64_t number) noexcept {
  std::uint64_t given = 0;
  std::uint64_t* own = nullptr;
  std::uint64_t* empty = nullptr;
  for (auto& slot : state_->holders) {
    const std::uint64_t seen = std::atomic_ref(slot).load(std::memory_order_relaxed);
    given += seen & units_held;
    if (seen == 0 && empty == nullptr) empty = &slot;
    if (owner_of(seen) == number && (seen & units_held) < units_held) own = &slot;
  }
  if (given >= std::atomic_ref(state_->units).load()) return false;
  if (own == nullptr && empty == nullptr) return false;
  if (own != nullptr)
    std::atomic_ref(*own).store(*own + 1);
  else
    std::atomic_ref(*empty).store(number << sync::owner_shift | 1);
  return true;
}

// Inside the guard.
bool semaphore::collect_dead() noexcept {
  bool any = false;
  for (auto& slot : state_->holders) {
    std::atomic_ref at(slot);
    const std::uint64_t seen = at.load();
    if (seen == 0 || who_->lives(owner_of(seen))) continue;
    at.store(0);
    any = true;
  }
  return any;
}

void semaphore::announce() noexcept {
  std::atomic_ref(state_->changes).fetch_add(1);
  if (std::atomic_ref(state_->sleepers).exchange(0) != 0) os::futex_wake(&state_->changes, os::everyone);
}

wait_result semaphore::acquire(const waiting& how_long) {
  const std::uint64_t me = who_->number();
  sync::patience wait(how_long);
  for (;;) {
    // Whoever is in the section leaves it soon or is dead: even a call that must not wait may wait for that.
    const waiting shortly{.seconds = how_long.seconds == 0 ? 1.0 : how_long.seconds, .stop = how_long.stop};
    std::uint32_t changes = 0;
    {
      sync::section inside(state_->guard, *who_, shortly);
      if (inside.how() != wait_result::done) return inside.how();
      if (take(me)) return wait_result::done;
      if (wait.look_closer() && collect_dead() && take(me)) {
        inside.leave();
        announce();  // a dead process may have held more than one
        return wait_result::done;
      }
      changes = std::atomic_ref(state_->changes).load();
      std::atomic_ref(state_->sleepers).store(1);
    }
    if (const auto over = wait.sleep(&state_->changes, changes)) return *over;
  }
}

void semaphore::release() {
  const std::uint64_t me = who_->number();
  {
    sync::section inside(state_->guard, *who_, {});
    bool returned = false;
    for (auto& slot : state_->holders) {
      std::atomic_ref at(slot);
      const std::uint64_t seen = at.load();
      if (owner_of(seen) != me) continue;
      at.store((seen & units_held) > 1 ? seen - 1 : 0);
      returned = true;
      break;
    }
    if (!returned) {
      std::atomic_ref units(state_->units);
      if ((state_->limit != 0 && units.load() >= state_->limit) || units.load() == 0xffffffff)
        throw error(error_kind::invalid_argument, "release a semaphore",
                    "all its " + std::to_string(state_->limit) + " units are there already",
                    "Release only what was acquired");
      units.fetch_add(1);
    }
  }
  announce();
}

std::uint32_t semaphore::available() {
  sync::section inside(state_->guard, *who_, {});
  collect_dead();
  return free_units();
}

std::uint32_t semaphore::held() const {
  const std::uint64_t me = who_->number();
  std::uint64_t sum = 0;
  for (auto& slot : state_->holders) {
    const std::uint64_t seen = std::atomic_ref(slot).load();
    if (owner_of(seen) == me) sum += seen & units_held;
  }
  return static_cast<std::uint32_t>(sum);
}

}  // namespace onecopy
