// The font service: answers requests of content processes until it is told to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "onecopy/onecopy.hpp"

class font_service {
 public:
  // `budget`: bytes of memory for downloaded fonts that nobody uses at the moment.
  font_service(std::string path, std::vector<std::string> fonts, std::uint64_t budget);

  // Accepts, answers and notices ends, for `seconds`. One thread.
  void run(double seconds);

  struct numbers {
    std::uint64_t connections = 0, answers = 0, ends = 0, evictions = 0, freed = 0;
  };
  const numbers& so_far() const { return numbers_; }
  onecopy::cache<std::string>& cache() { return cache_; }
  std::size_t clients() const { return clients_.size(); }

 private:
  void answer(int descriptor);
  onecopy::value load(const std::string& key);
  std::function<void(const onecopy::eviction&)> count_eviction();

  onecopy::listener door_;
  std::vector<std::string> fonts_;
  std::map<int, onecopy::channel> clients_;
  numbers numbers_;
  onecopy::cache<std::string> cache_;
};
