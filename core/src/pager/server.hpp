// The pager: one process, one store, one budget.
//
//   the event thread   reads faults and requests, shows chunks that are ready, fills from immediate sources
//   fill threads       run sources that may wait (files, runners); started as needed
//   the evictor        keeps some room free, so that fills seldom wait for it
//
// One mutex guards all of the state. It is released while a source runs, while bytes are written, and while pages are
// given back; the chunk's state (filling, evicting) keeps everybody else away from it meanwhile. Pages are shown to a
// client with the mutex held: between the look at the state and the showing nobody may take the chunk away and begin to
// fill it again, or the client would see half of it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "os/mapping.hpp"
#include "os/poller.hpp"
#include "os/userfault.hpp"
#include "pager/layout.hpp"
#include "pager/protocol.hpp"
#include "pager/source.hpp"

namespace onecopy::pager {

using clock = std::chrono::steady_clock;
using guard = std::unique_lock<std::mutex>;

inline constexpr std::uint64_t least_budget = 8u << 20;
inline constexpr std::uint64_t longest_run = 1u << 20;  // bytes filled or given back at once, unless a chunk is larger
inline constexpr std::uint64_t buffer_bytes = 4u << 20;
// As much the event thread fills itself: a small fill is done sooner than another thread would begin.
inline constexpr std::uint64_t inline_bytes = 256u << 10;

// One request for a range, which is answered when all its chunks are there or one has failed.
struct pending_reply {
  std::uint64_t client = 0, sequence = 0;
  std::size_t missing = 0;
  std::optional<failure> trouble;
};

// Somebody who waits for a chunk: a thread of a client that touched it, or a request.
struct waiter {
  std::uint64_t client = 0, base = 0;
  bool write = false;
  std::shared_ptr<pending_reply> request;
};

struct object {
  object_file file;
  os::fd descriptor;
  std::string path, spill_path;
  std::unique_ptr<source> from;
  std::optional<failure> no_source;                       // why there is none
  std::unordered_map<std::uint64_t, std::vector<waiter>> waiting;  // for chunks being filled or evicted
  std::vector<bool> touched;                              // since the evictor last looked
  std::vector<bool> in_ring;
  std::unordered_map<std::uint64_t, unsigned> pinned;
  std::set<std::pair<std::uint64_t, std::uint64_t>> attached;      // client, base
  os::fd spill;
  clock::time_point save_again{};                         // saving failed: not before this time
  bool saving = false;                                    // for the last time: nobody holds it any more
  clock::time_point saving_since{};
  bool gone = false;
  clock::time_point unused_since{};

  std::uint64_t chunk_bytes() const { return file.header().chunk_bytes; }
  std::uint64_t chunks() const { return file.header().chunks; }
  bool is_dirty(std::uint64_t chunk) const { return (file.chunk(chunk).load() & dirty) != 0; }
};
using object_pointer = std::shared_ptr<object>;

struct attachment {
  object_pointer of;
  std::uint64_t base = 0;
  std::uint64_t expected = ~0ull;  // the chunk that a sequential reader touches next
  std::uint64_t run = 1;           // chunks filled or shown at once; grows while access is sequential
  // A touch has failed and its error was not taken yet: further touches fail at once, so that a reader of a large
  // vector whose source hangs does not wait one deadline for each of its chunks.
  std::optional<failure> trouble;
  std::map<std::pair<std::uint64_t, std::uint64_t>, unsigned> pins;  // first chunk, count
};

struct peer {
  std::uint64_t token = 0;
  os::fd socket, faults;
  std::map<std::uint64_t, attachment> attachments;  // by base
  bool greeted = false;
};
using peer_pointer = std::shared_ptr<peer>;

struct job {
  object_pointer of;
  std::uint64_t first = 0, count = 0;
  enum { queued, running, publishing, over } phase = queued;
  clock::time_point asked{}, until{};
};
using job_pointer = std::shared_ptr<job>;
// What fill threads do: with the mutex held when they begin, and a buffer of their own.
using task = std::function<void(guard& hold, std::span<std::byte> buffer)>;

class server {
 public:
  static result<std::unique_ptr<server>> make(const std::string& directory);
  ~server();
  // Until nobody has used it for a while.
  int serve();

