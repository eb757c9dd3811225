// What a writer has inside.
#pragma once

#include <memory>
#include <vector>

#include "object/plan.hpp"
#include "onecopy/writer.hpp"

namespace onecopy {

struct writer::impl {
  detail::plan layout;
  std::vector<std::shared_ptr<const void>> kept;

  // Type, shape and validity of an array or of codes; answers the bytes that its data has.
  std::uint64_t start_array(slot at, node_kind kind, const array_spec& spec);
  void fill_array(slot at, node_kind kind, const array_spec& spec, const void* data);
  static bool fits_inline(const array_spec& spec, std::uint64_t bytes) noexcept;
  // offsets: one more than there are strings, counted over those of `only`.
  void plain_strings(slot at, const string_source* source, std::vector<std::uint64_t> only,
                     const std::vector<std::uint64_t>& offsets);
};

}  // namespace onecopy
