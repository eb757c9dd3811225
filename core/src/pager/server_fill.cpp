// How a touched chunk gets its bytes.
#include <algorithm>
#include <cstring>

#include "os/file.hpp"
#include "os/process.hpp"
#include "os/sparse.hpp"
#include "pager/server.hpp"

namespace onecopy::pager {

void server::touch(guard& hold, const peer_pointer& by, const os::fault& what) {
  auto found = by->attachments.upper_bound(what.address);
  if (found == by->attachments.begin()) return;  // detached meanwhile
  attachment& in = std::prev(found)->second;
  const object_pointer of = in.of;
  if (what.address - in.base >= of->file.mapped_bytes()) return;
  const std::uint64_t chunk = (what.address - in.base) / of->chunk_bytes();
  const bool write = what.write && of->file.writable();
  if (what.protection && of->file.state(chunk) == absent) {
    // The chunk went while the store waited. Without protection the store finds no page, and asks for one.
    (void)os::protect_pages(by->faults.get(), in.base + chunk * of->chunk_bytes(), of->file.bytes_of(chunk), false);
    return;
  }
  const waiter who{by->token, in.base, write, nullptr};
  if (in.trouble) {
    if (of->file.state(chunk) == ready) satisfy(of, chunk, who, true);
    else refuse(of, chunk, who, *in.trouble);
    return;
  }
  in.run = chunk == in.expected ? std::min(in.run * 2, run_limit(*of)) : 1;
  in.expected = chunk + 1;
  const bool in_sequence = in.run > 1 && in.run == run_limit(*of);
  demand(hold, of, chunk, who, in.run, true);
  if (in_sequence) read_ahead(hold, of, (chunk / run_limit(*of) + 1) * run_limit(*of));
}

// For who reads one run after the other: the next one is filled while this one is read.
void server::read_ahead(guard& hold, const object_pointer& of, std::uint64_t chunk) {
  if (chunk >= of->chunks() || of->file.chunk(chunk).load() != absent) return;
  if (resident_ + run_limit(*of) * of->chunk_bytes() > budget_) return;  // nothing that is used goes for a guess
  auto nobody = std::make_shared<pending_reply>();
  nobody->missing = 1;
  demand(hold, of, chunk, {0, 0, false, std::move(nobody)}, run_limit(*of), false);
}

void server::demand(guard& hold, const object_pointer& of, std::uint64_t chunk, waiter who, std::uint64_t run_length,
                    bool inline_ok) {
  switch (of->file.state(chunk)) {
    case ready: return satisfy(of, chunk, who, true);
    case filling:
    case evicting: of->waiting[chunk].push_back(std::move(who)); return;
    default: break;
  }
  auto made = std::make_shared<job>();
  made->of = of;
  made->first = chunk;
  made->count = 1;
  made->asked = clock::now();
  // A run ends where the next whole one begins, so that who reads a part of the vector does not fill the beginning of
  // the next part as well.
  const std::uint64_t most = std::min(run_length, run_limit(*of) - chunk % run_limit(*of));
  while (made->count < most && chunk + made->count < of->chunks() &&
         of->file.state(chunk + made->count) == absent &&
         (made->count + 1) * of->chunk_bytes() <= std::min(longest_run, budget_ / 8))
    ++made->count;
  bool from_source = true;
  for (std::uint64_t i = chunk; i < chunk + made->count; ++i) {
    const std::uint8_t flags = of->file.chunk(i).load() & (spilled | seen_before);
    from_source = from_source && (flags & spilled) == 0;
    of->file.chunk(i).store(static_cast<std::uint8_t>(filling | flags), std::memory_order_release);
  }
  of->waiting[chunk].push_back(std::move(who));
  const std::uint64_t bytes = made->count * of->chunk_bytes();
  if (inline_ok && from_source && of->from && of->from->immediate() && bytes <= inline_bytes) {
    while (resident_ + bytes > budget_ && evict_some(hold, true)) {}
    if (resident_ + bytes <= budget_) {
      if (inline_buffer_.empty()) inline_buffer_.resize(buffer_bytes);
      jobs_.insert(made);
      return run(hold, made, inline_buffer_);
    }
  }
  jobs_.insert(made);
  enqueue([this, made](guard& held, std::span<std::byte> buffer) { run(held, made, buffer); });
}

void server::run(guard& hold, const job_pointer& what, std::span<std::byte> buffer) {
  if (what->phase == job::over) return;  // nobody had time for it within its deadline
  object& of = *what->of;
  const auto deadline = std::chrono::milliseconds(of.file.header().deadline_ms);
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < what->count; ++i) bytes += of.file.bytes_of(what->first + i);
  if (!reserve(hold, bytes, clock::now() + deadline))
    return finish(hold, what, failure{error_kind::no_memory, "fill a lazy vector",
                                      "the budget of " + std::to_string(budget_) + " bytes is in use: what it holds is "
                                      "pinned, being filled, or can't be saved",
                                      "Unpin something, or raise the budget (ONECOPY_LAZY_BUDGET)"});
  what->phase = job::running;
  // A runner ends its own requests in time, with a better message; this is for a source that doesn't return.
  what->until = clock::now() + deadline + std::chrono::milliseconds(500);
  hold.unlock();
  const auto out = buffer.first(bytes);
  status outcome = produce(*what, out);
  hold.lock();
  last_progress_ = clock::now();
  if (what->phase == job::over) return;  // given up: its waiters have their error, and its room is free
  if (outcome) {
    what->phase = job::publishing;
    hold.unlock();
    outcome = os::write_at(of.descriptor.get(), out, of.file.header().data_offset + what->first * of.chunk_bytes());
    if (!outcome) {
      outcome.reason().tried = "fill a lazy vector: " + outcome.reason().tried;
      (void)os::punch_hole(of.descriptor.get(), of.file.header().data_offset + what->first * of.chunk_bytes(), bytes);
    }
    hold.lock();
  }
  if (!outcome) resident_ -= bytes;
  finish(hold, what, outcome);
}

