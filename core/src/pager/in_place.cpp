#include "pager/in_place.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/file_pages.hpp"
#include "os/flags.hpp"
#include "os/memfd.hpp"
#include "os/process.hpp"

namespace onecopy::pager {

namespace {

constexpr std::uint64_t piece_pages = 16;
constexpr std::uint64_t read_at_once = 4u << 20;

std::uint64_t number_in(const lazy_source& source, const char* name) {
  const auto found = source.fields.find(name);
  std::uint64_t value = 0;
  if (found != source.fields.end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
  return value;
}

std::unique_ptr<std::atomic<std::uint8_t>[]> bits(std::uint64_t count) {
  return std::make_unique<std::atomic<std::uint8_t>[]>(bitmap_bytes(count));
}

bool bit(const std::unique_ptr<std::atomic<std::uint8_t>[]>& of, std::uint64_t i) noexcept {
  return (of[i / 8].load(std::memory_order_relaxed) >> (i % 8) & 1) != 0;
}

void set_bit(const std::unique_ptr<std::atomic<std::uint8_t>[]>& of, std::uint64_t i, bool on) noexcept {
  const auto mask = static_cast<std::uint8_t>(1u << (i % 8));
  if (on) of[i / 8].fetch_or(mask, std::memory_order_relaxed);
  else of[i / 8].fetch_and(static_cast<std::uint8_t>(~mask), std::memory_order_relaxed);
}

// For a signal handler and those it may meet. What is held under it is short.
class busy_guard {
 public:
  explicit busy_guard(std::atomic_flag& flag) noexcept : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~busy_guard() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag& flag_;
};

std::atomic<os::bell*> bell_for_failures{nullptr};

// An empty file, one for the process: mapped where filler was taken away again, so that touches fail anew.
std::atomic<int> nothing{-1};

status make_nothing() {
  if (nothing.load() >= 0) return done();
  auto made = os::make_memfd("onecopy-nothing");
  if (!made) return made.reason();
  int none = -1;
  if (nothing.compare_exchange_strong(none, made->get())) (void)made->release();
  return done();
}

}  // namespace

void in_place_file::ring_when_failed(os::bell* which) noexcept { bell_for_failures.store(which); }

std::optional<file_place> place_of(const lazy_source& source, dtype type) {
  if (source.kind != "file") return std::nullopt;
  const auto path = source.fields.find("path"), swap = source.fields.find("swap");
  const std::uint64_t item = size_of(type), offset = number_in(source, "offset"), stride = number_in(source, "stride");
  if (path == source.fields.end() || item == 0 || (stride != 0 && stride != item)) return std::nullopt;
  if (swap != source.fields.end() && swap->second == "1") return std::nullopt;
  const bool pair = type == dtype::complex64 || type == dtype::complex128;
  if (offset % (pair ? item / 2 : item) != 0) return std::nullopt;
  return file_place{path->second, offset};
}

bool can_map(const file_place& where, std::uint64_t bytes) {
  auto file = os::open_file(where.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return false;
  auto info = os::status_of(file->get(), where.path);
  if (!info || !S_ISREG(info->st_mode)) return false;
  return within(where.offset, bytes, static_cast<std::uint64_t>(info->st_size)) && os::answers_soon(file->get());
}

in_place_file::in_place_file(file_place where, std::uint64_t bytes, std::uint64_t item_bytes)
    : where_(std::move(where)), bytes_(bytes), item_bytes_(item_bytes), skip_(where_.offset % page_size),
      first_page_offset_(where_.offset - skip_) {}

result<std::unique_ptr<in_place_file>> in_place_file::map(const file_place& where, std::uint64_t bytes,
                                                          std::uint64_t item_bytes) {
  std::unique_ptr<in_place_file> made(new in_place_file(where, bytes, item_bytes));
  if (bytes == 0) return made;
  auto file = os::open_file(where.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return file.reason();
  auto info = os::status_of(file->get(), where.path);
  if (!info) return info.reason();
  if (!S_ISREG(info->st_mode))
    return failure{error_kind::invalid_argument, "map " + where.path, "it is not a regular file any more",
                   "Put the file back"};
  made->device_ = info->st_dev;
  made->inode_ = info->st_ino;
  made->tells_ = os::tells_what_is_in_memory(file->get());
  if (auto ok = make_nothing(); !ok) return ok.reason();
  const std::uint64_t size = round_up(made->skip_ + bytes, page_size);
  made->seen_ = bits(size / page_size / piece_pages + 1);
  made->damaged_ = bits(size / page_size);
  auto mapped = os::mapping::map(file->get(), made->first_page_offset_, size, os::map_mode::private_pages);
  if (!mapped) return mapped.reason();
  made->pages_ = *std::move(mapped);
  auto guard = os::bus_guard::protect(made->pages_.data(), size, made.get());
  if (!guard) return guard.reason();
  made->guard_ = *std::move(guard);
  return made;
}

in_place_file::~in_place_file() { guard_ = {}; }

in_place_file::range in_place_file::pages_of(std::uint64_t offset, std::uint64_t size) const noexcept {
  const std::uint64_t begin = (skip_ + offset) / page_size;
  return {begin, round_up(skip_ + offset + size, page_size) / page_size - begin};
}

std::byte* in_place_file::at(std::uint64_t page) const noexcept { return pages_.data() + page * page_size; }
bool in_place_file::is_damaged(std::uint64_t page) const noexcept { return bit(damaged_, page); }
void in_place_file::set_damaged(std::uint64_t page, bool on) noexcept { set_bit(damaged_, page, on); }

status in_place_file::ensure(std::uint64_t offset, std::uint64_t size) {
  if (size == 0) return done();
  const range all = pages_of(offset, size);
  if (failed() || left_damaged_) {
    restore();  // who asks for the error here gets it from the reading
    if (failed())
      return failure{error_kind::no_memory, "read " + where_.path, "this process may make no more mappings",
                     "Let go of other objects and files, and try again"};
    for (std::uint64_t i = all.begin / piece_pages; i <= (all.begin + all.size - 1) / piece_pages; ++i)
      set_bit(seen_, i, false);
  }
  const std::uint64_t pieces_end = (all.begin + all.size - 1) / piece_pages + 1;
  const std::uint64_t end = pages_.size() / page_size;
  bool size_checked = false;
  for (std::uint64_t piece = all.begin / piece_pages; piece < pieces_end; ++piece) {
    if (bit(seen_, piece)) continue;
    if (!size_checked) {
      // Bytes behind the end of the file, but on its last page, are zeros to the kernel; to us they are missing.
      auto there = os::status_of_path(where_.path);
      if (there && *there && (*there)->st_dev == device_ && (*there)->st_ino == inode_ &&
          where_.offset + offset + size > static_cast<std::uint64_t>((*there)->st_size)) {
        failures_.fetch_add(1, std::memory_order_relaxed);
        return describe({});
      }
      size_checked = true;
    }
    std::uint64_t some = 1;
    while (piece + some < pieces_end && (some + 1) * piece_pages * page_size <= read_at_once &&
           !bit(seen_, piece + some))
      ++some;
    // What was asked for, and the rest of its pieces as far as the file has it: a failure there is nobody's.
    const std::uint64_t first = piece * piece_pages, last = std::min((piece + some) * piece_pages, end);
    if (auto ok = os::read_in(at(first), (last - first) * page_size); !ok) {
      const std::uint64_t begin = std::max(first, all.begin), stop = std::min(last, all.begin + all.size);
      if (auto again = os::read_in(at(begin), (stop - begin) * page_size); !again) {
        failures_.fetch_add(1, std::memory_order_relaxed);
        return describe(again.reason());
      }
    } else {
      for (std::uint64_t i = piece; i < piece + some; ++i) set_bit(seen_, i, true);
    }
    piece += some - 1;
  }
  return done();
}

void in_place_file::prefetch(std::uint64_t offset, std::uint64_t size) noexcept {
  const range all = pages_of(offset, size);
  if (size > 0) os::read_ahead(at(all.begin), all.size * page_size);
}

void in_place_file::release(std::uint64_t offset, std::uint64_t size) noexcept {
  const range all = pages_of(offset, size);
  if (size > 0) os::give_back(at(all.begin), all.size * page_size);
}

status in_place_file::pin(std::uint64_t offset, std::uint64_t size) {
  if (auto ok = ensure(offset, size); !ok) return ok;
  const range all = pages_of(offset, size);
  if (auto ok = os::lock_in_memory(at(all.begin), all.size * page_size); !ok) {
    (void)lock_pins(all);
    return ok;
  }
  pins_.emplace_back(offset, size);
  return done();
}

status in_place_file::unpin(std::uint64_t offset, std::uint64_t size) {
  const auto found = std::find(pins_.begin(), pins_.end(), std::pair(offset, size));
  if (found == pins_.end())
    return failure{error_kind::invalid_argument, "unpin a part of a lazy object", "this part was not pinned",
                   "Unpin the same ranges that were pinned"};
  pins_.erase(found);
  const range all = pages_of(offset, size);
  os::unlock_in_memory(at(all.begin), all.size * page_size);
  return lock_pins(all);
}

// The kernel doesn't count locks: what was unlocked is locked again where other pins have a page of it.
status in_place_file::lock_pins(range again) {
  for (const auto& [offset, size] : pins_) {
    const range all = pages_of(offset, size);
    if (all.begin >= again.begin + again.size || again.begin >= all.begin + all.size) continue;
    if (auto ok = os::lock_in_memory(at(all.begin), all.size * page_size); !ok) return ok;
  }
  return done();
}

bool in_place_file::resident(std::uint64_t offset, std::uint64_t size) const {
  const range all = pages_of(offset, size);
  return size == 0 || (tells_ && os::all_in_memory(at(all.begin), all.size * page_size));
}

std::uint64_t in_place_file::resident_bytes() const {
  return bytes_ == 0 || !tells_ ? 0 : std::min(bytes_, os::bytes_in_memory(pages_.data(), pages_.size()));
}

// In a signal handler: no memory is taken from the heap, and no lock that anybody could hold outside of here for long.
bool in_place_file::rescue(std::uintptr_t address) noexcept {
  const auto base = reinterpret_cast<std::uintptr_t>(pages_.data());
  if (address < base || address - base >= pages_.size()) return false;
  const std::uint64_t page = (address - base) / page_size;
  busy_guard hold(busy_);
  for (const range& one : filler_)
    if (page >= one.begin && page - one.begin < one.size) return true;  // another thread was quicker
  // As far as nothing else is lost by it: what is in memory may be a private copy. 64 KiB at once, because a reader of
  // a large file that was cut would otherwise come back for each page of it.
  const std::uint64_t end = std::min((page / piece_pages + 1) * piece_pages, pages_.size() / page_size);
  const std::uint64_t count = std::max<std::uint64_t>(1, os::pages_missing(base + page * page_size, end - page));
  range& oldest = filler_[next_filler_];
  if (oldest.size > 0 &&
      !os::put_file(base + oldest.begin * page_size, oldest.size * page_size, nothing.load(), oldest.begin * page_size))
    return false;
  oldest = {};
  if (!os::put_filler(base + page * page_size, count * page_size, std::byte{0xff})) return false;
  oldest = {page, count};
  next_filler_ = (next_filler_ + 1) % most_filler;
  for (std::uint64_t i = page; i < page + count; ++i) set_damaged(i, true);
  failures_.fetch_add(1, std::memory_order_relaxed);
  if (!failed_.load(std::memory_order_relaxed)) failed_page_.store(page, std::memory_order_relaxed);
  const bool first = !failed_.exchange(true, std::memory_order_acq_rel);
  if (os::bell* bell = bell_for_failures.load(); first && bell != nullptr) bell->ring();
  return true;
}

std::optional<failure> in_place_file::take_trouble() {
  if (!failed()) return std::nullopt;
  failure why = describe({error_kind::system, "read " + where_.path,
                          "the disk or the file system did not deliver page " +
                              std::to_string(first_page_offset_ / page_size + failed_page_.load()),
                          "Look at the kernel's messages (dmesg); touching it again tries again"});
  restore();
  return why;
}

failure in_place_file::describe(const failure& otherwise) const {
  auto there = os::status_of_path(where_.path);
  if (there && !*there)
    return {error_kind::not_found, "read " + where_.path, "the file is no longer there", "Put it back"};
  const std::uint64_t needed = where_.offset + bytes_;
  if (there && static_cast<std::uint64_t>((*there)->st_size) < needed) {
    const auto size = static_cast<std::uint64_t>((*there)->st_size);
    return {error_kind::corrupt, "read " + where_.path,
            "element " + std::to_string(bytes_ / item_bytes_ - 1) + " ends at byte " + std::to_string(needed) +
                ", and the file has only " + std::to_string(size),
            "The file is shorter than the lazy vector made from it: restore it, or make a shorter vector"};
  }
  if (!otherwise.happened.empty() && otherwise.tried.find(where_.path) != std::string::npos) return otherwise;
  return {error_kind::system, "read " + where_.path,
          otherwise.happened.empty() ? "the file was cut short, and is whole again by now"
                                     : "the disk or the file system did not deliver all of it",
          "Touching it again tries again", otherwise.os_error};
}

// The file's own pages come back in place of filler; if the path leads to nothing, pages that fail again.
void in_place_file::restore() {
  auto file = os::open_file(where_.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  auto info = file ? os::status_of(file->get(), where_.path) : result<struct stat>(file.reason());
  const bool usable = info && S_ISREG(info->st_mode);
  // A handler that interrupts this, and touches a page that can't be had, would wait in rescue() for this thread.
  const os::signals_blocked undisturbed;
  busy_guard hold(busy_);
  const auto base = reinterpret_cast<std::uintptr_t>(pages_.data());
  const std::uint64_t end = pages_.size() / page_size;
  bool all_shown = true;
  for (std::uint64_t page = 0; page < end;) {
    if (page % 8 == 0 && damaged_[page / 8].load(std::memory_order_relaxed) == 0) {
      page += 8;
      continue;
    }
    std::uint64_t some = 0;
    while (page + some < end && is_damaged(page + some)) ++some;
    if (some == 0) {
      ++page;
      continue;
    }
    const std::uintptr_t address = base + page * page_size;
    const std::uint64_t offset = page * page_size;
    const bool shown = usable ? os::put_file(address, some * page_size, file->get(), first_page_offset_ + offset)
                              : os::put_file(address, some * page_size, nothing.load(), offset);
    all_shown = all_shown && shown;
    for (std::uint64_t i = page; i < page + some; ++i) {
      if (shown && usable) set_damaged(i, false);
      if (shown) set_bit(seen_, i / piece_pages, false);
    }
    page += some;
  }
  for (range& one : filler_) one = {};
  left_damaged_ = !usable;
  failed_.store(!all_shown, std::memory_order_release);
  told_.store(false);
}

}  // namespace onecopy::pager
