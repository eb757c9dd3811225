// Puts a message together from its packets.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.hpp"
#include "onecopy/channel.hpp"
#include "os/fd.hpp"
#include "transport/packet.hpp"

namespace onecopy {

struct message_builder {
  message made;
  std::uint32_t number = 0;
  bool begun = false;
  std::optional<failure> bytes_failed;

  void begin(std::uint32_t which);
  // Never fails: an object that can't be accepted is an error when the receiver asks for it.
  void add(const transport::item& what, os::fd descriptor);
  // Throws when the message's own bytes could not be accepted.
  message finish(std::string_view bytes);
  std::size_t size() const noexcept { return made.size(); }
};

}  // namespace onecopy
