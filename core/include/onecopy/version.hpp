// The version of this library and of the region format that it reads and writes.
#pragma once

#define ONECOPY_VERSION_MAJOR 0
#define ONECOPY_VERSION_MINOR 1
#define ONECOPY_VERSION_PATCH 0
#define ONECOPY_VERSION "0.1.0"

namespace onecopy {

// A region is readable when its major version equals this one (docs/format.md, "Versions").
inline constexpr unsigned format_version_major = 1;
inline constexpr unsigned format_version_minor = 0;

}  // namespace onecopy
