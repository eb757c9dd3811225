// The word of a mutex: who owns it, in one atomic value, so that no instant exists in which it is owned by nobody
// known.
#pragma once

#include <cstdint>

#include "onecopy/lock.hpp"
#include "sync/participant.hpp"

namespace onecopy::sync {

// Bits of the word; the others are the owner's number.
inline constexpr std::uint64_t sleepers = 1;  // somebody may sleep on the word
inline constexpr std::uint64_t damaged = 2;   // an owner died, and nobody has called repaired()
inline constexpr std::uint64_t entered = 4;   // rwlock: the writer is past the readers
inline constexpr int owner_shift = 8;

constexpr std::uint64_t owner_of(std::uint64_t word) noexcept { return word >> owner_shift; }

// What the death of an owner means. A mutex protects data from the moment it is taken. The writer of a rwlock still has
// to wait for readers, and did no damage before it had `entered`.
enum class at_death { damages, damages_once_entered };

wait_result acquire_word(std::uint64_t& word, participant& who, const waiting& how_long,
                         at_death meaning = at_death::damages);
// False, changing nothing, if `who` does not own it. `wake`: how many sleepers.
bool release_word(std::uint64_t& word, participant& who, int wake = 1) noexcept;
// The owner clears `damaged`. False if `who` does not own it.
bool repair_word(std::uint64_t& word, participant& who) noexcept;
// Frees the word if its owner, as seen in `seen`, is dead. True if the word is no longer `seen`.
bool bury_owner(std::uint64_t& word, std::uint64_t seen, const participant& who, at_death meaning) noexcept;

// A short critical section of our own. Nothing that it protects is ever half changed, so the death of an owner needs
// no repair.
class section {
 public:
  section(mutex_state& state, participant& who, const waiting& how_long)
      : state_(state), who_(who), how_(acquire_word(state.word, who, how_long)) {
    if (how_ == wait_result::owner_died) {
      repair_word(state_.word, who_);
      how_ = wait_result::done;
    }
  }
  section(const section&) = delete;
  section& operator=(const section&) = delete;
  ~section() { leave(); }
  // done, or why the section could not be entered.
  wait_result how() const noexcept { return how_; }
  void leave() noexcept {
    if (how_ == wait_result::done) release_word(state_.word, who_);
    how_ = wait_result::timed_out;
  }

 private:
  mutex_state& state_;
  participant& who_;
  wait_result how_;
};

}  // namespace onecopy::sync
