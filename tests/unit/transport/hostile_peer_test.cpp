// A peer that lies. Whatever it sends, this process lives, its channel says what is wrong, and others notice nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "onecopy/channel.hpp"
#include "onecopy/store.hpp"
#include "onecopy/writer.hpp"
#include "os/memfd.hpp"
#include "os/socket.hpp"
#include "os/system.hpp"
#include "support/descriptors.hpp"
#include "support/scratch.hpp"
#include "transport/packet.hpp"

namespace {

using namespace onecopy;
namespace wire = onecopy::transport;

// A channel, and the bare socket at its other end.
struct lying_peer {
  lying_peer() {
    auto ends = unwrap(os::socket_pair());
    victim = channel(ends.first.release());
    socket = std::move(ends.second);
  }
  void put(std::span<const std::byte> packet, std::vector<int> descriptors = {}) {
    unwrap(os::send_message(socket.get(), std::span(&packet, 1), descriptors, os::deadline::in(5)));
  }
  void greet(std::uint32_t user = static_cast<std::uint32_t>(geteuid())) {
    put(wire::write_hello({user, store::host_id(), store::store_id()}));
  }
  void put(const std::vector<wire::item>& items, std::vector<int> descriptors = {},
           std::uint8_t flags = wire::flag_first | wire::flag_last, std::uint32_t number = 1) {
    put(wire::write_packet(flags, number, items, 0), std::move(descriptors));
  }
  // What one descriptor alone, said to be a region, leads to.
  error_kind descriptor(int number) {
    greet();
    wire::item one;
    one.form = wire::item_form::descriptor;
    put({one}, {number});
    return kind([&] { victim.receive(5).object(); });
  }
  template <class Body>
  static error_kind kind(Body body) {
    try {
      body();
    } catch (const error& e) {
      EXPECT_FALSE(e.happened().empty());
      return e.kind();
    }
    ADD_FAILURE() << "it was believed";
    return error_kind::system;
  }
  bool still_works() {
    wire::item bytes;
    const auto packet = wire::write_packet(wire::flag_first | wire::flag_last, 99, {}, 2);
    const std::array<std::span<const std::byte>, 2> pieces = {packet, std::as_bytes(std::span("ok", 2))};
    unwrap(os::send_message(socket.get(), pieces, {}, os::deadline::in(5)));
    return victim.receive(5).text() == "ok";
  }
  channel victim;
  os::fd socket;
};

std::vector<std::byte> region_bytes(std::size_t count = 1000) {
  const std::vector<double> content(count, 1.5);
  const auto x = share(std::span<const double>(content));
  const auto bytes = x.node().region().bytes();
  return {bytes.begin(), bytes.end()};
}

os::fd memory(std::span<const std::byte> content) {
  os::fd made = unwrap(os::make_memfd("hostile"));
  EXPECT_EQ(write(made.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  return made;
}
os::fd sealed(std::span<const std::byte> content) {
  os::fd made = memory(content);
  unwrap(os::seal(made.get()));
  return made;
}

TEST(HostilePeer, AProperObjectIsAccepted) {  // or the tests below would prove nothing
  lying_peer peer;
  peer.greet();
  wire::item one;
  one.form = wire::item_form::descriptor;
  peer.put({one}, {sealed(region_bytes()).get()});
  EXPECT_EQ(peer.victim.receive(5).object().as<double>()[999], 1.5);
}

TEST(HostilePeer, DescriptorsThatAreNoSealedRegion) {
  test::scratch_folder folder;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const os::fd read_end(ends[0]), write_end(ends[1]);
  const os::fd directory(open(folder.path().c_str(), O_RDONLY | O_DIRECTORY));
  const os::fd device(open("/dev/zero", O_RDONLY)), null(open("/dev/null", O_RDONLY));
  const auto good = region_bytes();
  const os::fd unsealed = memory(good), shrinkable = memory(good), writable = memory(good);
  ASSERT_EQ(fcntl(shrinkable.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE), 0);
  ASSERT_EQ(fcntl(writable.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), 0);
  const os::fd future = memory(good);
  ASSERT_EQ(fcntl(future.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | 0x0010), 0);
  const os::fd file(open((folder / "file").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(write(file.get(), good.data(), good.size()), static_cast<ssize_t>(good.size()));
  const os::fd path_only(open(folder.path().c_str(), O_PATH));

  for (const int one : {unsealed.get(), shrinkable.get(), writable.get(), future.get(), file.get()}) {
    lying_peer peer;
    EXPECT_EQ(peer.descriptor(one), error_kind::permission) << one;
    EXPECT_TRUE(peer.still_works());
  }
  for (const int one : {read_end.get(), write_end.get(), directory.get(), device.get(), null.get(), path_only.get()}) {
    lying_peer peer;
    EXPECT_EQ(peer.descriptor(one), error_kind::corrupt) << one;
    EXPECT_TRUE(peer.still_works());
  }
}

TEST(HostilePeer, SealedMemoryThatIsNoRegion) {
  const auto good = region_bytes();
  std::vector<std::vector<std::byte>> bad;
  bad.emplace_back();                                        // empty
  bad.emplace_back(100, std::byte{0});                       // too short
  bad.emplace_back(100'000, std::byte{0xff});                // noise
  bad.emplace_back(good.begin(), good.end() - 4096);         // cut
  bad.push_back(good);
  std::memset(bad.back().data() + 24, 0xff, 24);             // sizes of the header
  for (const auto& content : bad) {
    lying_peer peer;
    EXPECT_EQ(peer.descriptor(sealed(content).get()), error_kind::corrupt) << content.size();
    EXPECT_TRUE(peer.still_works());
  }
}

TEST(HostilePeer, AnExclusiveLockOnTheSentMemoryDelaysNobody) {
  const os::fd held = sealed(region_bytes());
  const std::string path = "/proc/self/fd/" + std::to_string(held.get());
  const os::fd lock(open(path.c_str(), O_RDONLY));
  ASSERT_EQ(flock(lock.get(), LOCK_EX), 0);
  lying_peer peer;
  peer.greet();
  wire::item one;
  one.form = wire::item_form::descriptor;
  peer.put({one}, {held.get()});
  const double begun = os::wall_clock();
  EXPECT_EQ(peer.victim.receive(5).object().as<double>()[999], 1.5);
  EXPECT_LT(os::wall_clock() - begun, 5);
}

TEST(HostilePeer, FewerAndMoreDescriptorsThanObjects) {
  const os::fd good = sealed(region_bytes());
  wire::item one;
  one.form = wire::item_form::descriptor;
  lying_peer peer;
  peer.greet();
  peer.put({one, one, one}, {good.get()});
  const message m = peer.victim.receive(5);
  EXPECT_EQ(m.object(0).as<double>()[0], 1.5);
  EXPECT_EQ(lying_peer::kind([&] { m.object(1); }), error_kind::system);
  const int before = test::open_descriptors();
  for (int i = 0; i < 10; ++i) {
    peer.put({one}, std::vector<int>(250, good.get()));
    EXPECT_EQ(peer.victim.receive(5).object().as<double>()[0], 1.5);
  }
  EXPECT_LE(test::open_descriptors(), before + 1);
}

TEST(HostilePeer, HandlesThatLeadNowhere) {
  const std::string here = "onecopy:1:" + store::host_id() + ":" + store::store_id() + ":";
  const std::vector<std::string> nowhere = {
      "onecopy:1:0123456789abcdef:0123456789abcdef:00112233445566778899aabbccddeeff", "../../etc/passwd",
      here + std::string(32, '0'), here + "../" + std::string(29, '0'), "", std::string(5000, 'x')};
  for (const std::string& text : nowhere) {
    lying_peer peer;
    peer.greet();
    wire::item one;
    one.form = wire::item_form::handle;
    one.text = text;
    peer.put({one});
    const message m = peer.victim.receive(5);
    EXPECT_THROW(m.object(), error) << text;
    EXPECT_TRUE(peer.still_works());
  }
}

TEST(HostilePeer, NodesAndFormsThatDoNotExist) {
  const os::fd good = sealed(region_bytes());
  lying_peer peer;
  peer.greet();
  wire::item one;
  one.form = wire::item_form::descriptor;
  one.node = 1000;
  peer.put({one}, {good.get()});
  EXPECT_THROW(peer.victim.receive(5).object(), error);
  one.form = static_cast<wire::item_form>(77);
  peer.put({one});
  EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5).object(); }), error_kind::unsupported);
  EXPECT_TRUE(peer.still_works());
}

TEST(HostilePeer, BytesThatAreNoBytes) {
  const os::fd good = sealed(region_bytes());  // of numbers
  lying_peer peer;
  peer.greet();
  wire::item one;
  one.form = wire::item_form::descriptor;
  one.flags = wire::item_is_bytes;
  peer.put({one}, {good.get()});
  EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::corrupt);
  peer.put({one});
  EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::system);
  EXPECT_TRUE(peer.still_works());
}

