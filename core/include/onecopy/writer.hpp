// Writing a shared object: describe its tree, then publish it as one region.
//
//     onecopy::writer w;
//     auto column = w.table(w.root(), 2, rows);           // the slots of two columns: column and column + 1
//     w.array(column, {.type = dtype::float64, .count = rows}, prices);
//     w.strings(column + 1, carriers);
//     w.names(w.root(), {"price", "carrier"});
//     onecopy::region r = w.publish();
//
// Describing copies nothing large: pointers and sources are borrowed until publish() returns. publish() then writes
// everything once, through a descriptor. The description is the layout, so what was counted is what is written.
//
// Threads: one writer belongs to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "onecopy/region.hpp"
#include "onecopy/types.hpp"

namespace onecopy {

// Where a vector of strings comes from. Called more than once for each element; must answer the same each time.
class string_source {
 public:
  virtual ~string_source() = default;
  virtual std::uint64_t size() const = 0;
  struct item {
    std::string_view text;          // UTF-8, unless marked
    bool missing = false;
    bool bytes = false;             // marked: arbitrary bytes, not text
    // Equal non-null identities promise equal strings (R's CHARSXP, an interned str), which spares comparing them.
    const void* identity = nullptr;
  };
  virtual item at(std::uint64_t i) const = 0;
};

struct array_spec {
  dtype type = dtype::none;
  // Elements; must equal the product of `shape` when that is given. A scalar (0-d) has scalar = true and count 1.
  std::uint64_t count = 0;
  std::vector<std::uint64_t> shape = {};  // empty: {count}
  bool scalar = false;
  memory_order order = memory_order::column_major;
  onecopy::semantic semantic = onecopy::semantic::none;
  time_unit unit = time_unit::none;
  std::size_t item_size = 0;              // only for fixed_bytes, fixed_utf32 and record
  const std::uint8_t* validity = nullptr; // Arrow bitmap of count bits, from bit 0
  // Signed integers: the least number stands for a missing value, as in R's integer and bit64's integer64. Always so
  // for logical32, and for dates, times and time spans of int64.
  bool least_is_missing = false;
};

// One field of a C struct. Fields may be fixed arrays (shape) and structs (fields).
struct record_field {
  std::string name;
  dtype type = dtype::none;
  std::uint64_t offset = 0;              // bytes from the start of the struct
  std::size_t item_size = 0;             // bytes of one element; 0: that of the type
  std::vector<std::uint64_t> shape = {};  // empty: one element
  std::vector<record_field> fields = {};  // of a dtype::record field
};

struct publish_options {
  backing where = backing::store;
  // A name that other processes can attach by; empty: none. At most 120 bytes of UTF-8, no control characters.
  // Throws exists if it is taken by a live object, unless `replace`.
  std::string name;
  bool replace = false;
  // Every process sees every write. Needs backing::store, memfd or file.
  bool writable = false;
  // Stays until store::remove, even when nobody holds it.
  bool keep = false;
  // backing::file: written beside it and then put in place, so a reader sees no file or a whole one. Throws exists if
  // there is one, unless `replace`.
  std::string path;
  // Called now and then with bytes written and bytes in all; what it throws ends the publishing and leaves nothing.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  // backing::memfd: an empty memfd to write into, which stays the caller's; -1: a new one. See pending.hpp.
  int descriptor = -1;
};

class writer {
 public:
  using slot = std::uint32_t;

  writer();
  ~writer();
  writer(writer&&) noexcept;
  writer& operator=(writer&&) noexcept;

  // Every slot must be given exactly one node before publish(), in any order; unfilled slots are null nodes.
  slot root() const noexcept { return 0; }

  // ---- leaves
  void null(slot at);
  // `data`: count * item size bytes in the order of the spec; null: zeros, which cost nothing to write.
  void array(slot at, const array_spec& spec, const void* data);
  // For data that is not in one piece: `produce(offset, out)` fills `out` with the bytes from `offset` on; called in
  // order, for each byte once, or from the beginning again when publishing has to start again elsewhere.
  using producer = std::function<void(std::uint64_t offset, std::span<std::byte> out)>;
  void array(slot at, const array_spec& spec, producer produce);
  // An array of C structs of spec.item_size bytes each. Throws invalid_argument for fields that overlap the end.
  void records(slot at, const array_spec& spec, std::span<const record_field> fields, const void* data);
  // Strings; written as codes into a dictionary when values repeat enough to make that smaller.
  void strings(slot at, const string_source& source);
  void strings(slot at, std::span<const std::string_view> items);
  // Strings already in Arrow's layout: count + 1 offsets of offset_bytes (4 or 8) each, which may start above 0.
  void arrow_strings(slot at, std::uint64_t count, const void* offsets, int offset_bytes, const char* bytes,
                     const std::uint8_t* validity);
  // Codes with levels. spec.type is the code's integer type; codes below code_base are missing. Returns the slot of the
  // levels. As coded_string the reader sees plain strings.
  slot categorical(slot at, const array_spec& spec, const void* codes, int code_base, bool ordered);
  slot coded_strings(slot at, const array_spec& spec, const void* codes, int code_base);
  // Bytes for one language only. The tag is short ASCII: "r-serialize", "python-pickle".
  void opaque(slot at, std::string_view tag, std::span<const std::byte> bytes);

  // ---- containers: return the slot of the first child; the others follow it
  slot list(slot at, std::uint64_t children, list_form form = list_form::list);
  slot table(slot at, std::uint64_t columns, std::uint64_t rows);

  // ---- attributes; each node may have them once. Returns the slot of the first value; the others follow it.
  slot attributes(slot at, std::span<const std::string_view> names);
  // attributes(at, {"names"}) with those strings, for nodes that have no other attribute.
  void names(slot at, std::span<const std::string_view> names);
  void names(slot at, std::initializer_list<std::string_view> names);

  // Keeps `owner` alive until the writer is gone: for buffers that the caller made only for this.
  void keep(std::shared_ptr<const void> owner);

  // The size of the region as described so far.
  std::uint64_t size() const;

  // Writes the region. Where the store has no room the leftovers of dead processes are collected; if that is not
  // enough the region goes to a memfd that still attaches by handle. Throws no_space, no_memory, exists, permission,
  // invalid_argument, and whatever sources and progress throw; a failure leaves nothing behind. May be called again.
  region publish(const publish_options& options = {});

 private:
  void strings_copied(slot at, std::span<const std::string_view> items);
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace onecopy
