// What goes wrong: killed pagers, forks, strangers' mappings, used-up mappings, no pager at all, other users.
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <vector>

#include "onecopy/store.hpp"
#include "support/lazy.hpp"

namespace {

using namespace onecopy;
constexpr std::uint64_t MiB = 1u << 20;

TEST(LazySurvives, SeveralProcessesShareEachFill) {
  constexpr std::uint64_t count = 16 * MiB / 8;
  auto x = test::numbers(count);
  const std::string text = x.vector().handle(5).text();
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i)
    children.push_back(test::in_child([&] {
      auto y = attach_lazy<double>(handle::parse(text));
      return test::wrong_numbers(y.data(), count) == 0 ? 0 : 1;
    }));
  for (const pid_t child : children) EXPECT_EQ(test::outcome_of(child), 0);
  EXPECT_EQ(x.vector().count().fills, count * 8 / 65536) << "once for all of them";
}

TEST(LazySurvives, FourProcessesReadManyTimesTheBudget) {
  constexpr std::uint64_t count = 128 * MiB / 8;
  auto x = test::numbers(count);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i)
    children.push_back(test::in_child([&] { return test::wrong_numbers(x.data(), count, 16) == 0 ? 0 : 1; }));
  for (const pid_t child : children) EXPECT_EQ(test::outcome_of(child, 120), 0);
  EXPECT_LE(pager::look().peak_resident, 32 * MiB);
}

