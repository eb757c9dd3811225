#include "onecopy/pending.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "onecopy/error.hpp"
#include "onecopy/store.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"
#include "os/socket.hpp"

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

region receive_descriptor(int descriptor, double timeout, const std::function<void()>& check_interrupt) {
  const auto until = os::deadline::in(timeout);
  os::fd own;
  for (double nap = 0.0005; !os::is_sealed(descriptor); nap = nap < 0.02 ? nap * 2 : nap) {
    const auto info = unwrap(os::status_of(descriptor, "descriptor " + std::to_string(descriptor)));
    // What is no memory, or holds something that is not sealed, store::from_descriptor refuses.
    if (!S_ISREG(info.st_mode) || !os::can_be_sealed(descriptor)) break;
    if (!own.valid()) own = unwrap(os::reopen(descriptor, O_RDONLY));
    if (unwrap(os::try_lock_shared(own.get()))) {
      if (os::is_sealed(descriptor)) break;  // just now
      if (info.st_size > 0) break;
      throw error(error_kind::peer_closed, "wait for shared memory to be written",
                  "the process that should have written it has ended, or has changed its mind");
    }
    if (until.passed())
      throw error(error_kind::timeout, "wait for shared memory to be written", "it was not complete in the time given",
                  "Wait longer, or see what its writer does");
    if (check_interrupt) check_interrupt();
    (void)os::wait_readable(-1, os::deadline::in(nap));  // of no descriptor: sleeps
  }
  return store::from_descriptor(descriptor);
}

int duplicate_descriptor(int descriptor) { return unwrap(os::duplicate(descriptor)).release(); }
void close_descriptor(int descriptor) noexcept { os::fd(descriptor).reset(); }

}  // namespace onecopy
