#include "transport/carry.hpp"

#include <fcntl.h>

#include <cstring>
#include <new>

#include "onecopy/store.hpp"
#include "os/directory.hpp"
#include "os/memfd.hpp"
#include "region/hold.hpp"
#include "region/state.hpp"
#include "transport/copies.hpp"
#include "transport/file_region.hpp"
#include "transport/sealed_twin.hpp"

namespace onecopy::transport {
namespace {

failure as_failure(const error& e) { return {e.kind(), e.tried(), e.happened(), e.remedy(), e.os_error()}; }

carried by_handle(const value& object) {
  carried out;
  out.what.form = item_form::handle;
  out.what.node = object.index();
  out.what.text = object.handle().text();
  return out;
}

carried whole(const value& object) {
  const auto bytes = object.region().bytes();
  carried out;
  out.what.form = item_form::whole;
  out.what.node = object.index();
  out.what.blob.assign(bytes.begin(), bytes.end());
  return out;
}

result<carried> by_descriptor(const value& object, result<os::fd> descriptor) {
  if (!descriptor) return descriptor.reason();
  carried out;
  out.what.form = item_form::descriptor;
  out.what.node = object.index();
  out.descriptor = std::move(*descriptor);
  return out;
}

result<carried> by_file(const value& object) {
  const auto& state = *object.region().state();
  auto file = state.open_again();
  if (!file) return file.reason();
  const file_front front = front_of(state);
  carried out;
  out.what.form = item_form::file;
  out.what.node = object.index();
  out.what.text = object.region().path();
  out.what.blob.resize(sizeof front.part);
  std::memcpy(out.what.blob.data(), &front.part, sizeof front.part);
  out.what.blob.insert(out.what.blob.end(), front.bytes.begin(), front.bytes.end());
  out.descriptor = std::move(*file);
  return out;
}

result<carried> pack_mutable(const value& object, const terms& with) {
  if (with.same_store && object.region().state()->from().store) return by_handle(object);
  return failure{error_kind::permission, "send a mutable object",
                 with.same_store ? "it is not in the store" : "the receiver is another user or sees another store",
                 "Share a copy that is not mutable, or let both processes use one store"};
}

result<carried> pack_checked(const value& object, const terms& with, const code_place& from) {
  const auto& state = object.region().state();
  if (!state)
    return failure{error_kind::invalid_argument, "send an object", "it is empty", "Share or attach something first"};
  if (state->writable()) return pack_mutable(object, with);
  const std::uint64_t bytes = state->checked().bytes;
  // A region that this process may have written to is sent as it was published, like any other.
  if (bytes <= with.inline_limit && !state->handed_out_writable() && object.region().where() != backing::mapped_file) {
    note_copy(bytes, "a small object, within a message", from);
    return whole(object);
  }
  if (with.same_store && state->from().store) return by_handle(object);
  switch (object.region().where()) {
    case backing::mapped_file:
    case backing::file:
      if (auto sent = by_file(object)) return sent;
      break;  // removed meanwhile: its bytes are still here
    case backing::memfd:
    case backing::store: break;
  }
  return by_descriptor(object, sealed_memory(state, from));
}

result<region> region_of(item& what, os::fd descriptor) {
  if (what.has_descriptor() && !descriptor.valid())
    return failure{error_kind::system, "receive an object", "its descriptor did not arrive",
                   "This process may have too many open files: close some or raise `ulimit -n`", EMFILE};
  switch (what.form) {
    case item_form::handle: return store::attach(handle::parse(what.text));
    case item_form::descriptor: {
      auto held = detail::hold_received(std::move(descriptor));
      if (!held) return held.reason();
      return region(*std::move(held));
    }
    case item_form::whole: {
      auto held = hold_bytes(std::move(what.blob));
      if (!held) return held.reason();
      return region(*std::move(held));
    }
    case item_form::file: {
      file_front front;
      if (what.blob.size() < sizeof front.part)
        return failure{error_kind::corrupt, "receive a mapped file", "its description is too short", ""};
      std::memcpy(&front.part, what.blob.data(), sizeof front.part);
      front.bytes = std::span(what.blob).subspan(sizeof front.part);
      auto held = hold_received_file(descriptor.get(), what.text, front);
      if (!held) return held.reason();
      return region(*std::move(held));
    }
  }
  return failure{error_kind::unsupported, "receive an object", "it was sent in a way that this version doesn't know",
                 "Use the same version of onecopy in both processes"};
}

}  // namespace

result<carried> pack(const value& object, const terms& with, const code_place& from) {
  try {
    return pack_checked(object, with, from);
  } catch (const error& e) {
    return as_failure(e);
  }
}

result<value> unpack(item what, os::fd descriptor) noexcept {
  try {
    auto whole_region = region_of(what, std::move(descriptor));
    if (!whole_region) return whole_region.reason();
    return value(*std::move(whole_region), what.node);
  } catch (const error& e) {
    return as_failure(e);
  } catch (const std::bad_alloc&) {
    return failure{error_kind::no_memory, "receive an object", "no memory is left", "Free memory"};
  }
}

}  // namespace onecopy::transport