// A child that closes all descriptors after fork, as programs do that start others, may send the number of what it closed.
TEST(LazySurvives, WhatIsNoUserfaultfdIsNotKept) {
  auto x = test::numbers(1000);
  const double fifth = x[5];
  const int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = store::directory() + "/lazy/pager.socket";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  std::uint32_t hello[14] = {1, 1};  // version, what; and the rest of core/src/pager/protocol.hpp's request
  iovec piece{hello, sizeof hello};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(head), &ends[1], sizeof(int));
  ASSERT_EQ(sendmsg(connection, &message, 0), static_cast<ssize_t>(sizeof hello));
  close(ends[1]);
  char answer[4096];
  EXPECT_GT(recv(connection, answer, sizeof answer, 0), 0);
  pollfd ready{ends[0], POLLIN, 0};
  EXPECT_EQ(poll(&ready, 1, 30'000), 1) << "the pager has kept it";
  EXPECT_EQ(recv(ends[0], answer, sizeof answer, MSG_DONTWAIT), 0);
  close(ends[0]);
  close(connection);
  EXPECT_EQ(x[5], fifth);
  EXPECT_EQ(test::wrong_numbers(x.data(), 1000), 0u);
}

// ONECOPY_TEST_PAGER_KILLS says how often.
TEST(LazySurvives, AKilledPagerIsReplacedAndNoValueIsWrong) {
  constexpr std::uint64_t count = 64 * MiB / 8;
  const char* chosen = getenv("ONECOPY_TEST_PAGER_KILLS");
  const int kills = chosen != nullptr ? std::max(1, atoi(chosen)) : 20;
  auto x = test::numbers(count);
  std::atomic<bool> stop{false};
  std::thread killer([&] {
    std::mt19937 random(1);
    for (int i = 0; i < kills; ++i) {
      kill(test::pager_process(), SIGKILL);
      std::this_thread::sleep_for(std::chrono::microseconds(3000 + random() % 20'000));
    }
    stop = true;
  });
  std::uint64_t wrong = 0, rounds = 0;
  for (; !stop || rounds < 4; ++rounds) wrong += test::wrong_numbers(x.data(), count, 100, rounds % 100);
  killer.join();
  printf("%d kills, %lu elements read\n", kills, static_cast<unsigned long>(rounds * count / 100));
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(x.vector().take_error().has_value(), false);
  EXPECT_LE(pager::look().resident, 32 * MiB) << "the new pager counts what the dead one left";
}

TEST(LazySurvives, ChildrenReadWhilePagersAreKilled) {
  constexpr std::uint64_t count = 48 * MiB / 8;
  auto x = test::numbers(count);
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i)
    children.push_back(test::in_child([&] {
      for (std::uint64_t k = 0; k < count; k += 64)
        if (const double seen = x[k]; seen != static_cast<double>(k)) {
          usleep(100'000);
          const auto why = x.vector().take_error();
          fprintf(stderr, "element %lu is %g: %s\n", static_cast<unsigned long>(k), seen, why ? why->what() : "no error");
          return 1;
        }
      return 0;
    }));
  for (int i = 0; i < 20; ++i) {
    kill(test::pager_process(), SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (const pid_t child : children) EXPECT_EQ(test::outcome_of(child), 0);
}

TEST(LazySurvives, AThreadThatWaitsWhileThePagerDiesGetsItsValue) {
  // The pager is stopped first, so that the touch is certain to wait; then it is killed without having answered.
  auto x = test::numbers(MiB);
  const pid_t pager = test::pager_process();
  kill(pager, SIGSTOP);
  std::atomic<double> seen{-5};
  std::thread toucher([&] { seen = x[777'777]; });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(seen, -5.0) << "it waits";
  kill(pager, SIGKILL);
  toucher.join();
  EXPECT_EQ(seen, 777'777.0);
}

TEST(LazySurvives, WithoutAPagerTouchesEndAndSayWhy) {
  auto x = test::numbers(MiB);
  EXPECT_EQ(x[0], 0.0);
  const int outcome = test::outcome_of(test::in_child([&] {
    pager::set_program("/nonexistent/onecopy-pager");
    // The lock file is removed with the store's directory of names, so nobody else can start one for us either.
    const pid_t process = test::pager_process();
    kill(process, SIGSTOP);
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      kill(process, SIGKILL);
    });
    const double far = x[900'000];
    later.join();
    if (!std::isnan(far) && far != 900'000.0) return 1;  // the parent may have started another one
    if (std::isnan(far) && !test::soon([&] { return x.vector().take_error().has_value(); })) return 2;
    return 0;
  }));
  EXPECT_EQ(outcome, 0);
  EXPECT_EQ(x[900'000], 900'000.0);
}

TEST(LazySurvives, NoProgramIsAClearError) {
  const int outcome = test::outcome_of(test::in_child([] {
    test::scratch_folder other;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    pager::set_program("/nonexistent/onecopy-pager");
    const int code = [] {
      try {
        (void)test::numbers(1000);
        return 1;
      } catch (const error& e) {
        if (e.kind() != error_kind::not_found) return 2;
        return std::string(e.what()).find("ONECOPY_PAGER") == std::string::npos ? 3 : 0;
      }
    }();
    return code != 0 ? code : pager::list().empty() ? 0 : 4;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST(LazySurvives, AForkedChildReadsRightAndPlantsNoZeros) {
  constexpr std::uint64_t count = 8 * MiB / 8;
  auto x = test::numbers(count);
  auto* mine = reinterpret_cast<double*>(x.vector().data());
  mine[3] = -3;  // a private page, which the child inherits as it is
  EXPECT_EQ(x[50'000], 50'000.0);
  const pid_t child = test::in_child([&] {
    if (x[3] != -3) return 2;
    if (test::wrong_numbers(x.data(), count, 1, 4) != 0) return 1;
    mine[4] = -4;
    // A child of the child, too.
    const pid_t grandchild = test::in_child([&] { return x[4] == -4 && test::wrong_numbers(x.data(), count, 50, 600) == 0 ? 0 : 1; });
    return test::outcome_of(grandchild);
  });
  EXPECT_EQ(test::outcome_of(child), 0);
  EXPECT_EQ(x[4], 4.0);
  EXPECT_EQ(test::wrong_numbers(x.data(), count, 1, 4), 0u);
}

TEST(LazySurvives, ForksWhileThreadsTouch) {
  constexpr std::uint64_t count = 64 * MiB / 8;
  auto x = test::numbers(count);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      while (!stop) {
        const std::uint64_t at = random() % count;
        if (x[at] != static_cast<double>(at)) ++wrong;
      }
    });
  for (int i = 0; i < 30; ++i) {
    const pid_t child = test::in_child([&] {
      std::mt19937_64 random(static_cast<unsigned>(i) + 100);
      for (int k = 0; k < 50; ++k) {
        const std::uint64_t at = random() % count;
        if (x[at] != static_cast<double>(at)) return 1;
      }
      return 0;
    });
    EXPECT_EQ(test::outcome_of(child), 0);
  }
  stop = true;
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(LazySurvives, AForkThatKnowsNothingOfUsCantSpoilTheOthers) {
  // A raw fork system call runs no handlers: that child sees zeros, and the kernel puts its zero pages into the file.
  constexpr std::uint64_t count = 4 * MiB / 8;
  auto x = test::numbers(count);
  EXPECT_EQ(x[0], 0.0);
  const pid_t child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) {
    volatile double sum = 0;
    for (std::uint64_t i = 0; i < count; i += 512) sum = sum + x[i];
    _exit(0);
  }
  EXPECT_EQ(test::outcome_of(child), 0);
  EXPECT_EQ(test::wrong_numbers(x.data(), count), 0u) << "the parent sees data, not the child's zeros";
}

TEST(LazySurvives, AStrangersMappingCantSpoilTheOthers) {
  constexpr std::uint64_t count = MiB / 8;
  auto x = test::numbers(count);
  const std::string path = store::directory() + "/lazy/" + x.vector().id().text();
  const int file = open(path.c_str(), O_RDONLY);
  struct stat info {};
  ASSERT_EQ(fstat(file, &info), 0);
  auto* bytes = static_cast<const volatile char*>(mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_SHARED, file, 0));
  ASSERT_NE(bytes, MAP_FAILED);
  char sum = 0;
  for (off_t i = 0; i < info.st_size; i += 4096) sum = static_cast<char>(sum + bytes[i]);
  EXPECT_EQ(test::wrong_numbers(x.data(), count), 0u);
  munmap(const_cast<char*>(bytes), static_cast<std::size_t>(info.st_size));
  close(file);
}

TEST(LazySurvives, KilledClientsLeaveNothing) {
  for (int i = 0; i < 10; ++i) {
    const pid_t child = test::in_child([] {
      auto x = test::numbers(4 * MiB);
      volatile double sum = 0;
      for (std::uint64_t k = 0;; k = (k + 511) % x.size()) sum = sum + x[k];
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    kill(child, SIGKILL);
    EXPECT_EQ(test::outcome_of(child), -SIGKILL);
  }
  EXPECT_TRUE(test::soon([] { return pager::list().empty(); }, 70)) << "the lease of a moment is over, and nobody holds them";
  EXPECT_EQ(pager::look().resident, 0u);
}

TEST(LazySurvives, ThePagerEndsWhenIdleAndAnotherComesWhenNeeded) {
  const int outcome = test::outcome_of(test::in_child([] {
    test::scratch_folder other;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    setenv("ONECOPY_PAGER_IDLE", "0.2", 1);
    const std::string directory = other / "store/lazy";
    pid_t first = 0;
    // A grandchild uses it and goes; then nobody does.
    int ends[2];
    if (pipe(ends) != 0) return 9;
    const pid_t user = test::in_child([&] {
      auto x = test::numbers(1000);
      const pid_t pager = test::pager_process();
      return x[10] == 10.0 && write(ends[1], &pager, sizeof pager) == sizeof pager ? 0 : 1;
    });
    if (test::outcome_of(user) != 0 || read(ends[0], &first, sizeof first) != sizeof first) return 1;
    if (!test::soon([&] { return kill(first, 0) != 0; })) return 2;
    if (access((directory + "/pager.socket").c_str(), F_OK) == 0) return 3;
    auto y = test::numbers(1000);
    return y[5] == 5.0 && test::pager_process() != first ? 0 : 4;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST(LazySurvives, ManyObjectsAndMappings) {
  std::vector<lazy_array<double>> many;
  const test::new_objects made;
  for (int i = 0; i < 2000; ++i) many.push_back(test::numbers(10'000));
  for (std::size_t i = 0; i < many.size(); i += 97) EXPECT_EQ(many[i][9'999], 9'999.0);
  EXPECT_EQ(made.count(), many.size());
  many.clear();
  EXPECT_TRUE(test::soon([] { return pager::look().objects == 0; }, 70));
}

TEST(LazySurvives, UsedUpMappingsAreAnErrorAndNoCrash) {
  const int outcome = test::outcome_of(test::in_child([] {
    auto keep = test::numbers(100'000);
    // Every second page of another protection: one mapping each.
    constexpr std::size_t pages = 70'000;
    auto* area = static_cast<char*>(mmap(nullptr, pages * 4096 * 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::size_t i = 0;
    while (i < pages && mprotect(area + i * 8192, 4096, PROT_NONE) == 0) ++i;
    if (i == pages) return 5;  // this machine allows more: the test would prove nothing
    int code = 1;
    std::vector<lazy_array<double>> more;
    try {
      for (int k = 0; k < 10; ++k) more.push_back(test::numbers(100'000));
    } catch (const error& e) {
      code = e.kind() == error_kind::no_memory ? 0 : 2;
    }
    if (code != 0) return code;
    if (keep[77'777] != 77'777.0) return 3;
    munmap(area, pages * 4096 * 2);
    auto again = test::numbers(100'000);
    return again[50'000] == 50'000.0 ? 0 : 4;
  }), 120);
  EXPECT_EQ(outcome, 0);
}

TEST(LazySurvives, UsedUpDescriptorsAreAnError) {
  const int outcome = test::outcome_of(test::in_child([] {
    std::vector<int> taken;
    for (int number = dup(0); number >= 0; number = dup(0)) taken.push_back(number);
    try {
      (void)test::numbers(1000);
      return 1;
    } catch (const error&) {
    }
    for (const int number : taken) close(number);
    auto x = test::numbers(1000);
    return x[7] == 7.0 ? 0 : 2;
  }));
  EXPECT_EQ(outcome, 0);
}

// What a container's seccomp profile does.
bool deny_userfaultfd() {
  sock_filter rules[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{sizeof rules / sizeof rules[0], rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(LazySurvives, WhereUserfaultfdIsDeniedTheErrorSaysSo) {
  const int outcome = test::outcome_of(test::in_child([] {
    test::scratch_folder other;
    chown(other.path().c_str(), 65534, 65534);  // who removes it, too
    // As root /dev/userfaultfd would serve instead.
    if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) return 9;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    if (!deny_userfaultfd()) return 8;
    try {
      (void)test::numbers(1000);
      return 1;
    } catch (const error& e) {
      if (e.kind() != error_kind::unsupported) return 2;
      if (std::string(e.what()).find("seccomp") == std::string::npos) return 3;
    }
    return pager::list().empty() ? 0 : 4;
  }));
  EXPECT_EQ(outcome, 0);
}

TEST(LazySurvives, AsAnOrdinaryUser) {
  if (geteuid() != 0) GTEST_SKIP() << "this test runs as an ordinary user already, so all of them do";
  const int outcome = test::outcome_of(test::in_child([] {
    test::scratch_folder other;
    chown(other.path().c_str(), 65534, 65534);  // who removes it, too
    // The build may lie where that user can't go.
    const std::string program = other / "onecopy-pager";
    std::filesystem::copy_file("/proc/" + std::to_string(test::pager_process()) + "/exe", program);
    chmod(program.c_str(), 0755);
    setenv("ONECOPY_PAGER", program.c_str(), 1);
    if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0) return 9;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    setenv("ONECOPY_SPILL", "/var/tmp", 1);
    auto x = test::numbers(16 * MiB);
    if (test::wrong_numbers(x.data(), x.size(), 256) != 0) return 1;
    if (pager::look().peak_resident > 32 * MiB) return 2;
    const pid_t child = test::in_child([&] { return test::wrong_numbers(x.data(), x.size(), 4096) == 0 ? 0 : 1; });
    if (test::outcome_of(child) != 0) return 3;
    kill(test::pager_process(), SIGKILL);
    if (test::wrong_numbers(x.data(), x.size(), 4099) != 0) return 4;
    auto w = test::numbers(100'000, {.writable = true});
    w.writable_data()[5] = 55;
    w.vector().release(0, w.vector().bytes());
    if (w[5] != 55) return 5;
    // The price of needing no privilege: a system call on what isn't there fails, and does not wait.
    int ends[2];
    if (pipe(ends) != 0) return 9;
    auto z = test::numbers(100'000);
    return write(ends[1], z.data(), 8) == -1 && errno == EFAULT ? 0 : 6;
  }), 120);
  EXPECT_EQ(outcome, 0);
}

}  // namespace
