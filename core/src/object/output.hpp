// Bytes on their way into a region file, in rising order of offsets: small ones are gathered, large ones go straight.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "onecopy/writer.hpp"

namespace onecopy::detail {

class region_file;

class output {
 public:
  output(region_file& file, std::uint64_t total, const std::function<void(std::uint64_t, std::uint64_t)>& progress);

  status bytes(std::uint64_t offset, std::span<const std::byte> from);
  status produced(std::uint64_t offset, std::uint64_t size, const writer::producer& produce);
  // Throws invalid_argument if the source has not the bytes it had when the object was described.
  status strings(std::uint64_t offset, std::uint64_t size, const string_source& source,
                 const std::vector<std::uint64_t>& only);
  status finish() { return flush(); }

 private:
  status flush();
  status straight(std::uint64_t offset, std::span<const std::byte> from);
  void tell(std::uint64_t done);

  region_file& file_;
  std::uint64_t total_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  std::vector<std::byte> gathered_;
  std::uint64_t start_ = 0;  // offset of gathered_[0]
};

}  // namespace onecopy::detail
