#include "onecopy/weak.hpp"

#include <fcntl.h>

#include "onecopy/store.hpp"
#include "os/file.hpp"
#include "region/directory.hpp"
#include "region/hold.hpp"
#include "region/locator.hpp"
#include "region/state.hpp"

namespace onecopy {
namespace {

// True if a mapping of some process holds the object.
bool is_held(const handle& where) {
  const auto store = unwrap(detail::store_directory::current());
  if (where.host != detail::this_host() || where.store != store->id()) return false;
  auto file = os::open_at(store->fd(), where.id.text(), O_RDONLY | O_NOFOLLOW);
  if (!file) {
    auto memfd = detail::find_located(*store, where.id);
    return memfd && memfd->valid();
  }
  auto alone = os::try_lock_exclusive(file->get());
  return alone && !*alone;
}

}  // namespace

weak_reference::weak_reference(const value& object) : node_(object.index()) {
  if (!object) throw error(error_kind::invalid_argument, "make a weak reference", "the object is empty");
  here_ = object.region().state();
  if (object.region().state()->from().store) where_ = object.handle(0);
}

weak_reference weak_reference::parse(std::string_view text) {
  weak_reference made;
  made.where_ = handle::parse(text);
  made.node_ = made.where_->node;
  return made;
}

std::optional<value> weak_reference::lock() const {
  if (auto state = here_.lock()) return value(region(std::move(state)), node_);
  if (!where_ || !is_held(*where_)) return {};
  try {
    return onecopy::attach(*where_);
  } catch (const error& e) {
    if (e.kind() == error_kind::not_found) return {};  // the last holder let go just now
    throw;
  }
}

bool weak_reference::alive() const { return !here_.expired() || (where_ && is_held(*where_)); }

std::string weak_reference::text() const {
  if (!where_)
    throw error(error_kind::unsupported, "write a weak reference as text", "the object lies in no store",
                "Share it in the store (the default) for other processes to find it");
  return where_->text();
}

}  // namespace onecopy
