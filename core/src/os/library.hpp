// Shared libraries: loading one, and what one needs.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace onecopy::os {

// The libraries that this one needs, as they are loaded in this process, those first that others need. Empty if the
// library itself is not loaded here. Who loads it elsewhere loads these first, because the search path there may be
// another one (R sets LD_LIBRARY_PATH for itself).
std::vector<std::string> needed_libraries(const std::string& path);
// For the rest of this process's life. A failure says what the loader said.
result<void*> load_library(const std::string& path);
// Null if it has no such function.
void* find_function(void* library, const char* name) noexcept;

}  // namespace onecopy::os