status server::produce(const job& what, std::span<std::byte> out) {
  object& of = *what.of;
  const std::uint64_t chunk_size = of.chunk_bytes(), item = of.file.header().item_bytes;
  for (std::uint64_t i = 0; i < what.count;) {
    const std::uint64_t chunk = what.first + i;
    const bool saved = (of.file.chunk(chunk).load() & spilled) != 0;
    std::uint64_t some = 1;
    while (i + some < what.count && ((of.file.chunk(chunk + some).load() & spilled) != 0) == saved) ++some;
    const std::uint64_t start = chunk * chunk_size;
    const std::uint64_t end = std::min((chunk + some) * chunk_size, of.file.data_bytes());
    const auto part = out.subspan(i * chunk_size, end - start);
    if (saved) {
      if (auto ok = os::read_at(of.spill.get(), part, start); !ok) {
        ok.reason().tried = "read changed elements back from " + of.spill_path;
        return ok;
      }
    } else {
      if (!of.from) return *of.no_source;
      if (auto ok = of.from->fill(start / item, part); !ok) return ok;
    }
    i += some;
  }
  const std::uint64_t left = of.file.data_bytes() - what.first * chunk_size;
  const std::uint64_t used = std::min<std::uint64_t>(left, out.size());
  std::memset(out.data() + used, 0, out.size() - used);
  return done();
}

// Takes the job's result over. What failed has given its room back already.
void server::finish(guard&, const job_pointer& what, const status& outcome) {
  object& of = *what->of;
  what->phase = job::over;
  jobs_.erase(what);
  auto& head = of.file.changing_header();
  for (std::uint64_t chunk = what->first; chunk < what->first + what->count; ++chunk) {
    const std::uint8_t flags = of.file.chunk(chunk).load() & (spilled | seen_before);
    const auto state = static_cast<std::uint8_t>(outcome ? ready | flags | seen_before : failed | flags);
    of.file.chunk(chunk).store(state, std::memory_order_release);
    if (!outcome) continue;
    of.touched[chunk] = false;
    put_in_ring(what->of, chunk);
    head.resident_bytes += of.file.bytes_of(chunk);
  }
  (outcome ? head.fills : head.failures) += what->count;
  (outcome ? fills_ : failures_) += what->count;
  for (std::uint64_t chunk = what->first; chunk < what->first + what->count; ++chunk) {
    auto found = of.waiting.find(chunk);
    if (found == of.waiting.end()) continue;
    const auto waiters = std::move(found->second);
    of.waiting.erase(found);
    bool first = true;
    for (const waiter& who : waiters) {
      if (outcome) satisfy(what->of, chunk, who, !first);
      else refuse(what->of, chunk, who, outcome.reason());
      first = false;
    }
  }
  room_made_.notify_all();
  if (resident_ > budget_ / 16 * 15) room_needed_.notify_one();
}

