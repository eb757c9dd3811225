// What every onecopy function throws when it can't do what was asked.
#pragma once

#include <stdexcept>
#include <string>

namespace onecopy {

// The kinds a caller may want to tell apart. Bindings map each to what their users catch.
enum class error_kind {
  invalid_argument,  // the call itself is wrong: fix the arguments
  not_found,         // no such object, name or file (any more)
  exists,            // the name is taken
  corrupt,           // the bytes are not a valid region
  unsupported,       // valid, but from a newer format, or needs something this machine lacks
  no_space,          // the file system is full
  no_memory,         // address space, mappings or memory are used up
  permission,        // the operating system or the owner of the store refuses
  wrong_host,        // the handle names another machine or another store
  wrong_type,        // the object is there, but is not of the type asked for
  busy,              // somebody else holds what is needed; trying again may succeed
  timeout,           // the time given ran out
  owner_died,        // a lock's owner died while holding it; the data may need repair
  peer_closed,       // the other end of a channel is gone
  interrupted,       // a signal or a callback asked to stop
  system,            // any other failure of the operating system: see what() and os_error()
};

// The kind's name as users of the bindings see it: "not_found", "no_space", ...
const char* name_of(error_kind kind) noexcept;

// what() is one paragraph: what was tried, what happened, and what to do about it.
class error : public std::runtime_error {
 public:
  error(error_kind kind, const std::string& tried, const std::string& happened,
        const std::string& remedy = {}, int os_error = 0);

  error_kind kind() const noexcept { return kind_; }
  const std::string& tried() const noexcept { return tried_; }
  const std::string& happened() const noexcept { return happened_; }
  const std::string& remedy() const noexcept { return remedy_; }
  // The errno behind it, or 0.
  int os_error() const noexcept { return os_error_; }

 private:
  error_kind kind_;
  std::string tried_, happened_, remedy_;
  int os_error_;
};

}  // namespace onecopy
