// The public face of the store.
#include "onecopy/store.hpp"

#include <algorithm>
#include <vector>

#include "base/hash.hpp"
#include "region/collect.hpp"
#include "region/hold.hpp"
#include "region/names.hpp"
#include "region/publish.hpp"

namespace onecopy::store {
namespace {

using detail::store_directory;

std::shared_ptr<store_directory> current() { return unwrap(store_directory::current()); }

// Why a handle that leads nowhere does so.
failure not_here(const handle& where, const store_directory& store) {
  const std::string tried = "attach to " + where.text();
  if (where.host != detail::this_host())
    return {error_kind::wrong_host, tried, "it was shared on another machine, or before this one was restarted",
            "Send the data itself, or use a cluster engine that fetches it"};
  if (where.store != store.id())
    return {error_kind::wrong_host, tried,
            "it lies in another store than " + store.path() + ": another user's, container's or ONECOPY_DIR's",
            "Use the same ONECOPY_DIR in both processes, or send the object as a descriptor"};
  return {error_kind::not_found, tried, "it is gone: its last holder let go, or it was freed",
          "Keep a reference to it until the receiver has attached, or share it with keep"};
}

}  // namespace

region attach(const handle& where) {
  auto store = current();
  // Ids are never used twice, so an object with this id is the object, wherever it was shared first.
  auto found = detail::hold(store, where.id);
  if (!found && found.reason().kind == error_kind::not_found) raise(not_here(where, *store));
  auto held = unwrap(std::move(found));
  if (where.node >= held->checked().nodes.size())
    raise({error_kind::not_found, "attach to " + where.text(),
           "the object has only " + std::to_string(held->checked().nodes.size()) + " nodes", ""});
  return region(std::move(held));
}

region attach_name(std::string_view name) {
  auto store = current();
  const failure none{error_kind::not_found, "attach to the shared object \"" + std::string(name) + "\"",
                     "no object has that name in " + store->path(), "See `onecopy ls` for those there are"};
  const auto id = unwrap(detail::look_up_name(*store, name));
  if (!id) raise(none);
  auto held = detail::hold(store, *id);
  if (!held && held.reason().kind == error_kind::not_found) raise(none);
  return region(unwrap(std::move(held)));
}

bool exists(const handle& where) {
  auto store = store_directory::current();
  return store && detail::is_there(**store, where.id);
}

region open_file(const std::string& path) { return region(unwrap(detail::hold_file(path))); }

region import(const object_id& id, std::uint64_t bytes,
              const std::function<void(std::uint64_t, std::span<std::byte>)>& produce) {
  if (bytes < sizeof(format::header))
    raise({error_kind::corrupt, "import the shared object " + id.text(), "it is too short for a header", ""});
  auto made = detail::publish({}, id, bytes, [&](detail::region_file& file) -> status {
    std::vector<std::byte> block(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, 1 << 20)));
    for (std::uint64_t at = 0; at < bytes; at += block.size()) {
      const auto part = std::span(block).first(static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), bytes - at)));
      produce(at, part);
      if (at == 0) {
        const auto* head = reinterpret_cast<const format::header*>(part.data());
        if (!std::equal(id.bytes.begin(), id.bytes.end(), std::begin(head->id)) || head->region_bytes != bytes)
          return failure{error_kind::corrupt, "import the shared object " + id.text(), "what came is another object", ""};
      }
      if (auto written = file.write(part, at); !written) return written;
    }
    return done();
  });
  if (!made && made.reason().kind == error_kind::exists) made = detail::hold(current(), id);
  return region(unwrap(std::move(made)));
}

std::uint64_t checksum(std::span<const std::byte> bytes) noexcept { return xxh64(bytes); }

region from_descriptor(int fd, bool trusted) { return region(unwrap(detail::hold_descriptor(fd, trusted))); }

std::vector<entry> list() { return unwrap(detail::list(*current())); }
std::size_t holders(const object_id& id) { return holders(std::span(&id, 1)).front(); }
std::vector<std::size_t> holders(std::span<const object_id> ids) { return detail::holders(*current(), ids); }
collected collect() { return detail::collect(*current()); }
bool remove(const object_id& id) { return unwrap(detail::remove(*current(), id)); }

bool remove_name(std::string_view name) {
  auto store = current();
  const auto id = unwrap(detail::look_up_name(*store, name));
  return id && unwrap(detail::remove(*store, *id));
}

std::optional<object_id> find_name(std::string_view name) {
  auto store = current();
  const auto id = unwrap(detail::look_up_name(*store, name));
  return id && detail::is_there(*store, *id) ? id : std::nullopt;
}

void lease(const object_id& id, double seconds) { unwrap(detail::set_lease(*current(), id, seconds)); }

std::string host_id() { return detail::this_host(); }
std::string store_id() { return current()->id(); }
std::string directory() { return current()->path(); }

}  // namespace onecopy::store
