#include "region/state.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "base/arithmetic.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/system.hpp"
#include "region/lease.hpp"
#include "region/locator.hpp"
#include "region/names.hpp"

namespace onecopy::detail {

result<std::shared_ptr<region_state>> region_state::map(int descriptor, std::uint64_t size, bool writable,
                                                        origin from) {
  auto mapped = os::mapping::map(descriptor, 0, size, writable ? os::map_mode::shared : os::map_mode::private_pages);
  if (!mapped) return mapped.reason();
  return adopt(*std::move(mapped), size, writable, std::move(from));
}

result<std::shared_ptr<region_state>> region_state::adopt(os::mapping mapped, std::uint64_t size, bool writable,
                                                          origin from) {
  std::shared_ptr<region_state> state(new region_state);
  state->mapping_ = std::move(mapped);
  if (from.where == backing::file || from.where == backing::mapped_file) {
    // Before the first look: a file may be cut at any time.
    auto guard = os::bus_guard::protect(state->mapping_.data(), round_up(state->mapping_.size(), page_size));
    if (!guard) return guard.reason();
    state->guard_ = std::move(*guard);
  }
  auto checked = format::check({state->mapping_.data(), static_cast<std::size_t>(size)});
  if (!checked) return checked.reason();
  state->checked_ = *checked;
  std::memcpy(state->id_.bytes.data(), checked->head->id, sizeof checked->head->id);
  state->name_ = checked->head->name;
  state->writable_ = writable;
  state->from_ = std::move(from);  // from here on the destructor lets go
  return state;
}

region_state::~region_state() {
  delete companion_.load();
  delete[] passed_.load();
  if (from_.key) registry::forget(*from_.key);
  guard_ = {};
  mapping_ = {};  // gives the lock back
  if (!from_.locator.empty()) {
    // A forked child has its parent's state, and lets go of its own copy alone.
    if (from_.locator_owner == os::process_name()) remove_locator(*from_.store, from_.locator);
    from_.descriptor.reset();
  }
  if (from_.store) let_go(*from_.store, id_, name_, lease_seen_.load() > os::wall_clock());
}

result<os::fd> region_state::open_again() const {
  const int flags = writable_ ? O_RDWR : O_RDONLY;
  if (from_.descriptor.valid()) return os::reopen(from_.descriptor.get(), flags);
  failure gone{error_kind::unsupported, "open the region " + id_.text() + " again",
               "this process has no descriptor of it", "Share it again"};
  if (from_.where == backing::memfd) return gone;
  auto again = from_.where == backing::store ? os::open_at(from_.store->fd(), id_.text(), flags | O_NOFOLLOW)
                                             : os::open_file(from_.path, flags);
  if (!again) return again;
  auto info = os::status_of(again->get(), from_.path);
  if (!info) return info.reason();
  // Removed or replaced meanwhile: the path names other bytes.
  if (info->st_dev != from_.device || info->st_ino != from_.inode) return gone;
  return again;
}

status region_state::be_located() {
  const auto guard = registry::lock();
  const std::string self = os::process_name();
  if (from_.locator.empty() || from_.locator_owner == self) return done();
  auto own = add_locator(*from_.store, id_, from_.descriptor.get());
  if (!own) return own.reason();
  from_.locator = *own;
  from_.locator_owner = self;
  return done();
}

std::optional<std::uint64_t> region_state::offset_in_file(std::uint64_t offset) const noexcept {
  if (offset < from_.front) return std::nullopt;
  return offset - from_.front + from_.file_offset;
}

bool region_state::intact() const noexcept {
  if (from_.where != backing::file && from_.where != backing::mapped_file) return true;
  // A file loses its end first: touching the last page finds a cut that went unnoticed so far. A cut within that page
  // shows in the file's size alone.
  if (mapping_.size() > from_.front) (void)*const_cast<const volatile std::byte*>(mapping_.data() + mapping_.size() - 1);
  if (guard_.was_hit()) return false;
  auto info = os::status_of_path(from_.path);
  if (!info || !*info || (*info)->st_dev != from_.device || (*info)->st_ino != from_.inode) return true;
  return static_cast<std::uint64_t>((*info)->st_size) >= checked_.bytes - from_.front + from_.file_offset;
}

status region_state::check_once(std::uint32_t node, status (*check)(const format::checked_region&, std::uint32_t)) {
  auto* passed = passed_.load(std::memory_order_acquire);
  if (passed == nullptr) {
    auto* fresh = new std::atomic<std::uint8_t>[checked_.nodes.size()]();
    if (passed_.compare_exchange_strong(passed, fresh, std::memory_order_acq_rel)) passed = fresh;
    else delete[] fresh;
  }
  if (passed[node].load(std::memory_order_acquire) != 0) return done();
  if (auto good = check(checked_, node); !good) return good;
  // What others may write at any time stays unchecked for good.
  if (!writable_) passed[node].store(1, std::memory_order_release);
  return done();
}

void let_go(const store_directory& store, const object_id& id, const std::string& name, bool leased) noexcept {
  try {
    if (leased) {
      auto end = lease_end(store, id.text());
      if (end && *end > os::wall_clock()) return;
    }
    auto file = os::open_at(store.fd(), id.text(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file) {
      // It was in memfds, and this may have been the last.
      auto located = os::status_at(store.fd(), id.text() + std::string(locator_suffix));
      if (!name.empty() && located && !*located) unbind_name(store, name, id);
      return;
    }
    auto alone = os::try_lock_exclusive(file->get());
    if (!alone || !*alone) return;
    auto info = os::status_of(file->get(), id.text());
    if (!info || info->st_nlink == 0) return;
    if (lease_end(file->get(), *info) > os::wall_clock()) return;
    if (!name.empty()) unbind_name(store, name, id);
    // Nobody can have attached since: that takes the shared lock first, and sees the link count afterwards.
    (void)os::remove_at(store.fd(), id.text());
  } catch (...) {  // out of memory: the next collection finds it
  }
}

}  // namespace onecopy::detail
