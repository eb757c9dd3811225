// Finding out whether strings repeat, and numbering the different ones.
#pragma once

#include <cstdint>
#include <vector>

#include "onecopy/writer.hpp"

namespace onecopy::detail {

// What one pass over a vector of strings finds.
struct string_survey {
  std::uint64_t bytes = 0;                 // of all that are not missing
  bool any_missing = false;
  bool any_marked = false;
  std::vector<std::uint64_t> offsets;      // size() + 1, of the bytes one after the other
  std::vector<std::uint8_t> validity;      // bitmap; empty if none is missing
  std::vector<std::uint8_t> marks;         // of each element; empty if none is marked
  // Codes into the different strings, -1 for missing; empty if strings don't repeat enough for them to be smaller.
  std::vector<std::int32_t> codes;
  std::vector<std::uint64_t> representatives;  // for each code, an element with that string
  std::uint64_t dictionary_bytes = 0;
};

string_survey survey(const string_source& source);

}  // namespace onecopy::detail
