// Objects over a channel, beside empty messages on the same socket, and beside the bare system calls.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstring>
#include <functional>

#include "onecopy/onecopy.hpp"
#include "support/measure.hpp"
#include "transport/echo.hpp"

namespace {

using namespace onecopy;
using bench::doubles;
using bench::echo;
using bench::text_of;

void round_trips(echo& other, std::size_t bytes, backing where) {
  const value object = doubles(bytes, where);
  const int trips = bench::sized(500, 5);
  const auto ours = [&] { return bench::trip(other, object, trips); };
  const auto empty = [&] { return bench::trip(other, value(), trips); };
  const std::string kind = where == backing::store ? "by handle" : "by descriptor";
  const std::string id = where == backing::store ? "round-trip-handle-" : "round-trip-descriptor-";
  bench::write("transport",
               {id + std::to_string(bytes), "an object of " + text_of(bytes) + " there and back, " + kind, "us",
                "an empty message there and back",
                where == backing::store ? bench::ratio_at_most(2) : bench::no_goal()},
               bench::interleaved(15, ours, empty));
}

int raw_receive(int socket) {
  char byte;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part, message.msg_iovlen = 1;
  message.msg_control = control, message.msg_controllen = sizeof control;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) std::abort();
  int descriptor;
  std::memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
  return descriptor;
}

void raw_send(int socket, int descriptor) {
  char byte = 0;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part, message.msg_iovlen = 1;
  message.msg_control = control, message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  if (sendmsg(socket, &message, 0) != 1) std::abort();
}

// One object by descriptor within one process: sending it, and receiving, checking and mapping it.
void hand_over() {
  const value object = doubles(1 << 20, backing::memfd);
  auto [a, b] = channel::pair();
  int raw[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, raw) != 0) std::abort();
  const int number = object.region().open_descriptor();
  const std::size_t size = object.region().bytes().size();
  const int times = bench::sized(300, 5);
  const double each = 1e6 / times;
  bench::samples sending;
  double sum = 0;
  const auto ours = [&, &a = a, &b = b] {
    double sent = 0, received = 0;
    for (int i = 0; i < times; ++i) {
      sent += bench::time_of([&] { a.send(object); });
      received += bench::time_of([&] { sum += b.receive().object().as<double>()[0]; });
    }
    sending.ours.push_back(sent * each);
    return received * each;
  };
  const auto baseline = [&] {
    double sent = 0, received = 0;
    for (int i = 0; i < times; ++i) {
      sent += bench::time_of([&] { raw_send(raw[0], number); });
      received += bench::time_of([&] {
        const int got = raw_receive(raw[1]);
        void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, got, 0);
        close(got);
        sum += static_cast<const double*>(address)[512];
        munmap(address, size);
      });
    }
    sending.baseline.push_back(sent * each);
    return received * each;
  };
  const auto received = bench::interleaved(15, ours, baseline);
  bench::keep(&sum);
  bench::write("transport", {"receive-descriptor", "receive 1 MB by descriptor, check, map, read, let go", "us",
                             "recvmsg, mmap, read, munmap; unchecked", bench::at_most(15)}, received);
  bench::write("transport", {"send-descriptor", "send an object of 1 MB by descriptor", "us", "sendmsg"}, sending);
  close(number), close(raw[0]), close(raw[1]);
}

// Objects made and sent in one second: many in a message.
void many() {
  auto [a, b] = channel::pair({.inline_limit = 0});
  const int count = bench::sized(250, 10);
  std::vector<value> objects;
  for (int i = 0; i < count; ++i) objects.push_back(doubles(4096, backing::memfd));
  // Small received memory keeps no descriptor; what is sent here was made here, and sent as its sealed twin.
  const auto ours = [&, &a = a, &b = b] {
    return count / bench::time_of([&] {
      a.send(objects);
      bench::keep(b.receive().objects().data());
    });
  };
  int raw[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, raw) != 0) std::abort();
  const int number = memfd_create("x", MFD_CLOEXEC);
  if (ftruncate(number, 8192) != 0) std::abort();
  const auto baseline = [&] {
    return count / bench::time_of([&] {
      for (int i = 0; i < count; ++i) {
        raw_send(raw[0], number);
        const int got = raw_receive(raw[1]);
        void* address = mmap(nullptr, 8192, PROT_READ, MAP_SHARED, got, 0);
        close(got);
        bench::keep(address);
        munmap(address, 8192);
      }
    });
  };
  bench::write("transport", {"descriptors", "objects of 4 KB by descriptor, many in a message: sent, received, mapped",
                             "1/s",
                             "sendmsg, recvmsg, mmap, munmap for each; unchecked"},
               bench::interleaved(15, ours, baseline));
  close(number), close(raw[0]), close(raw[1]);
}

