// Unix sockets of the os layer: what every channel and the pager stand on.
#include "os/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "support/descriptors.hpp"

namespace {

using namespace onecopy;
using namespace onecopy::os;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

status send_text(int socket, std::string_view text, std::span<const int> descriptors = {},
                 const deadline& until = deadline::in(5)) {
  const std::span<const std::byte> piece = bytes_of(text);
  return send_message(socket, std::span(&piece, 1), descriptors, until);
}

struct incoming {
  std::string text;
  received details;
};
incoming receive_text(int socket, std::size_t room = 4096, std::size_t descriptors = descriptors_per_message) {
  std::string text(room, '\0');
  auto got = receive_message(socket, std::as_writable_bytes(std::span(text)), deadline::in(5), descriptors);
  EXPECT_TRUE(got.ok()) << got.reason().happened;
  if (!got) return {};
  text.resize(got->size);
  return {text, std::move(*got)};
}

struct temporary_directory {
  temporary_directory() {
    char name[] = "/tmp/onecopy-socket-XXXXXX";
    path = mkdtemp(name);
  }
  ~temporary_directory() { (void)!std::system(("rm -rf " + path).c_str()); }
  std::string path;
};

TEST(Socket, PacketsKeepTheirBoundaries) {
  auto pair = unwrap(socket_pair());
  ASSERT_TRUE(send_text(pair.first.get(), "one").ok());
  const std::array<std::span<const std::byte>, 3> pieces = {bytes_of("t"), bytes_of(""), bytes_of("wo")};
  ASSERT_TRUE(send_message(pair.first.get(), pieces, {}, deadline::in(5)).ok());
  EXPECT_EQ(receive_text(pair.second.get()).text, "one");
  EXPECT_EQ(receive_text(pair.second.get()).text, "two");
}

TEST(Socket, APacketLargerThanTheBufferIsReportedAsTruncated) {
  auto pair = unwrap(socket_pair());
  ASSERT_TRUE(send_text(pair.first.get(), "long message").ok());
  const auto got = receive_text(pair.second.get(), 4);
  EXPECT_EQ(got.text, "long");
  EXPECT_TRUE(got.details.truncated);
}

TEST(Socket, DescriptorsArriveOpenUsableAndClosedOnExec) {
  auto pair = unwrap(socket_pair());
  std::vector<int> sent(descriptors_per_message, STDIN_FILENO);
  ASSERT_TRUE(send_text(pair.first.get(), "x", sent).ok());
  const auto got = receive_text(pair.second.get());
  ASSERT_EQ(got.details.descriptors.size(), descriptors_per_message);
  for (const auto& one : got.details.descriptors) EXPECT_EQ(fcntl(one.get(), F_GETFD), FD_CLOEXEC);
}

TEST(Socket, MoreDescriptorsThanTheKernelTakesAreRefusedBeforeSending) {
  auto pair = unwrap(socket_pair());
  std::vector<int> sent(descriptors_per_message + 1, STDIN_FILENO);
  auto outcome = send_text(pair.first.get(), "x", sent);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.reason().kind, error_kind::invalid_argument);
}

TEST(Socket, UnexpectedDescriptorsAreClosedAndReported) {
  auto pair = unwrap(socket_pair());
  const int before = test::open_descriptors();
  const std::array<int, 4> sent = {0, 0, 0, 0};
  for (const std::size_t expected : {0u, 1u, 2u, 3u}) {
    ASSERT_TRUE(send_text(pair.first.get(), "x", sent).ok());
    const auto got = receive_text(pair.second.get(), 16, expected);
    EXPECT_TRUE(got.details.descriptors_lost);
    EXPECT_EQ(got.details.descriptors.size(), expected);
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Socket, OutOfDescriptorsLosesThemButNotTheMessage) {
  auto pair = unwrap(socket_pair());
  const std::array<int, 3> sent = {0, 0, 0};
  ASSERT_TRUE(send_text(pair.first.get(), "still here", sent).ok());
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit tight = old;
  fd highest(dup(0));
  tight.rlim_cur = static_cast<rlim_t>(highest.get()) + 1;
  setrlimit(RLIMIT_NOFILE, &tight);
  const auto got = receive_text(pair.second.get());
  setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_EQ(got.text, "still here");
  EXPECT_TRUE(got.details.descriptors_lost);
}

TEST(Socket, ClosedPeerIsAnEndForTheReaderAndAnErrorWithoutSignalForTheWriter) {
  auto pair = unwrap(socket_pair());
  ASSERT_TRUE(send_text(pair.first.get(), "last words").ok());
  pair.first.reset();
  EXPECT_EQ(receive_text(pair.second.get()).text, "last words");
  EXPECT_TRUE(receive_text(pair.second.get()).details.end);
  auto outcome = send_text(pair.second.get(), "anyone?");
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.reason().kind, error_kind::peer_closed);
}

TEST(Socket, WhatAPeerSentBeforeItWentIsStillReadAlthoughItReadNothing) {
  auto pair = unwrap(socket_pair());
  ASSERT_TRUE(send_text(pair.second.get(), "never read").ok());
  ASSERT_TRUE(send_text(pair.first.get(), "the will").ok());
  pair.first.reset();
  EXPECT_EQ(receive_text(pair.second.get()).text, "the will");
  EXPECT_TRUE(receive_text(pair.second.get()).details.end);
}

TEST(Socket, PeekLeavesThePacketInPlace) {
  auto pair = unwrap(socket_pair());
  std::array<std::byte, 3> room;
  EXPECT_EQ(peek(pair.second.get(), room), 0u);
  ASSERT_TRUE(send_text(pair.first.get(), "abcdef").ok());
  EXPECT_EQ(peek(pair.second.get(), room), 3u);
  EXPECT_EQ(receive_text(pair.second.get()).text, "abcdef");
}

