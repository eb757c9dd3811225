// Channels between processes: children at birth, processes that run already, other users, peers that die.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "onecopy/onecopy.hpp"
#include "support/descriptors.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/scratch.hpp"
#include "transport/packet.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by;

array<double> shared(std::size_t count, backing where = backing::store, double first = 0) {
  std::vector<double> all(count);
  std::iota(all.begin(), all.end(), first);
  return share(std::span<const double>(all), {.where = where});
}

constexpr double patience = 60;

TEST(ChannelProcess, AChildAtBirthTakesAndGivesObjects) {
  auto [here, there] = channel::pair();
  const auto x = shared(200'000);
  here.send(x, "add them up");  // before the child exists
  const int descriptor = there.release();
  test::forked child([&, &here = here] {
    here.close();
    channel parent(descriptor);
    const message m = parent.receive(patience);
    double sum = 0;
    for (const double each : m.object().as<double>()) sum += each;
    parent.send(shared(200'000, backing::memfd, sum), m.text());
    return 0;
  });
  close(descriptor);
  const message answer = here.receive(patience);
  EXPECT_EQ(answer.text(), "add them up");
  EXPECT_EQ(answer.object().as<double>()[0], 199'999.0 * 200'000 / 2);
  EXPECT_EQ(child.wait(patience), 0);
  // The child is gone; what it made is not.
  EXPECT_EQ(answer.object().as<double>()[199'999], 199'999.0 * 200'000 / 2 + 199'999);
}

TEST(ChannelProcess, ASpawnedProgramTakesItsEndAndItsDeathIsAnEvent) {
  auto [here, process] = channel::spawn({ONECOPY_PEER, "echo"});
  for (const auto where : {backing::store, backing::memfd}) {
    here.send(shared(100'000, where), "there and back");
    const message m = here.receive(patience);
    EXPECT_EQ(m.text(), "there and back");
    EXPECT_EQ(m.object().as<double>()[99'999], 99'999);
  }
  EXPECT_EQ(here.peer().user, geteuid());
  kill(process, SIGKILL);
  EXPECT_EQ(kind_thrown_by([&, &here = here] { here.receive(patience); }), error_kind::peer_closed);
  EXPECT_EQ(waitpid(process, nullptr, 0), process);

  auto [second, another] = channel::spawn({ONECOPY_PEER, "echo"});
  second.close();  // its end, which it notices by itself
  int status = -1;
  EXPECT_EQ(waitpid(another, &status, 0), another);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(kind_thrown_by([] { channel::spawn({"/nowhere/no-such-program"}); }), error_kind::not_found);
  EXPECT_EQ(kind_thrown_by([] { channel::spawn({}); }), error_kind::invalid_argument);
  EXPECT_EQ(kind_thrown_by([] { channel::inherited(); }), error_kind::invalid_argument);
}

TEST(ChannelProcess, ProcessesThatRunAlreadyMeetAtAPath) {
  test::scratch_folder folder;
  listener door(folder / "door");
  test::forked child([&] {
    channel c = channel::connect(folder / "door");
    const message m = c.receive(patience);
    c.send("", patience);
    return m.object().as<double>()[99'999] == 99'999 ? 0 : 1;
  });
  channel c = door.accept(patience);
  c.send(shared(100'000));
  (void)c.receive(patience);
  EXPECT_EQ(c.peer().process, child.pid());
  EXPECT_EQ(child.wait(patience), 0);
}

TEST(ChannelProcess, AProcessThatIsKilledIsAnEventAtEveryMoment) {
  for (int round = 0; round < 20; ++round) {
    auto [here, there] = channel::pair();
    const int descriptor = there.release();
    test::forked child([&, &here = here] {
      here.close();
      channel parent(descriptor);
      const std::string text(20'000, 'x');
      for (int i = 0;; ++i) parent.send(shared(5000, i % 2 ? backing::store : backing::memfd), text);
      return 0;
    });
    close(descriptor);
    for (int i = 0; i < round * 3; ++i) EXPECT_EQ(here.receive(patience).object().size(), 5000u);
    child.kill();
    const auto kind = kind_thrown_by([&, &here = here] {
      for (;;) {
        const message m = here.receive(patience);  // what came before is whole
        EXPECT_EQ(m.text().size(), 20'000u);
        EXPECT_EQ(m.object().as<double>()[4999], 4999);
      }
    });
    EXPECT_EQ(kind, error_kind::peer_closed);
  }
}

TEST(ChannelProcess, AWaitingSenderLearnsOfTheDeathToo) {
  auto [here, there] = channel::pair();
  const int descriptor = there.release();
  test::forked child([&, &here = here] {
    here.close();
    usleep(200'000);
    return 0;
  });
  close(descriptor);
  const auto kind = kind_thrown_by([&, &here = here] {
    for (;;) here.send(std::string(30'000, 'x'), patience);
  });
  EXPECT_EQ(kind, error_kind::peer_closed);
}

TEST(ChannelProcess, HoldersAreCountedInEveryProcess) {
  auto [here, there] = channel::pair();
  const int descriptor = there.release();
  for (const auto where : {backing::store, backing::memfd}) {
    const auto x = shared(100'000, where);
    auto [a, b] = channel::pair();
    const int other = b.release();
    test::forked child([&, &a = a, &here = here] {
      a.close();
      here.close();
      channel parent(other);
      message m = parent.receive(patience);
      const value held = m.object();
      m = {};
      parent.send("have it");
      (void)parent.receive(patience);  // killed here
      return 0;
    });
    close(other);
    const region& bytes = x.node().region();
    EXPECT_EQ(bytes.holders(), 1u);
    const auto y = x;  // a copy in this process is no new mapping
    a.send(x);
    EXPECT_EQ(a.receive(patience).text(), "have it");
    // The forked child shares this process's mapping of a region of the store, and so its lock.
    if (where == backing::memfd) {
      EXPECT_EQ(bytes.holders(), 2u);
    }
    child.kill();
    EXPECT_EQ(bytes.holders(), 1u);
    EXPECT_EQ(y[99'999], 99'999);
  }
  close(descriptor);
}

TEST(ChannelProcess, WeakReferencesFollowOtherProcesses) {
  test::scratch_folder folder;
  listener door(folder / "door");
  // Started before the object is made, so that it has no part in this process's mapping.
  test::forked child([&] {
    channel c = channel::connect(folder / "door");
    const value held = c.receive(patience).object();
    c.send("have it");
    (void)c.receive(patience);
    return 0;
  });
  channel c = door.accept(patience);
  auto x = shared(100'000);
  const weak_reference weak(x.node());
  c.send(x);
  EXPECT_EQ(c.receive(patience).text(), "have it");
  EXPECT_EQ(x.node().region().holders(), 2u);
  x = {};
  EXPECT_TRUE(weak.alive());
  EXPECT_EQ(weak.lock()->as<double>()[99'999], 99'999);
  child.kill();
  EXPECT_FALSE(weak.alive());
  EXPECT_FALSE(weak.lock().has_value());
}

TEST(ChannelProcess, ADescriptorIsFoundThroughProc) {
  const auto x = shared(100'000, backing::memfd);
  const int number = x.node().region().open_descriptor();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(number);
  test::forked child([&] {
    const int again = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (again < 0) return 1;
    const value y(store::from_descriptor(again));
    close(again);
    return y.as<double>()[99'999] == 99'999 ? 0 : 2;
  });
  EXPECT_EQ(child.wait(patience), 0);
  close(number), close(ready[0]), close(ready[1]);
}

// What a process of another user finds that it can do with a received object: bits of an exit status.
int try_to_change(const value& object) {
  int done = 0;
  const auto bytes = object.region().bytes();
  const int descriptor = object.region().open_descriptor();
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  const int writing = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (pwrite(descriptor, "bad", 3, 0) == 3) done |= 1;
  if (writing >= 0 && pwrite(writing, "bad", 3, 0) == 3) done |= 2;
  if (writing >= 0 && ftruncate(writing, 0) == 0) done |= 4;
  for (const int one : {descriptor, writing}) {
    void* mapped = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_SHARED, one, 0);
    if (mapped != MAP_FAILED) done |= 8;
    void* reading = mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, one, 0);
    if (reading != MAP_FAILED && mprotect(reading, bytes.size(), PROT_READ | PROT_WRITE) == 0) done |= 16;
  }
  if (writing >= 0 && fallocate(writing, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0) done |= 32;
  return done;
}

void become_nobody() {
  if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
    throw std::runtime_error("can't change user");
}

TEST(ChannelProcess, AnotherUserReadsAndCannotWrite) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user: run the tests as root";
  const auto in_store = shared(100'000);
  const auto in_memfd = shared(100'000, backing::memfd);
  for (const auto assumed : {channel_options::peer::automatic, channel_options::peer::stranger}) {
    auto [here, there] = channel::pair({.assume = assumed});
    const int descriptor = there.release();
    test::forked child([&, &here = here] {
      here.close();
      become_nobody();
      channel parent(descriptor);
      parent.send("hello");
      const message m = parent.receive(patience);
      for (std::size_t i = 0; i < m.size(); ++i) {
        if (m.object(i).as<double>()[99'999] != 99'999) return 64;
        if (const int changed = try_to_change(m.object(i)); changed != 0) return changed;
      }
      return m.size() == 2 ? 0 : 65;
    });
    close(descriptor);
    const auto who = here.wait_for_peer(patience);
    EXPECT_TRUE(who.known);
    EXPECT_EQ(who.user, 65534u);
    EXPECT_FALSE(who.same_store);
    const std::vector<value> both = {in_store.node(), in_memfd.node()};
    here.send(both);
    EXPECT_EQ(child.wait(patience), 0);
    EXPECT_EQ(in_store[0], 0);
    EXPECT_EQ(in_memfd[99'999], 99'999);
  }
}

TEST(ChannelProcess, WhoSaysToBeSomebodyElseIsNotBelieved) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user: run the tests as root";
  const auto lie = transport::write_hello({0, store::host_id(), store::store_id()});
  const auto nothing = transport::write_packet(transport::flag_first | transport::flag_last, 1, {}, 0);
  const auto begun = transport::write_packet(transport::flag_first, 2, {}, 0);
  const auto ended = transport::write_packet(transport::flag_last, 2, {}, 0);
  auto [mine, other] = channel::pair();
  const int number = other.release();
  const auto tell = [&](const std::vector<std::byte>& packet) {
    return write(number, packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
  };
  test::forked child([&] {
    become_nobody();
    return tell(lie) && tell(nothing) ? 0 : 1;
  });
  EXPECT_EQ(child.wait(patience), 0);
  (void)mine.receive(patience);
  EXPECT_TRUE(mine.peer().known);
  EXPECT_EQ(mine.peer().user, 65534u);
  EXPECT_FALSE(mine.peer().same_store);
  // The end is handed from user to user, with half a message under way.
  ASSERT_TRUE(tell(lie) && tell(nothing));
  (void)mine.receive(patience);
  EXPECT_EQ(mine.peer().user, 0u);
  ASSERT_TRUE(tell(begun));
  test::forked next([&] {
    become_nobody();
    return tell(ended) ? 0 : 1;
  });
  EXPECT_EQ(next.wait(patience), 0);
  EXPECT_EQ(kind_thrown_by([&, &mine = mine] { mine.receive(patience); }), error_kind::corrupt);
  close(number);
}

TEST(ChannelProcess, AHandleSentToAnotherUserIsAnErrorAndNoAccess) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user: run the tests as root";
  auto [here, there] = channel::pair({.assume = channel_options::peer::same_store});
  const int descriptor = there.release();
  int sent[2];
  ASSERT_EQ(pipe(sent), 0);
  test::forked child([&, &here = here] {
    here.close();
    become_nobody();
    // Says nothing before the object is under way, or it would be sent as to a stranger.
    char byte;
    if (read(sent[0], &byte, 1) != 1) return 2;
    channel parent(descriptor);
    const message m = parent.receive(patience);
    const auto kind = kind_thrown_by([&] { m.object(); });
    return kind == error_kind::permission || kind == error_kind::wrong_host || kind == error_kind::not_found ? 0 : 1;
  });
  close(descriptor);
  const auto x = shared(100'000);  // after the fork, so that the child has no part in it
  here.send(x, "by handle, whoever the child is");
  EXPECT_EQ(write(sent[1], "!", 1), 1);
  EXPECT_EQ(child.wait(patience), 0);
  close(sent[0]), close(sent[1]);
}

TEST(ChannelProcess, FilesOfAnotherUserAreRefusedAndRootsAreNot) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user: run the tests as root";
  test::scratch_folder folder;
  ASSERT_EQ(chmod(folder.path().c_str(), 0755), 0);
  const std::string mine = folder / "of_root", theirs = folder / "of_daemon";
  for (const auto& path : {mine, theirs}) std::ofstream(path) << std::string(100'000, 'f');
  ASSERT_EQ(chown(theirs.c_str(), 1, 1), 0);
  auto [here, there] = channel::pair();
  const int descriptor = there.release();
  test::forked child([&, &here = here] {
    here.close();
    become_nobody();
    channel parent(descriptor);
    const message m = parent.receive(patience);
    if (m.object(0).data_bytes() != 100'000) return 1;
    return kind_thrown_by([&] { m.object(1); }) == error_kind::permission ? 0 : 2;
  });
  close(descriptor);
  const std::vector<value> both = {map_file(mine), map_file(theirs)};
  here.send(both);
  EXPECT_EQ(child.wait(patience), 0);
}

TEST(ChannelProcess, SixtyThousandReceivedObjectsNeedNoDescriptors) {
  auto [here, there] = channel::pair({.inline_limit = 0});
  const int descriptor = here.release();
  constexpr int many = 60'000;
  test::forked sender([&, &there = there] {
    there.close();
    channel c(descriptor, {.inline_limit = 0});
    std::vector<value> some;
    for (int i = 0; i < many; ++i) {
      some.push_back(shared(10, backing::memfd, i).node());
      if (some.size() < 500 && i + 1 < many) continue;
      c.send(some);
      some.clear();
    }
    return 0;
  });
  close(descriptor);
  const int receiving = there.release();
  test::forked receiver([&] {
    rlimit limit{1024, 1024};
    setrlimit(RLIMIT_NOFILE, &limit);
    const int before = test::open_descriptors();
    channel c(receiving, {.inline_limit = 0});
    std::vector<value> held;
    while (held.size() < many) {
      const message m = c.receive(patience);
      held.insert(held.end(), m.objects().begin(), m.objects().end());
    }
    for (int i = 0; i < many; ++i)
      if (held[static_cast<std::size_t>(i)].as<double>()[9] != i + 9) return 1;
    // A process keeps descriptors of some objects, so as to send them on: at most an eighth of those it may have.
    return test::open_descriptors() <= before + 2 + 1024 / 8 ? 0 : 2;
  });
  close(receiving);
  EXPECT_EQ(sender.wait(300), 0);
  EXPECT_EQ(receiver.wait(300), 0);
}

TEST(ChannelProcess, ANonRootSenderWaitsWhileTooManyDescriptorsAreUnderWay) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user: run the tests as root";
  auto [here, there] = channel::pair({.inline_limit = 0});
  const int descriptor = there.release();
  const std::string store = "/dev/shm/onecopy-test-nobody-" + std::to_string(getpid());
  test::forked sender([&, &here = here] {
    here.close();
    become_nobody();
    rlimit limit{64, 64};
    setrlimit(RLIMIT_NOFILE, &limit);
    channel c(descriptor, {.inline_limit = 0, .assume = channel_options::peer::stranger});
    setenv("ONECOPY_DIR", store.c_str(), 1);
    for (int i = 0; i < 300; ++i) c.send(shared(10, backing::memfd, i), {}, patience);
    return 0;
  });
  close(descriptor);
  usleep(100'000);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(here.receive(patience).object().as<double>()[0], i);
  EXPECT_EQ(sender.wait(patience), 0);
  std::filesystem::remove_all(store);
}

}  // namespace
