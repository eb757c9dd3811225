// The text that stands for a shared object in messages, files and command lines:
//
//     onecopy:1:<host>:<store>:<id>[/<node>]
//
// host: 16 hex digits of the machine's boot id. store: 16 hex digits, random, made with the store. id: 32 hex digits.
// node: the index of a node inside the region; absent for the whole object.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace onecopy {

// 128 random bits, never used again.
struct object_id {
  std::array<std::uint8_t, 16> bytes{};

  static object_id random();
  // Throws invalid_argument unless `hex` is 32 hexadecimal digits.
  static object_id parse(std::string_view hex);
  std::string text() const;
  auto operator<=>(const object_id&) const = default;
};

struct handle {
  std::string host;
  std::string store;
  object_id id;
  std::uint32_t node = 0;

  // Throws invalid_argument when `text` is not a handle; the message shows the form expected.
  static handle parse(std::string_view text);
  // True when `text` begins like a handle. Says nothing about whether it is a valid one.
  static bool looks_like(std::string_view text) noexcept;
  std::string text() const;
  bool operator==(const handle&) const = default;
};

}  // namespace onecopy
