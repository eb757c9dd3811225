// What clients ask for.
#include <algorithm>
#include <cstring>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/userfault.hpp"
#include "pager/server.hpp"

namespace onecopy::pager {

void server::send(const peer_pointer& to, const reply& what) {
  const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(&what, 1))};
  // A client that doesn't read its replies is stopped or stuck; it must not stop the others.
  (void)os::send_message(to->socket.get(), pieces, {}, os::deadline::in(0));
}

void server::handle(guard& hold, const peer_pointer& from, const request& what, std::vector<os::fd> descriptors) {
  reply out;
  out.sequence = what.sequence;
  const auto conclude = [&](const status& outcome) {
    if (!outcome) out.refuse(outcome.reason());
    send(from, out);
  };
  if (what.version != protocol_version)
    return conclude(failure{error_kind::unsupported, "talk to the pager",
                            "it speaks version " + std::to_string(protocol_version) + " and this process version " +
                                std::to_string(what.version),
                            "Use the same version of onecopy everywhere, or wait until the pager has ended"});
  switch (what.what) {
    case ask::hello:
      // A child between fork and exec may have closed the number that it sends, and opened something else by it. Its own
      // end of this connection, kept here, would never tell that it has gone.
      if (!descriptors.empty() && !os::is_userfault(descriptors[0].get()))
        return conclude(failure{error_kind::invalid_argument, "use lazy objects", "what was sent is no userfaultfd", ""});
      if (!descriptors.empty()) {
        from->faults = std::move(descriptors[0]);
        if (auto ok = poller_.add(from->faults.get(), from->token * 2 + 1); !ok) return conclude(ok);
      }
      from->greeted = true;
      return conclude(done());
    case ask::attach: return conclude(attach(from, what));
    case ask::detach: detach(from, what.base); return conclude(done());
    case ask::statistics: out.numbers = count(); return conclude(done());
    case ask::ping: return conclude(done());
    case ask::set_budget:
      return enqueue([this, from, out, what](guard& held, std::span<std::byte>) mutable {
        if (auto outcome = set_budget(held, what.size); !outcome) out.refuse(outcome.reason());
        send(from, out);
      });
    default: break;
  }
  attachment* in = find(from->token, what.base);
  if (in == nullptr) return conclude(failure{error_kind::not_found, "use a lazy object", "it is not attached", ""});
  in->trouble.reset();  // who asks has taken the error
  if (!within(what.offset, what.size, in->of->file.mapped_bytes()))
    return conclude(failure{error_kind::invalid_argument, "use a part of a lazy object", "it is out of range", ""});
  switch (what.what) {
    case ask::ensure:
    case ask::pin: return ensure(hold, from, *in, what);
    case ask::prefetch:
      conclude(done());
      return ensure(hold, from, *in, what);
    case ask::unpin: {
      const std::uint64_t size = in->of->chunk_bytes(), first = what.offset / size;
      const std::uint64_t number = (what.offset + what.size + size - 1) / size - first;
      const auto held = in->pins.find({first, number});
      if (held == in->pins.end())
        return conclude(failure{error_kind::invalid_argument, "unpin a part of a lazy object",
                                "this part was not pinned", "Unpin the same ranges that were pinned"});
      if (--held->second == 0) in->pins.erase(held);
      for (std::uint64_t i = first; i < first + number; ++i)
        if (const auto one = in->of->pinned.find(i); one != in->of->pinned.end() && --one->second == 0) {
          in->of->pinned.erase(one);
          pinned_bytes_ -= in->of->file.bytes_of(i);
        }
      return conclude(done());
    }
    case ask::release:
    case ask::flush:  // may write to a slow disk
      return enqueue([this, from, out, what, of = in->of](guard& held, std::span<std::byte>) mutable {
        const auto outcome = what.what == ask::release ? release(held, of, what) : flush(held, of, what);
        if (!outcome) out.refuse(outcome.reason());
        send(from, out);
      });
    default:
      return conclude(failure{error_kind::unsupported, "talk to the pager", "it doesn't know this request", ""});
  }
}

status server::attach(const peer_pointer& from, const request& what) {
  object_id id;
  std::memcpy(id.bytes.data(), what.id, sizeof what.id);
  auto opened = open_object(id);
  if (!opened) return opened.reason();
  const object_pointer& of = *opened;
  const std::uint64_t size = of->file.mapped_bytes();
  if (!from->faults.valid() || what.base % page_size != 0 || what.size != size)
    return failure{error_kind::invalid_argument, "attach a lazy object", "the mapping doesn't fit the object", ""};
  if (const auto same = from->attachments.find(what.base); same != from->attachments.end() && same->second.of == of) {
    (void)os::wake_faults(from->faults.get(), what.base, size);  // asked twice, because a pager died in between
    return done();
  }
  auto next = from->attachments.lower_bound(what.base);
  const bool before = next != from->attachments.begin() &&
                      std::prev(next)->first + std::prev(next)->second.of->file.mapped_bytes() > what.base;
  if ((next != from->attachments.end() && next->first < what.base + size) || before)
    return failure{error_kind::invalid_argument, "attach a lazy object", "its mapping overlaps another one", ""};
  from->attachments[what.base] = attachment{of, what.base};
  of->attached.emplace(from->token, what.base);
  // Threads whose faults a dead pager has read, and answered no more: they ask again.
  (void)os::wake_faults(from->faults.get(), what.base, size);
  return done();
}