 private:
  server() = default;

  // server.cpp
  void accept_client();
  void read_request(const peer_pointer& from);
  void read_client_faults(const peer_pointer& from);
  void drop_client(const peer_pointer& which);
  void tick();
  int milliseconds_to_tick();
  bool is_idle();

  // server_requests.cpp
  void handle(guard& hold, const peer_pointer& from, const request& what, std::vector<os::fd> descriptors);
  status attach(const peer_pointer& from, const request& what);
  void detach(const peer_pointer& from, std::uint64_t base);
  void ensure(guard& hold, const peer_pointer& from, attachment& in, const request& what);
  status release(guard& hold, const object_pointer& of, const request& what);
  status flush(guard& hold, const object_pointer& of, const request& what);
  status set_budget(guard& hold, std::uint64_t bytes);
  statistics count() const;
  void send(const peer_pointer& to, const reply& what);

  // server_objects.cpp
  result<object_pointer> open_object(const object_id& id);
  void recover(object& which);
  void scan_store();
  void collect_untold(guard& hold);
  bool reap(const object_pointer& which);
  bool save_last(const object_pointer& which);
  attachment* find(std::uint64_t client, std::uint64_t base);

  // server_fill.cpp
  void touch(guard& hold, const peer_pointer& by, const os::fault& what);
  void demand(guard& hold, const object_pointer& of, std::uint64_t chunk, waiter who, std::uint64_t run,
              bool inline_ok);
  void read_ahead(guard& hold, const object_pointer& of, std::uint64_t chunk);
  void run(guard& hold, const job_pointer& what, std::span<std::byte> buffer);
  status produce(const job& what, std::span<std::byte> out);
  void finish(guard& hold, const job_pointer& what, const status& outcome);
  void satisfy(const object_pointer& of, std::uint64_t chunk, const waiter& who, bool again);
  void refuse(const object_pointer& of, std::uint64_t chunk, const waiter& who, const failure& why);
  void answer(const std::shared_ptr<pending_reply>& request);
  void enqueue(task what);
  void fill_thread();
  void give_up_late_jobs(guard& hold);

  // server_evict.cpp
  bool reserve(guard& hold, std::uint64_t bytes, clock::time_point until);
  void put_in_ring(const object_pointer& of, std::uint64_t chunk);
  std::pair<object_pointer, std::uint64_t> take_from_ring();
  bool evict_some(guard& hold, bool clean_only);
  // `count` chunks, all ready, from `first` on. keep: save them only. Answers with what went wrong in saving.
  status evict(guard& hold, const object_pointer& of, std::uint64_t first, std::uint64_t count, bool keep);
  status save(object& of, std::uint64_t first, std::uint64_t count);
  void release_waiters(guard& hold, const object_pointer& of, std::uint64_t first, std::uint64_t count);
  void evictor_thread();

  std::string directory_;
  os::fd lock_, listener_;
  os::poller poller_;
  os::bell bell_;

  std::mutex mutex_;
  std::map<std::uint64_t, peer_pointer> clients_;
  std::map<object_id, object_pointer> objects_;
  std::uint64_t next_token_ = 16;
  std::uint64_t budget_ = 0, resident_ = 0, peak_ = 0, pinned_bytes_ = 0;
  std::uint64_t fills_ = 0, evictions_ = 0, failures_ = 0;
  std::deque<std::pair<object_pointer, std::uint64_t>> ring_;  // resident chunks, in the order of the clock
  std::set<job_pointer> jobs_;
  std::deque<task> queue_;
  std::condition_variable queue_filled_, room_made_, room_needed_;
  unsigned fill_threads_ = 0, idle_fill_threads_ = 0;
  std::vector<std::byte> inline_buffer_;
  bool ending_ = false, ending_runners_ = false, collecting_ = false;
  clock::time_point last_use_ = clock::now(), last_progress_ = clock::now(), last_collection_ = clock::now();
  double idle_seconds_ = 10;
  std::thread evictor_;
};

inline std::uint64_t run_limit(const object& of) { return std::max<std::uint64_t>(1, longest_run / of.chunk_bytes()); }

}  // namespace onecopy::pager
