#include "render/sink.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "onecopy/error.hpp"

namespace onecopy::cli {

void write_bytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
    throw error(error_kind::system, "write the output", std::strerror(errno), {}, errno);
}

void sink::flush() {
  write_bytes(std::as_bytes(std::span(out.data(), out.size())));
  out.clear();
}

}  // namespace onecopy::cli
