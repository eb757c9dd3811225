#include "onecopy/cache.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "base/arithmetic.hpp"
#include "os/system.hpp"
#include "region/state.hpp"
#include "transport/cache_directory.hpp"

namespace onecopy {
namespace detail {
namespace {

using clock = std::chrono::steady_clock;

struct entry {
  value object;
  region notice;  // of a cache with a name
  clock::time_point last_used;
};

// Bytes of memory that are free again when nobody holds the entry any more.
std::uint64_t memory_of(const value& object) {
  const auto where = object.region().where();
  if (where == backing::mapped_file || where == backing::file) return 0;
  return round_up(object.region().bytes().size(), page_size);
}

}  // namespace

class cache_core {
 public:
  explicit cache_core(cache_options chosen) : options_(std::move(chosen)) {
    if (!options_.name.empty()) directory_.emplace(options_.name);
  }

  value get(const std::string& key, const std::function<value()>& load, double timeout) {
    const os::deadline until = os::deadline::in(timeout);
    if (auto here = begin_loading(key, until)) return *std::move(here);
    struct finally {
      cache_core& self;
      const std::string& key;
      ~finally() {
        const std::lock_guard held(self.lock_);
        self.loading_.erase(key);
        self.loaded_.notify_all();
      }
    } finish{*this, key};
    return obtain(key, load, until);
  }

  std::optional<value> find(const std::string& key) {
    {
      const std::lock_guard held(lock_);
      if (auto here = look_up(key)) return here;
    }
    if (!directory_) return {};
    auto found = directory_->find(key);
    if (!found) return {};
    return add(key, found->object, found->notice, true);
  }

  void put(const std::string& key, const value& object) {
    if (!object) throw error(error_kind::invalid_argument, "add an entry to a cache", "the object is empty");
    region notice;
    if (directory_) notice = directory_->announce(key, object);
    add(key, object, notice, false, true);
  }

  // What `chosen` says of each entry that may go, oldest first.
  using choice = std::function<std::optional<eviction::reason>(const entry&, double idle, std::uint64_t bytes)>;
  std::size_t evict(const choice& chosen) {
    std::vector<std::pair<eviction, entry>> gone;
    {
      const std::lock_guard held(lock_);
      note_use();
      std::vector<std::pair<clock::time_point, std::string>> oldest;
      for (const auto& [key, one] : entries_)
        if (!used_.contains(key)) oldest.emplace_back(one.last_used, key);
      std::sort(oldest.begin(), oldest.end());
      const auto now = clock::now();
      std::uint64_t bytes = total();
      for (const auto& [last, key] : oldest) {
        auto at = entries_.find(key);
        const double idle = std::chrono::duration<double>(now - last).count();
        const auto why = chosen(at->second, idle, bytes);
        if (!why) continue;
        const std::uint64_t freed = memory_of(at->second.object);
        bytes -= freed;
        gone.emplace_back(eviction{*why, key, freed}, std::move(at->second));
        entries_.erase(at);
        ++statistics_.evictions;
      }
    }
    std::vector<eviction> told;
    for (auto& [what, old] : gone) told.push_back(what);
    const std::size_t count = gone.size();
    gone.clear();  // lets go before anybody is told that the memory is free
    if (options_.on_evict)
      for (const auto& what : told) options_.on_evict(what);
    return count;
  }

  std::size_t trim() {
    return evict([&](const entry& one, double idle, std::uint64_t bytes) -> std::optional<eviction::reason> {
      if (idle > options_.max_age) return eviction::reason::age;
      if (bytes > options_.budget && memory_of(one.object) > 0) return eviction::reason::budget;
      return {};
    });
  }

  bool remove(const std::string& key) {
    entry old;
    {
      const std::lock_guard held(lock_);
      const auto at = entries_.find(key);
      if (at == entries_.end()) return false;
      old = std::move(at->second);
      entries_.erase(at);
      ++statistics_.evictions;
    }
    const std::uint64_t bytes = memory_of(old.object);
    old = {};
    if (options_.on_evict) options_.on_evict({eviction::reason::asked, key, bytes});
    return true;
  }

  std::vector<cache_entry> list() {
    const std::lock_guard held(lock_);
    note_use();
    std::vector<cache_entry> all;
    const auto now = clock::now();
    for (const auto& [key, one] : entries_)
      all.push_back({key, memory_of(one.object), used_.contains(key),
                     std::chrono::duration<double>(now - one.last_used).count()});
    return all;
  }

  cache_statistics statistics() {
    const std::lock_guard held(lock_);
    cache_statistics now = statistics_;
    now.entries = entries_.size();
    now.bytes = total();
    return now;
  }

  std::vector<std::string> keys() {
    const std::lock_guard held(lock_);
    std::vector<std::string> all;
    for (const auto& [key, one] : entries_) all.push_back(key);
    return all;
  }

 private:
  // ---- with the lock held

