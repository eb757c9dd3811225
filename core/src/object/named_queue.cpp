#include <cstdlib>
#include <memory>
#include <new>

#include "base/result.hpp"
#include "object/shared_record.hpp"
#include "onecopy/named.hpp"

namespace onecopy {
namespace {

constexpr const char* queue_name = "onecopy.queue";

record_type type_for(const queue_shape& shape) {
  const std::uint64_t bytes = queue::bytes_for(shape), header = sizeof(queue_state);
  return {queue_name, static_cast<std::size_t>(bytes),
          {{.name = "state", .type = dtype::uint64, .offset = 0, .item_size = 8, .shape = {header / 8}},
           {.name = "slots", .type = dtype::raw, .offset = header, .item_size = 1, .shape = {bytes - header}}}};
}

// The bytes that a queue begins as. calloc, because the kernel's zero pages cost nothing until they are read.
std::unique_ptr<void, void (*)(void*)> first_bytes(const queue_shape& shape) {
  std::unique_ptr<void, void (*)(void*)> bytes(std::calloc(1, queue::bytes_for(shape)), std::free);
  if (!bytes) raise(failure::from_errno("make a queue", ENOMEM));
  new (bytes.get()) queue_state(queue::of_shape(shape));
  return bytes;
}

}  // namespace

shared_queue queue_in(const region& whole) {
  const raw_record held = raw_record::from(whole);
  if (held.type().name != queue_name || held.size() < sizeof(queue_state))
    throw error(error_kind::wrong_type, "open a queue", "it holds a record \"" + held.type().name + "\"",
                "Open it with the type that it was made with");
  return {queue(*reinterpret_cast<queue_state*>(held.data()), held.size(), held.who(), whole.state()), whole};
}

shared_queue open_shared_queue(std::string_view name, const queue_shape& shape, missing what) {
  return queue_in(detail::find_or_make_named(name, type_for(shape), first_bytes(shape).get(), what, false));
}

shared_queue open_queue_in_file(const std::string& path, const queue_shape& shape, missing what) {
  return queue_in(detail::find_or_make_file(path, type_for(shape), first_bytes(shape).get(), what));
}

shared_queue make_queue(const queue_shape& shape, backing where) {
  return queue_in(detail::publish_record(type_for(shape), first_bytes(shape).get(), {.where = where}));
}

}  // namespace onecopy