TEST(HostilePeer, AFileThatOthersCouldChangeIsRefused) {
  test::scratch_folder folder;
  const auto good = region_bytes();
  const auto send = [&](const os::fd& file, const wire::file_part& part, std::size_t front = 0) {
    lying_peer peer;
    peer.greet();
    wire::item one;
    one.form = wire::item_form::file;
    one.text = "/somewhere";
    one.blob.resize(sizeof part + front);
    std::memcpy(one.blob.data(), &part, sizeof part);
    peer.put({one}, {file.get()});
    const message m = peer.victim.receive(5);
    EXPECT_TRUE(peer.still_works());
    return lying_peer::kind([&] { m.object(); });
  };
  const std::string path = folder / "region";
  {
    const os::fd file(open(path.c_str(), O_RDWR | O_CREAT, 0600));
    ASSERT_EQ(write(file.get(), good.data(), good.size()), static_cast<ssize_t>(good.size()));
    EXPECT_EQ(send(file, {0, good.size()}), error_kind::permission);  // can write
  }
  const os::fd file(open(path.c_str(), O_RDONLY));
  EXPECT_EQ(send(file, {0, good.size() + 1}), error_kind::corrupt);
  EXPECT_EQ(send(file, {1, 100}), error_kind::corrupt);
  EXPECT_EQ(send(file, {~std::uint64_t{0} - 4095, ~std::uint64_t{0}}), error_kind::corrupt);
  EXPECT_EQ(send(file, {0, good.size()}, 20'000), error_kind::corrupt);
  EXPECT_EQ(send(file, {0, 0}, 0), error_kind::invalid_argument);
  EXPECT_EQ(send(file, {4096, good.size() - 4096}), error_kind::corrupt);  // not a region there
  ASSERT_EQ(chmod(path.c_str(), 0666), 0);
  EXPECT_EQ(send(file, {0, good.size()}), error_kind::permission);
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  const os::fd directory(open(folder.path().c_str(), O_RDONLY));
  EXPECT_EQ(send(directory, {0, 4096}), error_kind::corrupt);
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(send(file, {0, good.size()}), error_kind::permission);  // nobody knows whose it is now
}

TEST(HostilePeer, NoiseClosesThisChannelOnly) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    lying_peer peer;
    if (round % 2 == 0) peer.greet();
    std::vector<std::byte> noise(1 + random() % 70'000);
    for (auto& byte : noise) byte = static_cast<std::byte>(random());
    if (round % 3 == 0) {  // a good beginning
      const auto head = wire::write_packet(3, 1, {}, 0);
      std::memcpy(noise.data(), head.data(), std::min(noise.size(), head.size() - 8));
    }
    peer.put(noise);
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::corrupt);
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::peer_closed);
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.send("x"); }), error_kind::peer_closed);
  }
}

