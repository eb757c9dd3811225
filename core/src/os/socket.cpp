#include "os/socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "os/file.hpp"

namespace onecopy::os {

namespace {

int type_of(socket_kind kind) { return (kind == socket_kind::packet ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC; }

// An address for a path of any length: a long one is reached through a descriptor of its directory.
struct address {
  sockaddr_un name{};
  socklen_t size = 0;
  fd directory;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
};

result<address> address_of(const std::string& path) {
  address made;
  made.name.sun_family = AF_UNIX;
  std::string reachable = path;
  if (path.empty() || path.find('\0') != std::string::npos)
    return failure{error_kind::invalid_argument, "use a socket's path", "it is empty or has a NUL in it", ""};
  if (path.size() >= sizeof made.name.sun_path) {
    const auto slash = path.rfind('/');
    auto directory = open_file(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_PATH | O_DIRECTORY);
    if (!directory) return directory.reason();
    reachable = "/proc/self/fd/" + std::to_string(directory->get()) + "/" + path.substr(slash + 1);
    made.directory = std::move(*directory);
  }
  if (reachable.size() >= sizeof made.name.sun_path)
    return failure{error_kind::invalid_argument, "use the socket " + path, "the last part of its path is too long",
                   "Give the socket a name of at most 80 characters"};
  std::memcpy(made.name.sun_path, reachable.data(), reachable.size());
  made.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + reachable.size() + 1);
  return made;
}

result<bool> wait_for(int descriptor, short events, const deadline& until, bool* interrupted) {
  pollfd wanted{descriptor, events, 0};
  for (;;) {
    const int ready = poll(&wanted, 1, until.milliseconds_left());
    if (ready > 0) {
      if ((wanted.revents & POLLNVAL) != 0)
        return failure::from_errno("wait for descriptor " + std::to_string(descriptor), EBADF);
      return true;
    }
    if (ready == 0) return false;
    if (errno != EINTR) return failure::from_errno("wait for descriptor " + std::to_string(descriptor));
    if (interrupted != nullptr) {
      *interrupted = true;
      return true;
    }
  }
}

failure timed_out(const char* tried) {
  return {error_kind::timeout, tried, "the other end did not answer in the time given", "", ETIMEDOUT};
}

// True when somebody accepts connections at this address: connecting to a dead listener's socket is refused.
bool is_alive(const address& where, socket_kind kind) {
  const fd probe(socket(AF_UNIX, type_of(kind) | SOCK_NONBLOCK, 0));
  return !probe.valid() || connect(probe.get(), where.get(), where.size) == 0 || errno != ECONNREFUSED;
}

// Two processes may find the same dead socket: without the lock the second would remove the first one's new socket.
status replace_dead(const std::string& path, const address& where, socket_kind kind, int made) {
  const auto slash = path.rfind('/');
  auto directory = open_file(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
  if (!directory) return directory.reason();
  auto locked = lock_exclusive(directory->get(), 5, "the directory of a socket");
  if (!locked) return locked;
  if (is_alive(where, kind))
    return failure{error_kind::exists, "listen at " + path, "another process listens there",
                   "Choose another path, or connect instead of listening", EADDRINUSE};
  unlink(where.name.sun_path);
  if (bind(made, where.get(), where.size) != 0) return failure::from_errno("listen at " + path);
  // Between bind and listen a socket looks dead to others.
  if (listen(made, 128) != 0) return failure::from_errno("listen at " + path);
  return done();
}

}  // namespace

result<std::pair<fd, fd>> socket_pair(socket_kind kind) {
  int ends[2];
  if (socketpair(AF_UNIX, type_of(kind), 0, ends) != 0) return failure::from_errno("make a pair of sockets");
  return std::pair(fd(ends[0]), fd(ends[1]));
}

result<fd> listen_at(const std::string& path, socket_kind kind) {
  const std::string tried = "listen at " + path;
  auto where = address_of(path);
  if (!where) return where.reason();
  fd made(socket(AF_UNIX, type_of(kind), 0));
  if (!made.valid()) return failure::from_errno(tried);
  // On Linux the mode of the socket's descriptor becomes, less the umask, the mode of the file that bind makes: no
  // moment passes in which others could connect.
  if (fchmod(made.get(), 0600) != 0) return failure::from_errno(tried);
  int failed = bind(made.get(), where->get(), where->size);
  if (failed != 0 && errno == EADDRINUSE) {
    struct stat there;
    if (lstat(where->name.sun_path, &there) == 0 && !S_ISSOCK(there.st_mode))
      return failure{error_kind::exists, tried, "there is something that is not a socket", "Choose another path",
                     EEXIST};
    auto replaced = replace_dead(path, *where, kind, made.get());
    if (!replaced) return replaced.reason();
    failed = 0;
  }
  if (failed != 0 || listen(made.get(), 128) != 0) return failure::from_errno(tried);
  return made;
}

result<fd> accept_from(int listener, const deadline& until) {
  for (;;) {
    // Never a blocking accept: the connection that poll reported may have gone again.
    auto ready = wait_readable(listener, until);
    if (!ready) return ready.reason();
    if (!*ready) return timed_out("accept a connection");
    const int flags = fcntl(listener, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0) fcntl(listener, F_SETFL, flags | O_NONBLOCK);
    const int made = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (made >= 0) return fd(made);
    if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED) return failure::from_errno("accept a connection");
  }
}

result<fd> connect_to(const std::string& path, const deadline& until, socket_kind kind) {
  const std::string tried = "connect to " + path;
  auto where = address_of(path);
  if (!where) return where.reason();
  fd made(socket(AF_UNIX, type_of(kind) | SOCK_NONBLOCK, 0));
  if (!made.valid()) return failure::from_errno(tried);
  while (connect(made.get(), where->get(), where->size) != 0) {
    if (errno == EINTR) continue;
    // A full queue cannot be waited for with poll: ask again after a while.
    if (errno != EAGAIN) return failure::from_errno(tried, errno, "Is the other process running, and listening there?");
    if (until.passed()) return timed_out(tried.c_str());
    poll(nullptr, 0, 5);
  }
  const int flags = fcntl(made.get(), F_GETFL);
  if (flags >= 0) fcntl(made.get(), F_SETFL, flags & ~O_NONBLOCK);
  return made;
}

result<socket_kind> kind_of_socket(int descriptor) {
  const std::string tried = "use descriptor " + std::to_string(descriptor) + " as a Unix socket";
  int domain = 0, type = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return failure::from_errno(tried);
  size = sizeof type;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return failure::from_errno(tried);
  sockaddr_un peer{};
  size = sizeof peer;
  if (domain != AF_UNIX || (type != SOCK_SEQPACKET && type != SOCK_STREAM))
    return failure{error_kind::invalid_argument, tried, "it is another kind of socket", ""};
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return failure::from_errno(tried);
  return type == SOCK_SEQPACKET ? socket_kind::packet : socket_kind::stream;
}

result<peer_identity> peer_of(int socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
    return failure::from_errno("ask who is at the other end of a socket");
  return peer_identity{who.uid, who.gid, who.pid};
}

result<bool> wait_readable(int descriptor, const deadline& until, bool* interrupted) {
  return wait_for(descriptor, POLLIN, until, interrupted);
}
result<bool> wait_writable(int descriptor, const deadline& until, bool* interrupted) {
  return wait_for(descriptor, POLLOUT, until, interrupted);
}

status send_message(int socket, std::span<const std::span<const std::byte>> pieces, std::span<const int> descriptors,
                    const deadline& until) {
  constexpr const char* tried = "send a message";
  if (descriptors.size() > descriptors_per_message)
    return failure{error_kind::invalid_argument, tried, "it has more descriptors than one message can carry", ""};
  std::vector<iovec> parts;
  parts.reserve(pieces.size());
  std::size_t total = 0;
  for (const auto piece : pieces) {
    parts.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
    total += piece.size();
  }
  alignas(cmsghdr) char control[CMSG_SPACE(descriptors_per_message * sizeof(int))];
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (!descriptors.empty()) {
    std::memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  for (std::size_t sent = 0;;) {
    const auto count = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
      if (sent >= total) return done();
      // A stream took a part; its descriptors went with the first byte.
      message.msg_control = nullptr;
      message.msg_controllen = 0;
      std::size_t skip = static_cast<std::size_t>(count);
      while (message.msg_iovlen > 0 && skip >= message.msg_iov->iov_len) {
        skip -= message.msg_iov->iov_len;
        ++message.msg_iov;
        --message.msg_iovlen;
      }
      if (message.msg_iovlen > 0) {
        message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + skip;
        message.msg_iov->iov_len -= skip;
      }
      continue;
    }
    switch (errno) {
      case EINTR: continue;
      case EAGAIN: {
        auto ready = wait_writable(socket, until);
        if (!ready) return ready.reason();
        if (!*ready) return timed_out(tried);
        continue;
      }
      case EMSGSIZE:
        return failure{error_kind::invalid_argument, tried,
                       std::to_string(total) + " bytes are more than the socket's buffer holds", "", EMSGSIZE};
      case ETOOMANYREFS:
        return failure{error_kind::busy, tried, "too many descriptors are under way that nobody has received",
                       "Receive some, or raise `ulimit -n`", ETOOMANYREFS};
      default: return failure::from_errno(tried);
    }
  }
}

result<received> receive_message(int socket, std::span<std::byte> buffer, const deadline& until,
                                 std::size_t most_descriptors) {
  constexpr const char* tried = "receive a message";
  if (most_descriptors > descriptors_per_message) most_descriptors = descriptors_per_message;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(descriptors_per_message * sizeof(int))];
  for (bool was_reset = false;;) {
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    // Descriptors for which there is room although nobody asked for them are closed below.
    message.msg_controllen =
        CMSG_SPACE(sizeof(ucred)) + (most_descriptors == 0 ? 0 : CMSG_SPACE(most_descriptors * sizeof(int)));
    const auto count = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0) {
      if (errno == EINTR) continue;
      // Said once, when the peer went without reading all we sent. What it sent us before is still to be read.
      if (errno == ECONNRESET && !was_reset) {
        was_reset = true;
        continue;
      }
      if (errno != EAGAIN) return failure::from_errno(tried);
      auto ready = wait_readable(socket, until);
      if (!ready) return ready.reason();
      if (!*ready) return timed_out(tried);
      continue;
    }
    received got;
    got.size = static_cast<std::size_t>(count);
    got.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    got.descriptors_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET) continue;
      if (header->cmsg_type == SCM_CREDENTIALS) {
        ucred who;
        std::memcpy(&who, CMSG_DATA(header), sizeof who);
        got.sender = who.uid;
      }
      if (header->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t number = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < number; ++i) {
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        got.descriptors.emplace_back(descriptor);
      }
    }
    if (got.descriptors.size() > most_descriptors) {
      got.descriptors.resize(most_descriptors);
      got.descriptors_lost = true;
    }
    got.end = count == 0 && !buffer.empty() && got.descriptors.empty() && !got.descriptors_lost;
    return got;
  }
}

std::size_t peek(int socket, std::span<std::byte> buffer) noexcept {
  const auto count = recv(socket, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

bool is_over(int socket) noexcept {
  char one;
  return recv(socket, &one, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void tell_senders(int socket) noexcept {
  const int on = 1;
  (void)setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

void shut_down(int socket) noexcept { shutdown(socket, SHUT_RDWR); }

void set_close_on_exec(int descriptor, bool on) noexcept {
  const int flags = fcntl(descriptor, F_GETFD);
  if (flags >= 0) fcntl(descriptor, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC);
}

result<std::size_t> send_buffer(int socket, std::size_t wanted) {
  int size = 0;
  socklen_t length = sizeof size;
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, &length) != 0)
      return failure::from_errno("ask for the size of a socket's buffer");
    if (attempt == 1 || static_cast<std::size_t>(size) >= wanted) break;
    // The kernel doubles the number, and silently keeps to net.core.wmem_max.
    const int ask = static_cast<int>(wanted / 2 + 1);
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &ask, sizeof ask);
  }
  return static_cast<std::size_t>(size);
}

}  // namespace onecopy::os
