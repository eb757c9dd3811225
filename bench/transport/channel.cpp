// Objects over a channel, beside empty messages on the same socket, and beside the bare system calls.
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstring>

#include "onecopy/onecopy.hpp"
#include "support/measure.hpp"

namespace {

using namespace onecopy;

value doubles(std::size_t bytes, backing where) {
  const std::vector<double> data(bytes / sizeof(double), 1.5);
  return share(std::span<const double>(data), {.where = where}).node();
}

// A process at the other end that sends back what it gets, after reading one element.
class echo {
 public:
  echo() {
    auto [here, there] = channel::pair();
    const int descriptor = there.release();
    child_ = fork();
    if (child_ == 0) {
      here.close();
      run(descriptor);
      _exit(0);
    }
    close(descriptor);
    here_ = std::move(here);
    // The greetings are exchanged, so that the first object goes the way all others do.
    here_.send("");
    (void)here_.receive();
  }
  ~echo() {
    here_.close();
    waitpid(child_, nullptr, 0);
  }
  channel& end() { return here_; }

 private:
  static void run(int descriptor) {
    try {
      channel parent(descriptor);
      double sum = 0;
      for (;;) {
        const message m = parent.receive();
        if (m.size() > 0) {
          sum += m.object().as<double>()[m.object().size() - 1];
          parent.send(m.object());
        } else {
          parent.send("");
        }
        bench::keep(&sum);
      }
    } catch (const error&) {  // the parent has closed
    }
  }
  channel here_;
  pid_t child_ = -1;
};

std::string text_of(std::size_t bytes) {
  if (bytes >= 1u << 30) return std::to_string(bytes >> 30) + " GB";
  if (bytes >= 1u << 20) return std::to_string(bytes >> 20) + " MB";
  return std::to_string(bytes >> 10) + " KB";
}

void round_trips(echo& other, std::size_t bytes, backing where) {
  const value object = doubles(bytes, where);
  const int trips = bench::sized(500, 5);
  const double each = 1e6 / trips;
  const auto ours = [&] {
    return each * bench::time_of([&] {
      for (int i = 0; i < trips; ++i) {
        other.end().send(object);
        bench::keep(other.end().receive().object().data());
      }
    });
  };
  const auto empty = [&] {
    return each * bench::time_of([&] {
      for (int i = 0; i < trips; ++i) {
        other.end().send("");
        (void)other.end().receive();
      }
    });
  };
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
}
