#include <atomic>
#include <chrono>

#include "onecopy/error.hpp"
#include "onecopy/lock.hpp"
#include "sync/owner_word.hpp"
#include "sync/patience.hpp"

namespace onecopy {

const char* name_of(wait_result how) noexcept {
  switch (how) {
    case wait_result::done: return "done";
    case wait_result::owner_died: return "owner_died";
    case wait_result::timed_out: return "timed_out";
    case wait_result::interrupted: return "interrupted";
    case wait_result::broken: return "broken";
    case wait_result::closed: return "closed";
  }
  return "unknown";
}

namespace {

[[noreturn]] void not_held(const char* tried) {
  throw error(error_kind::invalid_argument, tried, "this process does not hold it",
              "Only a process that has locked it may do this; after fork() that is the parent");
}

}  // namespace

wait_result mutex::acquire(const waiting& how_long) { return sync::acquire_word(state_->word, *who_, how_long); }

bool mutex::release() noexcept { return sync::release_word(state_->word, *who_); }

void mutex::unlock() {
  if (!release()) not_held("unlock a mutex");
}

bool mutex::try_lock() {
  const wait_result how = acquire(waiting::none());
  return how == wait_result::done || how == wait_result::owner_died;
}

void mutex::repaired() {
  if (!sync::repair_word(state_->word, *who_)) not_held("call a mutex repaired");
}

bool mutex::held() const { return sync::owner_of(std::atomic_ref(state_->word).load()) == who_->number(); }
bool mutex::locked() const noexcept { return sync::owner_of(std::atomic_ref(state_->word).load()) != 0; }
bool mutex::damaged() const noexcept { return (std::atomic_ref(state_->word).load() & sync::damaged) != 0; }

wait_result condition::wait(mutex& held, const waiting& how_long) {
  if (!held.held()) not_held("wait for a condition with this mutex");
  std::atomic_ref sequence(state_->sequence);
  const std::uint32_t before = sequence.load();
  sync::patience wait(how_long);
  held.unlock();
  wait_result how = wait_result::done;
  while (sequence.load() == before) {
    if (const auto over = wait.sleep(&state_->sequence, before)) {
      how = *over;
      break;
    }
  }
  // The caller's scope ends with an unlock, so this can't end without the mutex.
  return held.acquire() == wait_result::owner_died ? wait_result::owner_died : how;
}

// A notification moves the sequence for all waiters and wakes one at once. If that one is killed, the others see the
// moved sequence at the end of their slice.
void condition::notify_one() noexcept {
  std::atomic_ref(state_->sequence).fetch_add(1);
  os::futex_wake(&state_->sequence, 1);
}

void condition::notify_all() noexcept {
  std::atomic_ref(state_->sequence).fetch_add(1);
  os::futex_wake(&state_->sequence, os::everyone);
}

double detail::steady_seconds() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace onecopy
