// How the processes that use one cache find each other's entries, and take turns to load them.
//
// An entry that others shall find has a small object of its own in the store, under a name made from the cache's name
// and the key. It says where the entry's bytes are: a handle, or a file. Whoever holds the entry holds that object too,
// so both end with their last holder.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "onecopy/value.hpp"
#include "os/deadline.hpp"
#include "os/fd.hpp"

namespace onecopy::detail {

struct found_entry {
  value object;
  region notice;  // keeps the entry's name alive
};

class cache_directory {
 public:
  // Throws invalid_argument.
  explicit cache_directory(const std::string& name);

  // The entry, if some process has it.
  std::optional<found_entry> find(std::string_view key) const;
  // Tells others where it is. Throws invalid_argument for objects that others can't attach to.
  region announce(std::string_view key, const value& object) const;

  // The right to load one key, which ends with the descriptor. Throws timeout, and what `check_interrupt` throws.
  os::fd turn(std::string_view key, const os::deadline& until, const std::function<void()>& check_interrupt) const;

 private:
  std::string name_of(std::string_view key) const;
  std::uint64_t seed_;
};

}  // namespace onecopy::detail
