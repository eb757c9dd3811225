// Names and widths of the vocabulary in onecopy/types.hpp.
#include "onecopy/types.hpp"

namespace onecopy {

std::size_t size_of(dtype type) noexcept {
  switch (type) {
    case dtype::bool8: case dtype::int8: case dtype::uint8: case dtype::raw: return 1;
    case dtype::int16: case dtype::uint16: case dtype::float16: return 2;
    case dtype::int32: case dtype::uint32: case dtype::float32: case dtype::logical32: return 4;
    case dtype::int64: case dtype::uint64: case dtype::float64: case dtype::complex64: return 8;
    case dtype::complex128: return 16;
    case dtype::none: case dtype::fixed_bytes: case dtype::fixed_utf32: case dtype::record: return 0;
  }
  return 0;
}

const char* name_of(dtype type) noexcept {
  switch (type) {
    case dtype::none: return "none";
    case dtype::bool8: return "bool8";
    case dtype::int8: return "int8";
    case dtype::int16: return "int16";
    case dtype::int32: return "int32";
    case dtype::int64: return "int64";
    case dtype::uint8: return "uint8";
    case dtype::uint16: return "uint16";
    case dtype::uint32: return "uint32";
    case dtype::uint64: return "uint64";
    case dtype::float16: return "float16";
    case dtype::float32: return "float32";
    case dtype::float64: return "float64";
    case dtype::complex64: return "complex64";
    case dtype::complex128: return "complex128";
    case dtype::raw: return "raw";
    case dtype::logical32: return "logical32";
    case dtype::fixed_bytes: return "fixed_bytes";
    case dtype::fixed_utf32: return "fixed_utf32";
    case dtype::record: return "record";
  }
  return "unknown";
}

const char* name_of(node_kind kind) noexcept {
  switch (kind) {
    case node_kind::null: return "null";
    case node_kind::array: return "array";
    case node_kind::string: return "string";
    case node_kind::coded_string: return "coded_string";
    case node_kind::categorical: return "categorical";
    case node_kind::list: return "list";
    case node_kind::table: return "table";
    case node_kind::opaque: return "opaque";
  }
  return "unknown";
}

}  // namespace onecopy
