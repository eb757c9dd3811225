// Child processes of a test: each runs a function and ends; what it answers is its exit status.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <utility>

namespace test {

class forked {
 public:
  // `run` in a child of this process. What it throws is printed, and gives the status 99.
  explicit forked(const std::function<int()>& run) {
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("can't fork");
    if (pid_ != 0) return;
    int status = 99;
    try {
      status = run();
    } catch (const std::exception& problem) {
      std::fprintf(stderr, "child: %s\n", problem.what());
    }
    // Neither GoogleTest's teardown nor the parent's destructors belong to the child.
    _exit(status);
  }
  forked(forked&& other) noexcept : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
  forked& operator=(forked&& other) noexcept {
    kill();
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
    return *this;
  }
  ~forked() { kill(); }

  pid_t pid() const noexcept { return pid_; }
  void send(int signal) const {
    if (pid_ > 0) ::kill(pid_, signal);
  }
  // SIGKILL, and waits until it is gone.
  void kill() {
    if (pid_ <= 0) return;
    send(SIGKILL);
    collect(0);
  }
  // The exit status; -signal if a signal ended it; -1000 if it still ran after `seconds` and was killed.
  int wait(double seconds = 30) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (pid_ > 0 && !collect(WNOHANG)) {
      if (std::chrono::steady_clock::now() > end) {
        kill();
        return -1000;
      }
      usleep(500);
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
  }
  bool running() { return pid_ > 0 && !collect(WNOHANG); }

 private:
  bool collect(int flags) {
    pid_t got;
    do got = waitpid(pid_, &status_, flags);
    while (got < 0 && errno == EINTR);
    if (got == 0) return false;
    pid_ = -1;
    return true;
  }
  pid_t pid_ = -1;
  int status_ = 0;
};

}  // namespace test
