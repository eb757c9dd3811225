// What all synchronization has in common: how a wait ends, how long it may last, and who takes part.
//
// The state of a lock, event, queue or the like is a plain struct of fixed size in memory that every process maps
// (MAP_SHARED). It has no pointers and means the same at every address; all zero bytes are a valid fresh state unless
// the struct says otherwise. It lies in a record, or in an object of its own that is found by name or in a file
// (sync.hpp). docs/synchronization.md documents the bits.
//
// The classes that work on a state (lock, rwlock, event, ...) are small handles: copy them as you like. They keep the
// object mapped. All their functions may be called from any thread at once, except where they say otherwise.
//
// A process may be killed (SIGKILL) at any instant of any of these functions: the others find out and go on. At most
// 50 ms pass until a waiter notices.
#pragma once

#include <functional>
#include <memory>

namespace onecopy {

enum class [[nodiscard]] wait_result {
  done,
  // Done, the lock is yours, but somebody died while holding it: what it protects may be half changed. Repair it and
  // call repaired(); until then everyone who gets the lock is told.
  owner_died,
  timed_out,    // nothing was changed
  interrupted,  // waiting::stop said so; nothing was changed
  broken,       // barrier: one of the parties died, or abort() was called
  closed,       // queue: close() was called
};
const char* name_of(wait_result how) noexcept;

struct waiting {
  // Negative: as long as it takes. 0: don't wait.
  double seconds = -1;
  // Asked whenever a signal arrives and at least every 50 ms, with no lock held by the call itself; true: give up.
  // Must not throw. A C++ program that wants Ctrl-C to end a wait tests its own flag here.
  std::function<bool()> stop = {};

  static waiting none() { return {.seconds = 0}; }
};

// This process's part in one shared object: locks record it as their owner, and other processes ask the kernel
// whether it is still there. It ends when the process dies, when it execs, and when the last handle that uses it is
// gone; locks still held then count as left by a dead owner. A forked child takes part anew, as somebody else.
class participant;

// Takes part in the object whose bytes `descriptor` is a file of (any descriptor that can be read from; it stays the
// caller's). Within a process there is one participant for each object. Costs a descriptor and a mapping. Throws
// unsupported where the file system has no open file description locks, no_memory, system.
std::shared_ptr<participant> take_part(int descriptor);

// The 56-bit number under which this process takes part now; what stands in the state of a lock that it owns.
// Throws what take_part throws, but only in a forked child.
std::uint64_t participant_number(participant& who);
// False if no process takes part under `number` (any more).
bool participant_lives(const participant& who, std::uint64_t number) noexcept;

namespace detail {

// A state, who works on it, and what keeps it mapped.
template <class State>
class synchronized {
 public:
  using state_type = State;
  synchronized() = default;
  // `state` lies in the shared object that `who` takes part in. `keep` (a region, say) stays until the handle is gone.
  synchronized(State& state, std::shared_ptr<participant> who, std::shared_ptr<const void> keep = nullptr) noexcept
      : state_(&state), who_(std::move(who)), keep_(std::move(keep)) {}
  explicit operator bool() const noexcept { return state_ != nullptr; }
  State& state() const noexcept { return *state_; }
  const std::shared_ptr<participant>& who() const noexcept { return who_; }

 protected:
  State* state_ = nullptr;
  std::shared_ptr<participant> who_;
  std::shared_ptr<const void> keep_;
};

}  // namespace detail

}  // namespace onecopy
