// The file of a lazy object: <store>/lazy/<id>, on tmpfs.
//
//     header | source | note | chunk table | data (sparse)
//
// Everything but the data is there from the start. The chunk table, not the presence of a page, says what is filled:
// processes that die leave it as the truth for the next pager.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "onecopy/lazy.hpp"
#include "os/fd.hpp"
#include "os/mapping.hpp"

namespace onecopy::pager {

enum chunk_state : std::uint8_t { absent = 0, filling = 1, ready = 2, evicting = 3, failed = 4 };
inline constexpr std::uint8_t state_mask = 0x07;
// Written to since it was filled or saved: its bytes exist nowhere else.
inline constexpr std::uint8_t dirty = 0x08;
// The spill file has its bytes, which the source has not.
inline constexpr std::uint8_t spilled = 0x10;
// Has been in memory before: nobody reads ahead into it, because who reads in parts would fill the beginnings of the
// other parts once more.
inline constexpr std::uint8_t seen_before = 0x20;

struct file_header {
  static constexpr std::uint64_t right_magic = 0x01'59'5a'41'4c'4f'43'31;  // "1COLAZY\1"
  static constexpr std::uint32_t right_version = 2;
  // flag_in_place: the elements are those of the source's file, which is mapped where it lies. No table, no data here.
  // flag_leaves: the source's field "leaves" has the ids of the objects that it is made of.
  static constexpr std::uint32_t flag_writable = 1, flag_write_back = 2, flag_in_place = 4, flag_leaves = 8;

  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t flags;
  std::uint8_t id[16];
  std::uint32_t type;
  std::uint32_t item_bytes;
  std::uint64_t count;
  std::uint64_t chunk_bytes;
  std::uint64_t chunks;
  std::uint64_t source_offset, source_bytes;
  std::uint64_t note_offset, note_bytes;
  std::uint64_t table_offset;
  std::uint64_t data_offset;
  std::uint64_t deadline_ms;
  // Below: changes while the object lives.
  std::atomic<std::int64_t> lease_until;  // seconds since 1970; who has the file open may extend it
  std::atomic<std::uint64_t> fills, evictions, failures, resident_bytes, spilled_bytes;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

std::string encode(const lazy_source& source);
result<lazy_source> decode(std::string_view bytes);

// <store>/lazy, made if need be; a failure of kind unsupported when it isn't on tmpfs.
result<std::string> lazy_directory();
std::string path_of(const std::string& directory, const object_id& id);
// Those that have a file there.
result<std::vector<object_id>> objects_in(const std::string& directory);

// A new object: the file, with a lock that keeps it (docs/lifetime.md) as long as the descriptor lives.
result<os::fd> create_file(const std::string& directory, const object_id& id, dtype type, std::uint64_t count,
                           const lazy_source& source, const lazy_options& options, bool in_place = false);

// Objects in place have no pager that would remove them: whoever lets go last does. What killed processes left is
// collected now and then by whoever makes or attaches such an object, and by every pager that starts.
void remove_if_unheld(const std::string& path);
void collect_in_place(const std::string& directory);

// What the file says about itself, checked against its size.
class object_file {
 public:
  // `pager`: the table may be changed. The descriptor is only borrowed.
  static result<object_file> open(int descriptor, bool for_pager);

  const file_header& header() const noexcept { return *reinterpret_cast<const file_header*>(front_.data()); }
  file_header& changing_header() noexcept { return *reinterpret_cast<file_header*>(front_.data()); }
  std::atomic<std::uint8_t>& chunk(std::uint64_t i) const noexcept {
    return reinterpret_cast<std::atomic<std::uint8_t>*>(front_.data() + header().table_offset)[i];
  }
  std::uint8_t state(std::uint64_t i) const noexcept { return chunk(i).load(std::memory_order_acquire) & state_mask; }
  object_id id() const noexcept;
  std::uint64_t data_bytes() const noexcept { return header().count * header().item_bytes; }
  // Rounded up to whole pages: what is mapped.
  std::uint64_t mapped_bytes() const noexcept;
  // Of chunk i, within mapped_bytes().
  std::uint64_t bytes_of(std::uint64_t i) const noexcept;
  bool writable() const noexcept { return (header().flags & file_header::flag_writable) != 0; }
  bool has_leaves() const noexcept { return (header().flags & file_header::flag_leaves) != 0; }
  bool in_place() const noexcept { return (header().flags & file_header::flag_in_place) != 0; }
  explicit operator bool() const noexcept { return front_.data() != nullptr; }
  std::string note() const;
  result<lazy_source> source() const;

 private:
  os::mapping front_;
};

// Keeps the objects that this one is made of, and those that they are made of, as long as the result lives. One that is
// gone is left out: filling what needs it will fail.
std::vector<object_file> hold_leaves(const object_file& of, const std::string& directory);

}  // namespace onecopy::pager
