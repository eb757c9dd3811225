// A bounded queue of small messages in shared memory. See waiting.hpp for what it has in common with locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "onecopy/lock.hpp"

namespace onecopy {

// 192 bytes, followed by `slots` slots of slot_bytes(message_bytes) each: a 64-bit length and the message.
struct queue_state {
  alignas(64) std::uint32_t slots = 0;  // a power of two
  std::uint32_t message_bytes = 0;      // of the longest message
  std::uint32_t single = 0;             // 1: one producer and one consumer at a time
  std::uint32_t closed = 0;
  std::uint64_t reserved[6] = {};
  // The producers' side: their lock, and how many messages were ever put in. A message counts from the moment tail has
  // moved, so one that its producer did not live to finish was never there.
  alignas(64) mutex_state producer;
  std::uint64_t tail = 0;
  std::uint32_t producers_sleep = 0;
  std::uint32_t reserved_producer[11] = {};
  // The consumers' side.
  alignas(64) mutex_state consumer;
  std::uint64_t head = 0;
  std::uint32_t consumers_sleep = 0;
  std::uint32_t reserved_consumer[11] = {};
};

struct queue_shape {
  std::uint32_t slots = 256;          // rounded up to a power of two
  std::uint32_t message_bytes = 248;  // of the longest message; rounded up so that slots are a multiple of 8
  // One producer and one consumer: they take their side once and pay no lock for each message. Somebody else gets busy
  // until they let go or die.
  bool single = false;
};

// First in, first out. Messages are copied in and out. A message is lost only with the process that had taken it, or
// with all processes that hold the queue.
class queue : public detail::synchronized<queue_state> {
 public:
  queue() = default;
  // `bytes` is the memory from &state on. Throws corrupt when the state does not fit in it.
  queue(queue_state& state, std::size_t bytes, std::shared_ptr<participant> who,
        std::shared_ptr<const void> keep = nullptr);
  // The bytes that a queue of this shape needs, and its state, to be followed by zeros. Throws invalid_argument.
  static std::uint64_t bytes_for(const queue_shape& shape);
  static queue_state of_shape(const queue_shape& shape);

  // done, timed_out, interrupted or closed. Throws invalid_argument when the message is too long, busy in single mode
  // when another process is the producer.
  wait_result put(std::span<const std::byte> message, const waiting& how_long = {});
  // The same; closed: and nothing is left in it. The message replaces what is in `message`. Throws corrupt if somebody
  // wrote a wrong length; that message is gone then.
  wait_result get(std::vector<std::byte>& message, const waiting& how_long = {});
  // Nothing more may be put in; what is in it can still be taken.
  void close() noexcept;

  bool closed() const noexcept;
  std::uint64_t size() const noexcept;
  std::uint32_t slots() const noexcept { return slots_; }
  std::uint32_t message_bytes() const noexcept { return message_bytes_; }
  bool single() const noexcept { return single_; }
  // In single mode: lets somebody else be the producer or the consumer.
  void let_go() noexcept;

 private:
  std::byte* slot(std::uint64_t number) const noexcept;
  wait_result take_side(mutex_state& side, const waiting& how_long);
  void leave_side(mutex_state& side) noexcept;
  // Read once, when the state was checked: what stands in shared memory may change later.
  std::uint32_t slots_ = 0, message_bytes_ = 0;
  bool single_ = false;
};

}  // namespace onecopy
