#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "onecopy/error.hpp"
#include "support/forked.hpp"
#include "support/shared_state.hpp"

namespace {

using namespace onecopy;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Queue : public testing::Test {
 protected:
  test::shared_memory memory{1 << 16};
  queue make(const queue_shape& shape) {
    EXPECT_LE(queue::bytes_for(shape), memory.size() - 4096);
    return {memory.place(4096, queue::of_shape(shape)), memory.size() - 4096, memory.who()};
  }
  std::vector<std::byte> got;
};

TEST_F(Queue, GivesBackWhatWasPutInInOrder) {
  queue line = make({.slots = 4, .message_bytes = 16});
  for (const char* text : {"one", "", "three"}) EXPECT_EQ(line.put(bytes_of(text)), wait_result::done);
  EXPECT_EQ(line.size(), 3u);
  for (const char* text : {"one", "", "three"}) {
    EXPECT_EQ(line.get(got), wait_result::done);
    EXPECT_EQ(text_of(got), text);
  }
  EXPECT_EQ(line.get(got, waiting::none()), wait_result::timed_out);
  EXPECT_EQ(line.get(got, {.seconds = 0.02}), wait_result::timed_out);
  EXPECT_EQ(line.get(got, {.stop = [] { return true; }}), wait_result::interrupted);
}

TEST_F(Queue, IsBounded) {
  queue line = make({.slots = 3, .message_bytes = 5});
  EXPECT_EQ(line.slots(), 4u);
  EXPECT_EQ(line.message_bytes(), 8u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(line.put(bytes_of(std::to_string(i)), waiting::none()), wait_result::done);
  EXPECT_EQ(line.put(bytes_of("x"), waiting::none()), wait_result::timed_out);
  EXPECT_EQ(line.put(bytes_of("x"), {.seconds = 0.02}), wait_result::timed_out);
  EXPECT_EQ(line.get(got), wait_result::done);
  EXPECT_EQ(line.put(bytes_of("4"), waiting::none()), wait_result::done);
  for (int i = 1; i < 5; ++i) {
    EXPECT_EQ(line.get(got), wait_result::done);
    EXPECT_EQ(text_of(got), std::to_string(i));
  }
}

TEST_F(Queue, BadShapesAndMessagesAreErrors) {
  EXPECT_THROW(static_cast<void>(queue::of_shape({.slots = 0})), error);
  EXPECT_THROW(static_cast<void>(queue::of_shape({.message_bytes = 0})), error);
  EXPECT_THROW(static_cast<void>(queue::of_shape({.slots = 1u << 25})), error);
  queue line = make({.slots = 4, .message_bytes = 8});
  EXPECT_THROW(static_cast<void>(line.put(bytes_of("nine bytes"))), error);
  EXPECT_EQ(line.size(), 0u);
}

TEST_F(Queue, AStateThatDoesNotFitItsMemoryIsCorrupt) {
  auto& state = memory.place(4096, queue::of_shape({.slots = 4, .message_bytes = 8}));
  const auto open = [&](std::size_t bytes) { return queue(state, bytes, memory.who()); };
  EXPECT_NO_THROW(static_cast<void>(open(192 + 4 * 16)));
  EXPECT_THROW(static_cast<void>(open(192 + 4 * 16 - 1)), error);
  EXPECT_THROW(static_cast<void>(open(100)), error);
  for (std::uint32_t wrong : {0u, 3u, 1u << 31}) {
    state.slots = wrong;
    EXPECT_THROW(static_cast<void>(open(60000)), error);
  }
  state.slots = 4;
  state.message_bytes = 0xffffffff;
  EXPECT_THROW(static_cast<void>(open(60000)), error);
}

TEST_F(Queue, AWrongLengthIsAnErrorAndGone) {
  queue line = make({.slots = 4, .message_bytes = 8});
  ASSERT_EQ(line.put(bytes_of("a")), wait_result::done);
  ASSERT_EQ(line.put(bytes_of("b")), wait_result::done);
  const std::uint64_t wrong = ~std::uint64_t{0};
  std::memcpy(memory.data() + 4096 + 192, &wrong, sizeof wrong);
  EXPECT_THROW(static_cast<void>(line.get(got)), error);
  EXPECT_EQ(line.get(got, waiting::none()), wait_result::done);
  EXPECT_EQ(text_of(got), "b");
}

TEST_F(Queue, WrongCountsNeverReadOutsideTheQueue) {
  queue line = make({.slots = 4, .message_bytes = 8});
  line.state().tail = 0x123456789abcdef0;
  line.state().head = 0xfffffffffffffff0;
  EXPECT_EQ(line.put(bytes_of("a"), waiting::none()), wait_result::timed_out);
  EXPECT_EQ(line.get(got, waiting::none()), wait_result::done);
  EXPECT_LE(line.size(), 4u);
}

TEST_F(Queue, CanBeClosed) {
  queue line = make({.slots = 4, .message_bytes = 8});
  ASSERT_EQ(line.put(bytes_of("last")), wait_result::done);
  line.close();
  EXPECT_EQ(line.put(bytes_of("late")), wait_result::closed);
  EXPECT_EQ(line.get(got), wait_result::done);
  EXPECT_EQ(line.get(got), wait_result::closed);
}

TEST_F(Queue, ClosingWakesThoseWhoWait) {
  queue line = make({.slots = 4, .message_bytes = 8});
  test::forked consumer([&] { return line.get(got, {.seconds = 20}) == wait_result::closed ? 0 : 1; });
  usleep(30'000);
  line.close();
  EXPECT_EQ(consumer.wait(), 0);
}

// What each producer puts in arrives once and in its order.
void exchange(queue& line, int producers, int consumers, int count, test::shared_memory& memory) {
  auto& sums = memory.place<std::array<std::atomic<std::uint64_t>, 16>>(0);
  auto& received = memory.place<std::atomic<std::uint64_t>>(1024);
  std::vector<test::forked> makers, takers;
  for (int p = 0; p < producers; ++p)
    makers.emplace_back([&, p] {
      for (int n = 1; n <= count; ++n) {
        const int message[2] = {p, n};
        if (line.put(std::as_bytes(std::span(message)), {.seconds = 60}) != wait_result::done) return 1;
      }
      return 0;
    });
  for (int c = 0; c < consumers; ++c)
    takers.emplace_back([&] {
      std::vector<std::byte> message;
      int last[16] = {};
      for (;;) {
        const wait_result how = line.get(message, {.seconds = 60});
        if (how == wait_result::closed) return 0;
        if (how != wait_result::done || message.size() != 8) return 1;
        int content[2];
        std::memcpy(content, message.data(), 8);
        if (content[1] <= last[content[0]]) return 2;
        last[content[0]] = content[1];
        sums[static_cast<std::size_t>(content[0])] += static_cast<std::uint64_t>(content[1]);
        ++received;
      }
    });
  for (auto& maker : makers) EXPECT_EQ(maker.wait(60), 0);
  line.close();
  for (auto& taker : takers) EXPECT_EQ(taker.wait(60), 0);
  const auto each = static_cast<std::uint64_t>(count);
  EXPECT_EQ(received, each * static_cast<std::uint64_t>(producers));
  for (int p = 0; p < producers; ++p) EXPECT_EQ(sums[static_cast<std::size_t>(p)], each * (each + 1) / 2);
}

TEST_F(Queue, OneProducerAndOneConsumer) {
  queue line = make({.slots = 64, .message_bytes = 8, .single = true});
  exchange(line, 1, 1, 50'000, memory);
}

TEST_F(Queue, ManyProducersAndManyConsumers) {
  queue line = make({.slots = 16, .message_bytes = 8});
  exchange(line, 3, 2, 5'000, memory);
}

TEST_F(Queue, InSingleModeASecondProducerIsRefusedUntilTheFirstIsGone) {
  queue line = make({.slots = 4, .message_bytes = 8, .single = true});
  auto& step = memory.place<std::atomic<int>>(0);
  test::forked first([&] {
    static_cast<void>(line.put(bytes_of("a")));
    step = 1;
    pause();
    return 0;
  });
  while (step == 0) usleep(200);
  try {
    static_cast<void>(line.put(bytes_of("b")));
    FAIL() << "two producers";
  } catch (const error& problem) {
    EXPECT_EQ(problem.kind(), error_kind::busy);
  }
  first.kill();
  EXPECT_EQ(line.put(bytes_of("b")), wait_result::done);
  EXPECT_EQ(line.get(got), wait_result::done);
  line.let_go();
  test::forked third([&] { return line.put(bytes_of("c")) == wait_result::done ? 0 : 1; });
  EXPECT_EQ(third.wait(), 0);
}

}  // namespace