void server::satisfy(const object_pointer& of, std::uint64_t chunk, const waiter& who, bool again) {
  if (again) of->touched[chunk] = true;
  if (who.request) {
    if (--who.request->missing == 0) answer(who.request);
    return;
  }
  attachment* in = find(who.client, who.base);
  if (in == nullptr) return;
  const peer_pointer& by = clients_[who.client];
  const std::uint64_t address = in->base + chunk * of->chunk_bytes();
  std::uint64_t some = 1, bytes = of->file.bytes_of(chunk);
  bool keep_watch = false;
  if (of->file.writable()) {
    if (who.write || !os::can_show_protected()) of->file.chunk(chunk).fetch_or(dirty);
    keep_watch = !of->is_dirty(chunk);
  }
  while (some < in->run && chunk + some < of->chunks() && of->file.state(chunk + some) == ready &&
         (!of->file.writable() || (keep_watch && !of->is_dirty(chunk + some))))
    bytes += of->file.bytes_of(chunk + some++);
  in->expected = chunk + some;
  (void)os::show_pages(by->faults.get(), address, bytes, keep_watch);
  // The page may have been shown, protected, before: showing it again changes nothing.
  if (who.write) (void)os::protect_pages(by->faults.get(), address, of->file.bytes_of(chunk), false);
}

void server::refuse(const object_pointer& of, std::uint64_t chunk, const waiter& who, const failure& why) {
  if (who.request) {
    if (!who.request->trouble) who.request->trouble = why;
    if (--who.request->missing == 0) answer(who.request);
    return;
  }
  attachment* in = find(who.client, who.base);
  if (in == nullptr) return;
  in->trouble = why;
  reply news;
  news.notice = 1;
  news.base = in->base;
  news.offset = chunk * of->chunk_bytes();
  news.size = of->file.bytes_of(chunk);
  std::memcpy(news.id, of->file.header().id, sizeof news.id);
  news.refuse(why);
  send(clients_[who.client], news);
}

void server::answer(const std::shared_ptr<pending_reply>& request) {
  const auto found = clients_.find(request->client);
  if (found == clients_.end()) return;
  reply out;
  out.sequence = request->sequence;
  if (request->trouble) out.refuse(*request->trouble);
  send(found->second, out);
}

void server::enqueue(task what) {
  constexpr unsigned most_threads = 64;
  queue_.push_back(std::move(what));
  if (idle_fill_threads_ < queue_.size() && fill_threads_ < most_threads) {
    ++fill_threads_;
    std::thread([this] { fill_thread(); }).detach();
  }
  queue_filled_.notify_one();
}

void server::fill_thread() {
  os::block_signals();
  std::vector<std::byte> buffer(buffer_bytes);
  guard hold(mutex_);
  for (;;) {
    ++idle_fill_threads_;
    queue_filled_.wait_for(hold, std::chrono::seconds(10), [&] { return ending_ || !queue_.empty(); });
    --idle_fill_threads_;
    if (queue_.empty()) break;  // ending, or idle for long
    const task next = std::move(queue_.front());
    queue_.pop_front();
    next(hold, buffer);
  }
  --fill_threads_;
}

void server::give_up_late_jobs(guard& hold) {
  std::vector<job_pointer> late;
  const auto now = clock::now();
  for (const job_pointer& one : jobs_) {
    if (one->phase == job::running && now > one->until) late.push_back(one);
    // One that waits for a thread has a deadline only if the threads make no progress: all of them hang.
    const auto patience = std::chrono::milliseconds(one->of->file.header().deadline_ms + 1000);
    if (one->phase == job::queued && now - std::max(one->asked, last_progress_) > patience) late.push_back(one);
  }
  for (const job_pointer& one : late) {
    object& of = *one->of;
    if (one->phase == job::running)
      for (std::uint64_t i = 0; i < one->count; ++i) resident_ -= of.file.bytes_of(one->first + i);
    const double seconds = static_cast<double>(of.file.header().deadline_ms) / 1000;
    finish(hold, one, failure{error_kind::timeout, "fill a lazy vector",
                              "its source didn't answer within " + std::to_string(seconds) + " seconds",
                              "Look at the source, or allow more time (deadline); touching the chunk tries it again"});
  }
}

}  // namespace onecopy::pager
