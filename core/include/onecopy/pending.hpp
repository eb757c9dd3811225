// Memory that is handed to children before it is written: they start while the parent copies.
//
//     onecopy::pending_memory memory;
//     start_children_with(memory.descriptor());          // as their descriptor 3, say
//     onecopy::region r = memory.publish(describe);       // written once, however many children there are
//     // a child:
//     onecopy::region r = onecopy::receive_descriptor(3); // waits until it is complete
#pragma once

#include <memory>

#include "onecopy/descriptor.hpp"
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

}  // namespace onecopy
