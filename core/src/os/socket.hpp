// Unix sockets: messages with descriptors, between processes of one machine.
//
// Every call retries EINTR, never raises SIGPIPE, and works on blocking and non-blocking sockets alike: how long it
// waits is what the deadline says. All descriptors made or received here are closed on exec.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "os/deadline.hpp"
#include "os/fd.hpp"

namespace onecopy::os {

enum class socket_kind {
  packet,  // SOCK_SEQPACKET: a message is sent and received whole, in order; end of file when the peer closes
  stream,  // SOCK_STREAM
};

// The kernel's limit for one message.
inline constexpr std::size_t descriptors_per_message = 253;

result<std::pair<fd, fd>> socket_pair(socket_kind kind = socket_kind::packet);

// A listening socket at `path`, of mode 0600. The socket of a dead listener is replaced; a failure of kind exists when
// someone listens there, or when something else than a socket has that name. Paths may be longer than sun_path.
result<fd> listen_at(const std::string& path, socket_kind kind = socket_kind::packet);
// The next connection; failures of kind timeout, and those of accept(2).
result<fd> accept_from(int listener, const deadline& until);
// Failures of kind not_found (no such path), peer_closed (nobody listens), timeout (the listener's queue stayed full).
result<fd> connect_to(const std::string& path, const deadline& until, socket_kind kind = socket_kind::packet);

// packet or stream; a failure of kind invalid_argument for anything else than a connected Unix socket.
result<socket_kind> kind_of_socket(int descriptor);

struct peer_identity {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;  // for messages to people only: numbers are reused, and differ between pid namespaces
};
// Who made the other end (of a socketpair: who made the pair).
result<peer_identity> peer_of(int socket);

// Waits until the descriptor is readable (or the peer has closed); false when the deadline passed first.
// `interrupted`: return early with true when a signal arrived, for callers that must look at signals themselves.
result<bool> wait_readable(int descriptor, const deadline& until, bool* interrupted = nullptr);
result<bool> wait_writable(int descriptor, const deadline& until, bool* interrupted = nullptr);

// Sends one message of at least one byte (an empty packet looks like the end): all pieces in order, with at most
// descriptors_per_message descriptors, which stay the caller's.
// A packet is sent whole or not at all. On a stream a failure may leave a part sent: the stream is then of no use.
// Failures: peer_closed, timeout, invalid_argument (larger than the socket's buffer), busy (too many descriptors are in
// flight and nobody receives them: ETOOMANYREFS).
status send_message(int socket, std::span<const std::span<const std::byte>> pieces, std::span<const int> descriptors,
                    const deadline& until);

struct received {
  std::size_t size = 0;           // bytes put into the buffer; on a stream perhaps only the first of what was sent
  bool end = false;               // the peer has closed and nothing is left to read
  bool truncated = false;         // the packet was larger than the buffer; the rest is gone
  bool descriptors_lost = false;  // the kernel could not give us all of them (EMFILE), or more came than expected
  std::vector<fd> descriptors;
  std::optional<uid_t> sender;    // who sent it, by the kernel's word; only after tell_senders()
};
// Receives one message. Fails with kind timeout, peer_closed (connection reset).
result<received> receive_message(int socket, std::span<std::byte> buffer, const deadline& until,
                                 std::size_t most_descriptors = descriptors_per_message);
// From now on the kernel says of each message which user sent it. What was sent before may be said to be nobody's. Also
// for a listener, whose connections are made so.
void tell_senders(int socket) noexcept;

// The first bytes of the next packet, which stays where it is; 0 when there is none now, or the end.
std::size_t peek(int socket, std::span<std::byte> buffer) noexcept;
// True when the peer has closed and nothing is left to read.
bool is_over(int socket) noexcept;
// For all who share the socket: the peer reads what is in flight and then the end, and so do we.
void shut_down(int socket) noexcept;
void set_close_on_exec(int descriptor, bool on) noexcept;
// The size of SO_SNDBUF: a packet must be smaller. At least `wanted` bytes are asked for first.
result<std::size_t> send_buffer(int socket, std::size_t wanted);

}  // namespace onecopy::os
