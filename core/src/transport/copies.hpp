// Tells whoever asked about copies that sharing would have spared.
#pragma once

#include <cstdint>
#include <string>

#include "onecopy/code_place.hpp"

namespace onecopy::transport {

// "font.cpp:17", or "" when the place is unknown.
std::string place(const code_place& from);
// Calls what report_copies() was given, if the copy is large enough. `where` is only asked for then.
void note_copy(std::uint64_t bytes, const char* what, const code_place& from);

}  // namespace onecopy::transport
