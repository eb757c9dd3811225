// A region: the bytes of one shared object, mapped into this process.
//
// A `region` is a counted reference. Copying it copies no bytes. As long as one reference is left in any process, the
// bytes stay; the kernel keeps that count, as locks that belong to mappings (docs/lifetime.md), so a killed process
// lets go like any other. Within a process a region is mapped once, however often it is attached.
//
// Threads: all const members may be called from any thread at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "onecopy/handle.hpp"

namespace onecopy {

namespace detail {
class region_state;
}

// Where the bytes live (docs/lifetime.md has the table).
enum class backing { store, memfd, file, mapped_file };
const char* name_of(backing where) noexcept;

// Pages of a region copied on write for one owner. Made by region::private_view; moves, never copies.
class private_view {
 public:
  private_view() = default;
  private_view(private_view&&) noexcept;
  private_view& operator=(private_view&&) noexcept;
  ~private_view();

  // `size` bytes that begin as the region's and are the owner's to write. Valid while this object lives.
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  friend class region;
  std::shared_ptr<detail::region_state> keep_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  void* base_ = nullptr;         // the mapping, or a heap block when mapped_ is 0
  std::size_t mapped_ = 0;
};

class region {
 public:
  region() = default;  // empty: only operator bool and the assignments may be used
  explicit operator bool() const noexcept { return state_ != nullptr; }

  // All bytes, the header included. They never change unless writable() is true.
  std::span<const std::byte> bytes() const noexcept;
  const object_id& id() const noexcept;
  backing where() const noexcept;
  // The path of a file, "" for the others.
  const std::string& path() const noexcept;
  // The name that was given to share(), or "".
  std::string name() const;

  // True for objects made mutable: every process sees every write at once.
  bool writable() const noexcept;

  // False once the file behind the region was cut short, so that bytes which are gone read as zeros. Always true for
  // the store and for sealed memory, which nobody can cut. Takes about a microsecond for files.
  bool intact() const noexcept;
  // Throws corrupt unless intact().
  void check_intact() const;

  // A pointer to all bytes that may be written through. On a mutable region the writes are shared. On others they go
  // to private copies of the pages written (4 KiB each), seen by the whole process and by nobody else; bindings hand
  // it to code that asks for a writable pointer but only reads. Throws no_memory where strict overcommit refuses.
  std::byte* writable_bytes() const;

  // True if this process wrote to bytes [offset, offset + size) of an immutable region, so that a handle would not
  // carry what this process sees. Takes about 10 us per MB that is resident. Writes that restore the old value may
  // count as different.
  bool diverged(std::size_t offset, std::size_t size) const;

  // A private copy of bytes [offset, offset + size) at the cost of mapping them: a page is copied when it is written.
  // Small or unaligned ranges are copied at once. Throws no_memory, invalid_argument.
  onecopy::private_view private_view(std::size_t offset, std::size_t size) const;

  // A handle that other processes can attach to, and a lease that keeps the object for `lease_seconds` after the last
  // holder lets go, so that the receiver of the handle has time to attach (a hundredth less, where an earlier lease
  // lasts that long already). Negative: the default (10 minutes, or ONECOPY_LEASE seconds). Throws unsupported for a
  // region that has no name in any store (file, sealed memfd).
  onecopy::handle handle(std::uint32_t node = 0, double lease_seconds = -1) const;

  // How many mappings hold the region now, in all processes, by the kernel's count; at least 1.
  // A forked child shares its parent's. 0 if the kernel doesn't tell (no /proc/locks).
  std::size_t holders() const;

  // A descriptor of the region's bytes, opened read-only, which the caller owns and closes: for SCM_RIGHTS, for
  // children. A store region is not sealed; use writer::publish with backing::memfd for peers that don't trust us.
  int open_descriptor() const;

  bool operator==(const region& other) const noexcept { return state_ == other.state_; }

  // For the layers above.
  explicit region(std::shared_ptr<detail::region_state> state) noexcept : state_(std::move(state)) {}
  const std::shared_ptr<detail::region_state>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<detail::region_state> state_;
};

}  // namespace onecopy
