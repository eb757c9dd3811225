// Reading a shared object: one node of its tree, in place.
//
// A value is a counted reference to its region and the index of a node; copying it copies no bytes, and pointers it
// gives stay valid as long as any value or region of the same object lives. Every offset and length was checked when
// the region was attached; what can only be checked by reading the data (string offsets, codes) is checked at each
// access and throws corrupt.
//
// Threads: const members may be called from any thread at once.
#pragma once

#include <complex>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "onecopy/error.hpp"
#include "onecopy/region.hpp"
#include "onecopy/store.hpp"
#include "onecopy/types.hpp"

namespace onecopy {

struct record_field;  // writer.hpp
namespace format {
struct node_record;
}

class value {
 public:
  value() = default;
  // The node `index` of a region. Throws invalid_argument when there is no such node.
  explicit value(onecopy::region from, std::uint32_t index = 0);

  explicit operator bool() const noexcept { return static_cast<bool>(region_); }
  const onecopy::region& region() const noexcept { return region_; }
  std::uint32_t index() const noexcept { return index_; }
  // See region::handle.
  onecopy::handle handle(double lease_seconds = -1) const { return region_.handle(index_, lease_seconds); }

  // ---- what it is
  // A kind this version doesn't know is returned as it stands in the region: treat the node as unreadable.
  node_kind kind() const noexcept;
  dtype type() const noexcept;
  onecopy::semantic semantic() const noexcept;
  time_unit unit() const noexcept;
  list_form form() const noexcept;      // lists
  // Elements of an array, strings or codes; children of a list; columns of a table; bytes of an opaque.
  std::uint64_t size() const noexcept;
  std::uint64_t rows() const noexcept;  // tables
  bool ordered() const noexcept;        // categoricals
  int code_base() const noexcept;       // 0, or 1 for codes as R's factors count

  // ---- arrays (and the codes of coded_string and categorical)
  // Bytes of one element.
  std::size_t item_size() const noexcept;
  // Empty for a scalar (0-d), {n} for a vector.
  std::vector<std::uint64_t> shape() const;
  memory_order order() const noexcept;
  const std::byte* data() const noexcept;  // size() * item_size() bytes; never null, even for size 0
  std::uint64_t data_bytes() const noexcept;
  // Where data() lies in the region, for region::private_view and region::diverged.
  std::uint64_t data_offset() const noexcept;
  // All elements (or codes) as T. Throws wrong_type unless T is the node's dtype (std::int32_t also reads logical32).
  template <class T> std::span<const T> as() const {
    require_type(dtype_of<T>, "read as a span");
    return {reinterpret_cast<const T*>(data()), static_cast<std::size_t>(size())};
  }
  // Arrow's validity bitmap (bit i of byte i / 8, least significant first; 1: present), or null: none is missing by
  // bitmap. Missing values may also stand in the data: see least_is_missing; NaN; a code below the base.
  const std::uint8_t* validity() const noexcept;
  // True if the least number of a signed integer type stands for a missing value: R's NA in integers and logicals, NaT.
  bool least_is_missing() const noexcept;
  // True if element i is missing by the bitmap, by its code, or as the least number. A NaN is a number here.
  bool is_missing(std::uint64_t i) const;

  // ---- strings (kind string and coded_string)
  // Element i; "" when missing. Throws corrupt when its offsets or its code are not valid.
  std::string_view string(std::uint64_t i) const;
  // The layout of a kind-string node, for Arrow: offsets are size() + 1 numbers of 4 or 8 bytes. Checks all of them
  // once in a region's life in this process; throws corrupt.
  struct string_layout {
    const std::byte* offsets;
    int offset_bytes;
    const char* bytes;
    std::uint64_t bytes_size;
  };
  string_layout strings() const;
  // The bytes mark of each element (see writer::strings), or null when all are UTF-8.
  const std::uint8_t* encodings() const noexcept;
  // Checks that all codes are missing or in the dictionary; once, like strings(). Throws corrupt.
  void check_codes() const;
  // The dictionary of a coded_string, the levels of a categorical.
  value dictionary() const;
  // The fields of an array of records (dtype::record). Checked: every field lies within item_size().
  std::vector<record_field> fields() const;

  // ---- lists and tables
  value child(std::uint64_t i) const;               // throws invalid_argument when i >= size()
  std::optional<value> find(std::string_view name) const;  // first child of that name
  value operator[](std::string_view name) const;    // throws not_found, listing the names there are
  value operator[](std::uint64_t i) const { return child(i); }

  // ---- opaque
  std::string_view tag() const;   // "r-serialize", "python-pickle", ...
  std::span<const std::byte> opaque_bytes() const;

  // ---- attributes: names, dimnames, row.names, tzone, class and whatever else belongs to the object
  std::size_t attribute_count() const noexcept;
  std::string_view attribute_name(std::size_t i) const;
  value attribute(std::size_t i) const;
  std::optional<value> attribute(std::string_view name) const;

  // Throws wrong_type, saying what the node is, unless its elements or codes are of `type`.
  void require_type(dtype type, const char* doing) const;

 private:
  const format::node_record& record() const noexcept;
  onecopy::region region_;
  std::uint32_t index_ = 0;
};

// The object that a handle names; see store::attach for what it throws.
value attach(std::string_view handle_text);
value attach(const handle& where);
// The object that was shared with `name`.
value attach_name(std::string_view name);
// The object in a file made by save.
value open(const std::string& path);
// How many nodes the object has; their indexes are 0 to node_count - 1.
std::uint32_t node_count(const region& whole);
// Checks structure, all string offsets, all codes, and the checksum where the region has one. Throws corrupt, saying
// which node is wrong.
void verify(const region& whole);

}  // namespace onecopy
