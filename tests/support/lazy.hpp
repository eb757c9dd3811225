// For tests of lazy objects: a store and a pager of the test's own, children, and ways to look at the pager.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "onecopy/lazy.hpp"
#include "support/scratch.hpp"

namespace test {

// Every test program has its own store, so its own pager, with a small budget, which ends soon after the last use.
class lazy_environment : public testing::Environment {
 public:
  lazy_environment() {
    setenv("ONECOPY_LAZY_BUDGET", "32M", 1);
    setenv("ONECOPY_PAGER_IDLE", "1", 1);
    setenv("ONECOPY_SPILL", folder_.path().c_str(), 1);
  }
  const scratch_folder& spill() const { return folder_; }

 private:
  scratch_folder folder_{"/var/tmp"};
};
inline lazy_environment* const use_own_pager =
    static_cast<lazy_environment*>(testing::AddGlobalTestEnvironment(new lazy_environment));

inline pid_t pager_process() { return static_cast<pid_t>(onecopy::pager::look().process); }

// True when `so` holds within the time.
inline bool soon(const std::function<bool()>& so, double seconds = 10) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return so();
}

// Runs `body` in a forked child; what it answers is the exit status, 99 for an exception. The child never runs the
// parent's destructors.
inline pid_t in_child(const std::function<int()>& body) {
  fflush(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  int status = 99;
  try {
    status = body();
  } catch (const std::exception& e) {
    fprintf(stderr, "child: %s\n", e.what());
  }
  fflush(nullptr);
  _exit(status);
}
// The exit status, -signal, or 1000 when it had to be killed because it took too long.
inline int outcome_of(pid_t child, double seconds = 60) {
  int status = 0;
  if (!soon([&] { return waitpid(child, &status, WNOHANG) == child; }, seconds)) {
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return 1000;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// The kind of the error that `body` ends with; system, which none of ours should be, if it ends without.
template <class Body>
onecopy::error_kind refused(Body&& body) {
  try {
    body();
  } catch (const onecopy::error& e) {
    return e.kind();
  }
  return onecopy::error_kind::system;
}

inline onecopy::lazy_array<double> numbers(std::uint64_t count, onecopy::lazy_options options = {}) {
  return onecopy::lazy<double>(count, onecopy::lazy_source::sequence(0.0, 1.0), options);
}

// How many lazy objects there are that were not there at first. Those of earlier tests may end meanwhile.
class new_objects {
 public:
  std::size_t count() const {
    const auto now = onecopy::pager::list();
    return static_cast<std::size_t>(std::count_if(now.begin(), now.end(), [&](const auto& entry) {
      return std::none_of(first_.begin(), first_.end(), [&](const auto& old) { return old.id == entry.id; });
    }));
  }

 private:
  std::vector<onecopy::pager::entry> first_ = onecopy::pager::list();
};

// Elements that are not i, of elements begin, begin + step, ...
inline std::uint64_t wrong_numbers(const double* data, std::uint64_t end, std::uint64_t step = 1,
                                   std::uint64_t begin = 0) {
  const volatile double* items = data;
  std::uint64_t wrong = 0;
  for (std::uint64_t i = begin; i < end; i += step) wrong += items[i] != static_cast<double>(i);
  return wrong;
}

}  // namespace test
