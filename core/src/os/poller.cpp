#include "os/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace onecopy::os {

result<poller> poller::make() {
  poller made;
  made.epoll_ = fd(epoll_create1(EPOLL_CLOEXEC));
  if (!made.epoll_.valid()) return failure::from_errno("wait for events (epoll_create1)");
  return made;
}

status poller::add(int descriptor, std::uint64_t token) {
  epoll_event wanted{};
  wanted.events = EPOLLIN | EPOLLRDHUP;
  wanted.data.u64 = token;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &wanted) == 0) return done();
  return failure::from_errno("wait for events of a descriptor (epoll_ctl)");
}

void poller::remove(int descriptor) noexcept {
  const int saved = errno;
  epoll_event ignored{};
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, &ignored);
  errno = saved;
}

result<std::size_t> poller::wait(std::span<event> out, int milliseconds) {
  std::array<epoll_event, 64> ready;
  const int room = static_cast<int>(std::min(out.size(), ready.size()));
  const int count = epoll_wait(epoll_.get(), ready.data(), room, milliseconds);
  if (count < 0 && errno == EINTR) return std::size_t{0};
  if (count < 0) return failure::from_errno("wait for events (epoll_wait)");
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    out[i] = {ready[i].data.u64, (ready[i].events & EPOLLIN) != 0,
              (ready[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0};
  return static_cast<std::size_t>(count);
}

result<bell> bell::make() {
  bell made;
  made.event_ = fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made.event_.valid()) return failure::from_errno("make an eventfd");
  return made;
}

void bell::ring() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(event_.get(), &one, sizeof one);
}

void bell::drain() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(event_.get(), &count, sizeof count);
}

}  // namespace onecopy::os
