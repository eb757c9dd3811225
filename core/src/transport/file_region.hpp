// Regions whose bytes lie in a file of the user's: pages with the header in front, the file's own pages behind them.
//
// The two are mapped side by side, so that everything above reads them like any other region.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "format/layout.hpp"
#include "region/state.hpp"
#include "transport/packet.hpp"

namespace onecopy::transport {

// What stands before the file's bytes. `bytes` is empty for files that are regions themselves.
struct file_front {
  file_part part{};
  std::span<const std::byte> bytes;
};

// The front of a region that lies in a file; valid while the region lives.
file_front front_of(const detail::region_state& state);

// The front of one array: header and node, whose data begins `skip` bytes into the mapped part of the file.
std::vector<std::byte> make_front(const format::node_record& array, std::span<const std::uint64_t> aux,
                                  std::uint64_t skip, std::uint64_t file_bytes);

// Maps `front` and the file behind it, guarded against the file's being cut short.
result<std::shared_ptr<detail::region_state>> hold_mapped_file(int descriptor, const std::string& path,
                                                               const file_front& front);
// The same for a file that a peer sent: only if nobody but this user and root could change it, and it is long enough.
result<std::shared_ptr<detail::region_state>> hold_received_file(int descriptor, const std::string& path,
                                                                 const file_front& front);
// A region of this process alone, from its bytes.
result<std::shared_ptr<detail::region_state>> hold_bytes(std::vector<std::byte> bytes);

}  // namespace onecopy::transport
