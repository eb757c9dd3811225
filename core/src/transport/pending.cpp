#include "onecopy/pending.hpp"

#include <fcntl.h>

#include "onecopy/error.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"

namespace onecopy {

struct pending_memory::impl {
  os::fd memory;
  // An exclusive lock on a description of its own, which no child inherits: as long as it is held, somebody lives who
  // means to write.
  os::fd promise;
  bool published = false;
};

pending_memory::pending_memory() : impl_(std::make_unique<impl>()) {
  impl_->memory = unwrap(os::make_memfd("onecopy-pending"));
  impl_->promise = unwrap(os::reopen(impl_->memory.get(), O_RDWR));
  unwrap(os::lock_exclusive(impl_->promise.get(), 10, "new memory"));
}
pending_memory::~pending_memory() = default;
pending_memory::pending_memory(pending_memory&&) noexcept = default;
pending_memory& pending_memory::operator=(pending_memory&&) noexcept = default;

int pending_memory::descriptor() const noexcept { return impl_->memory.get(); }
bool pending_memory::published() const noexcept { return impl_->published; }

region pending_memory::publish(writer& from, publish_options options) {
  if (impl_->published)
    throw error(error_kind::invalid_argument, "write pending memory", "it was written before", "Make a new one");
  if (options.writable)
    throw error(error_kind::invalid_argument, "write pending memory", "it is sealed afterwards, so it can't be mutable",
                "Share a mutable object in the store, and send its handle");
  options.where = backing::memfd;
  options.descriptor = impl_->memory.get();
  region made = from.publish(options);
  impl_->published = true;
  impl_->promise.reset();
  return made;
}

}  // namespace onecopy
