// Prints what C++ sees under each name given as an argument, one line of JSON each. What look.R does in R.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>
#include <onecopy/onecopy.hpp>

namespace {

using namespace onecopy;
using nlohmann::json;

json number(double x) {
  if (std::isnan(x)) return nullptr;
  if (std::isinf(x)) return x > 0 ? "Inf" : "-Inf";
  return x;
}

double as_double(const value& node, std::uint64_t i) {
  switch (node.type()) {
    case dtype::bool8: return node.as<bool>()[i];
    case dtype::int8: return node.as<std::int8_t>()[i];
    case dtype::uint8: return node.as<std::uint8_t>()[i];
    case dtype::int32: case dtype::logical32: return node.as<std::int32_t>()[i];
    case dtype::int64: return static_cast<double>(node.as<std::int64_t>()[i]);
    case dtype::float64: return node.as<double>()[i];
    default: throw error(error_kind::wrong_type, "read an element", name_of(node.type()), "teach look.cpp that type");
  }
}

double seconds_in(time_unit unit) {
  switch (unit) {
    case time_unit::second: return 1;
    case time_unit::millisecond: return 1e-3;
    case time_unit::microsecond: return 1e-6;
    case time_unit::nanosecond: return 1e-9;
    case time_unit::day: return 86400;
    default: throw error(error_kind::wrong_type, "read a time", "its unit is none of these", "teach look.cpp that unit");
  }
}

// Where element i of R's order (first index fastest) stands in the array.
std::uint64_t place(const value& node, std::uint64_t i) {
  const auto shape = node.shape();
  if (shape.size() != 2 || node.order() == memory_order::column_major) return i;
  return i % shape[0] * shape[1] + i / shape[0];
}

std::string day(double count) {
  const auto date = std::chrono::year_month_day(std::chrono::sys_days(std::chrono::days(static_cast<int>(count))));
  char text[16];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()));
  return text;
}

json element(const value& node, std::uint64_t i) {
  if (node.is_missing(i)) return nullptr;
  const double x = as_double(node, i);
  if (std::isnan(x)) return nullptr;
  if (node.semantic() == semantic::date) return day(x);
  if (node.semantic() == semantic::timestamp) return x * seconds_in(node.unit());
  if (node.type() == dtype::logical32 || node.type() == dtype::bool8) return x != 0;
  return number(x);
}

json plain(const value& node) {
  json out = json::array();
  switch (node.kind()) {
    case node_kind::null: return nullptr;
    case node_kind::array:
      for (std::uint64_t i = 0; i < node.size(); ++i) out.push_back(element(node, place(node, i)));
      return out;
    case node_kind::string: case node_kind::coded_string:
      for (std::uint64_t i = 0; i < node.size(); ++i)
        out.push_back(node.is_missing(i) ? json(nullptr) : json(std::string(node.string(i))));
      return out;
    case node_kind::categorical: {
      const value levels = node.dictionary();
      for (std::uint64_t i = 0; i < node.size(); ++i)
        out.push_back(node.is_missing(i) ? json(nullptr)
                                         : json(std::string(levels.string(static_cast<std::uint64_t>(
                                               as_double(node, i) - node.code_base())))));
      return out;
    }
    case node_kind::list: case node_kind::table: {
      const auto names = node.attribute("names");
      if (names) out = json::object();
      for (std::uint64_t i = 0; i < node.size(); ++i)
        if (names) out[std::string(names->string(i))] = plain(node[i]);
        else out.push_back(plain(node[i]));
      return out;
    }
    case node_kind::opaque: return std::string(node.tag());
  }
  return "a kind unknown here";
}

}  // namespace

int main(int count, char** words) {
  for (int i = 1; i < count; ++i) std::cout << plain(attach_name(words[i])) << "\n";
}
