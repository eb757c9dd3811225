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
#include "os/userfault.hpp"
#include "pager/layout.hpp"
#include "pager/protocol.hpp"

namespace onecopy::detail {

// One mapping of a lazy object in this process.
class lazy_attachment {
 public:
  ~lazy_attachment();

  pager::object_file file;
  os::mapping data;
  std::string path, note;
  object_id id;

  std::uint64_t base() const noexcept { return reinterpret_cast<std::uintptr_t>(data.data()); }
  std::uint64_t size() const noexcept { return data.size(); }

  std::mutex mutex;
  std::optional<failure> trouble;                                 // the first failure that nobody has taken yet
  std::vector<std::pair<std::uint64_t, std::uint64_t>> planted;   // offset, size: where this process sees 0xff
  std::vector<std::pair<std::uint64_t, std::uint64_t>> pins;      // for the next pager, should this one die
};

}  // namespace onecopy::detail

namespace onecopy::pager {

using detail::lazy_attachment;

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
  status use_directory(std::unique_lock<std::mutex>& hold, const std::string& directory);
  bool is_watcher() const noexcept { return watcher_ == std::this_thread::get_id(); }
  // client_watch.cpp: the thread
  void start_watching(std::unique_lock<std::mutex>& hold);
  void watch();
  status reconnect(std::unique_lock<std::mutex>& hold, std::vector<std::shared_ptr<lazy_attachment>>& held);
  status introduce(std::vector<std::shared_ptr<lazy_attachment>>& held);
  void receive(const reply& what);
  void take_failure(const reply& what);
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
  std::string directory_;
  os::fd socket_;
  os::userfault faults_;
  std::uint64_t next_sequence_ = 1;
  std::map<std::uint64_t, std::optional<reply>> replies_;  // by sequence, while somebody waits
  std::map<std::uint64_t, std::weak_ptr<lazy_attachment>> attachments_;  // by base
  // What the watching thread keeps while it works on it: here, and not on its stack, so that a forked child finds them.
  std::shared_ptr<lazy_attachment> failing_;
  std::vector<std::shared_ptr<lazy_attachment>> borrowed_;
  std::function<void(const lazy_vector&)> notice_;
};

}  // namespace onecopy::pager
