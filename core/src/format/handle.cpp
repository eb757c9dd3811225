// Handles and ids as text.
#include "onecopy/handle.hpp"

#include <algorithm>
#include <charconv>

#include "base/hex.hpp"
#include "base/result.hpp"

namespace onecopy {
namespace {

constexpr std::string_view prefix = "onecopy:";

[[noreturn]] void not_a_handle(std::string_view text, const char* why) {
  std::string shown(text.substr(0, 100));
  std::replace_if(shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  raise({error_kind::invalid_argument, "read the handle \"" + shown + "\"", why,
         "A handle looks like onecopy:1:<host>:<store>:<id>, as given by handle() or `onecopy ls`; a name is given as "
         "such, not as a handle"});
}

bool is_identity(std::string_view text) {
  return text.size() == 16 && std::all_of(text.begin(), text.end(), [](char c) { return hex_digit(c) >= 0; });
}

}  // namespace

object_id object_id::parse(std::string_view hex) {
  object_id id;
  if (!from_hex(hex, id.bytes)) not_a_handle(hex, "an id has 32 hexadecimal digits");
  return id;
}

std::string object_id::text() const { return to_hex(bytes); }

bool handle::looks_like(std::string_view text) noexcept { return text.substr(0, prefix.size()) == prefix; }

handle handle::parse(std::string_view text) {
  if (!looks_like(text)) not_a_handle(text, "it does not begin with onecopy:");
  std::string_view rest = text.substr(prefix.size());
  const auto next = [&] {
    const auto colon = rest.find(':');
    if (colon == rest.npos) not_a_handle(text, "a part of it is missing");
    const auto part = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
    return part;
  };
  if (next() != "1") not_a_handle(text, "its version is not 1");
  handle parsed;
  parsed.host = next();
  parsed.store = next();
  if (!is_identity(parsed.host) || !is_identity(parsed.store))
    not_a_handle(text, "host and store have 16 hexadecimal digits");
  const auto slash = rest.find('/');
  if (!from_hex(rest.substr(0, slash), parsed.id.bytes)) not_a_handle(text, "an id has 32 hexadecimal digits");
  if (slash != rest.npos) {
    const auto digits = rest.substr(slash + 1);
    const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.node);
    if (bad != std::errc() || end != digits.data() + digits.size()) not_a_handle(text, "its node is not a number");
  }
  return parsed;
}

std::string handle::text() const {
  std::string text = std::string(prefix) + "1:" + host + ':' + store + ':' + id.text();
  if (node != 0) text += '/' + std::to_string(node);
  return text;
}

}  // namespace onecopy
