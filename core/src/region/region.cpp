// The public face of a region.
#include "onecopy/region.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/arithmetic.hpp"
#include "os/bus_guard.hpp"
#include "os/file.hpp"
#include "os/system.hpp"
#include "region/collect.hpp"
#include "region/lease.hpp"
#include "region/state.hpp"

namespace onecopy {
namespace {

void require_within(std::uint64_t offset, std::uint64_t size, const region& whole, const char* tried) {
  if (!within(offset, size, whole.bytes().size()))
    raise({error_kind::invalid_argument, tried, "the range is not inside the region", ""});
}

double default_lease() {
  const std::string text = os::environment("ONECOPY_LEASE");
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && seconds >= 0 ? seconds : 600;
}

// A lease of a memfd is a reference that this process keeps, as there is no file whose time could carry it.
void keep_for(std::shared_ptr<detail::region_state> state, double seconds) {
  struct kept {
    std::shared_ptr<detail::region_state> state;
    double until;
  };
  static auto* all = new std::vector<kept>;
  std::vector<kept> over;  // let go of after the lock
  {
    const auto guard = detail::registry::lock();
    const double now = os::wall_clock();
    const auto ended = std::partition(all->begin(), all->end(), [&](const kept& one) { return one.until > now; });
    std::move(ended, all->end(), std::back_inserter(over));
    all->erase(ended, all->end());
    if (seconds > 0) all->push_back({std::move(state), now + seconds});
  }
}

// What `from` has copied by writing goes over to `to`, which was mapped anew from the same bytes.
void carry_over(const std::byte* from, std::byte* to, std::size_t size) {
  for (std::size_t at = 0; at < size; at += page_size) {
    const std::size_t length = std::min<std::size_t>(page_size, size - at);
    if (std::memcmp(from + at, to + at, length) != 0) std::memcpy(to + at, from + at, length);
  }
}

}  // namespace

const char* name_of(backing where) noexcept {
  switch (where) {
    case backing::store: return "store";
    case backing::memfd: return "memfd";
    case backing::file: return "file";
    case backing::mapped_file: return "mapped_file";
  }
  return "unknown";
}

std::span<const std::byte> region::bytes() const noexcept {
  return {state_->checked().base, static_cast<std::size_t>(state_->checked().bytes)};
}
const object_id& region::id() const noexcept { return state_->id(); }
backing region::where() const noexcept { return state_->from().where; }
const std::string& region::path() const noexcept { return state_->from().path; }
std::string region::name() const { return state_->checked().head->name; }
bool region::writable() const noexcept { return state_->writable(); }
bool region::intact() const noexcept { return state_->intact(); }

void region::check_intact() const {
  if (!intact())
    raise({error_kind::corrupt, "read " + path(), "the file was cut short since it was mapped, so some bytes are gone",
           "Map it again; to replace a file that is in use, write a new one and rename it over the old"});
}

std::byte* region::writable_bytes() const {
  auto& mapping = state_->mapping();
  if (!mapping.writable()) {
    const auto guard = detail::registry::lock();
    unwrap(mapping.make_writable());
  }
  if (!state_->writable()) state_->note_handed_out();
  return mapping.data();
}

bool region::diverged(std::size_t offset, std::size_t size) const {
  require_within(offset, size, *this, "compare shared bytes");
  if (state_->writable() || !state_->handed_out_writable() || size == 0) return false;
  if (const auto& original = state_->from().original; !original.empty())
    return std::memcmp(original.data() + offset, state_->checked().base + offset, size) != 0;
  const std::uint64_t first = round_down(offset, page_size), last = round_up(offset + size, page_size);
  auto copied = os::private_bytes(state_->mapping().data() + first, last - first);
  if (copied && *copied == 0) return false;
  // Pages were copied; or the kernel doesn't tell. A neighbour's bytes on the same page don't count, nor does writing
  // what was there before: only the bytes decide.
  auto file = state_->open_again();
  if (!file) return true;
  std::vector<std::byte> block(std::min<std::size_t>(size, 1 << 20));
  for (std::size_t done = 0; done < size; done += block.size()) {
    const auto part = std::span(block).first(std::min(block.size(), size - done));
    const auto at = state_->offset_in_file(offset + done);
    if (!at || !os::read_at(file->get(), part, *at)) return true;
    if (std::memcmp(part.data(), state_->mapping().data() + offset + done, part.size()) != 0) return true;
  }
  return false;
}

namespace {

// A file may be cut short under a copy that is a mapping of it, too. By address, under the lock of the registry.
std::unordered_map<const void*, os::bus_guard>& guards_of_copies() {
  static auto* const all = new std::unordered_map<const void*, os::bus_guard>;  // outlives every copy
  return *all;
}

bool guard_copy(const detail::region_state& original, os::mapping& copy, std::size_t size) {
  if (original.from().where != backing::file) return true;
  auto guard = os::bus_guard::protect(copy.data(), round_up(size, page_size));
  if (!guard) return false;
  const auto held = detail::registry::lock();
  guards_of_copies().insert_or_assign(copy.data(), std::move(*guard));
  return true;
}

}  // namespace

onecopy::private_view region::private_view(std::size_t offset, std::size_t size) const {
  require_within(offset, size, *this, "copy shared bytes");
  const std::byte* source = state_->checked().base + offset;
  onecopy::private_view copy;
  copy.size_ = size;
  // A mapping costs about as much as copying four pages, and one of the few that a process may have. What others may
  // write to can't be copied by mapping it: their writes would show through.
  if (size >= 4 * page_size && offset % page_size == 0 && !state_->writable()) {
    auto file = state_->open_again();
    const auto at = state_->offset_in_file(offset);
    if (file && at && *at % page_size == 0 && state_->from().where != backing::mapped_file) {
      auto mapped = os::mapping::map(file->get(), *at, size, os::map_mode::private_pages);
      if (mapped && mapped->writable() && guard_copy(*state_, *mapped, size)) {
        const bool same = !state_->handed_out_writable() || [&] {
          auto copied = os::private_bytes(source, size);
          return copied && *copied == 0;
        }();
        if (!same) carry_over(source, mapped->data(), size);
        copy.keep_ = state_;
        copy.mapped_ = mapped->size();
        copy.base_ = copy.data_ = mapped->release();
        check_intact();
        return copy;
      }
    }
  }
  copy.base_ = std::malloc(std::max<std::size_t>(size, 1));
  if (copy.base_ == nullptr) raise(failure::from_errno("copy " + std::to_string(size) + " shared bytes", ENOMEM));
  std::memcpy(copy.base_, source, size);
  copy.data_ = static_cast<std::byte*>(copy.base_);
  check_intact();  // or zeros would stand for what is gone
  return copy;
}

onecopy::handle region::handle(std::uint32_t node, double lease_seconds) const {
  const auto& from = state_->from();
  if (!from.store)
    raise({error_kind::unsupported, "make a handle of a region", "it lies in no store, so no process could find it",
           "Send it as a descriptor, open its file by path, or share it in the store"});
  if (node >= state_->checked().nodes.size())
    raise({error_kind::invalid_argument, "make a handle", "the region has no node " + std::to_string(node), ""});
  const double lease = lease_seconds < 0 ? default_lease() : lease_seconds;
  if (from.where == backing::memfd) {
    unwrap(state_->be_located());
    keep_for(state_, lease);
  } else {
    auto until = detail::lease_end(*from.store, id().text());
    // A lease is only ever made longer here; an object that was removed by hand still has holders, and a handle of it
    // says not_found where it is used.
    // Who hands out thousands of handles a second need not say so thousands of times.
    const double now = os::wall_clock();
    if (until && *until < now + lease * 0.99) {
      (void)detail::set_lease(*from.store, id(), lease);
      until = now + lease;
    }
    if (until && !state_->writable()) state_->note_lease(*until);
  }
  return {detail::this_host(), from.store->id(), id(), node};
}

std::size_t region::holders() const { return os::count_locks(state_->from().device, state_->from().inode); }

int region::open_descriptor() const { return unwrap(state_->open_again()).release(); }

private_view::private_view(private_view&& other) noexcept
    : keep_(std::move(other.keep_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      base_(std::exchange(other.base_, nullptr)),
      mapped_(std::exchange(other.mapped_, 0)) {}

private_view& private_view::operator=(private_view&& other) noexcept {
  onecopy::private_view moved(std::move(other));
  std::swap(keep_, moved.keep_);
  std::swap(data_, moved.data_);
  std::swap(size_, moved.size_);
  std::swap(base_, moved.base_);
  std::swap(mapped_, moved.mapped_);
  return *this;
}

private_view::~private_view() {
  if (mapped_ == 0) {
    std::free(base_);
    return;
  }
  if (keep_->from().where == backing::file) {
    const auto held = detail::registry::lock();
    guards_of_copies().erase(base_);
  }
  os::unmap(base_, mapped_);
}

}  // namespace onecopy
