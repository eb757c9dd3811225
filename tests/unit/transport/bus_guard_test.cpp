// A file cut short while it is mapped must not end the process.
#include "os/bus_guard.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "os/fd.hpp"
#include "os/memfd.hpp"

namespace {

using namespace onecopy;
using namespace onecopy::os;

constexpr std::size_t page = 4096;

struct mapped {
  explicit mapped(std::size_t pages) : file(unwrap(make_memfd("test"))), size(pages * page) {
    std::vector<char> content(size, 'x');
    EXPECT_EQ(write(file.get(), content.data(), size), static_cast<ssize_t>(size));
    data = static_cast<volatile char*>(mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0));
  }
  ~mapped() { munmap(const_cast<char*>(data), size); }
  void cut(std::size_t pages) { ASSERT_EQ(ftruncate(file.get(), static_cast<off_t>(pages * page)), 0); }
  result<bus_guard> guard() { return bus_guard::protect(const_cast<char*>(data), size); }
  fd file;
  std::size_t size;
  volatile char* data;
};

TEST(BusGuard, MissingPagesBecomeZerosAndAreRemembered) {
  mapped m(4);
  auto guard = unwrap(m.guard());
  EXPECT_EQ(m.data[3 * page], 'x');
  EXPECT_FALSE(guard.was_hit());
  m.cut(2);
  EXPECT_EQ(m.data[0], 'x');
  EXPECT_FALSE(guard.was_hit());
  EXPECT_EQ(m.data[2 * page + 7], 0);
  EXPECT_EQ(m.data[3 * page], 0);
  EXPECT_TRUE(guard.was_hit());
  EXPECT_EQ(m.data[page], 'x');
}

TEST(BusGuard, OnlyTheRangeThatWasCutIsMarked) {
  std::vector<std::unique_ptr<mapped>> all;
  std::vector<bus_guard> guards;
  for (int i = 0; i < 2000; ++i) {
    all.push_back(std::make_unique<mapped>(1));
    guards.push_back(unwrap(all.back()->guard()));
  }
  all[1234]->cut(0);
  EXPECT_EQ(all[1234]->data[5], 0);
  for (std::size_t i = 0; i < guards.size(); ++i) EXPECT_EQ(guards[i].was_hit(), i == 1234) << i;
}

TEST(BusGuard, SlotsAreUsedAgain) {
  mapped m(1);
  for (int i = 0; i < 5000; ++i) {
    auto guard = unwrap(m.guard());
    ASSERT_FALSE(guard.was_hit());
  }
}

TEST(BusGuard, ThereMayBeAsManyAsAProcessMayHaveMappings) {
  std::vector<bus_guard> guards;
  for (std::uintptr_t i = 0; i < 65'530; ++i)  // of addresses that nobody touches
    guards.push_back(unwrap(bus_guard::protect(reinterpret_cast<void*>((i + 1) * page), page)));
  EXPECT_FALSE(guards.back().was_hit());
}

TEST(BusGuard, AForkedChildCanGuardWhateverOtherThreadsWereDoing) {
  mapped m(1);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) (void)unwrap(m.guard());
  });
  int ended_well = 0;
  for (int i = 0; i < 200; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(10);
      _exit(m.guard() ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    ended_well += status == 0;
    if (status != 0) break;
  }
  stop = true;
  other.join();
  EXPECT_EQ(ended_well, 200);
}

TEST(BusGuard, ManyThreadsMayHitOneFile) {
  mapped m(64);
  auto guard = unwrap(m.guard());
  m.cut(0);
  std::vector<std::thread> threads;
  std::atomic<int> sum{0};
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 64; i-- > 0;) sum += m.data[i * page + t];
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(sum, 0);
  EXPECT_TRUE(guard.was_hit());
}

// Exit status, or minus the signal that ended the child.
template <class Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(BusGuard, WithoutAGuardTheProcessStillEnds) {
  EXPECT_EQ(in_child([] {
              signal(SIGBUS, SIG_DFL);
              mapped guarded(1), bare(1);
              auto guard = unwrap(guarded.guard());
              bare.cut(0);
              (void)bare.data[0];
            }),
            -SIGBUS);
}

TEST(BusGuard, OtherFaultsGoToTheHandlerThatWasThere) {
  EXPECT_EQ(in_child([] {
              signal(SIGBUS, [](int) { _exit(42); });
              mapped guarded(1), bare(1);
              auto guard = unwrap(guarded.guard());
              guarded.cut(0);
              (void)guarded.data[0];
              bare.cut(0);
              (void)bare.data[0];
            }),
            42);
}

TEST(BusGuard, ASignalThatSomebodySentStillEndsTheProcess) {
  EXPECT_EQ(in_child([] {
              signal(SIGBUS, SIG_DFL);
              mapped guarded(1);
              auto guard = unwrap(guarded.guard());
              raise(SIGBUS);
              _exit(7);
            }),
            -SIGBUS);
}

TEST(BusGuard, WorksInAForkedChild) {
  mapped m(2);
  auto guard = unwrap(m.guard());
  m.cut(0);
  EXPECT_EQ(in_child([&] { _exit(m.data[0] == 0 && guard.was_hit() ? 3 : 4); }), 3);
  EXPECT_FALSE(guard.was_hit());
}

TEST(BusGuard, AHandlerPutInPlaceLaterIsChainedNotLost) {
  EXPECT_EQ(in_child([] {
              signal(SIGBUS, SIG_DFL);
              mapped one(1), two(1), bare(1);
              auto first = unwrap(one.guard());
              signal(SIGBUS, [](int) { _exit(43); });
              auto second = unwrap(two.guard());
              one.cut(0);
              (void)one.data[0];
              bare.cut(0);
              (void)bare.data[0];
            }),
            43);
}

}  // namespace
