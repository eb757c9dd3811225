#include "render/time.hpp"

#include <array>
#include <chrono>
#include <cmath>

namespace onecopy::cli {

namespace {

constexpr std::int64_t seconds_per_day = 86400;

// Seconds and a fraction of a second in `digits` decimal places.
struct instant {
  std::int64_t seconds;
  std::uint64_t fraction;
  int digits;
};

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

// Units of at least a second: how many seconds; else 0.
std::int64_t seconds_in(time_unit unit) {
  switch (unit) {
    case time_unit::week: return 7 * seconds_per_day;
    case time_unit::day: return seconds_per_day;
    case time_unit::hour: return 3600;
    case time_unit::minute: return 60;
    case time_unit::second: return 1;
    default: return 0;
  }
}

// Units of a second or less: decimal places.
int places(time_unit unit) {
  switch (unit) {
    case time_unit::millisecond: return 3;
    case time_unit::microsecond: return 6;
    case time_unit::nanosecond: return 9;
    case time_unit::picosecond: return 12;
    case time_unit::femtosecond: return 15;
    case time_unit::attosecond: return 18;
    default: return 0;
  }
}

std::int64_t power_of_ten(int n) {
  std::int64_t power = 1;
  while (n-- > 0) power *= 10;
  return power;
}

bool to_instant(time_unit unit, moment when, instant& out) {
  constexpr double most = 1e12;  // seconds: about year 33,000, beyond what the calendar below knows
  if (when.whole) {
    if (const auto scale = seconds_in(unit); scale > 0) {
      if (std::fabs(static_cast<double>(when.count)) * static_cast<double>(scale) > most) return false;
      out = {when.count * scale, 0, 0};
      return true;
    }
    const int digits = places(unit);
    if (digits == 0) return false;
    const auto per_second = power_of_ten(digits);
    out.seconds = floor_divide(when.count, per_second);
    out.fraction = static_cast<std::uint64_t>(when.count - out.seconds * per_second);
    out.digits = digits;
    return std::fabs(static_cast<double>(out.seconds)) <= most;
  }
  const auto scale = seconds_in(unit);
  const double seconds = scale > 0 ? when.amount * static_cast<double>(scale)
                                   : when.amount / static_cast<double>(power_of_ten(places(unit)));
  if (!(std::fabs(seconds) <= most)) return false;
  // A double of today's seconds resolves about a quarter of a microsecond.
  const double whole = std::floor(seconds);
  const auto micro = static_cast<std::uint64_t>(std::llround((seconds - whole) * 1e6));
  out = {static_cast<std::int64_t>(whole) + (micro == 1000000 ? 1 : 0), micro % 1000000, 6};
  return true;
}

void append_fraction(buffer& out, std::uint64_t fraction, int digits) {
  if (fraction == 0) return;
  std::string text = fmt::format("{:0{}}", fraction, digits);
  while (text.back() == '0') text.pop_back();
  add(out, '.');
  add(out, text);
}

bool append_date(buffer& out, std::int64_t days) {
  if (days < -12'000'000 || days > 11'000'000) return false;  // the years that year_month_day can hold
  const std::chrono::sys_days day{std::chrono::days{days}};
  const std::chrono::year_month_day date{day};
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return true;
}

void append_clock(buffer& out, std::int64_t second_of_day, const instant& at) {
  fmt::format_to(std::back_inserter(out), "{:02}:{:02}:{:02}", second_of_day / 3600, second_of_day / 60 % 60,
                 second_of_day % 60);
  append_fraction(out, at.fraction, at.digits);
}

// NumPy counts calendar years and months: 1970-01 is month 0.
bool append_months(buffer& out, std::int64_t months) {
  const auto year = 1970 + floor_divide(months, 12);
  if (year < -32767 || year > 32767) return false;
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-01", year, months - floor_divide(months, 12) * 12 + 1);
  return true;
}

}  // namespace

bool append_time(buffer& out, semantic meaning, time_unit unit, moment when) {
  if (meaning != semantic::date && meaning != semantic::timestamp && meaning != semantic::timeofday) return false;
  if (unit == time_unit::year || unit == time_unit::month) {
    if (!when.whole || meaning == semantic::timeofday || std::abs(when.count) > 1'000'000) return false;
    return append_months(out, unit == time_unit::year ? when.count * 12 : when.count);
  }
  instant at{};
  if (!to_instant(unit, when, at)) return false;
  if (meaning == semantic::timeofday) {
    if (at.seconds < 0 || at.seconds > seconds_per_day) return false;
    append_clock(out, at.seconds, at);
    return true;
  }
  const auto days = floor_divide(at.seconds, seconds_per_day);
  if (!append_date(out, days)) return false;
  if (meaning == semantic::date) return true;
  add(out, 'T');
  append_clock(out, at.seconds - days * seconds_per_day, at);
  add(out, 'Z');
  return true;
}

}  // namespace onecopy::cli
