// Taking hold of an object in the store: the protocol of docs/lifetime.md.
#pragma once

#include <memory>

#include "base/result.hpp"
#include "region/state.hpp"

namespace onecopy::detail {

// Maps the object, or finds it mapped already.
result<std::shared_ptr<region_state>> hold(const std::shared_ptr<store_directory>& store, const object_id& id);
// Maps a file that was made by backing::file.
result<std::shared_ptr<region_state>> hold_file(const std::string& path);
// Maps what a descriptor names. The descriptor stays the caller's. One of our own is kept where there are enough, so
// that the region can be sent on; `keep`: in any case.
result<std::shared_ptr<region_state>> hold_descriptor(int descriptor, bool trusted, bool keep = false);
// The same for a descriptor that came over a socket, which this takes over. The sender opened its description for this
// receiver alone; one that did not only makes holders() count less.
result<std::shared_ptr<region_state>> hold_received(os::fd own);
// As above, for a memfd of the store: keeps a descriptor, and tells others where it is.
result<std::shared_ptr<region_state>> hold_located(const std::shared_ptr<store_directory>& store, os::fd memfd,
                                                   const object_id& id);

// True if an attach would find the object: somebody holds it, or its lease runs. Waits for nobody.
bool is_there(const store_directory& store, const object_id& id);

registry::key key_of(const object_id& id);

}  // namespace onecopy::detail
