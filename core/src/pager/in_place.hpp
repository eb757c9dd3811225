// A lazy vector whose elements lie in a file exactly as memory needs them is that file, mapped: the kernel's page cache
// is the one copy, filled when touched and given back when memory is needed, and no pager is asked.
//
// What mapping leaves to us is the touch that can't be answered, because the file was cut short or the disk fails. The
// kernel raises SIGBUS; here the touch sees bytes of 0xff instead, as in every lazy vector, and the error comes beside.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "onecopy/lazy.hpp"
#include "os/bus_guard.hpp"
#include "os/mapping.hpp"
#include "os/poller.hpp"

namespace onecopy::pager {

struct file_place {
  std::string path;
  std::uint64_t offset = 0;
};
// Where the elements lie, if they need not be changed in any way to be used: in the order of this machine, one after the
// other, and aligned for their type. Says nothing about the file.
std::optional<file_place> place_of(const lazy_source& source, dtype type);
// True if the file can be mapped in place now: an ordinary file that this process may read, with all of the elements,
// on a file system that answers in time.
bool can_map(const file_place& where, std::uint64_t bytes);

class in_place_file final : public os::bus_rescuer {
 public:
  // The file need not be long enough any more: then its touches fail.
  static result<std::unique_ptr<in_place_file>> map(const file_place& where, std::uint64_t bytes,
                                                    std::uint64_t item_bytes);
  ~in_place_file();

  std::byte* data() const noexcept { return pages_.data() + skip_; }
  // Ranges are of elements: [offset, offset + size) bytes from data().
  status ensure(std::uint64_t offset, std::uint64_t size);
  void prefetch(std::uint64_t offset, std::uint64_t size) noexcept;
  void release(std::uint64_t offset, std::uint64_t size) noexcept;
  status pin(std::uint64_t offset, std::uint64_t size);
  status unpin(std::uint64_t offset, std::uint64_t size);
  // False, and 0, where the kernel doesn't tell this user.
  bool resident(std::uint64_t offset, std::uint64_t size) const;
  std::uint64_t resident_bytes() const;
  std::uint64_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }

  // A touch has failed since the last take_trouble().
  bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  // True once for each time that failed() became true.
  bool news() noexcept { return failed() && !told_.exchange(true); }
  // Why; and what failed is tried again when it is touched next. If this process may map no more, it has failed still.
  std::optional<failure> take_trouble();

  bool rescue(std::uintptr_t address) noexcept override;
  // Rung when a touch has failed, by the handler of the signal. The bell lives as long as the process.
  static void ring_when_failed(os::bell* which) noexcept;
  // In a forked child: a thread of the parent may have been in the middle of rescue().
  void begin_again() noexcept { busy_.clear(); }

 private:
  struct range {
    std::uint64_t begin = 0, size = 0;  // in pages
  };
  in_place_file(file_place where, std::uint64_t bytes, std::uint64_t item_bytes);
  range pages_of(std::uint64_t offset, std::uint64_t size) const noexcept;
  std::byte* at(std::uint64_t page) const noexcept;
  status lock_pins(range again);
  failure describe(const failure& otherwise) const;
  void restore();
  bool is_damaged(std::uint64_t page) const noexcept;
  void set_damaged(std::uint64_t page, bool on) noexcept;

  const file_place where_;
  const std::uint64_t bytes_, item_bytes_, skip_, first_page_offset_;
  os::mapping pages_;
  os::bus_guard guard_;
  // One bit for each piece (64 KiB) that this process has read in once, and for each page that could not be had.
  std::unique_ptr<std::atomic<std::uint8_t>[]> seen_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> damaged_;
  // Filler in memory now, at most so many pieces: a reader of a large file that is gone must not fill memory with it.
  static constexpr std::size_t most_filler = 16;
  range filler_[most_filler];
  std::size_t next_filler_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> pins_;  // offset, size
  bool tells_ = false;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::atomic<bool> failed_{false}, told_{false}, left_damaged_{false};
  std::uint64_t device_ = 0, inode_ = 0;
  std::atomic<std::uint64_t> failures_{0}, failed_page_{0};
};

}  // namespace onecopy::pager
