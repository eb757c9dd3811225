// Tells whoever asked about copies that sharing would have spared.
#pragma once

#include <cstdint>
#include <source_location>
#include <string>

namespace onecopy::transport {

// "font.cpp:17", or "" when the place is unknown.
std::string place(const std::source_location& from);
// Calls what report_copies() was given, if the copy is large enough. `where` is only asked for then.
void note_copy(std::uint64_t bytes, const char* what, const std::source_location& from);

}  // namespace onecopy::transport
