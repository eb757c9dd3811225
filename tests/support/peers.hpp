// Peers (process/peer.cpp) and what they leave behind.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "onecopy/onecopy.hpp"
#include "support/child.hpp"
#include "support/scratch.hpp"

namespace test {

inline child peer(const environment& changes = {}) { return child({ONECOPY_PEER}, changes); }

// The word after "ok", which is a handle for "share".
inline std::string word(const std::string& answer, int which = 1) {
  std::size_t begin = 0;
  for (; which > 0 && begin != std::string::npos; --which) begin = answer.find(' ', begin + (begin != 0)) + 1;
  return answer.substr(begin, answer.find(' ', begin) - begin);
}

inline bool is_ok(const std::string& answer) { return answer == "ok" || answer.rfind("ok ", 0) == 0; }
inline bool is_error(const std::string& answer, const std::string& kind) {
  return answer.rfind("error " + kind + " ", 0) == 0;
}

// What lies in a store besides its own identity.
inline std::set<std::string> contents(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().filename() != ".id") names.insert(entry.path().filename());
  return names;
}

}  // namespace test
