// The thread that watches the connection: it hands replies to those who wait, answers touches that have failed, starts
// another pager when this one has died, and does the same in a forked child.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

#include "os/file.hpp"
#include "os/poller.hpp"
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/system.hpp"
#include "os/touched_memory.hpp"
#include "pager/client.hpp"
#include "pager/start.hpp"

namespace onecopy::pager {

namespace {
constexpr double connect_seconds = 10;
constexpr std::size_t most_planted = 16;  // chunks; a reader of a vector that fails must not fill memory with 0xff
}  // namespace

void client::start_watching(std::unique_lock<std::mutex>&) {
  if (watching_) return;
  if (const std::string chosen = os::environment("ONECOPY_PAGER_PATIENCE"); !chosen.empty())
    patience_ = std::clamp(std::strtod(chosen.c_str(), nullptr), 0.5, 1e6);
  watching_ = true;
  std::thread([this] { watch(); }).detach();
}

void client::watch() {
  os::block_signals();
  std::unique_lock hold(mutex_);
  watcher_ = std::this_thread::get_id();
  for (;;) {
    if (!connected_) {
      changed_.wait(hold, [&] { return wanted_ || !attachments_.empty(); });
      auto outcome = reconnect(hold, borrowed_);
      ++generation_;
      cant_connect_ = outcome ? std::nullopt : std::optional(outcome.reason());
      changed_.notify_all();
      auto held = std::exchange(borrowed_, {});
      hold.unlock();
      held.clear();  // the last reference may be ours, and its destructor takes the mutex
      hold.lock();
      if (!connected_) {
        hold.unlock();
        // No thread of this process may wait for ever on a pager that can't be started.
        serve_alone(outcome.reason(), 1);
        hold.lock();
        continue;
      }
    }
    const int socket = socket_.get();
    hold.unlock();
    reply what{};
    auto got = os::receive_message(socket, std::as_writable_bytes(std::span(&what, 1)),
                                   os::deadline::in(patience_ / beats_of_patience), 0);
    if (!got && got.reason().kind == error_kind::timeout) {
      hold.lock();
      feel_pulse(hold);
      continue;
    }
    const bool alive = got && !got->end && got->size == sizeof what;
    if (alive && what.notice != 0) take_failure(what);
    hold.lock();
    sign_of_life();
    if (alive) {
      if (what.notice == 0) receive(what);
      continue;
    }
    connected_ = false;
    socket_.reset();
    ++generation_;
    changed_.notify_all();
  }
}

void client::receive(const reply& what) {
  if (const auto waiting = replies_.find(what.sequence); waiting != replies_.end()) {
    waiting->second = what;
    changed_.notify_all();
  }
}

status client::reconnect(std::unique_lock<std::mutex>& hold, std::vector<std::shared_ptr<lazy_attachment>>& held) {
  const auto until = os::deadline::in(connect_seconds);
  for (;;) {
    const std::string directory = directory_;
    hold.unlock();
    auto made = connect(directory, until);
    hold.lock();
    if (!made) return made.reason();
    socket_ = *std::move(made);
    auto outcome = introduce(held);
    connected_ = outcome.ok();
    // A pager that dies just then is no reason to give up: that would give its clients an error in place of data.
    if (outcome || until.passed()) return outcome;
  }
}

// To a new pager: who we are, and what we have mapped. Its replies are not waited for.
status client::introduce(std::vector<std::shared_ptr<lazy_attachment>>& held) {
  // The pager works on a duplicate; ours stays open. While any holder of the descriptor lives, a touch waits. If the
  // pager's were the only one, its death would let the waiting threads read zeros.
  if (auto ok = send({.what = ask::hello}, faults_.descriptor.get()); !ok) return ok;
  for (const auto& [base, weak] : attachments_) {
    const auto one = weak.lock();
    if (!one) continue;
    held.push_back(one);
    request what{.what = ask::attach, .base = base, .size = one->size()};
    std::memcpy(what.id, one->id.bytes.data(), sizeof what.id);
    if (auto ok = send(what, -1); !ok) return ok;
    std::lock_guard own(one->mutex);
    for (const auto& [offset, size] : one->pins)
      if (auto ok = send({.what = ask::pin, .base = base, .offset = offset, .size = size}, -1); !ok) return ok;
  }
  return done();
}

void client::take_failure(const reply& what) {
  lazy_attachment* in = nullptr;
  std::function<void(const lazy_vector&)> notice;
  {
    std::lock_guard hold(mutex_);
    if (const auto found = attachments_.find(what.base); found != attachments_.end())
      failing_ = found->second.lock();
    in = failing_.get();
    notice = notice_;
  }
  if (in == nullptr) return;
  {
    std::lock_guard hold(in->mutex);
    if (!in->trouble) in->trouble = what.outcome().reason();
    in->troubled = true;
    if (what.notice == 1) plant(*in, what.offset, what.size);
  }
  if (notice) notice(lazy_vector(failing_));
  std::shared_ptr<lazy_attachment> done_with;
  std::lock_guard hold(mutex_);
  done_with = std::move(failing_);  // and let go of when the mutex is free again
}

// In place of data that can't be had: the thread that waits must go on, and must not read zeros, which could be taken
// for data. in.mutex is held.
void client::plant(lazy_attachment& in, std::uint64_t offset, std::uint64_t size) {
  if (offset > in.size() || size > in.size() - offset) return;
  if (!in.file.writable()) {
    while (in.planted.size() >= most_planted) {
      os::drop_private_pages(in.data.data() + in.planted.front().first, in.planted.front().second);
      in.planted.erase(in.planted.begin());
    }
    const std::vector<std::byte> pattern(size, std::byte{0xff});
    (void)os::plant_private_pages(faults_.descriptor.get(), in.base() + offset, pattern);
  } else {
    (void)os::replace_with_memory(in.data.data() + offset, size, std::byte{0xff});
    (void)os::wake_faults(faults_.descriptor.get(), in.base() + offset, size);
  }
  if (std::find(in.planted.begin(), in.planted.end(), std::pair(offset, size)) == in.planted.end())
    in.planted.emplace_back(offset, size);
}

// There is no pager. Its client answers its own threads, each with the reason.
void client::serve_alone(const failure& why, double seconds) {
  std::vector<std::shared_ptr<lazy_attachment>> all;
  {
    std::lock_guard hold(mutex_);
    for (const auto& [base, weak] : attachments_)
      if (auto one = weak.lock()) all.push_back(std::move(one));
  }
  // A dead pager may have read faults that it didn't answer: their threads must ask again.
  for (const auto& one : all) (void)os::wake_faults(faults_.descriptor.get(), one->base(), one->size());
  const auto until = os::deadline::in(seconds);
  while (!until.passed()) {
    if (all.empty()) {
      os::nap(0.05);
      return;
    }
    auto ready = os::wait_readable(faults_.descriptor.get(), until);
    if (!ready || !*ready) continue;
    std::array<os::fault, 16> faults;
    auto count = os::read_faults(faults_.descriptor.get(), faults);
    for (std::size_t i = 0; count && i < *count; ++i)
      for (const auto& one : all) {
        const std::uint64_t address = faults[i].address;
        if (address < one->base() || address - one->base() >= one->size()) continue;
        const std::uint64_t chunk = (address - one->base()) / one->file.header().chunk_bytes;
        reply news;
        news.notice = 1;
        news.base = one->base();
        news.offset = chunk * one->file.header().chunk_bytes;
        news.size = one->file.bytes_of(chunk);
        news.refuse(why);
        take_failure(news);
      }
  }
}

// ---- fork. A child has the mappings, but the kernel has taken its userfaultfd away: an untouched page would read as
// zeros, and as zeros it would stay for everybody else who trusts the page cache. So the child registers again before
// any of its own code runs.

void client::before_fork() { instance().mutex_.lock(); }
void client::after_fork_in_parent() { instance().mutex_.unlock(); }
void client::after_fork_in_child() { instance().begin_again(); }

void client::begin_again() {
  // The threads that waited on these are not in the child.
  new (&mutex_) std::mutex;
  new (&changed_) std::condition_variable;
  watcher_ = {};
  watching_ = wanted_ = connected_ = stuck_ = false;
  sign_of_life();
  cant_connect_.reset();
  replies_.clear();
  socket_.reset();
  faults_.descriptor.reset();  // it would report faults of the parent
  // What the parent's watching thread held at that moment, nobody in the child would ever let go of. All of these are let
  // go of when the mutex is free again.
  const auto failing = std::move(failing_);
  const auto borrowed = std::exchange(borrowed_, {});
  std::vector<std::shared_ptr<lazy_attachment>> all;
  std::vector<std::shared_ptr<lazy_attachment>> files;
  std::unique_lock hold(mutex_);
  for (const auto& [raw, weak] : in_place_)
    if (auto one = weak.lock()) files.push_back(std::move(one));
  for (const auto& one : files) {
    new (&one->mutex) std::mutex;
    one->in_place->begin_again();
  }
  reporting_ = false;
  if (notice_ && !files.empty()) start_reporting();
  for (const auto& [base, weak] : attachments_)
    if (auto one = weak.lock()) all.push_back(std::move(one));
  if (all.empty()) return;
  auto opened = os::make_userfault();
  if (opened) faults_ = *std::move(opened);
  bool watched = true;
  for (const auto& one : all) {
    new (&one->mutex) std::mutex;
    one->pins.clear();
    const bool registered =
        faults_.descriptor.valid() &&
        os::register_faults(faults_.descriptor.get(), one->data.data(), one->size(), one->file.writable()).ok();
    // Better a child that ends with SIGSEGV than one that computes with zeros.
    if (!registered) os::forbid_access(one->data.data(), one->size());
    watched = watched && registered;
  }
  try {
    start_watching(hold);
  } catch (...) {
    for (const auto& one : all) os::forbid_access(one->data.data(), one->size());
  }
}

}  // namespace onecopy::pager