TEST(HostilePeer, EveryByteOfAPacketChanged) {
  wire::item handle, whole;
  handle.form = wire::item_form::handle;
  handle.text = "onecopy:1:" + store::host_id() + ":" + store::store_id() + ":" + std::string(32, 'a');
  whole.form = wire::item_form::whole;
  whole.blob = region_bytes(10);
  const auto good = wire::write_packet(3, 1, std::vector<wire::item>{handle, whole}, 0);
  for (std::size_t at = 0; at < 24 + 2 * 16 + 200; ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      auto packet = good;
      packet[at] ^= static_cast<std::byte>(change);
      lying_peer peer;
      peer.greet();
      peer.put(packet);
      try {
        const message m = peer.victim.receive(0);  // a packet without flag_last is no message yet
        for (std::size_t i = 0; i < m.size(); ++i) {
          try {
            if (m.object(i).kind() == node_kind::array) (void)m.object(i).data_bytes();
          } catch (const error&) {
          }
        }
      } catch (const error&) {
      }
    }
  }
}

TEST(HostilePeer, MessagesWithoutABeginningAnEndOrAName) {
  {
    lying_peer peer;  // does not say who it is
    peer.put(std::vector<wire::item>{});
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::corrupt);
  }
  {
    lying_peer peer;
    peer.greet();
    peer.put(std::vector<wire::item>{}, {}, wire::flag_last);
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::corrupt);
  }
  {
    lying_peer peer;
    peer.greet();
    peer.put(std::vector<wire::item>{}, {}, wire::flag_first, 1);
    peer.put(std::vector<wire::item>{}, {}, wire::flag_last, 2);
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::corrupt);
  }
  {
    lying_peer peer;
    peer.greet();
    peer.put(std::vector<wire::item>{}, {}, wire::flag_first);
    peer.socket.reset();
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::peer_closed);
  }
}

