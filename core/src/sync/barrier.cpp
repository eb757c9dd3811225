// A round ends by one store to `round`, which makes all arrivals of that round void at once. An arrival is one word
// that names its round. So there is no instant at which the death of a party leaves a round half ended.
#include <atomic>

#include "onecopy/coordination.hpp"
#include "onecopy/error.hpp"
#include "sync/owner_word.hpp"
#include "sync/patience.hpp"

namespace onecopy {

namespace {

constexpr std::uint32_t round_of(std::uint64_t arrival) noexcept { return static_cast<std::uint32_t>(arrival >> 32); }
constexpr std::uint32_t count_of(std::uint64_t arrival) noexcept { return static_cast<std::uint32_t>(arrival); }
constexpr std::uint64_t arrival_of(std::uint32_t round, std::uint32_t count) noexcept {
  return std::uint64_t{round} << 32 | count;
}

// A waiter may wake when later rounds are over, too, so more than the last one's end is kept.
constexpr std::uint32_t bit_of(std::uint32_t round) noexcept { return std::uint32_t{1} << (round % 32); }

}  // namespace

barrier_state barrier::for_parties(std::uint32_t parties) {
  if (parties == 0) throw error(error_kind::invalid_argument, "make a barrier", "it has no parties", "Give at least 1");
  barrier_state state;
  state.parties = parties;
  return state;
}

// Inside the guard, like all private members but somebody_died().
barrier_state::party* barrier::mine(std::uint64_t number, bool join) noexcept {
  barrier_state::party* empty = nullptr;
  for (auto& member : state_->members) {
    const std::uint64_t seen = std::atomic_ref(member.number).load();
    if (seen == number) return &member;
    if (seen == 0 && empty == nullptr) empty = &member;
  }
  if (!join || empty == nullptr) return nullptr;
  std::atomic_ref(empty->arrival).store(0);
  std::atomic_ref(empty->number).store(number);
  return empty;
}

std::uint32_t barrier::arrived() const noexcept {
  const std::uint32_t round = std::atomic_ref(state_->round).load();
  std::uint32_t sum = 0;
  for (auto& member : state_->members) {
    const std::uint64_t arrival = std::atomic_ref(member.arrival).load();
    if (std::atomic_ref(member.number).load() != 0 && round_of(arrival) == round) sum += count_of(arrival);
  }
  return sum;
}

bool barrier::somebody_died() const noexcept {
  for (auto& member : state_->members) {
    const std::uint64_t number = std::atomic_ref(member.number).load();
    if (number != 0 && !who_->lives(number)) return true;
  }
  return false;
}

void barrier::break_off() noexcept {
  std::atomic_ref round(state_->round);
  std::atomic_ref(state_->broken_rounds).fetch_or(bit_of(round.load()));
  std::atomic_ref(state_->broken).store(1);
  round.fetch_add(1);
}

bool barrier::is_broken() const noexcept { return std::atomic_ref(state_->broken).load() != 0; }
std::uint32_t barrier::waiting_now() const noexcept { return arrived(); }

wait_result barrier::wait(const waiting& how_long) {
  const std::uint64_t me = who_->number();
  std::atomic_ref round(state_->round);
  std::uint32_t my_round = 0;
  {
    sync::section inside(state_->guard, *who_, how_long);
    if (inside.how() != wait_result::done) return inside.how();
    if (is_broken()) return wait_result::broken;
    barrier_state::party* own = mine(me, true);
    if (own == nullptr)
      throw error(error_kind::no_memory, "join a barrier", "60 processes belong to it already",
                  "Let processes that are done call leave()");
    my_round = round.load();
    std::atomic_ref arrival(own->arrival);
    const std::uint64_t before = arrival.load();
    arrival.store(arrival_of(my_round, round_of(before) == my_round ? count_of(before) + 1 : 1));
    if (arrived() >= state_->parties) {
      std::atomic_ref(state_->broken_rounds).fetch_and(~bit_of(my_round));
      round.fetch_add(1);
      inside.leave();
      os::futex_wake(&state_->round, os::everyone);
      return wait_result::done;
    }
  }
  sync::patience wait(how_long);
  while (round.load() == my_round) {
    auto over = wait.sleep(&state_->round, my_round);
    if (!over && !(wait.look_closer() && somebody_died())) continue;
    sync::section inside(state_->guard, *who_, {});
    if (round.load() != my_round) break;
    if (!over) {
      break_off();
      inside.leave();
      os::futex_wake(&state_->round, os::everyone);
      return wait_result::broken;
    }
    // This party gives up: it has not come.
    if (barrier_state::party* own = mine(me, false)) {
      std::atomic_ref arrival(own->arrival);
      arrival.store(arrival_of(my_round, count_of(arrival.load()) - 1));
    }
    return *over;
  }
  const bool broken_off = (std::atomic_ref(state_->broken_rounds).load() & bit_of(my_round)) != 0;
  return broken_off ? wait_result::broken : wait_result::done;
}

void barrier::leave() {
  sync::section inside(state_->guard, *who_, {});
  barrier_state::party* own = mine(who_->number(), false);
  if (own == nullptr) return;
  std::atomic_ref(own->number).store(0);
}

void barrier::abort() {
  {
    sync::section inside(state_->guard, *who_, {});
    if (is_broken()) return;
    break_off();
  }
  os::futex_wake(&state_->round, os::everyone);
}

void barrier::reset() {
  {
    sync::section inside(state_->guard, *who_, {});
    break_off();
    for (auto& member : state_->members) std::atomic_ref(member.number).store(0);
    std::atomic_ref(state_->broken).store(0);
  }
  os::futex_wake(&state_->round, os::everyone);
}

}  // namespace onecopy
