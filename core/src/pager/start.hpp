// Finding the pager's program, starting it, and connecting to it.
#pragma once

#include <string>

#include "base/result.hpp"
#include "os/deadline.hpp"
#include "os/fd.hpp"

namespace onecopy::pager {

// A connection to the pager of this store directory, which is started if none runs. Failures: not_found (no program),
// timeout (it doesn't come up).
result<os::fd> connect(const std::string& directory, const os::deadline& until);

}  // namespace onecopy::pager