TEST(Socket, ReceiveAndSendKeepToTheirDeadlines) {
  auto pair = unwrap(socket_pair());
  std::array<std::byte, 16> room;
  for (const double seconds : {0.0, 0.05}) {
    auto got = receive_message(pair.second.get(), room, deadline::in(seconds));
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.reason().kind, error_kind::timeout);
  }
  // Nobody reads: the buffer fills up, then send waits no longer than told.
  const std::string block(4096, 'b');
  status outcome = done();
  while (outcome.ok()) outcome = send_text(pair.first.get(), block, {}, deadline::in(0.05));
  EXPECT_EQ(outcome.reason().kind, error_kind::timeout);
}

TEST(Socket, APacketLargerThanTheSocketIsAnError) {
  auto pair = unwrap(socket_pair());
  const std::string block(64u << 20, 'b');
  auto outcome = send_text(pair.first.get(), block);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.reason().kind, error_kind::invalid_argument);
}

TEST(Socket, AStreamCarriesMoreThanItsBuffer) {
  auto pair = unwrap(socket_pair(socket_kind::stream));
  const std::string block(4u << 20, 's');
  std::thread sender([&] { EXPECT_TRUE(send_text(pair.first.get(), block).ok()); });
  std::string all;
  while (all.size() < block.size()) all += receive_text(pair.second.get(), 1 << 16).text;
  sender.join();
  EXPECT_EQ(all, block);
}

void ignore(int) {}

TEST(Socket, SignalsDoNotDisturbAWaitUnlessAsked) {
  struct sigaction action {};
  action.sa_handler = ignore;  // without SA_RESTART
  sigaction(SIGUSR1, &action, nullptr);
  auto pair = unwrap(socket_pair());
  const pthread_t self = pthread_self();
  std::thread disturber([&] {
    for (int i = 0; i < 20; ++i) {
      usleep(2000);
      pthread_kill(self, SIGUSR1);
    }
    EXPECT_TRUE(send_text(pair.first.get(), "done").ok());
  });
  EXPECT_EQ(receive_text(pair.second.get()).text, "done");
  disturber.join();

  std::thread one_signal([&] {
    usleep(20000);
    pthread_kill(self, SIGUSR1);
  });
  bool interrupted = false;
  EXPECT_TRUE(unwrap(wait_readable(pair.second.get(), deadline::in(5), &interrupted)));
  EXPECT_TRUE(interrupted);
  one_signal.join();
}

TEST(Socket, ListenConnectAcceptAndWhoIsThere) {
  temporary_directory directory;
  const std::string path = directory.path + "/s";
  auto listener = unwrap(listen_at(path));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto client = unwrap(connect_to(path, deadline::in(5)));
  auto server = unwrap(accept_from(listener.get(), deadline::in(5)));
  EXPECT_EQ(fcntl(server.get(), F_GETFD), FD_CLOEXEC);
  ASSERT_TRUE(send_text(client.get(), "hello").ok());
  EXPECT_EQ(receive_text(server.get()).text, "hello");
  const auto who = unwrap(peer_of(server.get()));
  EXPECT_EQ(who.uid, geteuid());
  EXPECT_EQ(who.pid, getpid());
  EXPECT_EQ(unwrap(kind_of_socket(client.get())), socket_kind::packet);
}

TEST(Socket, LongPathsWork) {
  temporary_directory directory;
  std::string path = directory.path;
  for (int i = 0; i < 5; ++i) {
    path += "/" + std::string(50, static_cast<char>('a' + i));
    ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  }
  path += "/s";
  auto listener = unwrap(listen_at(path));
  auto client = unwrap(connect_to(path, deadline::in(5)));
  EXPECT_TRUE(accept_from(listener.get(), deadline::in(5)).ok());
  EXPECT_FALSE(listen_at(directory.path + "/" + std::string(200, 'x')).ok());
}

TEST(Socket, ALivingListenersPathIsTakenADeadOnesIsNot) {
  temporary_directory directory;
  const std::string path = directory.path + "/s";
  {
    auto listener = unwrap(listen_at(path));
    auto second = listen_at(path);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.reason().kind, error_kind::exists);
  }
  auto nobody = connect_to(path, deadline::in(1));
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.reason().kind, error_kind::peer_closed);
  EXPECT_TRUE(listen_at(path).ok());
  auto missing = connect_to(directory.path + "/none", deadline::in(1));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.reason().kind, error_kind::not_found);
}

TEST(Socket, AFileIsNeverReplacedByASocket) {
  temporary_directory directory;
  const std::string path = directory.path + "/precious";
  fd file(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  ASSERT_EQ(write(file.get(), "data", 4), 4);
  auto outcome = listen_at(path);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.reason().kind, error_kind::exists);
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 4);
}

TEST(Socket, WhatIsNoConnectedUnixSocketIsRecognised) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  fd read_end(ends[0]), write_end(ends[1]);
  EXPECT_FALSE(kind_of_socket(read_end.get()).ok());
  EXPECT_FALSE(kind_of_socket(-1).ok());
  fd internet(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_FALSE(kind_of_socket(internet.get()).ok());
  fd alone(socket(AF_UNIX, SOCK_SEQPACKET, 0));
  EXPECT_FALSE(kind_of_socket(alone.get()).ok());
  EXPECT_FALSE(peer_of(read_end.get()).ok());
  EXPECT_FALSE(wait_readable(987654, deadline::in(0)).ok());
  EXPECT_FALSE(listen_at("").ok());
}

}  // namespace
