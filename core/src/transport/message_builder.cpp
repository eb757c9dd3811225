#include "transport/message_builder.hpp"

#include "transport/carry.hpp"

namespace onecopy {

void message_builder::begin(std::uint32_t which) {
  made = message();
  bytes_failed.reset();
  number = which;
  begun = true;
}

void message_builder::add(const transport::item& what, os::fd descriptor) {
  auto object = transport::unpack(what, std::move(descriptor));
  if ((what.flags & transport::item_is_bytes) != 0) {
    if (!object) bytes_failed = object.reason();
    else if (object->kind() == node_kind::array && object->type() == dtype::raw) made.shared_bytes_ = *object;
    else bytes_failed = failure{error_kind::corrupt, "receive a message", "its bytes are no bytes", ""};
    return;
  }
  if (object) {
    made.objects_.push_back(*std::move(object));
    return;
  }
  const failure& why = object.reason();
  const std::string tried = "use object " + std::to_string(made.objects_.size()) + " of a message (" + why.tried + ")";
  made.failures_.emplace(made.objects_.size(), error(why.kind, tried, why.happened, why.remedy, why.os_error));
  made.objects_.emplace_back();
}

message message_builder::finish(std::string_view bytes) {
  begun = false;
  // Without its bytes a message means something else, so this fails all of it.
  if (bytes_failed) raise(*bytes_failed);
  made.inline_bytes_ = bytes;
  return std::move(made);
}

std::span<const std::byte> message::bytes() const noexcept {
  if (shared_bytes_) return {shared_bytes_.data(), static_cast<std::size_t>(shared_bytes_.size())};
  return std::as_bytes(std::span(inline_bytes_));
}
std::string_view message::text() const noexcept {
  return {reinterpret_cast<const char*>(bytes().data()), bytes().size()};
}

const value& message::object(std::size_t i) const {
  if (i >= objects_.size())
    throw error(error_kind::invalid_argument, "take object " + std::to_string(i) + " of a message",
                "it has " + std::to_string(objects_.size()), "Ask size() first");
  if (const auto at = failures_.find(i); at != failures_.end()) throw at->second;
  return objects_[i];
}
const std::vector<value>& message::objects() const {
  if (!failures_.empty()) throw failures_.begin()->second;
  return objects_;
}

}  // namespace onecopy
