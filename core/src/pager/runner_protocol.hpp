// What the pager and a runner say to each other, over the packet socket that is the runner's descriptor 3.
#pragma once

#include <cstdint>

namespace onecopy::pager {

inline constexpr int runner_descriptor = 3;
inline constexpr std::uint64_t staging_bytes = 4u << 20;  // as much as one request may ask for

enum class runner_ask : std::uint32_t {
  hello = 1,  // with the staging buffer, a memfd of staging_bytes
  define,     // with the payload, a memfd of payload_bytes; no reply
  fill,       // elements into the staging buffer; replied to
  forget,     // no reply
  save,       // elements from the staging buffer, to where they came from; replied to
};

struct runner_request {
  std::uint32_t version = 1;
  runner_ask what{};
  std::uint8_t id[16]{};
  std::uint32_t type = 0;
  std::uint32_t item_bytes = 0;
  std::uint64_t count = 0;          // of the object
  std::uint64_t payload_bytes = 0;
  std::uint64_t first = 0, wanted = 0;
};

struct runner_reply {
  std::int32_t failed = 0;
  std::uint32_t reserved = 0;
  char message[2040]{};
};

}  // namespace onecopy::pager
