// Keeps the process alive when a mapped file is cut short under it.
//
// Touching a page beyond the end of a mapped file raises SIGBUS, which kills. Inside a guarded range it does not: the
// missing pages become zeros for this process, and the guard remembers that this happened.
//
// What this cannot do: a system call (read, write) on such a page answers EFAULT instead; a program that installs its
// own SIGBUS handler after the last guard was made, and does not pass signals on, takes the protection away.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.hpp"

namespace onecopy::os {

// Puts something in place of a page that could not be read, if zeros won't do. Called in the handler of the signal, so
// it may only do what is allowed there; with all signals blocked. True: the access can be repeated.
class bus_rescuer {
 public:
  virtual bool rescue(std::uintptr_t address) noexcept = 0;

 protected:
  ~bus_rescuer() = default;
};

class bus_guard {
 public:
  bus_guard() = default;
  bus_guard(bus_guard&& other) noexcept;
  bus_guard& operator=(bus_guard&& other) noexcept;
  // Must end before the range is unmapped: its addresses may be somebody else's afterwards.
  ~bus_guard();

  // Guards [address, address + size), a whole number of pages. Installs the process's handler when it is not there;
  // signals that concern nobody here go to the handler that was there before. The rescuer, if any, must live longer
  // than the guard.
  static result<bus_guard> protect(void* address, std::size_t size, bus_rescuer* rescuer = nullptr);

  // True once a page of the range could not be read.
  bool was_hit() const noexcept;

 private:
  struct slot;
  friend struct bus_guard_registry;
  slot* slot_ = nullptr;
};

}  // namespace onecopy::os