int sealed_page() {
  static const std::vector<char> page(4096, 'x');
  const int number = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (write(number, page.data(), page.size()) != 4096) std::abort();
  if (fcntl(number, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) std::abort();
  return number;
}

// The same with the making of each: from an array of this program to a mapping at the other end.
void made_and_sent() {
  auto [a, b] = channel::pair({.inline_limit = 0});
  const int count = bench::sized(250, 10);
  const auto ours = [&, &a = a, &b = b] {
    return count / bench::time_of([&] {
      std::vector<value> objects;
      for (int i = 0; i < count; ++i) objects.push_back(doubles(4096, backing::memfd));
      a.send(objects);
      objects.clear();
      bench::keep(b.receive().objects().data());
    });
  };
  int raw[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, raw) != 0) std::abort();
  const auto baseline = [&] {
    return count / bench::time_of([&] {
      for (int i = 0; i < count; ++i) {
        const int number = sealed_page();
        raw_send(raw[0], number);
        close(number);
        const int got = raw_receive(raw[1]);
        void* address = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, got, 0);
        close(got);
        bench::keep(address);
        munmap(address, 4096);
      }
    });
  };
  bench::write("transport", {"descriptors-made", "objects of 4 KB made, sent by descriptor, received, mapped", "1/s",
                             "memfd_create, write, seal, sendmsg, recvmsg, mmap, munmap for each; unchecked"},
               bench::interleaved(15, ours, baseline));
  close(raw[0]), close(raw[1]);
}

// A process with RLIMIT_NOFILE 1,024 receives objects and holds all of them; answers with the seconds it took.
double held_by_child(const std::function<void(int)>& send_all, const std::function<void(int)>& receive_all) {
  int ends[2], answer[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 || pipe(answer) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const rlimit limit{1024, 1024};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(1);
    const double seconds = bench::time_of([&] { receive_all(ends[1]); });
    _exit(write(answer[1], &seconds, sizeof seconds) == sizeof seconds ? 0 : 1);
  }
  close(ends[1]);
  send_all(ends[0]);
  double seconds = 0;
  if (read(answer[0], &seconds, sizeof seconds) != sizeof seconds) std::abort();
  waitpid(child, nullptr, 0);
  close(answer[0]), close(answer[1]);
  return seconds;
}

void hold_many() {
  const int count = bench::sized(60'000, 300);
  const auto ours = [count] {
    return held_by_child(
        [count](int socket) {
          channel c(socket, {.inline_limit = 0});
          std::vector<value> some;
          for (int i = 0; i < count; ++i) {
            some.push_back(doubles(80, backing::memfd));
            if (some.size() < 250 && i + 1 < count) continue;
            c.send(some);
            some.clear();
          }
          (void)c.receive();  // until all is received
        },
        [count](int socket) {
          channel c(socket, {.inline_limit = 0});
          std::vector<value> held;
          double sum = 0;
          while (held.size() < static_cast<std::size_t>(count)) {
            const message m = c.receive();
            held.insert(held.end(), m.objects().begin(), m.objects().end());
          }
          for (const auto& each : held) sum += each.as<double>()[9];
          if (sum != 1.5 * count) _exit(2);
          c.send("");
        });
  };
  const auto baseline = [count] {
    return held_by_child(
        [count](int socket) {
          for (int i = 0; i < count; ++i) {
            const int number = sealed_page();
            raw_send(socket, number);
            close(number);
          }
          char end;
          if (read(socket, &end, 1) < 0) std::abort();
          close(socket);
        },
        [count](int socket) {
          std::vector<const char*> held;
          int sum = 0;
          for (int i = 0; i < count; ++i) {
            const int got = raw_receive(socket);
            held.push_back(static_cast<const char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, got, 0)));
            close(got);
          }
          for (const char* each : held) sum += *each;
          if (sum != 'x' * count) _exit(2);
        });
  };
  bench::write("transport",
               {"hold-many", std::to_string(count) + " objects made, received by descriptor, held and read by a "
                             "process with RLIMIT_NOFILE 1,024", "s",
                "memfd_create, write, seal, sendmsg, recvmsg, mmap, close for each; unchecked"},
               bench::interleaved(3, ours, baseline));
}

}  // namespace

int main() {
  {
    echo other;
    for (const std::size_t power : {10, 16, 20, 26}) round_trips(other, std::size_t{1} << power, backing::store);
    round_trips(other, bench::sized<std::size_t>(std::size_t{1} << 30, 1 << 22), backing::store);
    round_trips(other, std::size_t{1} << 20, backing::memfd);
  }
  hand_over();
  many();
  made_and_sent();
  hold_many();
}
