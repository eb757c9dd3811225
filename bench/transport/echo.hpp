// What the benchmarks of channels send, and the process that sends it back.
#pragma once

#include <string>
#include <vector>

#include "onecopy/onecopy.hpp"
#include "support/measure.hpp"

namespace bench {

using namespace onecopy;

inline value doubles(std::size_t bytes, backing where) {
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

inline std::string text_of(std::size_t bytes) {
  if (bytes >= 1u << 30) return std::to_string(bytes >> 30) + " GB";
  if (bytes >= 1u << 20) return std::to_string(bytes >> 20) + " MB";
  return std::to_string(bytes >> 10) + " KB";
}

// Microseconds for a message of this object there and back; an empty value: an empty message.
inline double trip(echo& other, const value& object, int trips) {
  return 1e6 / trips * time_of([&] {
    for (int i = 0; i < trips; ++i) {
      if (object) other.end().send(object);
      else other.end().send("");
      const message back = other.end().receive();
      if (object) keep(back.object().data());
    }
  });
}

}  // namespace bench
