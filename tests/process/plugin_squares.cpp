// A plugin for pager_plugin_test: squares, with what can go wrong in users' code.
#include <csignal>
#include <fstream>
#include <stdexcept>

#include "onecopy/lazy_plugin.hpp"

namespace {

class squares : public onecopy::lazy_runner {
 public:
  void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
    auto* items = reinterpret_cast<double*>(out.data());
    for (std::size_t i = 0; i < out.size() / sizeof(double); ++i) {
      const auto x = static_cast<double>(first + i);
      if (x == 100'000 && which.payload == "throws") throw std::runtime_error("no square of 100000");
      if (x == 100'000 && which.payload == "throws a number") throw 7;
      if (x == 100'000 && which.payload == "crashes") raise(SIGSEGV);
      items[i] = x * x;
    }
  }
  void save(const object& which, std::uint64_t first, std::span<const std::byte> changed) override {
    std::ofstream(which.payload, std::ios::app) << first << ' ' << changed.size() / sizeof(double) << '\n';
  }
};

}  // namespace

ONECOPY_LAZY_PLUGIN(squares)
