#include <fcntl.h>
#include <sys/stat.h>

#include "onecopy/channel.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/socket.hpp"
#include "transport/waiting.hpp"

namespace onecopy {

struct listener::impl {
  os::fd socket;
  std::string path;
  channel_options options;
  dev_t device = 0;
  ino_t inode = 0;

  os::fd next(const os::deadline& until) const;

  ~impl() {
    // Another process may have taken over the path since: its socket stays.
    auto there = os::status_at(AT_FDCWD, path);
    if (there && *there && (*there)->st_dev == device && (*there)->st_ino == inode) (void)os::remove_at(AT_FDCWD, path);
  }
};

listener::listener(std::string path, const channel_options& options) : impl_(std::make_unique<impl>()) {
  impl_->socket = unwrap(os::listen_at(path));
  os::tell_senders(impl_->socket.get());  // here, as a client may speak before its connection is accepted
  impl_->path = std::move(path);
  impl_->options = options;
  if (auto there = unwrap(os::status_at(AT_FDCWD, impl_->path))) {
    impl_->device = there->st_dev;
    impl_->inode = there->st_ino;
  }
}
listener::listener(listener&&) noexcept = default;
listener& listener::operator=(listener&&) noexcept = default;
listener::~listener() = default;

channel listener::accept(double timeout) {
  const auto until = os::deadline::in(timeout);
  for (;;) {
    os::fd made = impl_->next(until);
    // Whoever only looked whether somebody listens here has gone again.
    if (os::is_over(made.get())) continue;
    channel accepted(made.get(), impl_->options);
    (void)made.release();
    accepted.greet();
    return accepted;
  }
}

os::fd listener::impl::next(const os::deadline& until) const {
  if (!transport::wait(socket.get(), true, until, options.check_interrupt))
    throw error(error_kind::timeout, "accept a connection at " + path, "nobody connected in the time given");
  return unwrap(os::accept_from(socket.get(), until));
}

int listener::descriptor() const noexcept { return impl_->socket.get(); }
const std::string& listener::path() const noexcept { return impl_->path; }

}  // namespace onecopy
