// A sealed copy of a region, for receivers who can't attach to the original or shall not trust it.
#pragma once

#include <memory>

#include "onecopy/code_place.hpp"

#include "base/result.hpp"
#include "os/fd.hpp"

namespace onecopy::detail {
class region_state;
}

namespace onecopy::transport {

// A read-only descriptor of sealed memory with the region's bytes as they were published: of its own memory if that is
// sealed, and otherwise of a copy, made once for a region and kept as long as the region lives in this process, so that
// a thousand receivers cost one copy.
result<os::fd> sealed_memory(const std::shared_ptr<detail::region_state>& original, const code_place& from);

}  // namespace onecopy::transport
