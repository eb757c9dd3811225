// Memory that is handed to children before it is written: they start while the parent copies.
//
//     onecopy::pending_memory memory;
//     start_children_with(memory.descriptor());          // as their descriptor 3, say
//     onecopy::region r = memory.publish(describe);       // written once, however many children there are
//     // a child:
//     onecopy::region r = onecopy::receive_descriptor(3); // waits until it is complete
#pragma once

#include <functional>
#include <memory>

#include "onecopy/region.hpp"
#include "onecopy/writer.hpp"

namespace onecopy {

class pending_memory {
 public:
  // Throws unsupported, system (out of descriptors).
  pending_memory();
  // Children that wait for memory that will never be written get an error.
  ~pending_memory();
  pending_memory(pending_memory&&) noexcept;
  pending_memory& operator=(pending_memory&&) noexcept;

  // Closed on exec, as the descriptor of a child usually is a copy. It stays this object's.
  int descriptor() const noexcept;
  // Writes and seals what `from` describes. Throws what writer::publish throws, and invalid_argument the second time.
  region publish(writer& from, publish_options options = {});
  bool published() const noexcept;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

// The region in a descriptor that this process was started with, or received: sealed memory, or pending memory, for
// which it waits: at most `timeout` seconds, negative: for ever. `check_interrupt` is called now and then. The
// descriptor stays the caller's. Throws timeout, peer_closed (whoever should have written it has ended), and what
// store::from_descriptor throws.
region receive_descriptor(int descriptor, double timeout = -1, const std::function<void()>& check_interrupt = {});

// For bindings, whose code makes no system calls. The copy is closed on exec, and the caller's. Throws system.
int duplicate_descriptor(int descriptor);
void close_descriptor(int descriptor) noexcept;

}  // namespace onecopy