  std::optional<value> look_up(const std::string& key) {
    const auto at = entries_.find(key);
    if (at == entries_.end()) return {};
    at->second.last_used = clock::now();
    ++statistics_.hits;
    return at->second.object;
  }

  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const auto& [key, one] : entries_) sum += memory_of(one.object);
    return sum;
  }

  // Which entries somebody else uses, now. One look at the kernel's list of locks serves for all of them.
  void note_use() {
    std::vector<os::file_identity> files;
    for (const auto& [key, one] : entries_) {
      const auto& from = one.object.region().state()->from();
      files.push_back({from.device, from.inode});
    }
    const auto holders = os::count_locks(files);
    used_.clear();
    const auto now = clock::now();
    std::size_t i = 0;
    for (auto& [key, one] : entries_) {
      // One reference is this table's, and one lock belongs to this process's mapping of the region.
      const bool here = one.object.region().state().use_count() > 1;
      const bool elsewhere = memory_of(one.object) > 0 && holders[i] > 1;
      ++i;
      if (!here && !elsewhere) continue;
      used_.insert(key);
      one.last_used = now;
    }
  }

  // ---- without it

  // The entry if it is here; otherwise the caller has the turn to load it, among the threads of this process.
  std::optional<value> begin_loading(const std::string& key, const os::deadline& until) {
    std::unique_lock held(lock_);
    for (;;) {
      if (auto here = look_up(key)) return here;
      const auto [at, first] = loading_.try_emplace(key, std::this_thread::get_id());
      if (first) return {};
      if (at->second == std::this_thread::get_id())
        throw error(error_kind::invalid_argument, "load an entry of a cache", "its own loading asks for it",
                    "Load it otherwise");
      if (until.passed())
        throw error(error_kind::timeout, "wait for an entry of a cache", "another thread is still loading it",
                    "Wait longer");
      const int left = until.milliseconds_left();
      loaded_.wait_for(held, std::chrono::milliseconds(left < 0 ? 250 : std::min(left, 250)));
      if (!options_.check_interrupt) continue;
      held.unlock();
      options_.check_interrupt();
      held.lock();
    }
  }

  value obtain(const std::string& key, const std::function<value()>& load, const os::deadline& until) {
    os::fd turn;
    if (directory_) {
      if (auto found = directory_->find(key)) return add(key, found->object, found->notice, true);
      turn = directory_->turn(key, until, options_.check_interrupt);
      // It may have been loaded while this process waited.
      if (auto found = directory_->find(key)) return add(key, found->object, found->notice, true);
    }
    value object = load();
    if (!object) throw error(error_kind::invalid_argument, "load an entry of a cache", "what was loaded is empty");
    {
      const std::lock_guard held(lock_);
      ++statistics_.loads;
    }
    region notice;
    if (directory_) notice = directory_->announce(key, object);
    return add(key, object, notice, false);
  }

  value add(const std::string& key, value object, region notice, bool attached, bool replace = false) {
    entry old;
    {
      const std::lock_guard held(lock_);
      auto& place = entries_[key];
      if (place.object && !replace) {
        place.last_used = clock::now();
        return place.object;  // another thread was quicker with the same
      }
      old = std::exchange(place, entry{object, std::move(notice), clock::now()});
      if (attached) ++statistics_.attached;
    }
    old = {};
    trim();
    return object;
  }

  const cache_options options_;
  std::optional<cache_directory> directory_;
  std::mutex lock_;
  std::condition_variable loaded_;
  std::unordered_map<std::string, entry> entries_;
  std::unordered_map<std::string, std::thread::id> loading_;
  std::set<std::string> used_;  // as of the last note_use()
  cache_statistics statistics_;
};

}  // namespace detail

text_cache::text_cache(cache_options options) : core_(std::make_unique<detail::cache_core>(std::move(options))) {}
text_cache::~text_cache() = default;
text_cache::text_cache(text_cache&&) noexcept = default;
text_cache& text_cache::operator=(text_cache&&) noexcept = default;

value text_cache::get(std::string_view key, const std::function<value()>& load, double timeout) {
  return core_->get(std::string(key), load, timeout);
}
std::optional<value> text_cache::find(std::string_view key) { return core_->find(std::string(key)); }
void text_cache::put(std::string_view key, const value& object) { core_->put(std::string(key), object); }
std::size_t text_cache::trim() { return core_->trim(); }
std::size_t text_cache::evict_unused() {
  return core_->evict([](const auto&, double, std::uint64_t) { return std::optional(eviction::reason::asked); });
}
bool text_cache::remove(std::string_view key) { return core_->remove(std::string(key)); }
void text_cache::clear() {
  for (const auto& key : core_->keys()) core_->remove(key);
}
std::vector<cache_entry> text_cache::entries() const { return core_->list(); }
cache_statistics text_cache::statistics() const { return core_->statistics(); }

}  // namespace onecopy
