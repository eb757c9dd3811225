// Real processes with a pipe to and from each.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

extern char** environ;

namespace test {

using environment = std::map<std::string, std::string>;

class child {
 public:
  child() = default;
  // Starts a program; `changes` are added to this process's environment.
  child(const std::vector<std::string>& command, const environment& changes = {}) {
    int down[2], up[2];
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    std::map<std::string, std::string> variables;
    for (char** each = environ; *each != nullptr; ++each)
      if (const char* equals = std::strchr(*each, '='))
        variables[std::string(*each, static_cast<std::size_t>(equals - *each))] = equals + 1;
    for (const auto& [name, text] : changes) variables[name] = text;
    std::vector<std::string> texts;
    for (const auto& [name, text] : variables) texts.push_back(name + "=" + text);
    std::vector<char*> envp, argv;
    for (auto& text : texts) envp.push_back(text.data());
    for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    envp.push_back(nullptr), argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, down[0], 0);
    posix_spawn_file_actions_adddup2(&actions, up[1], 1);
    const int failed = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    close(down[0]), close(up[1]);
    in_ = down[1], out_ = up[0];
    if (failed != 0) {
      pid_ = -1;
      throw std::runtime_error("can't start " + command[0]);
    }
  }
  child(child&& other) noexcept { *this = std::move(other); }
  child& operator=(child&& other) noexcept {
    std::swap(pid_, other.pid_), std::swap(in_, other.in_), std::swap(out_, other.out_);
    std::swap(pending_, other.pending_);
    return *this;
  }
  ~child() {
    kill();
    if (in_ >= 0) close(in_), close(out_);
  }

  pid_t pid() const noexcept { return pid_; }

  void send(const std::string& line) {
    const std::string text = line + "\n";
    std::signal(SIGPIPE, SIG_IGN);
    if (write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) pending_ = "(it is dead)\n";
  }
  // The next line; "(...)" when there is none within a minute, so that no test hangs.
  std::string receive(int milliseconds = 60'000) {
    for (;;) {
      if (const auto end = pending_.find('\n'); end != pending_.npos) {
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        return line;
      }
      pollfd wait{out_, POLLIN, 0};
      if (poll(&wait, 1, milliseconds) <= 0) return "(no answer)";
      char block[4096];
      const auto got = read(out_, block, sizeof block);
      if (got <= 0) return "(it is dead)";
      pending_.append(block, static_cast<std::size_t>(got));
    }
  }
  std::string ask(const std::string& line) {
    send(line);
    return receive();
  }

  // Waits for its end: the status of waitpid, 0 after a regular exit(0).
  int finish() {
    if (in_ >= 0) close(std::exchange(in_, open("/dev/null", O_WRONLY | O_CLOEXEC)));
    return wait();
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  void signal(int number) { ::kill(pid_, number); }

 private:
  int wait() {
    int how = -1;
    if (pid_ > 0)
      while (waitpid(pid_, &how, 0) < 0 && errno == EINTR) {}
    pid_ = -1;
    return how;
  }

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  std::string pending_;
};

}  // namespace test
