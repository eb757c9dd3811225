// Locks, counters and queues between processes, beside pthread's robust mutex, a bare atomic and a pipe.
#include <pthread.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>

#include "onecopy/onecopy.hpp"
#include "onecopy/sync.hpp"
#include "support/measure.hpp"

namespace {

constexpr std::size_t message_bytes = 64;
using message = std::array<std::byte, message_bytes>;

// A mutable object of `bytes` bytes and this process's part in it. Forked children inherit both.
struct shared_memory {
  explicit shared_memory(std::size_t bytes) : object(onecopy::make_writable<std::uint64_t>(bytes / 8 + 8)) {
    const int descriptor = object.node().region().open_descriptor();
    who = onecopy::take_part(descriptor);
    close(descriptor);
    const auto at = reinterpret_cast<std::uintptr_t>(object.shared_writable().data());
    start = reinterpret_cast<std::byte*>((at + 63) / 64 * 64);
  }
  onecopy::array<std::uint64_t> object;
  std::shared_ptr<onecopy::participant> who;
  std::byte* start;
};

void* plain_shared(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return memory;
}

pthread_mutex_t* robust_mutex() {
  auto* mutex = static_cast<pthread_mutex_t*>(plain_shared(sizeof(pthread_mutex_t)));
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(mutex, &attributes);
  return mutex;
}

// Runs `work` in this process and in a forked one at once; seconds until both are done.
template <class Work>
double in_two_processes(Work work) {
  auto* go = new (plain_shared(64)) std::atomic<int>(0);
  const pid_t child = fork();
  if (child < 0) std::abort();
  go->fetch_add(1);
  while (go->load() < 2) {
  }
  const double seconds = bench::time_of([&] {
    work();
    if (child == 0) _exit(0);
    waitpid(child, nullptr, 0);
  });
  munmap(go, 64);
  return seconds;
}

void lock_alone() {
  const int times = bench::sized(500'000, 100);
  const shared_memory memory(64);
  onecopy::mutex ours(*new (memory.start) onecopy::mutex_state, memory.who);
  auto* theirs = robust_mutex();
  const double each = 1e9 / times;
  const auto taken = bench::interleaved(
      15,
      [&] {
        return each * bench::time_of([&] {
                 for (int i = 0; i < times; ++i) {
                   if (ours.acquire() != onecopy::wait_result::done) std::abort();
                   ours.release();
                 }
               });
      },
      [&] {
        return each * bench::time_of([&] {
                 for (int i = 0; i < times; ++i) {
                   if (pthread_mutex_lock(theirs) != 0) std::abort();
                   pthread_mutex_unlock(theirs);
                 }
               });
      });
  bench::write("cpp", {"lock", "lock and unlock, nobody else wants it", "ns", "pthread robust mutex",
                       bench::at_most(100)}, taken);
}

void lock_contended() {
  const int times = bench::sized(200'000, 100);
  const shared_memory memory(128);
  onecopy::mutex ours(*new (memory.start) onecopy::mutex_state, memory.who);
  auto* mine = reinterpret_cast<volatile std::uint64_t*>(memory.start + 64);
  auto* theirs = robust_mutex();
  auto* plain = static_cast<volatile std::uint64_t*>(plain_shared(64));
  const double each = 1e9 / (2.0 * times);
  const auto taken = bench::interleaved(
      7,
      [&] {
        *mine = 0;
        const double seconds = in_two_processes([&] {
          for (int i = 0; i < times; ++i) {
            auto held = ours.hold();
            *mine = *mine + 1;
          }
        });
        if (*mine != 2u * static_cast<unsigned>(times)) std::abort();
        return seconds * each;
      },
      [&] {
        *plain = 0;
        const double seconds = in_two_processes([&] {
          for (int i = 0; i < times; ++i) {
            pthread_mutex_lock(theirs);
            *plain = *plain + 1;
            pthread_mutex_unlock(theirs);
          }
        });
        if (*plain != 2u * static_cast<unsigned>(times)) std::abort();
        return seconds * each;
      });
  bench::write("cpp", {"lock-contended", "lock, increment, unlock by 2 processes at once, each", "ns",
                       "pthread robust mutex"}, taken);
}

void counter() {
  const int times = bench::sized(2'000'000, 100);
  const shared_memory memory(64);
  onecopy::counter ours(*new (memory.start) onecopy::counter_state, memory.who);
  auto* theirs = new (plain_shared(64)) std::atomic<std::int64_t>(0);
  const double each = 2.0 * times;
  const auto taken = bench::interleaved(
      7,
      [&] {
        ours.store(0);
        const double seconds = in_two_processes([&] {
          for (int i = 0; i < times; ++i) ours.fetch_add(1);
        });
        if (ours.load() != 2 * static_cast<std::int64_t>(times)) std::abort();
        return each / seconds;
      },
      [&] {
        const double seconds = in_two_processes([&] {
          for (int i = 0; i < times; ++i) theirs->fetch_add(1);
        });
        return each / seconds;
      });
  bench::write("cpp", {"counter", "counter increments by 2 processes at once", "1/s", "std::atomic in shared memory"},
               taken);
}

onecopy::queue make_queue(const shared_memory& memory, std::size_t at, const onecopy::queue_shape& shape) {
  auto* state = new (memory.start + at) onecopy::queue_state(onecopy::queue::of_shape(shape));
  return {*state, onecopy::queue::bytes_for(shape), memory.who};
}

void send_all(int fd, const message& what) {
  if (write(fd, what.data(), what.size()) != static_cast<ssize_t>(what.size())) _exit(1);
}
void receive_all(int fd, message& what) {
  for (std::size_t got = 0; got < what.size();) {
    const ssize_t more = read(fd, what.data() + got, what.size() - got);
    if (more <= 0) std::abort();
    got += static_cast<std::size_t>(more);
  }
}

// Runs `child` in a forked process while `parent` runs here; seconds until both are done.
template <class Child, class Parent>
double beside(Child child, Parent parent) {
  return bench::time_of([&] {
    const pid_t other = fork();
    if (other < 0) std::abort();
    if (other == 0) {
      child();
      _exit(0);
    }
    parent();
    waitpid(other, nullptr, 0);
  });
}

void queue_stream(bool single) {
  const int times = bench::sized(200'000, 50);
  const onecopy::queue_shape shape{.slots = 1024, .message_bytes = message_bytes, .single = single};
  const message text{};
  const auto ours = [&] {
    const shared_memory memory(onecopy::queue::bytes_for(shape) + 64);
    auto q = make_queue(memory, 0, shape);
    std::vector<std::byte> received;
    return times / beside([&] { for (int i = 0; i < times; ++i) static_cast<void>(q.put(text)); },
                          [&] { for (int i = 0; i < times; ++i) static_cast<void>(q.get(received)); });
  };
  const auto baseline = [&] {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    message received;
    const double seconds = beside([&] { for (int i = 0; i < times; ++i) send_all(ends[1], text); },
                                  [&] { for (int i = 0; i < times; ++i) receive_all(ends[0], received); });
    close(ends[0]);
    close(ends[1]);
    return times / seconds;
  };
  bench::write("cpp", {single ? "queue-single" : "queue",
                       std::string("messages of 64 bytes through a queue, ") + (single ? "one producer" : "many producers"),
                       "1/s", "a pipe"}, bench::interleaved(7, ours, baseline));
}

void queue_round_trip() {
  const int times = bench::sized(20'000, 50);
  const onecopy::queue_shape shape{.slots = 16, .message_bytes = message_bytes};
  const std::size_t bytes = (onecopy::queue::bytes_for(shape) + 63) / 64 * 64;
  const message text{};
  const double each = 1e6 / times;
  const auto ours = [&] {
    const shared_memory memory(2 * bytes + 64);
    auto there = make_queue(memory, 0, shape), back = make_queue(memory, bytes, shape);
    std::vector<std::byte> received;
    return each * beside(
        [&] {
          for (int i = 0; i < times; ++i) {
            static_cast<void>(there.get(received));
            static_cast<void>(back.put(received));
          }
        },
        [&] {
          for (int i = 0; i < times; ++i) {
            static_cast<void>(there.put(text));
            static_cast<void>(back.get(received));
          }
        });
  };
  const auto baseline = [&] {
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0) std::abort();
    message received;
    const double seconds = beside(
        [&] {
          for (int i = 0; i < times; ++i) {
            receive_all(there[0], received);
            send_all(back[1], received);
          }
        },
        [&] {
          for (int i = 0; i < times; ++i) {
            send_all(there[1], text);
            receive_all(back[0], received);
          }
        });
    for (const int end : {there[0], there[1], back[0], back[1]}) close(end);
    return each * seconds;
  };
  bench::write("cpp", {"queue-round-trip", "a message of 64 bytes there and back through two queues", "us", "two pipes"},
               bench::interleaved(7, ours, baseline));
}

}  // namespace

int main() {
  lock_alone();
  lock_contended();
  counter();
  queue_stream(true);
  queue_stream(false);
  queue_round_trip();
}