// Keeps the socket full of what never becomes a message, until it is told to stop.
struct flood {
  flood(lying_peer& from, const std::vector<std::byte>& packet) {
    for (int i = 0; i < 3; ++i)
      senders.emplace_back([this, &from, packet] {
        const std::span<const std::byte> piece = packet;
        while (!stop) (void)os::send_message(from.socket.get(), std::span(&piece, 1), {}, os::deadline::in(0.01));
      });
  }
  ~flood() {
    stop = true;
    for (auto& sender : senders) sender.join();
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> senders;
};

TEST(HostilePeer, AFloodMakesNobodyLateAndDoesNotKeepInterruptsAway) {
  const auto greeting = wire::write_hello({0, store::host_id(), store::store_id()});
  const auto beginning = wire::write_packet(wire::flag_first, 7, {}, 0);
  for (const auto& packet : {greeting, beginning}) {
    lying_peer peer;
    int asked = 0;
    channel_options options;
    options.check_interrupt = [&] {
      if (++asked == 2) throw error(error_kind::interrupted, "wait", "stop");
    };
    peer.victim = channel(peer.victim.release(), options);
    peer.greet();
    const flood noise(peer, packet);
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(); }), error_kind::interrupted);
    EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(0.05); }), error_kind::timeout);
    EXPECT_FALSE(peer.victim.try_receive().has_value());
  }
}

TEST(HostilePeer, AMessageOfMoreObjectsThanAProcessCanMapIsSurvived) {
  lying_peer peer;
  peer.greet();
  wire::item whole;
  whole.form = wire::item_form::whole;
  whole.blob = region_bytes(1);
  const std::vector<wire::item> items(20, whole);
  const auto packet = wire::write_packet(wire::flag_first, 7, items, 0);
  const auto more = wire::write_packet(0, 7, items, 0), last = wire::write_packet(wire::flag_last, 7, items, 0);
  constexpr int packets = 3600;  // 72,000 objects
  std::thread sender([&] {
    peer.put(packet);
    for (int i = 2; i < packets; ++i) peer.put(more);
    peer.put(last);
  });
  std::size_t refused = 0;
  {
    const message m = peer.victim.receive(120);
    ASSERT_EQ(m.size(), items.size() * packets);
    for (std::size_t i = 0; i < m.size(); ++i) {
      try {
        (void)m.object(i);
      } catch (const error& e) {
        ++refused;
        EXPECT_EQ(e.kind(), error_kind::no_memory);
      }
    }
  }
  sender.join();
  EXPECT_LT(refused, items.size() * packets);
  EXPECT_TRUE(peer.still_works());
}

TEST(HostilePeer, AnotherVersionIsToldApart) {
  lying_peer peer;
  auto packet = wire::write_packet(3, 1, {}, 0);
  packet[4] = std::byte{9};
  peer.put(packet);
  EXPECT_EQ(lying_peer::kind([&] { peer.victim.receive(5); }), error_kind::unsupported);
}

}  // namespace
