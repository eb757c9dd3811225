// Locks, events, queues and the like as objects of their own, found by name or in a file.
//
//     auto door  = onecopy::open_shared<onecopy::mutex>("prices");
//     auto slots = onecopy::open_shared<onecopy::semaphore>("slots", onecopy::semaphore::with_units(3));
//     auto jobs  = onecopy::open_shared_queue("jobs", {.slots = 1024, .message_bytes = 64});
//
// The first process makes it, the others find it; what an existing one began as stays. It ends with its last holder.
// In a file it survives processes and reboots. Throws what raw_record::shared and raw_record::open throw.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "onecopy/queue.hpp"
#include "onecopy/record.hpp"

namespace onecopy {

template <class Primitive>
Primitive primitive_in(const raw_record& made) {
  return Primitive(*reinterpret_cast<typename Primitive::state_type*>(made.data()), made.who(), made.region().state());
}

template <class Primitive>
Primitive open_shared(std::string_view name, const typename Primitive::state_type& first = {},
                      missing what = missing::make) {
  return primitive_in<Primitive>(
      raw_record::shared(name, record_type_of<typename Primitive::state_type>(), &first, what));
}

template <class Primitive>
Primitive open_in_file(const std::string& path, const typename Primitive::state_type& first = {},
                       missing what = missing::make) {
  return primitive_in<Primitive>(
      raw_record::open(path, record_type_of<typename Primitive::state_type>(), &first, what));
}

// A queue in an object of its own.
class shared_queue : public queue {
 public:
  shared_queue() = default;
  shared_queue(queue line, onecopy::region whole) : queue(std::move(line)), region_(std::move(whole)) {}
  const onecopy::region& region() const noexcept { return region_; }
  onecopy::handle handle() const { return region_.handle(); }

 private:
  onecopy::region region_;
};

// An existing queue keeps its shape; see queue::slots and queue::message_bytes.
shared_queue open_shared_queue(std::string_view name, const queue_shape& shape = {}, missing what = missing::make);
shared_queue open_queue_in_file(const std::string& path, const queue_shape& shape = {}, missing what = missing::make);
// Without a name: others attach by its handle.
shared_queue make_queue(const queue_shape& shape = {}, backing where = backing::store);
// The queue that a region holds; throws wrong_type if it holds none.
shared_queue queue_in(const region& whole);

}  // namespace onecopy
