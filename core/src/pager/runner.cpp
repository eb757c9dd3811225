#include "pager/runner.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "os/file.hpp"
#include "os/flags.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/sparse.hpp"
#include "pager/runner_protocol.hpp"

namespace onecopy::pager {

namespace {

using command_line = std::vector<std::string>;

struct runner {
  pid_t process = -1;
  os::fd socket;
  os::mapping staging;
  std::set<object_id> defined;
  std::chrono::steady_clock::time_point idle_since{};

  ~runner() {
    socket.reset();  // it reads the end, and ends: in its own way, or it would leave its temporary files
    if (process > 0 && !os::reap_by(process, os::deadline::in(2))) {
      os::kill_child(process);
      os::reap_by(process, os::deadline::in(5));
    }
  }
};

status send(int socket, const runner_request& what, int descriptor = -1) {
  const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(&what, 1))};
  const int descriptors[] = {descriptor};
  return os::send_message(socket, pieces, std::span(descriptors, descriptor >= 0 ? 1u : 0u), os::deadline::in(5));
}

result<std::unique_ptr<runner>> start(const command_line& command) {
  auto made = std::make_unique<runner>();
  auto ends = os::socket_pair();
  if (!ends) return ends.reason();
  auto memory = os::make_memfd("onecopy-staging");
  if (!memory) return memory.reason();
  if (auto ok = os::set_size(memory->get(), staging_bytes); !ok) return ok.reason();
  auto mapped = os::mapping::map(memory->get(), 0, staging_bytes, os::map_mode::shared);
  if (!mapped) return mapped.reason();
  made->staging = *std::move(mapped);
  auto child = os::start_program(command, ends->second.get());
  if (!child) return child.reason();
  made->process = *child;
  made->socket = std::move(ends->first);
  if (auto ok = send(made->socket.get(), {.what = runner_ask::hello}, memory->get()); !ok) return ok.reason();
  return made;
}

// The runners of one command line. A fill takes one that is idle, or starts one, or waits for one.
class pool {
 public:
  explicit pool(command_line command) : command_(std::move(command)) {}

  result<std::unique_ptr<runner>> take(const object_id& id, const os::deadline& until) {
    std::unique_lock hold(mutex_);
    for (;;) {
      if (!idle_.empty()) {
        // One that knows the object already is the better one.
        auto best = std::find_if(idle_.begin(), idle_.end(), [&](auto& one) { return one->defined.contains(id); });
        if (best == idle_.end()) best = idle_.begin();
        auto taken = std::move(*best);
        idle_.erase(best);
        ++busy_;
        return taken;
      }
      if (busy_ < most) {
        ++busy_;
        hold.unlock();
        auto made = start(command_);
        if (!made) give_back(nullptr);
        return made;
      }
      if (until.passed())
        return failure{error_kind::timeout, "fill a lazy vector", "all its runner processes are busy", ""};
      returned_.wait_for(hold, std::chrono::milliseconds(std::clamp(until.milliseconds_left(), 1, 1000)));
    }
  }

  void give_back(std::unique_ptr<runner> one) {
    std::lock_guard hold(mutex_);
    --busy_;
    if (one) {
      one->idle_since = std::chrono::steady_clock::now();
      idle_.push_back(std::move(one));
    }
    returned_.notify_one();
  }

  void forget(const object_id& id) {
    std::lock_guard hold(mutex_);
    for (auto& one : idle_) {
      if (one->defined.erase(id) == 0) continue;
      runner_request what{.what = runner_ask::forget};
      std::memcpy(what.id, id.bytes.data(), sizeof what.id);
      (void)send(one->socket.get(), what);
    }
  }

  // Those that were idle for so long; all with 0. They end after the mutex is free: it takes them some time.
  void end(double idle_seconds = 0) {
    std::vector<std::unique_ptr<runner>> ending;
    std::lock_guard hold(mutex_);
    const auto limit = std::chrono::steady_clock::now() - std::chrono::duration<double>(idle_seconds);
    for (auto& one : idle_)
      if (one->idle_since <= limit) ending.push_back(std::move(one));
    std::erase(idle_, nullptr);
  }

  bool has_idle() {
    std::lock_guard hold(mutex_);
    return !idle_.empty();
  }

 private:
  static constexpr int most = 4;
  const command_line command_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<runner>> idle_;
  int busy_ = 0;
};

std::mutex pools_mutex;
std::map<command_line, std::shared_ptr<pool>>& pools() {
  static auto* all = new std::map<command_line, std::shared_ptr<pool>>;
  return *all;
}

class program_source final : public source {
 public:
  program_source(std::shared_ptr<pool> from, std::string payload, std::string description, source_context context)
      : pool_(std::move(from)), payload_(std::move(payload)), description_(std::move(description)),
        context_(context) {}
  ~program_source() override { pool_->forget(context_.id); }

  status fill(std::uint64_t first, std::span<std::byte> out) override {
    return in_parts(first, {.what = runner_ask::fill, .bytes = out.size(), .out = out.data()});
  }

  status write_back(std::uint64_t first, std::span<const std::byte> changed) override {
    return in_parts(first, {.what = runner_ask::save, .bytes = changed.size(), .in = changed.data()});
  }

 private:
  // What a runner is asked for: to fill `out`, or to save `in`.
  struct work {
    runner_ask what{};
    std::uint64_t bytes = 0;
    std::byte* out = nullptr;
    const std::byte* in = nullptr;

    work part(std::uint64_t offset, std::uint64_t size) const {
      return {what, size, out ? out + offset : nullptr, in ? in + offset : nullptr};
    }
  };

