// Shared objects by key: loaded once, used by many processes, evicted when nobody uses them.
//
//     onecopy::cache<std::string> fonts({.budget = 64 << 20});
//     onecopy::value font = fonts.get("DejaVu Sans", [&] { return onecopy::map_file(path); });
//
// A cache holds its entries like anybody else does. To evict one is to let go of it, so it can free memory that nobody
// uses, and can't take anything from those who do: in whatever process, however they behave. Who uses an entry is what
// the kernel says (docs/lifetime.md); a process that dies uses nothing any more.
//
// With a name, all processes of the user that open the cache by that name load each entry once: one loads while the
// others wait. Without, it serves the threads of one process, which may hand entries to others over channels.
//
// Threads: all members may be called from any thread at once. Callbacks run in the calling thread, outside all locks.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "onecopy/array.hpp"
#include "onecopy/mapped_file.hpp"
#include "onecopy/value.hpp"

namespace onecopy {

struct eviction {
  enum class reason { age, budget, asked } why = reason::asked;
  std::string key;           // as text
  std::uint64_t bytes = 0;   // of memory that is free again; 0 for mapped files
};

struct cache_options {
  std::string name = {};  // at most 120 bytes; "": of this process alone
  // Bytes of memory that entries may take together; what others use stays beyond it. Mapped files don't count, as the
  // system takes their memory back by itself.
  std::uint64_t budget = std::numeric_limits<std::uint64_t>::max();
  // Seconds since an entry was last seen in use, after which it is evicted.
  double max_age = std::numeric_limits<double>::infinity();
  std::function<void(const eviction&)> on_evict = {};
  // Called now and then while another process loads; what it throws ends the wait.
  std::function<void()> check_interrupt = {};
};

struct cache_entry {
  std::string key;
  std::uint64_t bytes = 0;
  bool in_use = false;    // by another process, or elsewhere in this one
  double idle = 0;        // seconds since it was last seen in use
};

struct cache_statistics {
  std::uint64_t entries = 0, bytes = 0;  // now
  std::uint64_t hits = 0;                // found here
  std::uint64_t attached = 0;            // loaded by another process
  std::uint64_t loads = 0, evictions = 0;
};

namespace detail {
class cache_core;

inline value value_of(value object) { return object; }
inline value value_of(region whole) { return value(std::move(whole)); }
inline value value_of(const mapped_file& file) { return file.node(); }
template <class T>
value value_of(const array<T>& items) {
  return items.node();
}
}  // namespace detail

// The cache with keys that are text; cache<Key> is the same for any key that is text or a number.
class text_cache {
 public:
  // Throws invalid_argument for a name that is too long.
  explicit text_cache(cache_options options = {});
  ~text_cache();
  text_cache(text_cache&&) noexcept;
  text_cache& operator=(text_cache&&) noexcept;

  // The entry, from here, from another process, or by calling `load`. Only one caller loads a key at a time, the others
  // wait: at most `timeout` seconds, negative: for ever. When `load` throws, get throws the same and the next in line
  // loads. Throws timeout.
  value get(std::string_view key, const std::function<value()>& load, double timeout = -1);
  // The entry, if it is here or another process of the same cache has it.
  std::optional<value> find(std::string_view key);
  // Adds or replaces an entry; who uses the old one keeps it.
  void put(std::string_view key, const value& object);

  // Evicts what is too old, then the longest unused until the budget is met. Runs by itself when an entry is added.
  // Answers how many went.
  std::size_t trim();
  // Evicts all that nobody uses.
  std::size_t evict_unused();
  // Lets go of one entry, used or not; those who use it keep it. False if it was not here.
  bool remove(std::string_view key);
  void clear();

  std::vector<cache_entry> entries() const;
  cache_statistics statistics() const;

 private:
  std::unique_ptr<detail::cache_core> core_;
};

template <class Key>
class cache {
  static_assert(std::is_convertible_v<const Key&, std::string_view> || std::is_integral_v<Key>,
                "a cache's keys are text or whole numbers");

 public:
  explicit cache(cache_options options = {}) : all_(std::move(options)) {}

  // `load` returns a value, a region, an array or a mapped_file. See text_cache for the rest.
  template <class Load>
  value get(const Key& key, Load&& load, double timeout = -1) {
    return all_.get(text(key), [&] { return detail::value_of(load()); }, timeout);
  }
  std::optional<value> find(const Key& key) { return all_.find(text(key)); }
  template <class Object>
  void put(const Key& key, const Object& object) { all_.put(text(key), detail::value_of(object)); }
  std::size_t trim() { return all_.trim(); }
  std::size_t evict_unused() { return all_.evict_unused(); }
  bool remove(const Key& key) { return all_.remove(text(key)); }
  void clear() { all_.clear(); }
  std::vector<cache_entry> entries() const { return all_.entries(); }
  cache_statistics statistics() const { return all_.statistics(); }

 private:
  static std::string text(const Key& key) {
    if constexpr (std::is_integral_v<Key>) return std::to_string(key);
    else return std::string(std::string_view(key));
  }
  text_cache all_;
};

}  // namespace onecopy
