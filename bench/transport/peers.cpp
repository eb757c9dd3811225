// Our channels beside those of others: the crate ipc-channel, which Servo uses. bench/run builds its program, in
// ipc_channel/, and says where it is in ONECOPY_BENCH_IPC_CHANNEL, or why it isn't there in
// ONECOPY_BENCH_IPC_CHANNEL_MISSING.
#include <cstdio>
#include <cstring>

#include "transport/echo.hpp"

namespace {

using namespace onecopy;
using bench::echo;

// The program of the peer: asked by a line, it answers with a figure.
class peer {
 public:
  explicit peer(const char* program) {
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) std::abort();
    child_ = fork();
    if (child_ == 0) {
      dup2(down[0], 0), dup2(up[1], 1);
      for (const int each : {down[0], down[1], up[0], up[1]}) close(each);
      execl(program, program, nullptr);
      _exit(127);
    }
    close(down[0]), close(up[1]);
    in_ = down[1];
    out_ = fdopen(up[0], "r");
  }
  ~peer() {
    close(in_);
    std::fclose(out_);
    waitpid(child_, nullptr, 0);
  }
  double ask(const std::string& line) {
    const std::string text = line + "\n";
    char answer[64];
    if (write(in_, text.data(), text.size()) < 0 || std::fgets(answer, sizeof answer, out_) == nullptr) {
      std::fprintf(stderr, "the peer's program has ended\n");
      std::exit(1);
    }
    return std::strtod(answer, nullptr);
  }

 private:
  pid_t child_ = -1;
  int in_ = -1;
  std::FILE* out_ = nullptr;
};

void compare(echo& ours, peer& theirs) {
  const int trips = bench::sized(500, 5);
  const std::string how_often = std::to_string(trips);
  bench::write("transport",
               {"ipc-channel-empty", "an empty message there and back", "us", "ipc-channel, an empty message"},
               bench::interleaved(15, [&] { return bench::trip(ours, value(), trips); },
                                  [&] { return theirs.ask("empty " + how_often); }));
  const std::size_t largest = bench::sized<std::size_t>(1u << 28, 1u << 22);
  for (const std::size_t bytes : {std::size_t{1} << 10, std::size_t{1} << 20, largest}) {
    const value object = bench::doubles(bytes, backing::store);
    const std::string size = std::to_string(bytes);
    const std::string what = "an object of " + bench::text_of(bytes) + " there and back";
    bench::write("transport",
                 {"ipc-channel-shared-" + size, what + ", by handle", "us", "ipc-channel, IpcSharedMemory"},
                 bench::interleaved(9, [&] { return bench::trip(ours, object, trips); },
                                    [&] { return theirs.ask("shared " + size + " " + how_often); }));
  }
  const std::size_t bytes = bench::sized<std::size_t>(64u << 20, 1u << 20);
  const value object = bench::doubles(bytes, backing::memfd);
  const std::string size = std::to_string(bytes), what = "an object of " + bench::text_of(bytes) + " there and back";
  bench::write("transport", {"ipc-channel-descriptor", what + ", by descriptor, checked", "us",
                             "ipc-channel, IpcSharedMemory, unchecked"},
               bench::interleaved(9, [&] { return bench::trip(ours, object, trips); },
                                  [&] { return theirs.ask("shared " + size + " " + how_often); }));
  const std::string few = std::to_string(bench::sized(3, 1));
  bench::write("transport",
               {"ipc-channel-bytes", what + ", by descriptor", "us", "ipc-channel, the bytes as a Vec<u8>"},
               bench::interleaved(3, [&] { return bench::trip(ours, object, bench::sized(20, 2)); },
                                  [&] { return theirs.ask("bytes " + size + " " + few); }));
}

}  // namespace

int main() {
  const char* program = std::getenv("ONECOPY_BENCH_IPC_CHANNEL");
  if (program == nullptr) {
    const char* why = std::getenv("ONECOPY_BENCH_IPC_CHANNEL_MISSING");
    bench::not_run("transport", {"ipc-channel", "our channels beside the crate ipc-channel", "", ""},
                   why != nullptr ? why : "bench/run did not build its program");
    return 0;
  }
  echo ours;
  peer theirs(program);
  compare(ours, theirs);
}
