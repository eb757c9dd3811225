// A pager that is stopped or hangs is not dead: its lock and its connections stay, and whoever waits for it would wait
// for ever. So each client asks for a sign of life now and then. If there is none while somebody waits, the pager is ended,
// which is safe at any time, and another one takes over. If it can't be ended, touches fail with that reason.
#include "os/process.hpp"
#include "os/socket.hpp"
#include "pager/client.hpp"

namespace onecopy::pager {

void client::feel_pulse(std::unique_lock<std::mutex>& hold) {
  if (attachments_.empty() && replies_.empty()) return sign_of_life();
  if (!asked_) {
    // If the socket is full because nobody reads it, that is an answer as well.
    const request what{.what = ask::ping};
    const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(&what, 1))};
    (void)os::send_message(socket_.get(), pieces, {}, os::deadline::in(0));
    asked_ = true;
    silent_beats_ = 0;
    return;
  }
  if (silent_beats_ + 1 < beats_of_patience) {
    ++silent_beats_;
    return;
  }
  // Twice: it may have been let go on just now, with its answer on the way.
  const bool before = std::exchange(waited_, somebody_waits(hold));
  if (before && waited_) replace_pager(hold);
}

// For a reply, or in a touch. Faults that the pager has read, and not answered, show only when they are asked again.
bool client::somebody_waits(std::unique_lock<std::mutex>& hold) {
  if (!replies_.empty()) return true;
  if (!faults_.descriptor.valid()) return false;
  for (const auto& [base, weak] : attachments_)
    if (const auto one = weak.lock()) {
      borrowed_.push_back(one);  // the last reference may be ours by now
      (void)os::wake_faults(faults_.descriptor.get(), base, one->size());
    }
  auto held = std::exchange(borrowed_, {});
  hold.unlock();
  held.clear();
  auto pending = os::wait_readable(faults_.descriptor.get(), os::deadline::in(0.1));
  hold.lock();
  return pending && *pending;
}

void client::replace_pager(std::unique_lock<std::mutex>& hold) {
  auto who = os::peer_of(socket_.get());
  const std::string number = who && who->pid > 0 ? std::to_string(who->pid) : "of another container";
  failure why{error_kind::timeout, "use a lazy object",
              "its pager (process " + number + ") has not answered for " + std::to_string(patience_) +
                  " seconds: it is stopped, or hangs",
              "End it (kill -9) or let it go on (kill -CONT); the next touch tries again"};
  if (killed_) {  // some time ago, and the connection still stands: it is frozen, or in the kernel's hands
    why.happened += ", and does not end";
    return do_without(hold, why);
  }
  auto ended = os::kill_peer(socket_.get());
  if (!ended) {
    why.happened += ", and can't be ended: " + ended.reason().happened;
    return do_without(hold, why);
  }
  // Its connection ends with it, and the watching thread starts another one.
  killed_ = true;
  waited_ = false;
  silent_beats_ = 0;
}

// Until it speaks again, or is gone. Whoever touches or asks meanwhile is told why.
void client::do_without(std::unique_lock<std::mutex>& hold, const failure& why) {
  stuck_ = true;
  connected_ = false;
  cant_connect_ = why;
  ++generation_;
  changed_.notify_all();
  hold.unlock();
  for (;;) {
    serve_alone(why, 1);
    auto speaks = os::wait_readable(socket_.get(), os::deadline::in(0));
    if (!speaks || *speaks) break;
  }
  hold.lock();
  stuck_ = false;
  sign_of_life();
  // From the beginning: what it knows of this process is no longer so.
  socket_.reset();
  ++generation_;
  changed_.notify_all();
}

}  // namespace onecopy::pager
