// Messages between two processes of one machine: ordinary bytes, and shared objects that travel by reference.
//
//     auto [here, there] = onecopy::channel::pair();       // `there` goes to a child, or a thread
//     here.send(prices);                                   // an array, a value: its bytes are not copied
//     onecopy::message m = there.receive();
//     auto same = m.object().as<double>();
//
// An object goes by handle when the other end is a process of this user that sees the same store, and otherwise as the
// descriptor of sealed memory, which is neither theirs nor ours to change; the receiver sees no difference. Small
// objects travel within the message. docs/transport.md has the rules.
//
// Whatever arrives is checked before it is believed. An object that fails (gone, damaged, not sealed, not a region at
// all) is an error when it is asked for; the rest of the message and the channel stay usable. Bytes that are not a
// channel's own are an error that closes this channel. Neither ever ends the process.
//
// Threads: one thread may send while another receives; several senders or several receivers take turns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "onecopy/array.hpp"
#include "onecopy/code_place.hpp"
#include "onecopy/error.hpp"
#include "onecopy/value.hpp"

namespace onecopy {

class message {
 public:
  // The ordinary bytes; empty if there were none. Valid while the message lives.
  std::span<const std::byte> bytes() const noexcept;
  std::string_view text() const noexcept;

  // How many objects came with it.
  std::size_t size() const noexcept { return objects_.size(); }
  // Object i. Throws invalid_argument when there are fewer, and what was wrong with it when it could not be accepted:
  // not_found, wrong_host, corrupt, permission, no_memory, system (too many open files).
  const value& object(std::size_t i = 0) const;
  // All of them; throws for the first that could not be accepted.
  const std::vector<value>& objects() const;

 private:
  friend class channel;
  friend struct message_builder;
  std::string inline_bytes_;
  value shared_bytes_;  // instead, when they were many
  std::vector<value> objects_;
  std::map<std::size_t, error> failures_;
};

struct channel_options {
  // Objects whose region is at most so large travel within the message, copied. At most 16,384; 0: none.
  std::size_t inline_limit = 4096;
  // Who is at the other end, as long as it has not told us. `automatic` takes the user who made the socket for the one
  // who uses it: for a child that changes its user or its store, wait_for_peer() first, or say `stranger`, which sends
  // sealed memory whatever the other end says of itself.
  enum class peer { automatic, same_store, stranger } assume = peer::automatic;
  // Called when a signal arrives while a call waits, and four times a second; what it throws ends the wait.
  std::function<void()> check_interrupt;
};

class channel {
 public:
  // Two ends, for a child or a thread. Throws system (out of descriptors).
  static std::pair<channel, channel> pair(const channel_options& options = {});
  // To a listener. Throws not_found, peer_closed (nobody listens), permission, timeout.
  static channel connect(const std::string& path, double timeout = 10, const channel_options& options = {});
  // Starts command[0], looked up in PATH unless it has a slash, with the other end of a new channel, which it takes by
  // inherited(), in whatever language. It reads nothing from its standard input, and writes where we do. Answers with
  // our end and its process id; whoever starts a child waits for it (waitpid). Throws invalid_argument (no command),
  // not_found, permission, system (out of descriptors), no_memory.
  static std::pair<channel, int> spawn(const std::vector<std::string>& command, const channel_options& options = {});
  // The end that this process was started with: by spawn() of C++ or Python, which say so in the environment. Once, and
  // not while other threads use the environment. Throws invalid_argument if there is none.
  static channel inherited(const channel_options& options = {});
  // From a descriptor of a connected Unix socket of type SOCK_SEQPACKET, which the channel takes over (not when it
  // throws: invalid_argument, when it is something else).
  explicit channel(int descriptor, const channel_options& options = {});
  channel() noexcept;  // closed
  channel(channel&&) noexcept;
  channel& operator=(channel&&) noexcept;
  ~channel();

  // Sends bytes, or objects, or both, as one message: all of it arrives, or nothing. Waits while the other end is too
  // far behind: at most `timeout` seconds; negative: for ever; 0: not at all. Objects stay alive until they are
  // received, and may be let go of at once.
  // Throws timeout (nothing was sent), peer_closed, permission (a mutable object, to another user), no_space.
  void send(std::string_view bytes, double timeout = -1,
            const code_place& from = code_place::current());
  void send(const value& object, std::string_view bytes = {}, double timeout = -1,
            const code_place& from = code_place::current());
  void send(std::span<const value> objects, std::string_view bytes = {}, double timeout = -1,
            const code_place& from = code_place::current());
  template <class T>
  void send(const array<T>& object, std::string_view bytes = {}, double timeout = -1,
            const code_place& from = code_place::current()) {
    send(object.node(), bytes, timeout, from);
  }

  // The next message. Throws timeout, peer_closed (after everything that was sent has been received), corrupt (the
  // other end does not speak as a channel does; the channel is closed).
  message receive(double timeout = -1);
  // The next message if all of it is there, without waiting.
  std::optional<message> try_receive();

  // A number for poll, epoll or asyncio; readable when try_receive() has work to do, which may be part of a message.
  // It stays the channel's. -1 when closed.
  int descriptor() const noexcept;
  explicit operator bool() const noexcept { return descriptor() >= 0; }

  struct peer_information {
    std::uint32_t user = 0;
    int process = 0;          // for people to read: numbers differ between containers, and are used again
    bool same_store = false;  // it attaches by handle
    bool known = false;       // false: as assumed, it has not spoken yet
  };
  peer_information peer() const;
  // Waits until the other end has said who it is, which it does when it is first used. Throws timeout, peer_closed.
  peer_information wait_for_peer(double timeout = 10);

  // Not while another thread uses the channel.
  void close() noexcept;
  // Gives up the descriptor without closing it: to hand this end to another process.
  int release();

 private:
  friend class listener;
  struct impl;
  void greet();
  explicit channel(std::unique_ptr<impl> made) noexcept;
  impl& open_or_throw(const char* tried) const;
  std::unique_ptr<impl> impl_;
};

// Accepts channels at a path in the file system. Only this user can connect, unless the mode of the socket is changed.
class listener {
 public:
  // Throws exists (somebody listens there, or there is a file), permission, not_found (the directory).
  explicit listener(std::string path, const channel_options& options = {});
  listener(listener&&) noexcept;
  listener& operator=(listener&&) noexcept;
  ~listener();  // removes the path

  // The next connection. Throws timeout.
  channel accept(double timeout = -1);
  int descriptor() const noexcept;  // for poll
  const std::string& path() const noexcept;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

// Bytes that were copied although they could have been shared.
struct copy_report {
  std::uint64_t bytes = 0;
  std::string what;   // "sent as bytes over a channel", ...
  std::string where;  // "font.cpp:17", of the call; "" if unknown
};
// Calls `report` for each such copy of at least `threshold` bytes in this process, in the thread that makes it; the
// default prints one line to the standard error. 0: stop reporting. Replaces what was asked for before.
void report_copies(std::uint64_t threshold, std::function<void(const copy_report&)> report = {});

}  // namespace onecopy
