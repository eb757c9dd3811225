// What a region is inside: a mapping that holds the lock that keeps the object alive (docs/lifetime.md).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "format/check.hpp"
#include "onecopy/region.hpp"
#include "os/bus_guard.hpp"
#include "os/fd.hpp"
#include "os/mapping.hpp"
#include "region/directory.hpp"
#include "region/registry.hpp"

namespace onecopy::detail {

class region_state {
 public:
  // Where the bytes came from, and what has to be done when this process lets go.
  struct origin {
    backing where = backing::store;
    std::shared_ptr<store_directory> store;  // of regions that handles can name
    std::string path;                        // backing::file
    os::fd descriptor;                       // memfd, where one is kept for new mappings and for sending
    std::shared_ptr<void> allowance;         // of that descriptor; given back with it
    std::string locator;                     // memfd that handles can name: "<id>.at/<link>"
    std::string locator_owner;               // the process that made the link, and alone may remove it
    std::optional<registry::key> key;        // under which the registry knows it
    std::uint64_t device = 0, inode = 0;
    // What a small region of no file held when it came; empty for all others.
    std::vector<std::byte> original;
    // backing::mapped_file: the bytes from `front` on are the file's, from `file_offset` on.
    std::uint64_t front = 0, file_offset = 0;
  };

  // Checks what is mapped. `descriptor` must hold the shared lock already, and may be closed afterwards.
  static result<std::shared_ptr<region_state>> map(int descriptor, std::uint64_t size, bool writable, origin from);
  // The same for a mapping that was made elsewhere; the region is its first `size` bytes.
  static result<std::shared_ptr<region_state>> adopt(os::mapping mapped, std::uint64_t size, bool writable, origin from);
  ~region_state();
  region_state(const region_state&) = delete;
  region_state& operator=(const region_state&) = delete;

  const format::checked_region& checked() const noexcept { return checked_; }
  const object_id& id() const noexcept { return id_; }
  const origin& from() const noexcept { return from_; }
  bool writable() const noexcept { return writable_; }
  os::mapping& mapping() noexcept { return mapping_; }
  // A descriptor of the bytes, read-only unless the region is writable, for another mapping or for sending.
  result<os::fd> open_again() const;

  // For a memfd of the store: that others find it through this process. A forked child has its parent's state, but is
  // not found by it.
  status be_located();

  // Where byte `offset` of the region lies in what open_again() opens; nullopt for bytes that are in no file.
  std::optional<std::uint64_t> offset_in_file(std::uint64_t offset) const noexcept;

  // False once the file behind it was cut short: some bytes are zeros now that should be others.
  bool intact() const noexcept;

  // Something of the layers above that shall live as long as the region does in this process; the first one stays.
  std::shared_ptr<void> companion() const noexcept {
    const auto* kept = companion_.load(std::memory_order_acquire);
    return kept ? *kept : nullptr;
  }
  void keep_companion(std::shared_ptr<void> kept) {
    auto made = std::make_unique<const std::shared_ptr<void>>(std::move(kept));
    const std::shared_ptr<void>* none = nullptr;
    if (companion_.compare_exchange_strong(none, made.get(), std::memory_order_release)) (void)made.release();
  }

  // True once somebody was given a pointer that can be written through.
  bool handed_out_writable() const noexcept { return handed_out_.load(std::memory_order_relaxed); }
  void note_handed_out() noexcept { handed_out_.store(true, std::memory_order_relaxed); }

  // When the lease of an immutable object of the store ends, as far as this process knows.
  void note_lease(double end) noexcept { lease_seen_.store(end, std::memory_order_relaxed); }

  // Runs `check` for a node at the first call and remembers that it passed.
  status check_once(std::uint32_t node, status (*check)(const format::checked_region&, std::uint32_t));

 private:
  region_state() = default;

  os::mapping mapping_;
  os::bus_guard guard_;  // of files, which others may cut; goes before the mapping
  std::atomic<const std::shared_ptr<void>*> companion_{nullptr};  // set once, by keep_companion()
  format::checked_region checked_;
  object_id id_;
  std::string name_;
  origin from_;
  bool writable_ = false;
  std::atomic<bool> handed_out_{false};
  std::atomic<double> lease_seen_{0};
  std::atomic<std::atomic<std::uint8_t>*> passed_{nullptr};  // one for each node, made at the first check
};

// Called when the last mapping of this process is gone: removes the object if nobody holds it and no lease runs.
// `leased`: a lease probably runs, so that is asked first, which is cheaper than to find out whether anybody holds it.
void let_go(const store_directory& store, const object_id& id, const std::string& name, bool leased) noexcept;
}  // namespace onecopy::detail
