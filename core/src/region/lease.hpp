// How long an object stays when nobody holds it.
//
// The end of a lease is the file's modification time: its owner may set that without write access to the bytes. But
// the kernel sets it too, when a page of a shared mapping is first written; a mutable object carries its lease in its
// header instead, which its owner may write.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/result.hpp"
#include "region/directory.hpp"

namespace onecopy::detail {

// Without end: the lease of objects that are kept until somebody frees them.
inline constexpr double no_end = 8589934592.0;  // seconds since 1970, in the year 2242

// Seconds since 1970. `descriptor` is open for reading, `info` its status.
double lease_end(int descriptor, const struct stat& info) noexcept;
// Of a region's file in the store. A failure of kind not_found when it is gone.
result<double> lease_end(const store_directory& store, const std::string& entry);
status set_lease_end(const store_directory& store, const std::string& entry, double end);

}  // namespace onecopy::detail
