// Where rendered text goes: standard output, in large pieces.
#pragma once

#include <fmt/format.h>

#include <span>
#include <string_view>

namespace onecopy::cli {

using buffer = fmt::memory_buffer;

inline void add(buffer& out, std::string_view text) { out.append(text.data(), text.data() + text.size()); }
inline void add(buffer& out, char c) { out.push_back(c); }

class sink {
 public:
  buffer out;

  // Writes what has gathered once it is worth a system call. Throws error when standard output can't take it.
  void maybe_flush() {
    if (out.size() >= std::size_t{1} << 16) flush();
  }
  void flush();
};

// Writes the bytes as they are. Throws error.
void write_bytes(std::span<const std::byte> bytes);

}  // namespace onecopy::cli
