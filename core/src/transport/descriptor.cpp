#include "onecopy/descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "onecopy/error.hpp"
#include "onecopy/store.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"
#include "os/socket.hpp"
#include "region/state.hpp"
#include "transport/sealed_twin.hpp"

namespace onecopy {

int sealed_descriptor(const region& whole, const code_place& from) {
  constexpr const char* tried = "make a sealed descriptor";
  if (!whole)
    throw error(error_kind::invalid_argument, tried, "the object is empty", "Share or attach something first");
  if (whole.writable())
    throw error(error_kind::permission, tried, "the object is mutable, and sealed memory can't be",
                "Share a copy that is not mutable");
  return unwrap(transport::sealed_memory(whole.state(), from)).release();
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
