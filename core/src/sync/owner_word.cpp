#include "sync/owner_word.hpp"

#include <atomic>

#include "sync/patience.hpp"

namespace onecopy::sync {

namespace {

std::uint64_t without_owner(std::uint64_t seen, at_death meaning) noexcept {
  const bool harm = meaning == at_death::damages || (seen & entered) != 0;
  return (seen & (sleepers | damaged)) | (harm ? damaged : 0);
}

wait_result acquired(std::uint64_t before) noexcept {
  return (before & damaged) != 0 ? wait_result::owner_died : wait_result::done;
}

wait_result acquire_contended(std::atomic_ref<std::uint64_t> at, std::uint64_t& word, participant& who,
                              std::uint64_t me, const waiting& how_long, at_death meaning) {
  patience wait(how_long);
  if (wait.may_wait()) spin([&] { return owner_of(at.load(std::memory_order_relaxed)) == 0; });
  // Once we have slept others may sleep too, and the flag was cleared when we were woken.
  std::uint64_t mark = 0;
  std::uint64_t checked = 0;
  for (;;) {
    std::uint64_t seen = at.load(std::memory_order_relaxed);
    const std::uint64_t owner = owner_of(seen);
    if (owner == 0) {
      if (at.compare_exchange_weak(seen, me | mark | (seen & (sleepers | damaged)))) return acquired(seen);
      continue;
    }
    // This process is alive, so another thread of it may own the word for as long as it likes.
    if (owner != owner_of(me) && (wait.look_closer() || owner != checked)) {
      if (bury_owner(word, seen, who, meaning)) continue;
      checked = owner;
    }
    if (!wait.may_wait()) return wait_result::timed_out;
    if ((seen & sleepers) == 0) {
      if (!at.compare_exchange_weak(seen, seen | sleepers)) continue;
      seen |= sleepers;
    }
    if (const auto over = wait.sleep(low_half(word), static_cast<std::uint32_t>(seen))) {
      // The wake-up that the owner sent may have been ours.
      if (owner_of(at.load()) == 0) os::futex_wake(low_half(word), 1);
      return *over;
    }
    mark = sleepers;
  }
}

}  // namespace

wait_result acquire_word(std::uint64_t& word, participant& who, const waiting& how_long, at_death meaning) {
  const std::uint64_t me = who.number() << owner_shift;
  std::atomic_ref at(word);
  std::uint64_t seen = 0;
  if (at.compare_exchange_strong(seen, me)) [[likely]] return wait_result::done;
  return acquire_contended(at, word, who, me, how_long, meaning);
}

bool release_word(std::uint64_t& word, participant& who, int wake) noexcept {
  std::atomic_ref at(word);
  std::uint64_t seen = at.load(std::memory_order_relaxed);
  std::uint64_t me = 0;
  try {
    me = who.number();
  } catch (...) {
    return false;  // a forked child that can't take part owns nothing
  }
  do {
    if (owner_of(seen) != me) return false;
  } while (!at.compare_exchange_weak(seen, seen & damaged));
  if ((seen & sleepers) != 0) os::futex_wake(low_half(word), wake);
  return true;
}

bool repair_word(std::uint64_t& word, participant& who) noexcept {
  std::atomic_ref at(word);
  try {
    if (owner_of(at.load()) != who.number()) return false;
  } catch (...) {
    return false;
  }
  at.fetch_and(~damaged);
  return true;
}

bool bury_owner(std::uint64_t& word, std::uint64_t seen, const participant& who, at_death meaning) noexcept {
  std::atomic_ref at(word);
  if (who.lives(owner_of(seen))) return false;
  if (at.compare_exchange_strong(seen, without_owner(seen, meaning)) && (seen & sleepers) != 0)
    os::futex_wake(low_half(word), os::everyone);
  return true;
}

}  // namespace onecopy::sync
