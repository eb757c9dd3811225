// Finding a record, or making it, when other processes do the same at the same time.
#pragma once

#include <functional>
#include <string>

#include "onecopy/record.hpp"

namespace onecopy::detail {

// `find` throws not_found when there is none; `make` throws exists when another process was faster.
region find_or_make(const std::function<region()>& find, const std::function<region()>& make, missing what,
                    const std::string& tried);
// A region with a record as its root.
region publish_record(const record_type& type, const void* first, const publish_options& options);
region find_or_make_named(std::string_view name, const record_type& type, const void* first, missing what, bool keep);
region find_or_make_file(const std::string& path, const record_type& type, const void* first, missing what);

}  // namespace onecopy::detail
