// Sparse files, and files named by their whole path.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace onecopy::os {

// Without reserving anything: what is added reads as zeros.
status set_size(int descriptor, std::uint64_t bytes);
// Gives the blocks of [offset, offset + size) back, out of every mapping too; the file's size stays.
status punch_hole(int descriptor, std::uint64_t offset, std::uint64_t size);
status remove_file(const std::string& path);  // a missing file is fine
status rename_file(const std::string& from, const std::string& to);

}  // namespace onecopy::os
