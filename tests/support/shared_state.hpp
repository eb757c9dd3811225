// A state of synchronization in memory that forked children share, with a participant, as an object of its own.
#pragma once

#include <cstring>
#include <memory>
#include <new>

#include "onecopy/sync.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"

namespace test {

// `size` bytes of zeros in a memfd.
class shared_memory {
 public:
  explicit shared_memory(std::size_t size) : file_(onecopy::unwrap(onecopy::os::make_memfd("test"))) {
    onecopy::unwrap(onecopy::os::reserve(file_.get(), 0, size));
    map_ = onecopy::unwrap(onecopy::os::mapping::map(file_.get(), 0, size, onecopy::os::map_mode::shared));
    who_ = onecopy::take_part(file_.get());
  }
  std::byte* data() const { return map_.data(); }
  std::size_t size() const { return map_.size(); }
  int descriptor() const { return file_.get(); }
  const std::shared_ptr<onecopy::participant>& who() const { return who_; }
  // Lets go of the part that this process takes, as closing the object would.
  void leave() { who_.reset(); }

  // A T at `offset`, as it is made.
  template <class T>
  T& place(std::size_t offset) const {
    return *new (data() + offset) T();
  }
  template <class T>
  T& place(std::size_t offset, const T& first) const {
    return *new (data() + offset) T(first);
  }

 private:
  onecopy::os::fd file_;
  onecopy::os::mapping map_;
  std::shared_ptr<onecopy::participant> who_;
};

}  // namespace test
