// What fills chunks: one object for each lazy object, made by the pager from the description in the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.hpp"
#include "onecopy/lazy.hpp"

namespace onecopy::pager {

struct source_context {
  object_id id;
  dtype type = dtype::none;
  std::uint64_t item_bytes = 0, count = 0;
  double deadline_seconds = 30;
};

class source {
 public:
  virtual ~source() = default;
  // Elements [first, first + out.size() / item) into `out`. Called by several threads at once.
  virtual status fill(std::uint64_t first, std::span<std::byte> out) = 0;
  virtual status write_back(std::uint64_t first, std::span<const std::byte> changed);
  // True if fill never waits for anything: it then runs in the thread that reads the faults.
  virtual bool immediate() const noexcept { return false; }
};

// Failures of kind invalid_argument for a description that makes no sense; the same check runs when the object is made.
// Opens nothing.
result<std::unique_ptr<source>> make_source(const lazy_source& description, const source_context& context);

}  // namespace onecopy::pager
