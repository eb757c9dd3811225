// Changes the state until its input is closed; prints how many steps it has done, now and then.
#include <poll.h>

#include <chrono>
#include <iostream>
#include <random>
#include <thread>

#include "onecopy/onecopy.hpp"

struct Foo {
  std::int32_t bar = 0;
  std::int32_t baz = 0;
};
ONECOPY_RECORD(Foo, bar, baz)

namespace {

using namespace std::chrono_literals;

void step(const onecopy::record<Foo>& state, bool dawdle) {
  auto held = state.locked({.seconds = 60});
  if (!held) throw onecopy::error(onecopy::error_kind::timeout, "lock the state", "somebody keeps it", "");
  if (held.owner_died()) {
    held->baz = -held->bar;
    held.repaired();
    std::cout << "repaired" << std::endl;
  }
  held->bar += 1;
  if (dawdle) std::this_thread::sleep_for(3ms);
  held->baz -= 1;
}

bool told_to_stop() {
  pollfd input{0, POLLIN, 0};
  return poll(&input, 1, 0) != 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: live_state FILE\n";
    return 2;
  }
  try {
    const auto state = onecopy::record<Foo>::open(argv[1]);
    std::mt19937 random(std::random_device{}());
    int steps = 0;
    while (!told_to_stop()) {
      step(state, random() % 5 == 0);
      if (++steps % 10 == 0) std::cout << "steps " << steps << std::endl;
      std::this_thread::sleep_for(1ms);
    }
    std::cout << "done " << steps << std::endl;
  } catch (const onecopy::error& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
