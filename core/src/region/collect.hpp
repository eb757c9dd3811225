// Going through the store: what is there, who holds it, and removing what nobody does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "onecopy/store.hpp"
#include "region/directory.hpp"

namespace onecopy::detail {

// Removes objects without holders whose lease is over, half-written files, names and locators that lead nowhere. Looks
// at `limit` entries at most; tmpfs lists the youngest first.
store::collected collect(const store_directory& store, std::size_t limit = SIZE_MAX);
result<std::vector<store::entry>> list(const store_directory& store);
std::vector<std::size_t> holders(const store_directory& store, std::span<const object_id> ids);
// The object and its name, whoever holds it. False if there was none.
result<bool> remove(const store_directory& store, const object_id& id);
status set_lease(const store_directory& store, const object_id& id, double seconds);

}  // namespace onecopy::detail
