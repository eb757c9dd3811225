#include "onecopy/lazy.hpp"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/arithmetic.hpp"
#include "onecopy/store.hpp"
#include "os/file.hpp"
#include "os/file_pages.hpp"
#include "os/flags.hpp"
#include "os/sparse.hpp"
#include "os/system.hpp"
#include "pager/client.hpp"
#include "pager/source.hpp"

namespace onecopy {

using detail::lazy_attachment;
using pager::ask;
using pager::client;

namespace {

std::string shortest(double number) {
  char text[64];
  const auto [end, wrong] = std::to_chars(text, text + sizeof text, number);
  return wrong == std::errc{} ? std::string(text, end) : std::to_string(number);
}

result<std::shared_ptr<lazy_attachment>> open_and_attach(const object_id& id) {
  auto directory = pager::lazy_directory();
  if (!directory) return directory.reason();
  const std::string path = pager::path_of(*directory, id);
  const failure gone{error_kind::not_found, "attach lazy object " + id.text(), "it doesn't exist (any more)",
                     "Keep it in a variable as long as others need it"};
  auto probe = os::open_file(path, O_RDONLY);
  if (!probe) return probe.reason().kind == error_kind::not_found ? gone : probe.reason();
  // A shared, writable mapping needs a descriptor that may write.
  auto described = pager::object_file::open(probe->get(), false);
  if (!described) return described.reason();
  auto file = os::open_file(path, described->writable() ? O_RDWR : O_RDONLY);
  if (!file) return file.reason().kind == error_kind::not_found ? gone : file.reason();
  if (auto locked = os::lock_shared(file->get(), 5, "a lazy object"); !locked) return locked.reason();
  auto info = os::status_of(file->get(), path);
  if (!info) return info.reason();
  if (info->st_nlink == 0) return gone;  // removed between the opening and the lock
  return client::instance().attach(*std::move(file), path);
}

void extend_lease(const lazy_attachment& of, double seconds) {
  if (seconds < 0) {
    const std::string chosen = os::environment("ONECOPY_LEASE");
    seconds = chosen.empty() ? 600 : std::strtod(chosen.c_str(), nullptr);
  }
  const double end = std::min(os::wall_clock() + seconds + 1, 1e15);
  const auto extend = [&](const std::string& path, const pager::object_file& one) {
    auto file = unwrap(os::open_file(path, O_RDWR));
    const auto until = std::max(static_cast<std::int64_t>(end), one.header().lease_until.load());
    unwrap(os::write_at(file.get(), std::as_bytes(std::span(&until, 1)), offsetof(pager::file_header, lease_until)));
  };
  // First what it is made of: it must not be found without.
  const std::string directory = of.path.substr(0, of.path.rfind('/'));
  for (const auto& leaf : of.leaves) extend(pager::path_of(directory, leaf.id()), leaf);
  extend(of.path, of.file);
}

}  // namespace

lazy_source lazy_source::sequence(double from, double by) {
  return {"sequence", {{"from", shortest(from)}, {"by", shortest(by)}}};
}

lazy_source lazy_source::sequence(std::int64_t from, std::int64_t by) {
  return {"sequence", {{"from", std::to_string(from)}, {"by", std::to_string(by)}}};
}

lazy_source lazy_source::binary_file(const std::string& path, std::uint64_t offset, std::uint64_t stride, bool swap) {
  std::error_code ignored;
  const auto whole = std::filesystem::absolute(path, ignored).lexically_normal();
  return {"file",
          {{"path", whole.string()}, {"offset", std::to_string(offset)}, {"stride", std::to_string(stride)},
           {"swap", swap ? "1" : "0"}}};
}

lazy_source lazy_source::program(const std::vector<std::string>& command, std::string payload,
                                 std::string description) {
  lazy_source made{"program", {{"payload", std::move(payload)}, {"description", std::move(description)}}};
  for (std::size_t i = 0; i < command.size(); ++i) made.fields["word" + std::to_string(i)] = command[i];
  return made;
}

lazy_vector make_lazy(dtype type, std::uint64_t count, const lazy_source& source, const lazy_options& options) {
  const object_id id = object_id::random();
  // The pager makes the source; what it would say only at the first touch is said here.
  unwrap(pager::make_source(source, {id, type, size_of(type), count, options.deadline_seconds}));
  const std::string directory = unwrap(pager::lazy_directory());
  // Where the elements lie in a file as memory needs them, nothing is better than the kernel's own paging.
  const auto where = options.in_place && !options.writable ? pager::place_of(source, type) : std::nullopt;
  const bool in_place = where && pager::can_map(*where, count * size_of(type));
  auto file = unwrap(pager::create_file(directory, id, type, count, source, options, in_place));
  const std::string path = pager::path_of(directory, id);
  auto made = client::instance().attach(std::move(file), path);
  if (!made) (void)os::remove_file(path);
  auto state = unwrap(std::move(made));
  // From now on this process holds it; the first lease was for the moment between.
  const std::int64_t over = 0;
  auto own = unwrap(os::open_file(path, O_RDWR));
  unwrap(os::write_at(own.get(), std::as_bytes(std::span(&over, 1)), offsetof(pager::file_header, lease_until)));
  return lazy_vector(std::move(state));
}

lazy_vector attach_lazy(const handle& where) {
  if (where.host != store::host_id() || where.store != store::store_id())
    throw error(error_kind::wrong_host, "attach " + where.text(),
                where.host != store::host_id() ? "it lives on another machine" : "it lives in another store",
                "Attach it where it was made (the same ONECOPY_DIR)");
  return lazy_vector(unwrap(open_and_attach(where.id)));
}

bool is_lazy(const handle& where) {
  if (where.host != store::host_id() || where.store != store::store_id()) return false;
  auto directory = pager::lazy_directory();
  if (!directory) return false;
  auto there = os::status_at(AT_FDCWD, pager::path_of(*directory, where.id));
  return there && *there;
}

dtype lazy_vector::type() const noexcept { return static_cast<dtype>(state_->file.header().type); }
std::uint64_t lazy_vector::size() const noexcept { return state_->file.header().count; }
std::uint64_t lazy_vector::bytes() const noexcept { return state_->file.data_bytes(); }
std::uint64_t lazy_vector::chunk_bytes() const noexcept { return state_->file.header().chunk_bytes; }
bool lazy_vector::in_place() const noexcept { return state_->in_place != nullptr; }
bool lazy_vector::writable() const noexcept { return state_->file.writable(); }
const std::string& lazy_vector::note() const noexcept { return state_->note; }
const object_id& lazy_vector::id() const noexcept { return state_->id; }

std::byte* lazy_vector::data() const noexcept {
  alignas(64) static std::byte nothing[64];
  if (state_->in_place) return bytes() != 0 ? state_->in_place->data() : nothing;
  return state_->data.data() != nullptr ? state_->data.data() : nothing;
}

namespace {

void check_range(const lazy_attachment& in, std::uint64_t offset, std::uint64_t size) {
  if (within(offset, size, in.file.data_bytes())) return;
  throw error(error_kind::invalid_argument, "use a part of a lazy vector",
              "bytes " + std::to_string(offset) + " to " + std::to_string(offset + size) + " are out of range",
              "The vector has " + std::to_string(in.file.data_bytes()));
}

pager::reply call(const lazy_attachment& in, ask what, std::uint64_t offset, std::uint64_t size) {
  check_range(in, offset, size);
  if (in.size() == 0) return {};
  auto answer = unwrap(client::instance().call({.what = what, .base = in.base(), .offset = offset, .size = size}));
  unwrap(answer.outcome());
  return answer;
}

bool is_ready(const lazy_attachment& in, std::uint64_t offset, std::uint64_t size) {
  if (size == 0) return true;
  const std::uint64_t chunk = in.file.header().chunk_bytes;
  for (std::uint64_t i = offset / chunk; i <= (offset + size - 1) / chunk; ++i)
    if (in.file.state(i) != pager::ready) return false;
  return true;
}

}  // namespace

bool lazy_vector::resident(std::uint64_t offset, std::uint64_t size) const noexcept {
  if (!within(offset, size, bytes())) return false;
  return state_->in_place ? state_->in_place->resident(offset, size) : is_ready(*state_, offset, size);
}

void lazy_vector::ensure(std::uint64_t offset, std::uint64_t size) const {
  check_range(*state_, offset, size);
  if (state_->in_place) {
    std::lock_guard hold(state_->mutex);
    return (void)unwrap(state_->in_place->ensure(offset, size));
  }
  bool troubled = false;
  {
    std::lock_guard hold(state_->mutex);
    troubled = state_->trouble.has_value() || !state_->planted.empty();
  }
  if (troubled) client::instance().clear_trouble(*state_);
  // In parts that fit any budget. The last part is what the caller reads first or last; both are there when it fits.
  constexpr std::uint64_t part = 4u << 20;
  const std::uint64_t end = offset + size;
  bool asked = false;
  while (offset < end) {
    const std::uint64_t next = std::min(end, round_down(offset, part) + part);
    if (!is_ready(*state_, offset, next - offset)) {
      call(*state_, ask::ensure, offset, next - offset);
      asked = true;
    }
    offset = next;
  }
  if (troubled && !asked) call(*state_, ask::ensure, 0, 0);
}

void lazy_vector::prefetch(std::uint64_t offset, std::uint64_t size) const {
  check_range(*state_, offset, size);
  if (state_->in_place) return state_->in_place->prefetch(offset, size);
  if (!is_ready(*state_, offset, size)) call(*state_, ask::prefetch, offset, size);
}

void lazy_vector::release(std::uint64_t offset, std::uint64_t size) const {
  // The last chunk ends with a page of which the vector may use only a part.
  const std::uint64_t whole = offset + size == bytes() ? state_->size() - offset : size;
  check_range(*state_, offset, size);
  if (state_->in_place) return state_->in_place->release(offset, size);
  if (state_->size() == 0) return;
  const pager::request what{.what = ask::release, .base = state_->base(), .offset = offset, .size = whole};
  unwrap(unwrap(client::instance().call(what)).outcome());
}

void lazy_vector::flush(std::uint64_t offset, std::uint64_t size) const {
  check_range(*state_, offset, size);
  if (!state_->in_place) call(*state_, ask::flush, offset, size);
}

void lazy_vector::pin(std::uint64_t offset, std::uint64_t size) const {
  check_range(*state_, offset, size);
  if (size == 0) return;
  if (state_->in_place) {
    std::lock_guard hold(state_->mutex);
    return (void)unwrap(state_->in_place->pin(offset, size));
  }
  call(*state_, ask::pin, offset, size);
  std::lock_guard hold(state_->mutex);
  state_->pins.emplace_back(offset, size);
}

void lazy_vector::unpin(std::uint64_t offset, std::uint64_t size) const {
  if (size == 0) return;
  if (state_->in_place) {
    std::lock_guard hold(state_->mutex);
    return (void)unwrap(state_->in_place->unpin(offset, size));
  }
  call(*state_, ask::unpin, offset, size);
  std::lock_guard hold(state_->mutex);
  const auto found = std::find(state_->pins.begin(), state_->pins.end(), std::pair(offset, size));
  if (found != state_->pins.end()) state_->pins.erase(found);
}

bool lazy_vector::failed() const noexcept {
  if (state_->in_place) return state_->in_place->failed();
  return state_->troubled.load(std::memory_order_acquire);
}

std::optional<error> lazy_vector::take_error() const {
  if (state_->in_place) {
    std::lock_guard hold(state_->mutex);
    auto why = state_->in_place->take_trouble();
    if (!why) return std::nullopt;
    return error(why->kind, why->tried, why->happened, why->remedy, why->os_error);
  }
  std::optional<failure> taken;
  {
    std::lock_guard hold(state_->mutex);
    taken = state_->trouble;
  }
  if (!taken) return std::nullopt;
  client::instance().clear_trouble(*state_);
  (void)client::instance().call({.what = ask::ensure, .base = state_->base()});
  return error(taken->kind, taken->tried, taken->happened, taken->remedy, taken->os_error);
}

handle lazy_vector::handle(double lease_seconds) const {
  extend_lease(*state_, lease_seconds);
  onecopy::handle made;
  made.host = store::host_id();
  made.store = store::store_id();
  made.id = state_->id;
  return made;
}

lazy_vector lazy_vector::another_view() const { return lazy_vector(unwrap(open_and_attach(state_->id))); }

namespace {

// From the page in which the elements begin.
result<std::vector<os::byte_range>> written_to(const std::byte* data, std::uint64_t bytes, std::uint64_t& skip) {
  skip = reinterpret_cast<std::uintptr_t>(data) % page_size;
  return os::private_ranges(data - skip, skip + bytes);
}

}  // namespace

bool lazy_vector::has_private_writes() const {
  if (writable() || bytes() == 0) return false;
  std::uint64_t skip = 0;
  const auto found = written_to(data(), bytes(), skip);
  return !found || !found->empty();
}

lazy_vector lazy_vector::another_view_with_writes() const {
  lazy_vector made = another_view();
  if (writable() || bytes() == 0) return made;
  std::uint64_t skip = 0;
  for (const auto& [offset, size] : unwrap(written_to(data(), bytes(), skip))) {
    const std::uint64_t end = std::min(offset + size, skip + bytes()) - skip;
    constexpr std::uint64_t at_once = 256 * 1024;  // less than any budget has room for
    for (std::uint64_t at = offset > skip ? offset - skip : 0; at < end;) {
      const std::uint64_t some = std::min(end - at, at_once);
      made.ensure(at, some);
      std::memcpy(made.data() + at, data() + at, some);
      at += some;
    }
  }
  // What stands in place of data that can't be had is in private pages, too, and is nobody's data.
  if (failed())
    if (auto why = take_error()) throw error(*why);
  return made;
}

lazy_vector::counters lazy_vector::count() const noexcept {
  const auto& head = state_->file.header();
  if (state_->in_place) {
    counters seen;
    seen.failures = state_->in_place->failures();
    seen.resident_bytes = state_->in_place->resident_bytes();
    return seen;
  }
  return {head.fills.load(), head.evictions.load(), head.failures.load(), head.resident_bytes.load(),
          head.spilled_bytes.load()};
}

namespace pager {

statistics look() {
  auto answer = unwrap(client::instance().call({.what = ask::statistics}));
  unwrap(answer.outcome());
  return answer.numbers;
}

void set_budget(std::uint64_t bytes) {
  unwrap(unwrap(client::instance().call({.what = ask::set_budget, .size = bytes})).outcome());
}

std::vector<entry> list() {
  std::vector<entry> found;
  auto directory = lazy_directory();
  if (!directory) return found;
  for (const object_id& id : unwrap(objects_in(*directory))) {
    auto file = os::open_file(path_of(*directory, id), O_RDONLY);
    if (!file) continue;
    auto opened = object_file::open(file->get(), false);
    if (!opened) continue;
    const auto& head = opened->header();
    entry one;
    one.id = opened->id();
    one.type = static_cast<dtype>(head.type);
    one.size = head.count;
    one.bytes = opened->data_bytes();
    const auto source = opened->source();
    if (source) one.source = source->kind;
    one.in_place = opened->in_place();
    if (one.in_place) {
      if (const auto where = source ? place_of(*source, one.type) : std::nullopt)
        one.counters.resident_bytes = os::bytes_in_memory(where->path, where->offset, one.bytes);
      found.push_back(std::move(one));
      continue;
    }
    one.counters = {head.fills.load(), head.evictions.load(), head.failures.load(), head.resident_bytes.load(),
                    head.spilled_bytes.load()};
    found.push_back(std::move(one));
  }
  return found;
}

void on_error(std::function<void(const lazy_vector&)> notice) { client::instance().set_notice(std::move(notice)); }

}  // namespace pager
}  // namespace onecopy
