// A reference that does not keep its object: for caches that want to know an object as long as somebody uses it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "onecopy/value.hpp"

namespace onecopy {

class weak_reference {
 public:
  weak_reference() = default;  // of nothing
  explicit weak_reference(const value& object);
  // From text(), here or in another process. Throws invalid_argument when it is no handle.
  static weak_reference parse(std::string_view text);

  // The object, if any process holds it now; a lease alone does not count. Never waits for long. Throws what
  // store::attach throws, but not_found.
  std::optional<value> lock() const;
  // True if lock() would have found it.
  bool alive() const;

  // The handle. Throws unsupported for objects that no handle can name (descriptors, files): those are known in this
  // process only.
  std::string text() const;

 private:
  std::optional<onecopy::handle> where_;
  std::weak_ptr<detail::region_state> here_;
  std::uint32_t node_ = 0;
};

}  // namespace onecopy
