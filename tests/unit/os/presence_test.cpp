#include "os/presence.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/file.hpp"
#include "os/futex.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "support/forked.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using namespace std::chrono_literals;

os::presence enter(int descriptor, std::uint64_t number) {
  std::lock_guard guard(os::fork_mutex());
  return unwrap(os::presence::enter(descriptor, number));
}

// On each kind of file that objects live in.
class Presence : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "memfd") {
      file = unwrap(os::make_memfd("presence"));
    } else {
      folder = std::make_unique<test::scratch_folder>(GetParam());
      file = unwrap(os::open_file(*folder / "file", O_RDWR | O_CREAT | O_EXCL, 0600));
    }
  }
  bool present(std::uint64_t number) { return os::is_present(file.get(), number); }
  std::unique_ptr<test::scratch_folder> folder;
  os::fd file;
};

TEST_P(Presence, LastsUntilItsOwnerLetsGo) {
  EXPECT_FALSE(present(1));
  {
    const os::presence here = enter(file.get(), 1);
    EXPECT_TRUE(present(1));
    EXPECT_FALSE(present(2));
  }
  EXPECT_FALSE(present(1));
}

TEST_P(Presence, HoldsForTheLargestNumber) {
  const std::uint64_t largest = os::presence_number_limit - 1;
  const os::presence here = enter(file.get(), largest);
  EXPECT_TRUE(present(largest));
  EXPECT_FALSE(present(largest - 1));
}

TEST_P(Presence, ManyMayBePresentAtOnce) {
  std::vector<os::presence> all;
  for (std::uint64_t n = 1; n <= 200; ++n) all.push_back(enter(file.get(), n * 7919));
  for (std::uint64_t n = 1; n <= 200; ++n) EXPECT_TRUE(present(n * 7919));
  all.erase(all.begin() + 100);
  EXPECT_FALSE(present(101 * 7919));
  EXPECT_TRUE(present(102 * 7919));
}

TEST_P(Presence, EndsWithAKilledProcessWhoseChildrenLive) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  test::forked owner([&] {
    const os::presence here = enter(file.get(), 77);
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      pause();
      _exit(0);
    }
    if (write(pipe_ends[1], &grandchild, sizeof grandchild) != sizeof grandchild) return 1;
    pause();
    return 0;
  });
  pid_t grandchild = 0;
  ASSERT_EQ(read(pipe_ends[0], &grandchild, sizeof grandchild), ssize_t{sizeof grandchild});
  EXPECT_TRUE(present(77));
  owner.kill();
  EXPECT_EQ(::kill(grandchild, 0), 0) << "the grandchild should be alive";
  for (int i = 0; i < 2000 && present(77); ++i) usleep(1000);
  EXPECT_FALSE(present(77));
  ::kill(grandchild, SIGKILL);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_P(Presence, EndsWhenItsProcessRunsAnotherProgram) {
  int go[2];
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  test::forked owner([&] {
    const os::presence here = enter(file.get(), 5);
    char byte;
    if (read(go[0], &byte, 1) != 1) return 1;
    execlp("sleep", "sleep", "100", static_cast<char*>(nullptr));
    return 2;
  });
  for (int i = 0; i < 5000 && !present(5); ++i) usleep(1000);
  EXPECT_TRUE(present(5));
  ASSERT_EQ(write(go[1], "x", 1), 1);
  for (int i = 0; i < 5000 && present(5); ++i) usleep(1000);
  EXPECT_FALSE(present(5));
  EXPECT_TRUE(owner.running());
  close(go[0]);
  close(go[1]);
}

TEST_P(Presence, OutlivesTheNameOfTheFile) {
  const os::presence before = enter(file.get(), 8);
  if (folder) {  // a memfd has none to begin with
    ASSERT_EQ(unlink((*folder / "file").c_str()), 0);
  }
  EXPECT_TRUE(present(8));
  const os::presence after = enter(file.get(), 9);
  EXPECT_TRUE(present(9));
}

INSTANTIATE_TEST_SUITE_P(Files, Presence, testing::Values("memfd", "/dev/shm", "/tmp"), [](const auto& of) {
  return std::string(of.param) == "memfd" ? "memfd" : std::string(of.param) == "/tmp" ? "disk" : "tmpfs";
});

TEST(PresenceErrors, WhatIsNotAFileIsRefused) {
  std::lock_guard guard(os::fork_mutex());
  EXPECT_FALSE(os::presence::enter(-1, 1).ok());
  EXPECT_FALSE(os::presence::enter(999999, 1).ok());
}

TEST(PresenceErrors, NoAnswerOfTheKernelMeansAlive) { EXPECT_TRUE(os::is_present(-1, 1)); }

TEST(ForkEpoch, IsAnotherOneInAForkedChild) {
  std::uint64_t before = 0;
  {
    std::lock_guard guard(os::fork_mutex());
    os::fork_epoch_begin();
    before = os::fork_epoch();
    os::fork_epoch_begin();
  }
  EXPECT_NE(before, 0u);
  EXPECT_EQ(os::fork_epoch(), before);
  test::forked child([&] {
    if (os::fork_epoch() != 0) return 1;
    std::lock_guard guard(os::fork_mutex());
    os::fork_epoch_begin();
    return os::fork_epoch() != 0 && os::fork_epoch() != before ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
}

class Futex : public testing::Test {
 protected:
  Futex() : file(unwrap(os::make_memfd("futex"))) {
    unwrap(os::reserve(file.get(), 0, 4096));
    map = unwrap(os::mapping::map(file.get(), 0, 4096, os::map_mode::shared));
    word = reinterpret_cast<std::uint32_t*>(map.data());
  }
  os::fd file;
  os::mapping map;
  std::uint32_t* word;
};

TEST_F(Futex, AnswersWhyTheSleepEnded) {
  EXPECT_EQ(os::futex_wait(word, 1, 10s), os::futex_answer::changed);
  EXPECT_EQ(os::futex_wait(word, 0, 5ms), os::futex_answer::timed_out);
  EXPECT_EQ(os::futex_wait(word, 0, 0ms), os::futex_answer::timed_out);
  EXPECT_EQ(os::futex_wait(word, 0, -5ms), os::futex_answer::timed_out);
}

TEST_F(Futex, WakesAProcessThatMapsTheWordElsewhere) {
  test::forked sleeper([&] {
    auto elsewhere = unwrap(os::mapping::map(file.get(), 0, 4096, os::map_mode::shared));
    if (elsewhere.data() == map.data()) return 3;
    auto* same = reinterpret_cast<std::uint32_t*>(elsewhere.data());
    return os::futex_wait(same, 0, 20s) == os::futex_answer::woken ? 0 : 4;
  });
  const auto begun = std::chrono::steady_clock::now();
  while (sleeper.running() && std::chrono::steady_clock::now() - begun < 10s) {
    os::futex_wake(word, 1);
    usleep(1000);
  }
  EXPECT_EQ(sleeper.wait(), 0);
}

TEST_F(Futex, ASignalEndsTheSleep) {
  test::forked sleeper([&] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, nullptr);
    os::futex_wake(word, 1);
    __atomic_store_n(word + 1, 1u, __ATOMIC_SEQ_CST);
    return os::futex_wait(word, 0, 20s) == os::futex_answer::signal ? 0 : 5;
  });
  while (__atomic_load_n(word + 1, __ATOMIC_SEQ_CST) == 0) usleep(1000);
  for (int i = 0; i < 1000 && sleeper.running(); ++i) {
    sleeper.send(SIGUSR1);
    usleep(10'000);
  }
  EXPECT_EQ(sleeper.wait(), 0);
}

}  // namespace
