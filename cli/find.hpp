// From what the user typed to the object that is meant.
#pragma once

#include <string>

#include "onecopy/onecopy.hpp"

namespace onecopy::cli {

// The object that a handle, a name, an id, the beginning of an id, or a file's path means. Throws not_found, and
// invalid_argument when several ids begin so.
value find(const std::string& what);
// The same without attaching, so that a damaged object can be removed too. Files are not in the store: not_found.
object_id find_id(const std::string& what);
// True for what find() takes as a path.
bool is_path(const std::string& what);
// The handle of an object of this store. Takes no lease.
std::string handle_text(const object_id& id);

}  // namespace onecopy::cli
