// Dates and times as ISO 8601 text.
#pragma once

#include <cstdint>

#include "onecopy/types.hpp"
#include "render/sink.hpp"

namespace onecopy::cli {

// A count of `unit`, whole or not, since 1970-01-01 (date, timestamp) or midnight (timeofday).
struct moment {
  bool whole;
  std::int64_t count;  // when whole
  double amount;       // otherwise
};

// Appends "2013-01-01", "2013-01-01T10:00:00Z" or "10:00:00.5". Returns false, having appended nothing, for what has no
// such form: time spans, years beyond 32767. Time zones are not applied: Z is what it says.
bool append_time(buffer& out, semantic meaning, time_unit unit, moment when);

}  // namespace onecopy::cli
