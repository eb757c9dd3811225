// This process as a client of the pager: one userfaultfd, one connection, and one thread that watches it.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "os/mapping.hpp"
#include "os/poller.hpp"
#include "os/userfault.hpp"
#include "pager/in_place.hpp"
#include "pager/layout.hpp"
#include "pager/protocol.hpp"

namespace onecopy::detail {

// One mapping of a lazy object in this process.
class lazy_attachment {
 public:
  ~lazy_attachment();

  pager::object_file file;
  os::mapping data;
  std::unique_ptr<pager::in_place_file> in_place;  // then there is no data, and the pager knows nothing of this
  std::string path, note;
  object_id id;
  std::vector<pager::object_file> leaves;  // what it is made of must not end before it

  // Of what the pager fills.
  std::uint64_t base() const noexcept { return reinterpret_cast<std::uintptr_t>(data.data()); }
  std::uint64_t size() const noexcept { return data.size(); }

  std::mutex mutex;
  std::atomic<bool> troubled{false};                              // trouble has a value: to be seen without the mutex
  std::optional<failure> trouble;                                 // the first failure that nobody has taken yet
  std::vector<std::pair<std::uint64_t, std::uint64_t>> planted;   // offset, size: where this process sees 0xff
  std::vector<std::pair<std::uint64_t, std::uint64_t>> pins;      // for the next pager, should this one die
};

}  // namespace onecopy::detail

namespace onecopy::pager {

using detail::lazy_attachment;

// A pager that was asked for a sign of life is given its patience in so many pieces: a clock that jumps, because this
// process itself was stopped, takes one of them and not all.
inline constexpr unsigned beats_of_patience = 5;

class client {
 public:
  // Never destroyed: threads and mappings of this process may outlive every static object.
  static client& instance();

  // Maps the object of an open and locked descriptor, and waits until the pager knows the mapping.
  result<std::shared_ptr<lazy_attachment>> attach(os::fd locked, std::string path);
  void detach(lazy_attachment& which) noexcept;
  // Sends, and waits for the reply, whatever number of pagers die meanwhile.
  result<reply> call(request what);
  // Forgets failures, and what was planted in place of data.
  void clear_trouble(lazy_attachment& which);
  void set_notice(std::function<void(const lazy_vector&)> notice);

 private:
  client();
  // A process uses the lazy objects of one store at a time.
  result<std::shared_ptr<lazy_attachment>> attach_in_place(std::shared_ptr<lazy_attachment> made);
  void detach_in_place(lazy_attachment& which) noexcept;
  status use_directory(std::unique_lock<std::mutex>& hold, const std::string& directory);
  bool is_watcher() const noexcept { return watcher_ == std::this_thread::get_id(); }
  // client_watch.cpp: the thread
  void start_watching(std::unique_lock<std::mutex>& hold);
  void watch();
  // client_pulse.cpp: is the pager alive? All with the mutex held.
  void feel_pulse(std::unique_lock<std::mutex>& hold);
  bool somebody_waits(std::unique_lock<std::mutex>& hold);
  void replace_pager(std::unique_lock<std::mutex>& hold);
  void do_without(std::unique_lock<std::mutex>& hold, const failure& why);
  void sign_of_life() noexcept { silent_beats_ = 0, asked_ = killed_ = waited_ = false; }
  status reconnect(std::unique_lock<std::mutex>& hold, std::vector<std::shared_ptr<lazy_attachment>>& held);
  status introduce(std::vector<std::shared_ptr<lazy_attachment>>& held);
  void receive(const reply& what);
  void take_failure(const reply& what);
  void report_in_place();
  void start_reporting();
  void plant(lazy_attachment& in, std::uint64_t offset, std::uint64_t size);
  void serve_alone(const failure& why, double seconds);
  status send(const request& what, int descriptor);
  // Around fork(2).
  static void before_fork();
  static void after_fork_in_parent();
  static void after_fork_in_child();
  void begin_again();

  std::mutex mutex_;
  std::condition_variable changed_;   // replies, connections
  bool watching_ = false;
  std::thread::id watcher_;
  bool wanted_ = false;               // somebody waits for a connection
  bool connected_ = false;
  std::uint64_t generation_ = 0;      // of connections, also of attempts that failed
  std::optional<failure> cant_connect_;
  double patience_ = 10;              // seconds without an answer after which a pager is replaced
  bool asked_ = false, killed_ = false, waited_ = false;
  bool stuck_ = false;                // it doesn't answer and can't be ended: cant_connect_ says more
  unsigned silent_beats_ = 0;
  std::string directory_;
  os::fd socket_;
  os::userfault faults_;
  std::uint64_t next_sequence_ = 1;
  std::map<std::uint64_t, std::optional<reply>> replies_;  // by sequence, while somebody waits
  std::map<std::uint64_t, std::weak_ptr<lazy_attachment>> attachments_;  // by base
  std::map<lazy_attachment*, std::weak_ptr<lazy_attachment>> in_place_;
  os::bell rescued_;                  // rung by signal handlers
  bool reporting_ = false;
  std::string collected_directory_;
  double collected_ = 0;              // when, by the clock on the wall
  // What the watching thread keeps while it works on it: here, and not on its stack, so that a forked child finds them.
  std::shared_ptr<lazy_attachment> failing_;
  std::vector<std::shared_ptr<lazy_attachment>> borrowed_;
  std::function<void(const lazy_vector&)> notice_;
};

}  // namespace onecopy::pager
