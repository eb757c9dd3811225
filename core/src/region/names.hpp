// Names that users give to objects: links in the store.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "region/directory.hpp"

namespace onecopy::detail {

// 1 to 120 bytes without control characters; "/" and leading dots are allowed, as the link's name is encoded.
status check_name(std::string_view name);
std::string link_of(std::string_view name);
// The name behind a directory entry, if it is such a link.
std::optional<std::string> name_of_link(std::string_view entry);

result<std::optional<object_id>> look_up_name(const store_directory& store, std::string_view name);
// Fails (exists) when a live object has the name, unless `replace`.
status bind_name(const store_directory& store, std::string_view name, const object_id& id, bool replace);
failure name_is_taken(std::string_view name);
// Only if the name still points to that object.
void unbind_name(const store_directory& store, std::string_view name, const object_id& id);

}  // namespace onecopy::detail
