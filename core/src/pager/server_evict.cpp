// How memory comes back: the clock, and what happens to changed chunks.
#include <algorithm>

#include "os/file.hpp"
#include "os/process.hpp"
#include "os/sparse.hpp"
#include "pager/server.hpp"

namespace onecopy::pager {

bool server::reserve(guard& hold, std::uint64_t bytes, clock::time_point until) {
  while (resident_ + bytes > budget_) {
    if (evict_some(hold, false)) continue;
    if (clock::now() >= until) return false;
    room_made_.wait_for(hold, std::chrono::milliseconds(20));
  }
  resident_ += bytes;
  peak_ = std::max(peak_, resident_);
  return true;
}

void server::put_in_ring(const object_pointer& of, std::uint64_t chunk) {
  if (of->in_ring[chunk]) return;
  of->in_ring[chunk] = true;
  ring_.emplace_back(of, chunk);
}

std::pair<object_pointer, std::uint64_t> server::take_from_ring() {
  auto taken = std::move(ring_.front());
  ring_.pop_front();
  taken.first->in_ring[taken.second] = false;
  return taken;
}

// The clock: a chunk that was touched again since the hand last came by stays for another round. Chunks that follow
// each other in the ring and in their object go in one piece, because giving back 1 MiB costs little more than 64 KiB.
bool server::evict_some(guard& hold, bool clean_only) {
  const auto now = clock::now();
  const auto may_go = [&](const object_pointer& of, std::uint64_t chunk) {
    return !of->gone && of->file.state(chunk) == ready && !of->pinned.contains(chunk) &&
           (!of->is_dirty(chunk) || (!clean_only && now >= of->save_again));
  };
  for (std::size_t looks = ring_.size() * 2; looks > 0 && !ring_.empty(); --looks) {
    const auto [of, chunk] = take_from_ring();
    if (of->gone || of->file.state(chunk) != ready) continue;  // released, or being saved: who does that puts it back
    if (!may_go(of, chunk) || of->touched[chunk]) {
      of->touched[chunk] = false;
      put_in_ring(of, chunk);
      continue;
    }
    std::uint64_t count = 1;
    const bool changed = of->is_dirty(chunk);
    while (count < run_limit(*of) && !ring_.empty() && ring_.front().first == of &&
           ring_.front().second == chunk + count && may_go(of, chunk + count) && !of->touched[chunk + count] &&
           of->is_dirty(chunk + count) == changed) {
      take_from_ring();
      ++count;
    }
    return evict(hold, of, chunk, count, false).ok();
  }
  return false;
}

status server::evict(guard& hold, const object_pointer& of, std::uint64_t first, std::uint64_t count, bool keep) {
  auto& head = of->file.changing_header();
  const std::uint64_t start = first * of->chunk_bytes();
  std::uint64_t bytes = 0;
  bool changed = false;
  for (std::uint64_t i = first; i < first + count; ++i) {
    changed = changed || of->is_dirty(i);
    bytes += of->file.bytes_of(i);
    const std::uint8_t flags = of->file.chunk(i).load() & static_cast<std::uint8_t>(~state_mask);
    of->file.chunk(i).store(static_cast<std::uint8_t>(evicting | flags), std::memory_order_release);
  }
  std::vector<std::pair<peer_pointer, std::uint64_t>> writers;
  if (of->file.writable())
    for (const auto& [token, base] : of->attached)
      if (const auto found = clients_.find(token); found != clients_.end()) writers.emplace_back(found->second, base);
  const auto protect = [&](bool on) {
    for (const auto& [by, base] : writers) (void)os::protect_pages(by->faults.get(), base + start, bytes, on);
  };
  hold.unlock();
  status outcome = done();
  if (changed) {
    protect(true);  // from here on nobody changes the bytes: a store waits until the chunk's state is settled
    outcome = save(*of, first, count);
  }
  const bool goes = outcome.ok() && !keep;
  if (changed && outcome) {
    // Saved, and said so, before the only other copy goes: a pager that dies in between loses nothing.
    const bool to_spill = (head.flags & file_header::flag_write_back) == 0;
    for (std::uint64_t i = first; i < first + count; ++i) {
      std::uint8_t now = of->file.chunk(i).load() & (spilled | seen_before);
      if (to_spill) {
        if ((now & spilled) == 0) head.spilled_bytes += of->file.bytes_of(i);
        now |= spilled;
      }
      of->file.chunk(i).store(static_cast<std::uint8_t>(evicting | now), std::memory_order_release);
    }
  }
  status punched = done();
  if (goes) punched = os::punch_hole(of->descriptor.get(), of->file.header().data_offset + start, bytes);
  hold.lock();
  const bool went = goes && punched.ok();
  for (std::uint64_t i = first; i < first + count; ++i) {
    const std::uint8_t flags = of->file.chunk(i).load() & static_cast<std::uint8_t>(~state_mask);
    of->file.chunk(i).store(static_cast<std::uint8_t>((went ? absent : ready) | flags), std::memory_order_release);
    if (!went) put_in_ring(of, i);
  }
  if (went) {
    resident_ -= bytes;
    head.resident_bytes -= bytes;
    head.evictions += count;
    evictions_ += count;
  }
  if (!outcome) of->save_again = clock::now() + std::chrono::seconds(1);
  // Stores that wait go on: to a chunk that is gone they fault again; one that stays is watched again only if clean.
  if (changed && (went || !outcome)) protect(false);
  release_waiters(hold, of, first, count);
  room_made_.notify_all();
  if (!outcome) {
    for (const auto& [by, base] : writers) {
      reply news;
      news.notice = 2;
      news.base = base;
      std::copy_n(of->file.header().id, sizeof news.id, news.id);
      news.refuse(outcome.reason());
      send(by, news);
    }
    return outcome;
  }
  return punched;
}

// The bytes of changed chunks to where they are kept. Nobody changes them meanwhile.
status server::save(object& of, std::uint64_t first, std::uint64_t count) {
  const bool to_source = (of.file.header().flags & file_header::flag_write_back) != 0;
  std::vector<std::byte> buffer;
  for (std::uint64_t i = first; i < first + count; ++i) {
    if (!of.is_dirty(i)) continue;
    const std::uint64_t start = i * of.chunk_bytes();
    buffer.resize(std::min(of.chunk_bytes(), of.file.data_bytes() - start));
    if (auto ok = os::read_at(of.descriptor.get(), buffer, of.file.header().data_offset + start); !ok) return ok;
    if (to_source) {
      if (!of.from) return *of.no_source;
      if (auto ok = of.from->write_back(start / of.file.header().item_bytes, buffer); !ok) return ok;
    } else if (auto ok = os::write_at(of.spill.get(), buffer, start); !ok) {
      ok.reason().tried = "keep changed elements of a lazy vector in " + of.spill_path;
      ok.reason().remedy = "Make room there, or set ONECOPY_SPILL to another directory before the pager starts; the "
                           "changes stay in memory";
      return ok;
    }
  }
  return done();
}

// Those who touched a chunk while it was leaving. Filling again is left to the fill threads: this thread may hold
// resources that filling needs.
void server::release_waiters(guard& hold, const object_pointer& of, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t chunk = first; chunk < first + count; ++chunk) {
    auto found = of->waiting.find(chunk);
    if (found == of->waiting.end()) continue;
    const auto waiters = std::move(found->second);
    of->waiting.erase(found);
    for (const waiter& who : waiters) demand(hold, of, chunk, who, 1, false);
  }
}

void server::evictor_thread() {
  os::block_signals();
  guard hold(mutex_);
  while (!ending_) {
    const std::uint64_t high = budget_ / 16 * 15, low = budget_ / 8 * 7;
    if (resident_ <= high) {
      room_needed_.wait(hold);
      continue;
    }
    while (!ending_ && resident_ > low)
      if (!evict_some(hold, false)) {
        room_needed_.wait_for(hold, std::chrono::milliseconds(50));
        if (resident_ <= high) break;
      }
  }
}

}  // namespace onecopy::pager