  // As much at once as the staging buffer holds.
  status in_parts(std::uint64_t first, const work& whole) {
    const std::uint64_t at_once = staging_bytes / context_.item_bytes * context_.item_bytes;
    for (std::uint64_t offset = 0; offset < whole.bytes; offset += at_once) {
      const auto part = whole.part(offset, std::min(at_once, whole.bytes - offset));
      if (auto ok = ask(first + offset / context_.item_bytes, part); !ok) return ok;
    }
    return done();
  }

  failure describe(std::uint64_t first, const work& of, error_kind kind, std::string happened,
                   std::string remedy = {}) const {
    const std::uint64_t last = first + of.bytes / context_.item_bytes;
    return {kind,
            std::string(of.what == runner_ask::fill ? "fill" : "save") + " elements " + std::to_string(first) + " to " +
                std::to_string(last - 1) + " of " + description_,
            std::move(happened), std::move(remedy)};
  }

  status ask(std::uint64_t first, const work& job) {
    const auto until = os::deadline::in(context_.deadline_seconds);
    auto taken = pool_->take(context_.id, until);
    if (!taken) return describe(first, job, taken.reason().kind, taken.reason().tried + ": " +
                                taken.reason().happened, taken.reason().remedy);
    auto answer = talk(**taken, first, job, until);
    // A runner that failed to answer is not used again; one that answered with an error is fine.
    const bool usable = answer.ok();
    if (!usable) taken->reset();
    pool_->give_back(usable ? *std::move(taken) : nullptr);
    if (!usable) return answer.reason();
    if (answer->failed != 0)
      return describe(first, job, error_kind::system, answer->message,
                      job.what == runner_ask::fill
                          ? "The vector can be used again: what failed is tried again when it is touched"
                          : "The changes stay in memory and are saved again later");
    return done();
  }

  result<runner_reply> talk(runner& with, std::uint64_t first, const work& job, const os::deadline& until) {
    const auto ended = [&](const failure& why) {
      std::string ending;
      with.socket.reset();
      if (!os::reap_by(with.process, os::deadline::in(1), &ending)) ending = why.happened;
      else with.process = -1;
      return describe(first, job, error_kind::peer_closed, "the process that runs its function " + ending,
                      "Look at what the function does; it is started again at the next touch");
    };
    runner_request what{.what = runner_ask::define, .type = static_cast<std::uint32_t>(context_.type),
                        .item_bytes = static_cast<std::uint32_t>(context_.item_bytes), .count = context_.count,
                        .payload_bytes = payload_.size()};
    std::memcpy(what.id, context_.id.bytes.data(), sizeof what.id);
    if (!with.defined.contains(context_.id)) {
      auto memory = os::make_memfd("onecopy-payload");
      if (!memory) return memory.reason();
      if (auto ok = os::write_at(memory->get(), std::as_bytes(std::span(payload_)), 0); !ok) return ok.reason();
      if (auto ok = send(with.socket.get(), what, memory->get()); !ok) return ended(ok.reason());
      with.defined.insert(context_.id);
    }
    what.what = job.what;
    what.first = first;
    what.wanted = job.bytes / context_.item_bytes;
    if (job.in != nullptr) std::memcpy(with.staging.data(), job.in, job.bytes);
    else std::memset(with.staging.data(), 0, job.bytes);
    if (auto ok = send(with.socket.get(), what); !ok) return ended(ok.reason());
    runner_reply reply{};
    auto got = os::receive_message(with.socket.get(), std::as_writable_bytes(std::span(&reply, 1)), until, 0);
    if (!got && got.reason().kind == error_kind::timeout) {
      os::kill_child(with.process);
      return describe(first, job, error_kind::timeout,
                      "its function didn't return within " + std::to_string(context_.deadline_seconds) + " seconds",
                      "Allow more time (deadline), or smaller chunks; the process that ran it was ended");
    }
    if (!got) return ended(got.reason());
    if (got->end || got->size != sizeof reply)
      return ended(failure{error_kind::peer_closed, "", "closed its connection", ""});
    reply.message[sizeof reply.message - 1] = 0;
    if (reply.failed == 0 && job.out != nullptr) std::memcpy(job.out, with.staging.data(), job.bytes);
    return reply;
  }

  std::shared_ptr<pool> pool_;
  std::string payload_, description_;
  source_context context_;
};

}  // namespace

result<std::unique_ptr<source>> make_program(const lazy_source& description, const source_context& context) {
  command_line command;
  const auto find = [&](const std::string& name) -> const std::string* {
    const auto found = description.fields.find(name);
    return found == description.fields.end() ? nullptr : &found->second;
  };
  while (const std::string* word = find("word" + std::to_string(command.size()))) command.push_back(*word);
  if (command.empty() || command[0].empty())
    return failure{error_kind::invalid_argument, "make a lazy vector", "its program has no command line", ""};
  const std::string *payload = find("payload"), *text = find("description");
  std::lock_guard hold(pools_mutex);
  auto& shared = pools()[command];
  if (!shared) shared = std::make_shared<pool>(command);
  return std::unique_ptr<source>(std::make_unique<program_source>(shared, payload ? *payload : "",
                                                                  text ? *text : "a lazy vector", context));
}

void end_runners(double idle_seconds) {
  std::vector<std::shared_ptr<pool>> all;
  {
    std::lock_guard hold(pools_mutex);
    for (auto& [command, shared] : pools()) all.push_back(shared);
  }
  for (const auto& shared : all) shared->end(idle_seconds);
}

bool any_idle_runner() {
  std::lock_guard hold(pools_mutex);
  return std::any_of(pools().begin(), pools().end(), [](const auto& entry) { return entry.second->has_idle(); });
}

}  // namespace onecopy::pager
