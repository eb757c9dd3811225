// An existing file, used where it lies: fonts, images, binary columns. The page cache is the one copy.
//
//     onecopy::mapped_file font{"DejaVuSans.ttf"};
//     font.bytes();                       // the file, not a copy of it
//     channel.send(font.node());          // a descriptor and the path; the receiver maps the same pages
//
// The bytes are read-only for others: a write goes to a private copy of its page. What other programs write to the file
// may show here at any time; onecopy can't keep a file that it doesn't own from changing.
//
// If the file is cut short while it is mapped, the process is not killed: the missing pages become zeros in this
// process, and from then on read(), check() and everything else that checks throws corrupt. Pointers can't throw:
// whoever reads through bytes() and must know calls check() afterwards. The zeros stay, even if the file grows again.
// Not covered: handing such a pointer to a system call (write, send), which answers EFAULT; and programs that replace
// the SIGBUS handler and pass nothing on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "onecopy/value.hpp"

namespace onecopy {

struct map_options {
  // The elements of the array that the file is seen as; not record, fixed_bytes or fixed_utf32.
  dtype type = dtype::raw;
  // Where it begins, a multiple of 64.
  std::uint64_t offset = 0;
  // Elements; nullopt: as many as the file has, which must then end with a whole element.
  std::optional<std::uint64_t> count = {};
  std::vector<std::uint64_t> shape = {};  // empty: {count}
  memory_order order = memory_order::column_major;
};

class mapped_file {
 public:
  // Throws not_found, permission, invalid_argument (no ordinary file, or the options don't fit it), no_memory.
  explicit mapped_file(const std::string& path, const map_options& options = {});
  // An object that arrived over a channel. Throws wrong_type unless it lies in a mapped file.
  explicit mapped_file(value received);

  // The path that was given, or that the sender gave; it may name another file by now, or none.
  const std::string& path() const noexcept { return node_.region().path(); }
  // The array: its elements, type and shape.
  std::span<const std::byte> bytes() const noexcept {
    return {node_.data(), static_cast<std::size_t>(node_.data_bytes())};
  }
  std::size_t size() const noexcept { return bytes().size(); }

  // Copies bytes [offset, offset + out.size()). Throws invalid_argument beyond the end, corrupt if the file was cut.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  // Throws corrupt if the file was cut short since it was mapped. Takes well under a microsecond.
  void check() const;
  bool intact() const noexcept;

  const value& node() const noexcept { return node_; }

 private:
  value node_;
};

// The same, as a value.
value map_file(const std::string& path, const map_options& options = {});

}  // namespace onecopy
