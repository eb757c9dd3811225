// Pagers that are stopped with SIGSTOP: not dead, so nobody else could take their place, and no answer comes.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <cmath>
#include <csignal>

#include "support/lazy.hpp"

namespace {

using namespace onecopy;
constexpr std::uint64_t MiB = 1u << 20;

// In a process and a store of its own, with a patience of a second. Answers with the exit status.
int alone(const std::function<int()>& body) {
  test::scratch_folder other;
  return test::outcome_of(test::in_child([&] {
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    setenv("ONECOPY_PAGER_PATIENCE", "1", 1);
    return body();
  }), 90);
}

bool is_running(pid_t process) { return kill(process, 0) == 0; }

TEST(LazyStopped, ATouchGetsItsValueFromAnotherPager) {
  EXPECT_EQ(alone([] {
    auto x = test::numbers(MiB);
    if (x[0] != 0.0) return 1;
    const pid_t stopped = test::pager_process();
    kill(stopped, SIGSTOP);
    if (x[777'777] != 777'777.0) return 2;
    if (x.vector().take_error()) return 3;
    if (test::pager_process() == stopped) return 4;
    if (!test::soon([&] { return !is_running(stopped); })) return 5;
    return test::wrong_numbers(x.data(), x.size(), 100) == 0 ? 0 : 6;
  }), 0);
}

TEST(LazyStopped, ARequestIsAnsweredByAnotherPager) {
  EXPECT_EQ(alone([] {
    auto x = test::numbers(MiB);
    const pid_t stopped = test::pager_process();
    kill(stopped, SIGSTOP);
    x.vector().ensure(4 * MiB, MiB);
    if (!x.vector().resident(4 * MiB, MiB)) return 1;
    const pid_t second = test::pager_process();
    if (second == stopped) return 2;
    kill(second, SIGSTOP);
    auto y = test::numbers(1000);  // an attach is a request, too
    return y[999] == 999.0 ? 0 : 3;
  }), 0);
}

TEST(LazyStopped, SeveralClientsAgree) {
  EXPECT_EQ(alone([] {
    auto x = test::numbers(4 * MiB);
    std::vector<pid_t> children;
    for (unsigned i = 0; i < 4; ++i)
      children.push_back(test::in_child([&] {
        for (std::uint64_t round = 0; round < 30; ++round) {
          if (test::wrong_numbers(x.data(), x.size(), 50'021, round * 997 + i) != 0) return 1;
          usleep(100'000);
        }
        return x.vector().take_error() ? 2 : 0;
      }));
    usleep(500'000);
    kill(test::pager_process(), SIGSTOP);
    int status = 0;
    for (const pid_t child : children) status = status != 0 ? status : test::outcome_of(child, 60);
    return status;
  }), 0);
}

TEST(LazyStopped, ChangesAreNotLost) {
  EXPECT_EQ(alone([] {
    auto x = test::numbers(8 * MiB, {.writable = true});  // twice the budget
    for (std::uint64_t i = 0; i < x.size(); i += 4096) {
      if (i == x.size() / 2) kill(test::pager_process(), SIGSTOP);
      x.writable_data()[i] = -1;
    }
    for (std::uint64_t i = 0; i < x.size(); i += 4096)
      if (x[i] != -1) return 1;
    return x.vector().take_error() ? 2 : 0;
  }), 0);
}

TEST(LazyStopped, NobodyEndsItWhileNobodyWaits) {
  EXPECT_EQ(alone([] {
    auto x = test::numbers(MiB);
    const pid_t stopped = test::pager_process();
    kill(stopped, SIGSTOP);
    sleep(4);
    if (!is_running(stopped)) return 1;
    kill(stopped, SIGCONT);
    if (x[500'000] != 500'000.0) return 2;
    return test::pager_process() == stopped ? 0 : 3;
  }), 0);
}

TEST(LazyStopped, AClientThatWasStoppedItselfBlamesNobody) {
  EXPECT_EQ(alone([] {
    auto x = test::numbers(16 * MiB);
    const pid_t pager = test::pager_process();
    const pid_t child = test::in_child([&] {
      std::uint64_t wrong = 0;
      for (int round = 0; round < 3; ++round) wrong += test::wrong_numbers(x.data(), x.size(), 64);
      return wrong == 0 ? 0 : 1;
    });
    for (int i = 0; i < 3; ++i) {
      usleep(50'000);
      kill(child, SIGSTOP);
      usleep(1'500'000);
      kill(child, SIGCONT);
    }
    if (test::outcome_of(child, 60) != 0) return 1;
    return test::pager_process() == pager ? 0 : 2;
  }), 0);
}

bool deny_ending_others() {
  sock_filter rules[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 1, 0),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 1),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{sizeof rules / sizeof rules[0], rules};
  // For all threads: it is the library's that would end the pager.
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

TEST(LazyStopped, OneThatCantBeEndedIsAnErrorUntilItGoesOn) {
  EXPECT_EQ(alone([] {
    auto keep = test::numbers(MiB);
    const pid_t pager = test::pager_process();
    int ends[2];
    if (pipe(ends) != 0) return 9;
    const pid_t child = test::in_child([&] {
      auto x = test::numbers(MiB);
      if (x[0] != 0.0 || !deny_ending_others()) return 1;
      if (write(ends[1], "x", 1) != 1) return 9;
      usleep(500'000);  // by now it is stopped
      if (!std::isnan(x[900'000])) return 2;
      std::optional<error> why;
      if (!test::soon([&] { return (why = x.vector().take_error()).has_value(); })) return 3;
      if (why->kind() != error_kind::timeout) return 4;
      const std::string text = why->what();
      if (text.find("stopped") == std::string::npos || text.find(std::to_string(pager)) == std::string::npos) return 5;
      try {
        x.vector().ensure(MiB, 8);
        return 6;
      } catch (const error& e) {
        if (e.kind() != error_kind::timeout) return 7;
      }
      if (write(ends[1], "x", 1) != 1) return 9;
      // It goes on now, and so does everything.
      if (!test::soon([&] {
            try {
              x.vector().ensure(MiB, 8);
              return true;
            } catch (const error&) {
              return false;
            }
          }, 30)) return 8;
      return test::wrong_numbers(x.data(), x.size(), 100) == 0 ? 0 : 10;
    });
    char byte;
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 1) return 20;
    kill(pager, SIGSTOP);
    if (read(ends[0], &byte, 1) != 1) return 21;
    kill(pager, SIGCONT);
    const int outcome = test::outcome_of(child, 60);
    if (outcome != 0) return outcome;
    return keep[500'000] == 500'000.0 && test::pager_process() == pager ? 0 : 22;
  }), 0);
}

}  // namespace
