// Numbers and tables as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace onecopy::cli {

// "512 B", "38.0 MiB"
std::string human_bytes(std::uint64_t bytes);
// "12 s", "5 min", "3 h", "2 d"
std::string human_seconds(double seconds);
// "2013-01-01T10:00:00Z"
std::string utc(std::uint64_t seconds_since_1970);
// "336,776"
std::string grouped(std::uint64_t number);

// What is wrong with the argument of an option that takes a count, or "".
std::string not_a_count(const std::string& text);

// Columns separated by two spaces, the first row being the header; columns listed in `right` are set flush right.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<std::size_t>& right = {});

// Width of UTF-8 text in terminal cells, taking every code point as one.
std::size_t width(const std::string& text);

}  // namespace onecopy::cli
