// Writing a region: through its descriptor, into a file that nobody can see until it is complete.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/result.hpp"
#include "onecopy/writer.hpp"
#include "region/state.hpp"

namespace onecopy::detail {

// Where the bytes of a region go while it is being written. Its blocks are reserved from the start, so a full file
// system is an error before anything was written, and bytes that are never written are zeros.
class region_file {
 public:
  virtual ~region_file() = default;
  status write(std::span<const std::byte> bytes, std::uint64_t offset);
  // Sets the checksum in the header, once everything is written.
  status add_checksum(std::uint64_t bytes);
  // Makes it visible under its id, name or path and maps it.
  virtual result<std::shared_ptr<region_state>> commit() = 0;

 protected:
  os::fd file_;
};

// Calls fill(file) to write all `bytes` of the region, then publishes it. Where the store has no room: leftovers are
// collected and fill is called again; then once more, for a memfd. What fill throws passes through; nothing is left
// behind by a failure.
result<std::shared_ptr<region_state>> publish(const publish_options& options, const object_id& id, std::uint64_t bytes,
                                              const std::function<status(region_file&)>& fill);

}  // namespace onecopy::detail
