// Objects for which the store's file system had no room live in memfds. So that a handle still finds them, each process
// that holds one leaves a link in the store: <id>.at/<pid namespace>-<anything> -> /proc/<pid>/fd/<n>. A link is only a
// hint: what it leads to is opened, and counts only if the region there has the right id. It says nothing to processes
// of another pid namespace (another container on this store): they neither follow it nor call it dead. A link takes no
// block of the file system.
#pragma once

#include <string>

#include "base/result.hpp"
#include "onecopy/handle.hpp"
#include "os/fd.hpp"
#include "region/directory.hpp"

namespace onecopy::detail {

inline constexpr std::string_view locator_suffix = ".at";

// The name of the new link, relative to the store.
result<std::string> add_locator(const store_directory& store, const object_id& id, int memfd);
void remove_locator(const store_directory& store, const std::string& locator) noexcept;
// An invalid fd when no process holds the object.
result<os::fd> find_located(const store_directory& store, const object_id& id);
// Removes links of this pid namespace that lead nowhere, and the directory if none is left. True if it is gone.
bool collect_locators(const store_directory& store, const object_id& id);

}  // namespace onecopy::detail
