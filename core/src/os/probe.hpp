// Does this kernel, in this container, let this user have a thing?
#pragma once

#include <string>

namespace onecopy::os {

// "" if userfaultfd for faults of user space may be used, or the reason why not.
std::string probe_userfaultfd();

}  // namespace onecopy::os
