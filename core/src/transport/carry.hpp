// How an object becomes an item of a packet, and an item an object again.
#pragma once

#include "onecopy/code_place.hpp"

#include "base/result.hpp"
#include "onecopy/value.hpp"
#include "os/fd.hpp"
#include "transport/packet.hpp"

namespace onecopy::transport {

struct terms {
  bool same_store = false;       // the receiver attaches by handle
  std::size_t inline_limit = 0;  // regions at most so large travel whole
};

struct carried {
  item what;
  os::fd descriptor;  // of items that have one; sent beside them
};

// Failures: permission (a mutable object for a stranger), no_space, no_memory, system (EMFILE), and unsupported.
result<carried> pack(const value& object, const terms& with, const code_place& from);

// Never throws. Failures: what store::attach throws, corrupt, permission (not sealed), invalid_argument.
result<value> unpack(item what, os::fd descriptor) noexcept;

}  // namespace onecopy::transport
