#include "os/process.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include "os/file.hpp"
#include "os/socket.hpp"

extern char** environ;

namespace onecopy::os {

std::string take_variable(const char* name) {
  const char* text = std::getenv(name);
  const std::string taken = text != nullptr ? text : "";
  unsetenv(name);
  return taken;
}

result<pid_t> start_program(const std::vector<std::string>& command, int inherited, const std::string& variable) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  // dup2 onto itself would keep close-on-exec, so an inherited 3 takes a detour.
  if (inherited == 3) {
    posix_spawn_file_actions_adddup2(&actions, 3, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 3);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  } else if (inherited >= 0) {
    posix_spawn_file_actions_adddup2(&actions, inherited, 3);
  }
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  for (int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&usual, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> environment;
  const std::string name = variable.substr(0, variable.find('=') + 1);
  for (char** each = environ; *each != nullptr; ++each)
    if (name.empty() || std::string_view(*each).substr(0, name.size()) != name) environment.push_back(*each);
  if (!variable.empty()) environment.push_back(const_cast<char*>(variable.c_str()));
  environment.push_back(nullptr);
  pid_t child = -1;
  const int outcome = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (outcome != 0) return failure::from_errno("start " + command[0], outcome);
  return child;
}

namespace {

std::string words_for(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = strsignal(WTERMSIG(status));
    return std::string("was ended by signal ") + std::to_string(WTERMSIG(status)) + " (" + (name ? name : "?") + ")";
  }
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

bool reap(pid_t child, std::string* ending) {
  int status = 0;
  pid_t got = 0;
  do got = waitpid(child, &status, WNOHANG);
  while (got < 0 && errno == EINTR);
  if (got == 0) return false;
  if (ending != nullptr) *ending = got == child ? words_for(status) : "has ended";  // ECHILD: SIGCHLD is ignored here
  return true;
}

bool reap_by(pid_t child, const deadline& until, std::string* ending) {
  for (double pause = 0.0005;; pause = std::min(pause * 2, 0.02)) {
    if (reap(child, ending)) return true;
    if (until.passed()) return false;
    nap(pause);
  }
}

void kill_child(pid_t child) noexcept {
  if (child > 0) kill(child, SIGKILL);
}

result<pid_t> kill_peer(int socket) {
  constexpr const char* tried = "end the process at the other end of a connection";
  auto who = peer_of(socket);
  if (!who) return who.reason();
  if (who->pid <= 0)
    return failure{error_kind::permission, tried, "it lives in another container (pid namespace)", ""};
  const fd process(static_cast<int>(syscall(SYS_pidfd_open, who->pid, 0)));
  if (!process.valid() && errno == ESRCH) return who->pid;
  // Numbers are used again. As long as the connection stands, this one is still its own.
  pollfd state{socket, 0, 0};
  if (poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0) return who->pid;
  // Without a pidfd (an old kernel, a seccomp profile) the moment between the two lines remains.
  const bool sent = process.valid() ? syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) == 0
                                    : kill(who->pid, SIGKILL) == 0;
  if (!sent && errno != ESRCH) return failure::from_errno(tried);
  return who->pid;
}

namespace {

sigset_t asynchronous_signals() noexcept {
  sigset_t all;
  sigfillset(&all);
  // A fault in our own code must still be reported as one.
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP}) sigdelset(&all, number);
  return all;
}

}  // namespace

void block_signals() noexcept {
  const sigset_t all = asynchronous_signals();
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

signals_blocked::signals_blocked() noexcept {
  const sigset_t all = asynchronous_signals();
  pthread_sigmask(SIG_BLOCK, &all, &before_);
}

signals_blocked::~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void ignore_broken_pipes() noexcept { signal(SIGPIPE, SIG_IGN); }

std::string file_of_code(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "";
  char whole[PATH_MAX];
  if (std::strchr(info.dli_fname, '/') != nullptr)
    return realpath(info.dli_fname, whole) != nullptr ? whole : info.dli_fname;
  auto self = read_link(AT_FDCWD, "/proc/self/exe");  // a program found through PATH
  return self && *self ? **self : "";
}

std::vector<std::string> loaded_libraries() {
  std::vector<std::string> paths;
  const auto note = [](dl_phdr_info* info, std::size_t, void* to) {
    if (info->dlpi_name != nullptr && std::strchr(info->dlpi_name, '/') != nullptr)
      static_cast<std::vector<std::string>*>(to)->emplace_back(info->dlpi_name);
    return 0;
  };
  dl_iterate_phdr(note, &paths);
  return paths;
}

bool is_executable(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::uint64_t physical_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size) : 1ull << 30;
}

std::uint64_t memory_limit() {
  std::uint64_t least = physical_memory();
  const auto consider = [&](const std::string& path) {
    auto text = read_whole(path);
    if (!text || text->empty() || (*text)[0] < '0' || (*text)[0] > '9') return;  // "max": no limit
    least = std::min<std::uint64_t>(least, std::strtoull(text->c_str(), nullptr, 10));
  };
  consider("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  // Version 2: every level from ours to the root may have a limit.
  if (auto own = read_whole("/proc/self/cgroup")) {
    const auto start = own->find("0::/");
    if (start != std::string::npos) {
      std::string group = own->substr(start + 3, own->find('\n', start) - start - 3);
      for (;; group.resize(group.rfind('/'))) {
        consider("/sys/fs/cgroup" + group + "/memory.max");
        if (group.empty() || group.rfind('/') == std::string::npos) break;
      }
    }
  }
  return least;
}

pid_t process_id() noexcept { return getpid(); }

void nap(double seconds) noexcept {
  const auto whole = static_cast<time_t>(seconds);
  timespec time{whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
  nanosleep(&time, nullptr);
}

bool around_fork(void (*before)(), void (*after_in_parent)(), void (*after_in_child)()) noexcept {
  return pthread_atfork(before, after_in_parent, after_in_child) == 0;
}

}  // namespace onecopy::os
