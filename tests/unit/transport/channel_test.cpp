// Channels: bytes and objects, by every way that an object may travel, between two ends in one process.
#include "onecopy/channel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <thread>

#include "onecopy/array.hpp"
#include "onecopy/store.hpp"
#include "onecopy/writer.hpp"
#include "os/fd.hpp"
#include "support/expect.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by;

std::vector<double> numbers(std::size_t count, double first = 0) {
  std::vector<double> all(count);
  std::iota(all.begin(), all.end(), first);
  return all;
}

array<double> shared(std::size_t count, backing where = backing::store) {
  const auto all = numbers(count);
  return share(std::span<const double>(all), {.where = where});
}

bool readable(const channel& c) {
  pollfd one{c.descriptor(), POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

const std::byte* address(const value& v) { return v.region().bytes().data(); }

TEST(Channel, BytesArriveInOrderAndApart) {
  auto [a, b] = channel::pair();
  a.send("one");
  a.send("");
  a.send(std::string("with\0zero", 9));
  EXPECT_EQ(b.receive(5).text(), "one");
  EXPECT_EQ(b.receive(5).text(), "");
  EXPECT_EQ(b.receive(5).text(), std::string("with\0zero", 9));
  b.send("back");
  EXPECT_EQ(a.receive(5).text(), "back");
}

TEST(Channel, ManyBytesTravelAsAnObjectAndArriveAsBytes) {
  auto [a, b] = channel::pair();
  std::string large(5'000'000, 'x');
  large[4'999'999] = 'y';
  for (const std::size_t size : {32767u, 32768u, 32769u, 65536u, 5'000'000u}) {
    a.send(std::string_view(large).substr(0, size));
    const message m = b.receive(5);
    EXPECT_EQ(m.text(), std::string_view(large).substr(0, size));
    EXPECT_EQ(m.size(), 0u);
  }
}

TEST(Channel, ALargeObjectOfTheStoreGoesByHandleAndIsTheSameMemory) {
  auto [a, b] = channel::pair();
  const auto x = shared(100'000);
  a.send(x, "prices");
  const message m = b.receive(5);
  EXPECT_EQ(m.text(), "prices");
  ASSERT_EQ(m.size(), 1u);
  EXPECT_EQ(address(m.object()), address(x.node()));  // mapped once in a process
  EXPECT_EQ(m.object().as<double>()[99'999], 99'999);
}

TEST(Channel, ASmallObjectTravelsWithinTheMessage) {
  auto [a, b] = channel::pair();
  const auto x = shared(10);
  ASSERT_LE(x.node().region().bytes().size(), 4096u);
  a.send(x);
  const message m = b.receive(5);
  EXPECT_NE(address(m.object()), address(x.node()));
  EXPECT_EQ(m.object().as<double>()[9], 9);
  EXPECT_EQ(m.object().region().id(), x.node().region().id());
  // ... and on again, also after somebody has asked for a pointer to write through.
  const region& received = m.object().region();
  std::byte* mine = received.writable_bytes();
  EXPECT_FALSE(received.diverged(0, received.bytes().size()));
  b.send(m.object());
  EXPECT_EQ(a.receive(5).object().as<double>()[9], 9);
  // What is written to it stays here.
  const double other = -1;
  std::memcpy(mine + m.object().data_offset() + 9 * sizeof other, &other, sizeof other);
  EXPECT_TRUE(received.diverged(0, received.bytes().size()));
  EXPECT_EQ(m.object().as<double>()[9], -1);
  b.send(m.object());
  EXPECT_EQ(a.receive(5).object().as<double>()[9], 9);
}

TEST(Channel, InlineLimitZeroSharesEvenTheSmallest) {
  auto [a, b] = channel::pair({.inline_limit = 0});
  const auto x = shared(10);
  a.send(x);
  EXPECT_EQ(address(b.receive(5).object()), address(x.node()));
}

TEST(Channel, ASealedMemfdGoesByDescriptorAndOnAgain) {
  auto [a, b] = channel::pair();
  const auto x = shared(100'000, backing::memfd);
  a.send(x);
  message m = b.receive(5);
  EXPECT_EQ(m.object().region().where(), backing::memfd);
  EXPECT_EQ(m.object().as<double>()[99'999], 99'999);
  b.send(m.object());
  EXPECT_EQ(a.receive(5).object().as<double>()[99'999], 99'999);
}

TEST(Channel, AStrangerGetsASealedCopyThatIsMadeOnce) {
  std::atomic<int> copies{0};
  report_copies(100'000, [&](const copy_report& copy) {
    ++copies;
    EXPECT_GE(copy.bytes, 800'000u);
    EXPECT_NE(copy.where.find("channel_test.cpp:"), std::string::npos) << copy.where;
  });
  auto [a, b] = channel::pair({.assume = channel_options::peer::stranger});
  const auto x = shared(100'000);
  for (int i = 0; i < 3; ++i) {
    a.send(x);
    const message m = b.receive(5);
    EXPECT_EQ(m.object().region().where(), backing::memfd);
    EXPECT_EQ(m.object().as<double>()[99'999], 99'999);
  }
  report_copies(0);
  EXPECT_EQ(copies, 1);
}

TEST(Channel, WhatWasWrittenHereIsNotWhatIsSent) {
  auto [a, b] = channel::pair({.inline_limit = 16384, .assume = channel_options::peer::stranger});
  for (const std::size_t count : {20u, 100'000u}) {
    const auto x = shared(count);
    auto* mine = reinterpret_cast<double*>(x.node().region().writable_bytes() + x.node().data_offset());
    mine[7] = -1;
    a.send(x);
    EXPECT_EQ(b.receive(5).object().as<double>()[7], 7);
  }
}

TEST(Channel, AMutableObjectIsSharedWithThisUserAndRefusedToStrangers) {
  const auto x = make_writable<double>(10'000);
  {
    auto [a, b] = channel::pair();
    a.send(x);
    const array<double> y(b.receive(5).object());
    x.shared_writable()[5] = 3;
    EXPECT_EQ(y[5], 3);
  }
  auto [a, b] = channel::pair({.assume = channel_options::peer::stranger});
  EXPECT_EQ(kind_thrown_by([&, &a = a] { a.send(x); }), error_kind::permission);
  a.send("still usable");
  EXPECT_EQ(b.receive(5).text(), "still usable");
}

TEST(Channel, PartsOfAnObjectKeepTheirPlace) {
  writer w;
  const auto big = numbers(50'000);
  const auto slot = w.list(w.root(), 2);
  w.array(slot, {.type = dtype::float64, .count = 3}, big.data());
  w.array(slot + 1, {.type = dtype::float64, .count = big.size()}, big.data());
  const value whole(w.publish());
  auto [a, b] = channel::pair();
  a.send(whole.child(1));
  EXPECT_EQ(b.receive(5).object().size(), 50'000u);
}

TEST(Channel, ThousandsOfObjectsInOneMessage) {
  for (const auto& options : {channel_options{}, channel_options{.inline_limit = 0},
                              channel_options{.inline_limit = 0, .assume = channel_options::peer::stranger}}) {
    auto [a, b] = channel::pair(options);
    std::vector<value> all;
    for (int i = 0; i < 1500; ++i) {
      const std::vector<double> content = numbers(100, i);
      all.push_back(share(std::span<const double>(content)).node());
    }
    std::thread sender([&, &a = a] { a.send(all, "all of them"); });
    const message m = b.receive(30);
    sender.join();
    EXPECT_EQ(m.text(), "all of them");
    ASSERT_EQ(m.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(m.object(i).as<double>()[0], static_cast<double>(i));
  }
}

TEST(Channel, TryReceiveTimeoutAndPoll) {
  auto [a, b] = channel::pair();
  a.send("greeting");  // the first packet of an end says who it is
  EXPECT_EQ(b.receive(5).text(), "greeting");
  EXPECT_FALSE(readable(b));
  EXPECT_FALSE(b.try_receive().has_value());
  EXPECT_EQ(kind_thrown_by([&, &b = b] { b.receive(0.02); }), error_kind::timeout);
  a.send("x");
  EXPECT_TRUE(readable(b));
  EXPECT_EQ(b.try_receive()->text(), "x");
}

TEST(Channel, AFullChannelIsATimeoutThatSentNothing) {
  auto [a, b] = channel::pair();
  const std::string block(30'000, 'b');
  std::size_t sent = 0;
  const auto kind = kind_thrown_by([&, &a = a] {
    for (;; ++sent) a.send(block, 0.02);
  });
  EXPECT_EQ(kind, error_kind::timeout);
  EXPECT_GT(sent, 1u);
  EXPECT_EQ(kind_thrown_by([&, &a = a] { a.send("more", 0); }), error_kind::timeout);
  for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(b.receive(5).text().size(), block.size());
  EXPECT_FALSE(b.try_receive().has_value());
  a.send("flows again", 1);
  EXPECT_EQ(b.receive(5).text(), "flows again");
}

TEST(Channel, AMessageThatTimedOutInItsMiddleLeavesNoTrace) {
  auto [a, b] = channel::pair({.inline_limit = 16384});
  std::vector<value> all;
  for (int i = 0; i < 1000; ++i) all.push_back(shared(500).node());  // 4 MB within the message
  EXPECT_EQ(kind_thrown_by([&, &a = a] { a.send(all, "never", 0.02); }), error_kind::timeout);
  std::thread sender([&a = a] { a.send("next"); });
  EXPECT_EQ(b.receive(5).text(), "next");
  sender.join();
}

TEST(Channel, SendWaitsForASlowReceiver) {
  auto [a, b] = channel::pair();
  const std::string block(30'000, 'b');
  std::thread sender([&, &a = a] {
    for (int i = 0; i < 200; ++i) a.send(block, 10);
  });
  for (int i = 0; i < 200; ++i) EXPECT_EQ(b.receive(10).text().size(), block.size());
  sender.join();
}

TEST(Channel, ThePeersEndIsAnEventAfterAllThatItSent) {
  auto [a, b] = channel::pair();
  b.send("never read");
  a.send("last words");
  a.close();
  EXPECT_EQ(b.receive(5).text(), "last words");
  EXPECT_TRUE(readable(b));
  EXPECT_EQ(kind_thrown_by([&, &b = b] { b.receive(5); }), error_kind::peer_closed);
  EXPECT_EQ(kind_thrown_by([&, &b = b] { b.send("x"); }), error_kind::peer_closed);
  EXPECT_EQ(kind_thrown_by([&, &a = a] { a.send("x"); }), error_kind::invalid_argument);
  EXPECT_EQ(a.descriptor(), -1);
}

TEST(Channel, AnObjectThatIsGoneIsAnErrorWhenItIsAskedForAndNothingElse) {
  auto [a, b] = channel::pair();
  const auto kept = shared(100'000);
  {
    const auto gone = shared(100'000);
    const std::vector<value> both = {gone.node(), kept.node()};
    a.send(both, "two");
    store::remove(gone.node().region().id());
  }
  const message m = b.receive(5);
  EXPECT_EQ(m.text(), "two");
  ASSERT_EQ(m.size(), 2u);
  EXPECT_EQ(kind_thrown_by([&] { m.object(0); }), error_kind::not_found);
  EXPECT_EQ(kind_thrown_by([&] { m.objects(); }), error_kind::not_found);
  EXPECT_EQ(m.object(1).size(), 100'000u);
  EXPECT_EQ(kind_thrown_by([&] { m.object(2); }), error_kind::invalid_argument);
}

TEST(Channel, AnObjectMayBeLetGoOfAsSoonAsItIsSent) {
  for (const auto where : {backing::store, backing::memfd}) {
    auto [a, b] = channel::pair();
    a.send(shared(100'000, where));
    EXPECT_EQ(b.receive(5).object().as<double>()[99'999], 99'999);
  }
}

TEST(Channel, CopiesOfManyBytesAreReportedWithTheirPlace) {
  std::vector<copy_report> seen;
  report_copies(1000, [&](const copy_report& copy) { seen.push_back(copy); });
  auto [a, b] = channel::pair();
  a.send(std::string(999, 'x'));
  EXPECT_TRUE(seen.empty());
  const unsigned line = __LINE__ + 1;
  a.send(std::string(1000, 'x'));
  report_copies(0);
  a.send(std::string(1000, 'x'));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].bytes, 1000u);
  EXPECT_EQ(seen[0].where, "channel_test.cpp:" + std::to_string(line));
}

TEST(Channel, EachEndLearnsWhoTheOtherIs) {
  auto [a, b] = channel::pair();
  EXPECT_FALSE(a.peer().known);
  EXPECT_TRUE(a.peer().same_store);
  b.send("hello");
  const auto who = a.wait_for_peer(5);
  EXPECT_TRUE(who.known);
  EXPECT_TRUE(who.same_store);
  EXPECT_EQ(who.user, geteuid());
  EXPECT_EQ(who.process, getpid());
  EXPECT_EQ(a.receive(5).text(), "hello");
  auto [c, d] = channel::pair();
  EXPECT_EQ(kind_thrown_by([&, &c = c] { c.wait_for_peer(0.02); }), error_kind::timeout);
}

TEST(Channel, SeveralSendersAndReceivers) {
  auto [a, b] = channel::pair();
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, &a = a] {
      for (int i = 1; i <= 100; ++i) a.send(std::to_string(i));
    });
    threads.emplace_back([&, &b = b] {
      for (int i = 0; i < 100; ++i) sum += std::stoi(std::string(b.receive(10).text()));
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(sum, 3 * 5050);
}

TEST(Channel, AnInterruptEndsAWait) {
  int calls = 0;
  auto [a, b] = channel::pair({.check_interrupt = [&] {
    if (++calls == 2) throw error(error_kind::interrupted, "wait", "stop");
  }});
  EXPECT_EQ(kind_thrown_by([&, &b = b] { b.receive(); }), error_kind::interrupted);
  a.send("x");
  EXPECT_EQ(b.receive().text(), "x");
}

TEST(Channel, OnlyPacketSocketsMakeChannels) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const os::fd first(ends[0]), second(ends[1]);
  EXPECT_EQ(kind_thrown_by([&] { channel c(first.get()); }), error_kind::invalid_argument);
  EXPECT_NE(fcntl(first.get(), F_GETFD), -1);  // stays the caller's
  ASSERT_EQ(pipe(ends), 0);
  const os::fd third(ends[0]), fourth(ends[1]);
  EXPECT_THROW(channel c(third.get()), error);
  EXPECT_THROW(channel c(-1), error);
  channel closed;
  EXPECT_EQ(kind_thrown_by([&] { closed.receive(); }), error_kind::invalid_argument);
  EXPECT_EQ(kind_thrown_by([&] { auto [a, b] = channel::pair(); a.send(value()); }), error_kind::invalid_argument);
}

TEST(Listener, ConnectsByPath) {
  const std::string path = store::directory() + "/../listener-" + std::to_string(getpid());
  {
    listener l(path);
    EXPECT_EQ(kind_thrown_by([&] { l.accept(0.01); }), error_kind::timeout);
    EXPECT_EQ(kind_thrown_by([&] { listener second(path); }), error_kind::exists);
    channel client = channel::connect(path);
    client.send(shared(100'000), "first");
    channel server = l.accept(5);
    const auto who = server.peer();
    EXPECT_TRUE(who.known);
    EXPECT_TRUE(who.same_store);
    EXPECT_EQ(server.receive(5).object().size(), 100'000u);
    server.send("welcome");
    EXPECT_EQ(client.receive(5).text(), "welcome");
  }
  EXPECT_EQ(access(path.c_str(), F_OK), -1);
  EXPECT_EQ(kind_thrown_by([&] { channel::connect(path, 1); }), error_kind::not_found);
}

}  // namespace
