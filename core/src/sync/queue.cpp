// A ring with a lock on each side, so that producers and consumers don't wait for each other. tail and head only grow;
// moving one of them is the instant at which a message is put in or taken.
#include "onecopy/queue.hpp"

#include <atomic>
#include <bit>
#include <cstring>
#include <string>

#include "onecopy/error.hpp"
#include "sync/owner_word.hpp"
#include "sync/patience.hpp"

namespace onecopy {

namespace {

constexpr std::uint64_t header = sizeof(queue_state);
static_assert(header == 192);
constexpr std::uint32_t most_slots = 1u << 24, longest_message = 1u << 24;

constexpr std::uint64_t slot_bytes(std::uint32_t message_bytes) noexcept {
  return 8 + ((std::uint64_t{message_bytes} + 7) & ~std::uint64_t{7});
}

const waiting& or_shortly(const waiting& how_long) noexcept {
  // Whoever is in the section leaves it soon or is dead: even a call that must not wait may wait for that.
  static const waiting& shortly = *new waiting{.seconds = 1};
  return how_long.seconds == 0 ? shortly : how_long;
}

void wake(std::uint32_t& sleepers, const std::uint64_t& word) noexcept {
  std::atomic_ref flag(sleepers);
  if (flag.load() != 0 && flag.exchange(0) != 0) os::futex_wake(sync::low_half(word), os::everyone);
}

}  // namespace

std::uint64_t queue::bytes_for(const queue_shape& shape) {
  const queue_state state = of_shape(shape);
  return header + state.slots * slot_bytes(state.message_bytes);
}

queue_state queue::of_shape(const queue_shape& shape) {
  if (shape.slots == 0 || shape.slots > most_slots || shape.message_bytes == 0 ||
      shape.message_bytes > longest_message)
    throw error(error_kind::invalid_argument,
                "make a queue of " + std::to_string(shape.slots) + " messages of " +
                    std::to_string(shape.message_bytes) + " bytes",
                "both must be from 1 to 16777216", "Share large things, and put their handles in the queue");
  queue_state state;
  state.slots = std::bit_ceil(shape.slots);
  state.message_bytes = (shape.message_bytes + 7) & ~7u;
  state.single = shape.single ? 1 : 0;
  return state;
}

queue::queue(queue_state& state, std::size_t bytes, std::shared_ptr<participant> who, std::shared_ptr<const void> keep)
    : synchronized(state, std::move(who), std::move(keep)),
      slots_(bytes >= header ? std::atomic_ref(state.slots).load() : 0),
      message_bytes_(bytes >= header ? std::atomic_ref(state.message_bytes).load() : 0) {
  if (!std::has_single_bit(slots_) || slots_ > most_slots || message_bytes_ == 0 || message_bytes_ > longest_message ||
      header + slots_ * slot_bytes(message_bytes_) > bytes)
    throw error(error_kind::corrupt, "open a queue", "its size does not fit what it says about itself",
                "Make it again");
  single_ = std::atomic_ref(state.single).load() != 0;
}

std::byte* queue::slot(std::uint64_t number) const noexcept {
  return reinterpret_cast<std::byte*>(state_) + header + (number & (slots_ - 1)) * slot_bytes(message_bytes_);
}

wait_result queue::take_side(mutex_state& side, const waiting& how_long) {
  if (!single_) return sync::acquire_word(side.word, *who_, or_shortly(how_long));
  if (sync::owner_of(std::atomic_ref(side.word).load(std::memory_order_relaxed)) == who_->number())
    return wait_result::done;
  const wait_result how = sync::acquire_word(side.word, *who_, waiting::none());
  if (how == wait_result::timed_out)
    throw error(error_kind::busy, "use a queue for one producer and one consumer",
                "another process has this side of it", "Wait until it lets go, or make a queue that is not single");
  return how;
}

void queue::leave_side(mutex_state& side) noexcept {
  if (!single_) sync::release_word(side.word, *who_);
}

wait_result queue::put(std::span<const std::byte> message, const waiting& how_long) {
  if (message.size() > message_bytes_)
    throw error(error_kind::invalid_argument,
                "put a message of " + std::to_string(message.size()) + " bytes in a queue",
                "its messages have at most " + std::to_string(message_bytes_),
                "Share the data and put its handle in the queue, or make the queue with longer messages");
  sync::patience wait(how_long);
  std::atomic_ref tail(state_->tail), head(state_->head);
  for (;;) {
    const wait_result side = take_side(state_->producer, how_long);
    if (side == wait_result::owner_died)  // what it had not finished is not there
      sync::repair_word(state_->producer.word, *who_);
    else if (side != wait_result::done)
      return side;
    if (closed()) {
      leave_side(state_->producer);
      return wait_result::closed;
    }
    const std::uint64_t at = tail.load(std::memory_order_relaxed);
    std::uint64_t taken = head.load();
    if (at - taken < slots_) {
      std::byte* place = slot(at);
      const std::uint64_t size = message.size();
      std::memcpy(place, &size, sizeof size);
      if (size != 0) std::memcpy(place + 8, message.data(), size);
      tail.store(at + 1);
      leave_side(state_->producer);
      wake(state_->consumers_sleep, state_->tail);
      return wait_result::done;
    }
    leave_side(state_->producer);
    if (!wait.may_wait()) return wait_result::timed_out;
    if (sync::spin([&] { return head.load(std::memory_order_relaxed) != taken; })) continue;
    std::atomic_ref(state_->producers_sleep).store(1);
    if (head.load() != taken || closed()) continue;
    if (const auto over = wait.sleep(sync::low_half(state_->head), static_cast<std::uint32_t>(taken))) return *over;
  }
}

wait_result queue::get(std::vector<std::byte>& message, const waiting& how_long) {
  sync::patience wait(how_long);
  std::atomic_ref tail(state_->tail), head(state_->head);
  for (;;) {
    const wait_result side = take_side(state_->consumer, how_long);
    if (side == wait_result::owner_died)
      sync::repair_word(state_->consumer.word, *who_);
    else if (side != wait_result::done)
      return side;
    // Asked before the tail: whoever closes does so after the last message.
    const bool ended = closed();
    const std::uint64_t at = head.load(std::memory_order_relaxed);
    const std::uint64_t put_in = tail.load();
    if (at != put_in) {
      const std::byte* place = slot(at);
      std::uint64_t size = 0;
      std::memcpy(&size, place, sizeof size);
      const bool whole = size <= message_bytes_;
      try {
        if (whole) message.assign(place + 8, place + 8 + size);
      } catch (...) {
        leave_side(state_->consumer);
        throw;
      }
      head.store(at + 1);
      leave_side(state_->consumer);
      wake(state_->producers_sleep, state_->head);
      if (whole) return wait_result::done;
      throw error(error_kind::corrupt, "take a message from a queue", "its length is wrong",
                  "Some process writes where it should not");
    }
    leave_side(state_->consumer);
    if (ended) return wait_result::closed;
    if (!wait.may_wait()) return wait_result::timed_out;
    if (sync::spin([&] { return tail.load(std::memory_order_relaxed) != put_in; })) continue;
    std::atomic_ref(state_->consumers_sleep).store(1);
    if (tail.load() != put_in || closed()) continue;
    if (const auto over = wait.sleep(sync::low_half(state_->tail), static_cast<std::uint32_t>(put_in))) return *over;
  }
}

void queue::close() noexcept {
  std::atomic_ref(state_->closed).store(1);
  os::futex_wake(sync::low_half(state_->tail), os::everyone);
  os::futex_wake(sync::low_half(state_->head), os::everyone);
}

bool queue::closed() const noexcept { return std::atomic_ref(state_->closed).load() != 0; }

std::uint64_t queue::size() const noexcept {
  const std::uint64_t head = std::atomic_ref(state_->head).load();
  const std::uint64_t tail = std::atomic_ref(state_->tail).load();
  return tail - head > slots_ ? slots_ : tail - head;
}

void queue::let_go() noexcept {
  if (!single_) return;
  sync::release_word(state_->producer.word, *who_);
  sync::release_word(state_->consumer.word, *who_);
}

}  // namespace onecopy
