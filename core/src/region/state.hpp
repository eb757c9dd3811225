// What a region is inside: a mapping that holds the lock that keeps the object alive (docs/lifetime.md).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "format/check.hpp"
#include "onecopy/region.hpp"
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
    std::string locator;                     // memfd that handles can name: "<id>.at/<link>"
    std::optional<registry::key> key;        // under which the registry knows it
    std::uint64_t device = 0, inode = 0;
  };

  // Checks what is mapped. `descriptor` must hold the shared lock already, and may be closed afterwards.
  static result<std::shared_ptr<region_state>> map(int descriptor, std::uint64_t size, bool writable, origin from);
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

  // True once somebody was given a pointer that can be written through.
  bool handed_out_writable() const noexcept { return handed_out_.load(std::memory_order_relaxed); }
  void note_handed_out() noexcept { handed_out_.store(true, std::memory_order_relaxed); }

  // Runs `check` for a node at the first call and remembers that it passed.
  status check_once(std::uint32_t node, status (*check)(const format::checked_region&, std::uint32_t));

 private:
  region_state() = default;

  os::mapping mapping_;
  format::checked_region checked_;
  object_id id_;
  std::string name_;
  origin from_;
  bool writable_ = false;
  std::atomic<bool> handed_out_{false};
  std::atomic<std::atomic<std::uint8_t>*> passed_{nullptr};  // one for each node, made at the first check
};

// Called when the last mapping of this process is gone: removes the object if nobody holds it and no lease runs.
void let_go(const store_directory& store, const object_id& id, const std::string& name) noexcept;

// Without end: the lease of objects that are kept until somebody frees them.
inline constexpr double no_end = 8589934592.0;  // seconds since 1970, in the year 2242

}  // namespace onecopy::detail
