#include "pager/server.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "os/file.hpp"
#include "os/flags.hpp"
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/sparse.hpp"
#include "os/system.hpp"
#include "pager/expression.hpp"
#include "pager/runner.hpp"

namespace onecopy::pager {

namespace {

constexpr std::uint64_t listener_token = 1, bell_token = 2;
constexpr auto between_collections = std::chrono::seconds(10);

void complain(const failure& why) {
  std::fprintf(stderr, "onecopy-pager: can't %s: %s\n", why.tried.c_str(), why.happened.c_str());
}

// "512M", "2G", "1000000"; 0 when it is not a size.
std::uint64_t parse_size(const std::string& text) {
  char* rest = nullptr;
  const double number = std::strtod(text.c_str(), &rest);
  std::string unit = rest;
  while (!unit.empty() && (unit.back() == 'B' || unit.back() == 'b' || unit.back() == 'i')) unit.pop_back();
  double scale = 1;
  if (unit == "k" || unit == "K") scale = 1 << 10;
  else if (unit == "m" || unit == "M") scale = 1 << 20;
  else if (unit == "g" || unit == "G") scale = 1 << 30;
  else if (unit == "t" || unit == "T") scale = 1ull << 40;
  else if (!unit.empty()) return 0;
  return number > 0 && number * scale < 1e18 ? static_cast<std::uint64_t>(number * scale) : 0;
}

// ONECOPY_LAZY_BUDGET, or half of what this process may use; never more than the store's file system can hold.
std::uint64_t initial_budget(const std::string& directory) {
  std::uint64_t bytes = os::memory_limit() / 2;
  if (const std::string chosen = os::environment("ONECOPY_LAZY_BUDGET"); !chosen.empty()) {
    if (const auto size = parse_size(chosen); size > 0) bytes = size;
    else std::fprintf(stderr, "onecopy-pager: ONECOPY_LAZY_BUDGET=%s is no size; the default holds\n", chosen.c_str());
  }
  if (auto room = os::space_of(directory)) bytes = std::min(bytes, room->available / 10 * 9);
  return std::max(bytes, least_budget);
}

}  // namespace

result<std::unique_ptr<server>> server::make(const std::string& directory) {
  std::unique_ptr<server> made(new server);
  made->directory_ = directory;
  // Whoever holds this lock is the pager. The kernel lets go when the process ends, however that happens.
  auto lock = os::open_file(lock_path(directory), O_RDWR | O_CREAT, 0600);
  if (!lock) return lock.reason();
  auto alone = os::try_lock_exclusive(lock->get());
  if (!alone) return alone.reason();
  if (!*alone) return failure{error_kind::exists, "start a pager", "one is running for this store", ""};
  made->lock_ = *std::move(lock);
  auto poll = os::poller::make();
  if (!poll) return poll.reason();
  made->poller_ = *std::move(poll);
  auto signal = os::bell::make();
  if (!signal) return signal.reason();
  made->bell_ = *std::move(signal);
  made->budget_ = initial_budget(directory);
  if (const std::string chosen = os::environment("ONECOPY_PAGER_IDLE"); !chosen.empty())
    made->idle_seconds_ = std::max(0.1, std::strtod(chosen.c_str(), nullptr));
  made->scan_store();
  auto listener = os::listen_at(socket_path(directory));
  if (!listener) return listener.reason();
  made->listener_ = *std::move(listener);
  if (auto ok = made->poller_.add(made->listener_.get(), listener_token); !ok) return ok.reason();
  if (auto ok = made->poller_.add(made->bell_.descriptor(), bell_token); !ok) return ok.reason();
  made->evictor_ = std::thread([self = made.get()] { self->evictor_thread(); });
  return made;
}

server::~server() {
  {
    guard hold(mutex_);
    ending_ = true;
    room_needed_.notify_all();
    queue_filled_.notify_all();
  }
  if (evictor_.joinable()) evictor_.join();
}

int server::serve() {
  std::array<os::poller::event, 64> events;
  while (!is_idle()) {
    auto count = poller_.wait(events, milliseconds_to_tick());
    if (!count) {
      complain(count.reason());
      return 1;
    }
    for (std::size_t i = 0; i < *count; ++i) {
      const auto& seen = events[i];
      if (seen.token == listener_token) {
        accept_client();
        continue;
      }
      if (seen.token == bell_token) {
        bell_.drain();
        continue;
      }
      peer_pointer from;
      {
        guard hold(mutex_);
        const auto found = clients_.find(seen.token / 2);
        if (found == clients_.end()) continue;
        from = found->second;
      }
      if (seen.token % 2 == 1) {
        if (seen.readable) read_client_faults(from);
        // A descriptor in error would be reported for ever; the client's socket says when it has gone.
        else if (seen.closed) poller_.remove(from->faults.get());
      } else if (seen.readable) {
        read_request(from);
      } else if (seen.closed) {
        drop_client(from);
      }
    }
    tick();
  }
  (void)os::remove_file(socket_path(directory_));
  end_runners();
  return 0;
}

void server::accept_client() {
  auto socket = os::accept_from(listener_.get(), os::deadline::in(0));
  if (!socket) return;
  auto who = os::peer_of(socket->get());
  if (!who || (who->uid != os::user_id() && who->uid != 0)) return;
  guard hold(mutex_);
  auto made = std::make_shared<peer>();
  made->token = next_token_++;
  made->socket = *std::move(socket);
  if (!poller_.add(made->socket.get(), made->token * 2)) return;
  clients_.emplace(made->token, std::move(made));
  last_use_ = clock::now();
}

void server::read_request(const peer_pointer& from) {
  request what{};
  const auto room = std::as_writable_bytes(std::span(&what, 1));
  auto got = os::receive_message(from->socket.get(), room, os::deadline::in(0), 1);
  if (!got && got.reason().kind == error_kind::timeout) return;
  if (!got || got->end || got->size != sizeof what) return drop_client(from);
  guard hold(mutex_);
  handle(hold, from, what, std::move(got->descriptors));
}

void server::read_client_faults(const peer_pointer& from) {
  std::array<os::fault, 16> faults;
  auto count = os::read_faults(from->faults.get(), faults);
  if (!count) return poller_.remove(from->faults.get());
  if (*count == 0) return;
  guard hold(mutex_);
  for (std::size_t i = 0; i < *count; ++i) touch(hold, from, faults[i]);
}

void server::drop_client(const peer_pointer& which) {
  guard hold(mutex_);
  poller_.remove(which->socket.get());
  if (which->faults.valid()) poller_.remove(which->faults.get());
  std::vector<object_pointer> left;
  while (!which->attachments.empty()) {
    left.push_back(which->attachments.begin()->second.of);
    detach(which, which->attachments.begin()->first);
  }
  clients_.erase(which->token);
  last_use_ = clock::now();
  for (const object_pointer& one : left) (void)reap(one);
}

void server::tick() {
  guard hold(mutex_);
  give_up_late_jobs(hold);
  std::vector<object_pointer> unused;
  for (const auto& [id, one] : objects_)
    if (one->attached.empty() && clock::now() - one->unused_since > std::chrono::milliseconds(500))
      unused.push_back(one);
  for (const object_pointer& one : unused) {
    one->unused_since = clock::now();
    if (reap(one)) last_use_ = clock::now();
  }
  if (!ending_runners_ && any_idle_runner()) {
    ending_runners_ = true;
    enqueue([this](guard& held, std::span<std::byte>) {
      held.unlock();
      end_runners(idle_seconds_ * 3);
      held.lock();
      ending_runners_ = false;
    });
  }
  if (!collecting_ && clock::now() - last_collection_ >= between_collections) {
    collecting_ = true;
    enqueue([this](guard& held, std::span<std::byte>) {
      collect_untold(held);
      last_collection_ = clock::now();
      collecting_ = false;
    });
  }
}

int server::milliseconds_to_tick() {
  guard hold(mutex_);
  if (!jobs_.empty()) return 100;
  for (const auto& [id, one] : objects_)
    if (one->attached.empty()) return 500;
  if (any_idle_runner()) return 500;
  return clients_.empty() ? static_cast<int>(std::min(idle_seconds_ * 1000 / 2 + 1, 1000.0))
                          : static_cast<int>(std::chrono::milliseconds(between_collections).count());
}

bool server::is_idle() {
  guard hold(mutex_);
  if (!clients_.empty()) return false;
  // A store that was removed has no use for a pager, and nobody could reach this one.
  if (auto there = os::status_at(AT_FDCWD, socket_path(directory_)); there && !*there) return true;
  return objects_.empty() && clock::now() - last_use_ > std::chrono::duration<double>(idle_seconds_);
}

int run(int argc, const char* const* argv) {
  bool background = false;
  std::string directory;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--background") background = true;
    else if (word == "--plugin") {
      std::vector<std::string> libraries;
      for (int k = i + 1; k < argc; ++k) libraries.emplace_back(argv[k]);
      return serve_plugin(libraries);
    } else if (word == "--evaluate") return evaluate_for_pager();  // started by a pager: it is a runner of its
    else if (word == "--help" || word.starts_with("-")) {
      std::fprintf(word == "--help" ? stdout : stderr,
                   "usage: onecopy-pager [--background] [directory]\n"
                   "Fills the lazy objects of a store when they are touched. Started by itself when needed.\n"
                   "Environment: ONECOPY_DIR, ONECOPY_LAZY_BUDGET, ONECOPY_SPILL, ONECOPY_PAGER_IDLE (seconds),\n"
                   "ONECOPY_PAGER_LOG (a file for messages).\n");
      return word == "--help" ? 0 : 2;
    } else {
      directory = word;
    }
  }
  if (directory.empty()) {
    auto found = lazy_directory();
    if (!found) {
      complain(found.reason());
      return 1;
    }
    directory = *found;
  }
  if (background)
    if (auto ok = os::become_daemon(os::environment("ONECOPY_PAGER_LOG")); !ok) return 1;
  os::ignore_broken_pipes();
  os::raise_descriptor_limit();  // one for each object
  auto made = server::make(directory);
  if (!made) {
    if (made.reason().kind == error_kind::exists) return 0;
    complain(made.reason());
    return 1;
  }
  const int code = (*made)->serve();
  // Detached threads may still be inside a source that doesn't return; ending the process ends them.
  std::fflush(nullptr);
  made->release();
  std::_Exit(code);
}

}  // namespace onecopy::pager
