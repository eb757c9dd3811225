// Starting other programs, and what a process does to itself.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "os/deadline.hpp"
#include "os/fd.hpp"

namespace onecopy::os {

// Starts command[0], looked up in PATH unless it has a slash, with descriptor `inherited` as its descriptor 3 (-1:
// none), standard input from /dev/null, and the caller's output. `variable` ("NAME=text") replaces or adds to the
// caller's environment. Answers with its process id, which the caller reaps.
result<pid_t> start_program(const std::vector<std::string>& command, int inherited = -1,
                            const std::string& variable = {});
// A variable of this process's environment, which is taken out of it; "" when there is none. Not while other threads
// use the environment.
std::string take_variable(const char* name);
// True once the process has ended, and was reaped: `ending` says how, in words.
bool reap(pid_t child, std::string* ending = nullptr);
// Waits for it. False when the deadline passed first.
bool reap_by(pid_t child, const deadline& until, std::string* ending = nullptr);
void kill_child(pid_t child) noexcept;  // SIGKILL

// SIGKILL for the process at the other end of a connected Unix socket, and for no other that has its number by now.
// Answers with that number; failures say why it can't be ended. A process that has ended already is fine.
result<pid_t> kill_peer(int socket);

// Leaves the session, terminal, working directory, standard streams (all to `log`, or nowhere) and all descriptors
// above 2 behind. The calling process ends; the function returns in a child of it.
status become_daemon(const std::string& log);

// In the calling thread: no signal interrupts it, so the program's handlers run in the program's own threads.
void block_signals() noexcept;

// The same as long as this lives: for what a handler of a signal, on this thread, must not meet half done.
class signals_blocked {
 public:
  signals_blocked() noexcept;
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;
  ~signals_blocked();

 private:
  sigset_t before_;
};
void ignore_broken_pipes() noexcept;

// The path of the shared library or program that contains `address`; "" when unknown.
std::string file_of_code(const void* address);
// The paths of all shared libraries of this process that were found by a path.
std::vector<std::string> loaded_libraries();
bool is_executable(const std::string& path);
std::uint64_t physical_memory();   // bytes
std::uint64_t memory_limit();      // physical memory, or the cgroup's limit when that is lower
pid_t process_id() noexcept;
void nap(double seconds) noexcept;

// The functions run around fork(2) in this process, for its life (pthread_atfork). False when there is no memory.
bool around_fork(void (*before)(), void (*after_in_parent)(), void (*after_in_child)()) noexcept;

}  // namespace onecopy::os
