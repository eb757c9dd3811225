// The vocabulary of the region format: what a node is, and what its elements are. The numbers are written into
// regions and never change meaning; docs/format.md is their reference.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>

namespace onecopy {

// What a node of an object tree is.
enum class node_kind : std::uint8_t {
  null = 0,
  array = 1,         // n-dimensional array of fixed-size elements
  string = 2,        // UTF-8 strings: offsets and bytes
  coded_string = 3,  // strings as codes into a dictionary; the reader sees plain strings
  categorical = 4,   // codes with levels: R's factor, pandas' Categorical, Arrow's dictionary type
  list = 5,          // child nodes in order; names, if any, are the attribute "names"
  table = 6,         // columns of one length; column names are the attribute "names"
  opaque = 7,        // bytes that only the language of the tag understands
};

// The elements of an array, or the codes of a coded_string or categorical.
enum class dtype : std::uint8_t {
  none = 0,
  bool8 = 1,  // one byte, 0 or 1
  int8 = 2,
  int16 = 3,
  int32 = 4,
  int64 = 5,
  uint8 = 6,
  uint16 = 7,
  uint32 = 8,
  uint64 = 9,
  float16 = 10,
  float32 = 11,
  float64 = 12,
  complex64 = 13,
  complex128 = 14,
  raw = 15,           // bytes that are not numbers
  logical32 = 16,     // R's logical: 0, 1, or INT32_MIN for NA
  fixed_bytes = 17,   // byte strings of one width, NUL padded (NumPy 'S')
  fixed_utf32 = 18,   // UTF-32 strings of one width, NUL padded (NumPy 'U')
  record = 19,        // C structs; the node's child is the schema
};

// What the numbers of an array mean.
enum class semantic : std::uint8_t {
  none = 0,
  date = 1,       // calendar days, counted in `unit` since 1970-01-01
  timestamp = 2,  // instants, counted in `unit` since 1970-01-01T00:00:00Z; zone for display: attribute "tzone"
  timespan = 3,   // a duration in `unit`
  timeofday = 4,  // since midnight, in `unit`
};

enum class time_unit : std::uint8_t {
  none = 0, year = 1, month = 2, week = 3, day = 4, hour = 5, minute = 6, second = 7,
  millisecond = 8, microsecond = 9, nanosecond = 10, picosecond = 11, femtosecond = 12, attosecond = 13,
};

// Which container a list node was: readers of another language may treat all of them as a list.
enum class list_form : std::uint8_t {
  list = 0,
  tuple = 1,
  set = 2,
  frozenset = 3,
  dict = 4,      // names are the attribute "names"; keys that are not strings: two children, keys and values
  pairlist = 5,
  environment = 6,
};

// How the elements of a multi-dimensional array follow each other.
enum class memory_order : std::uint8_t { column_major = 0, row_major = 1 };

// Bytes of one element; 0 for none, fixed_bytes, fixed_utf32 and record, whose width the node gives.
std::size_t size_of(dtype type) noexcept;
const char* name_of(dtype type) noexcept;      // "float64", "logical32", ...
const char* name_of(node_kind kind) noexcept;  // "array", "table", ...

// The dtype of a C++ element type; none for types that have no dtype.
template <class T> inline constexpr dtype dtype_of = dtype::none;
template <> inline constexpr dtype dtype_of<bool> = dtype::bool8;
template <> inline constexpr dtype dtype_of<std::int8_t> = dtype::int8;
template <> inline constexpr dtype dtype_of<std::int16_t> = dtype::int16;
template <> inline constexpr dtype dtype_of<std::int32_t> = dtype::int32;
template <> inline constexpr dtype dtype_of<std::int64_t> = dtype::int64;
template <> inline constexpr dtype dtype_of<std::uint8_t> = dtype::uint8;
template <> inline constexpr dtype dtype_of<std::uint16_t> = dtype::uint16;
template <> inline constexpr dtype dtype_of<std::uint32_t> = dtype::uint32;
template <> inline constexpr dtype dtype_of<std::uint64_t> = dtype::uint64;
template <> inline constexpr dtype dtype_of<float> = dtype::float32;
template <> inline constexpr dtype dtype_of<double> = dtype::float64;
template <> inline constexpr dtype dtype_of<std::complex<float>> = dtype::complex64;
template <> inline constexpr dtype dtype_of<std::complex<double>> = dtype::complex128;
template <> inline constexpr dtype dtype_of<std::byte> = dtype::raw;

}  // namespace onecopy