void server::detach(const peer_pointer& from, std::uint64_t base) {
  const auto found = from->attachments.find(base);
  if (found == from->attachments.end()) return;
  const object_pointer of = found->second.of;
  for (const auto& [range, times] : found->second.pins)
    for (std::uint64_t i = range.first; i < range.first + range.second; ++i)
      if (const auto one = of->pinned.find(i); one != of->pinned.end() && (one->second -= times) == 0) {
        of->pinned.erase(one);
        pinned_bytes_ -= of->file.bytes_of(i);
      }
  from->attachments.erase(found);
  of->attached.erase({from->token, base});
  if (of->attached.empty()) of->unused_since = clock::now();
}

void server::ensure(guard& hold, const peer_pointer& from, attachment& in, const request& what) {
  const object_pointer of = in.of;
  const std::uint64_t size = of->chunk_bytes(), first = what.offset / size;
  const std::uint64_t end = (what.offset + what.size + size - 1) / size;
  auto wanted = std::make_shared<pending_reply>();
  wanted->client = what.what == ask::prefetch ? 0 : from->token;
  wanted->sequence = what.sequence;
  const auto too_much = [&](std::uint64_t limit) {
    wanted->trouble = failure{error_kind::no_memory, "fill " + std::to_string(what.size) + " bytes of a lazy object",
                              "the budget of " + std::to_string(budget_) + " bytes allows " + std::to_string(limit) +
                                  " at once", "Use smaller parts, or raise the budget (ONECOPY_LAZY_BUDGET)"};
    answer(wanted);
  };
  const std::uint64_t bytes = (end - first) * size;
  if (what.what == ask::ensure && bytes > budget_ / 2) return too_much(budget_ / 2);
  if (what.what == ask::pin) {
    std::uint64_t added = 0;
    for (std::uint64_t i = first; i < end; ++i)
      if (!of->pinned.contains(i)) added += of->file.bytes_of(i);
    const std::uint64_t most = budget_ / 4 * 3;
    if (pinned_bytes_ + added > most) return too_much(most - std::min(pinned_bytes_, most));
    pinned_bytes_ += added;
    for (std::uint64_t i = first; i < end; ++i) ++of->pinned[i];
    ++in.pins[{first, end - first}];
  }
  // One more than there are, so that no answer goes out before all of them were asked for.
  wanted->missing = static_cast<std::size_t>(end - first) + 1;
  for (std::uint64_t i = first; i < end; ++i) {
    if (what.what == ask::prefetch && (i - first) * size > budget_ / 4) {
      --wanted->missing;  // more would push out what was just brought in
      continue;
    }
    demand(hold, of, i, {from->token, what.base, false, wanted}, std::min(run_limit(*of), end - i), true);
  }
  if (--wanted->missing == 0) answer(wanted);
}

status server::release(guard& hold, const object_pointer& of, const request& what) {
  const std::uint64_t size = of->chunk_bytes();
  const std::uint64_t end_byte = what.offset + what.size;
  const std::uint64_t end = end_byte == of->file.mapped_bytes() ? of->chunks() : end_byte / size;
  for (std::uint64_t i = (what.offset + size - 1) / size; i < end; ++i) {
    if (of->file.state(i) != ready || of->pinned.contains(i)) continue;
    std::uint64_t some = 1;
    while (i + some < end && some < run_limit(*of) && of->file.state(i + some) == ready &&
           !of->pinned.contains(i + some) && of->is_dirty(i + some) == of->is_dirty(i))
      ++some;
    if (auto ok = evict(hold, of, i, some, false); !ok) return ok;
    i += some - 1;
  }
  return done();
}

status server::flush(guard& hold, const object_pointer& of, const request& what) {
  const std::uint64_t size = of->chunk_bytes();
  const std::uint64_t end = std::min((what.offset + what.size + size - 1) / size, of->chunks());
  for (std::uint64_t i = what.offset / size; i < end; ++i) {
    if (!of->is_dirty(i)) continue;
    // Somebody evicts it just now, which saves it; look again when that is over.
    const auto until = clock::now() + std::chrono::seconds(30);
    while (of->file.state(i) == evicting && clock::now() < until)
      room_made_.wait_for(hold, std::chrono::milliseconds(10));
    if (of->file.state(i) == ready && of->is_dirty(i))
      if (auto ok = evict(hold, of, i, 1, true); !ok) return ok;
  }
  return done();
}

status server::set_budget(guard& hold, std::uint64_t bytes) {
  const std::string tried = "set the budget of lazy objects to " + std::to_string(bytes) + " bytes";
  if (bytes < least_budget)
    return failure{error_kind::invalid_argument, tried, "it must be at least " + std::to_string(least_budget), ""};
  auto room = os::space_of(directory_);
  if (!room) return room.reason();
  if (bytes > room->available + resident_)
    return failure{error_kind::invalid_argument, tried,
                   "the file system of the store has only " + std::to_string(room->available + resident_),
                   "Use less, or enlarge it (mount -o remount,size=...)"};
  budget_ = bytes;
  const auto until = clock::now() + std::chrono::seconds(10);
  while (resident_ > budget_ && clock::now() < until)
    if (!evict_some(hold, false)) room_made_.wait_for(hold, std::chrono::milliseconds(20));
  room_needed_.notify_one();
  if (resident_ <= budget_) return done();
  return failure{error_kind::busy, tried, std::to_string(resident_) + " bytes are pinned, in use, or can't be saved",
                 "The budget holds as soon as they are given back"};
}

statistics server::count() const {
  statistics out;
  out.budget = budget_;
  out.resident = resident_;
  out.peak_resident = peak_;
  out.pinned = pinned_bytes_;
  out.fills = fills_;
  out.evictions = evictions_;
  out.failures = failures_;
  out.clients = clients_.size();
  out.objects = objects_.size();
  out.process = os::process_id();
  return out;
}

}  // namespace onecopy::pager
