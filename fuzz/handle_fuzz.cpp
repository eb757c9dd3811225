// Any text as a handle: either an error, or a handle whose text is read back as the same handle.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "onecopy/error.hpp"
#include "onecopy/handle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto read = onecopy::handle::parse(text);
    if (!(onecopy::handle::parse(read.text()) == read)) std::abort();
  } catch (const onecopy::error& refused) {
    if (refused.kind() != onecopy::error_kind::invalid_argument) std::abort();
  }
  return 0;
}
