// The public face of the store.
#include "onecopy/store.hpp"

#include "region/collect.hpp"
#include "region/hold.hpp"
#include "region/names.hpp"

namespace onecopy::store {
namespace {

using detail::store_directory;

std::shared_ptr<store_directory> current() { return unwrap(store_directory::current()); }

// The store that a handle means, or why it is not ours.
result<std::shared_ptr<store_directory>> store_of(const handle& where) {
  const std::string tried = "attach to " + where.text();
  if (where.host != detail::this_host())
    return failure{error_kind::wrong_host, tried, "it was shared on another machine, or before this one was restarted",
                   "Send the data itself, or use a cluster engine that fetches it"};
  auto store = store_directory::current();
  if (store && (*store)->id() != where.store)
    return failure{error_kind::wrong_host, tried,
                   "it lies in another store than " + (*store)->path() + ": another user's, container's or ONECOPY_DIR's",
                   "Use the same ONECOPY_DIR in both processes, or send the object as a descriptor"};
  return store;
}

}  // namespace

region attach(const handle& where) {
  auto held = unwrap(detail::hold(unwrap(store_of(where)), where.id));
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
  auto store = store_of(where);
  return store && detail::is_there(**store, where.id);
}

region open_file(const std::string& path) { return region(unwrap(detail::hold_file(path))); }

region from_descriptor(int fd, bool trusted) { return region(unwrap(detail::hold_descriptor(fd, trusted))); }

std::vector<entry> list() { return unwrap(detail::list(*current())); }
std::size_t holders(const object_id& id) { return detail::holders(*current(), id); }
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
