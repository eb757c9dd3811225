// Waiting for a socket while the caller can still be interrupted.
#pragma once

#include <functional>

#include "os/socket.hpp"

namespace onecopy::transport {

// False when the deadline passed first. `check_interrupt`, if any, is called when a signal arrives and four times a
// second (a signal may come just before the wait begins); what it throws passes through.
inline bool wait(int descriptor, bool for_reading, const os::deadline& until,
                 const std::function<void()>& check_interrupt) {
  const auto ready_by = [&](const os::deadline& end, bool* interrupted) {
    return unwrap(for_reading ? os::wait_readable(descriptor, end, interrupted)
                              : os::wait_writable(descriptor, end, interrupted));
  };
  if (!check_interrupt) return ready_by(until, nullptr);
  for (;;) {
    const int left = until.milliseconds_left();
    bool interrupted = false;
    const bool ready = ready_by(left >= 0 && left < 250 ? until : os::deadline::in(0.25), &interrupted);
    if (ready && !interrupted) return true;
    check_interrupt();
    if (until.passed()) return false;
  }
}

}  // namespace onecopy::transport
