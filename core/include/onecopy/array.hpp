// The short way for C++: a contiguous array of numbers, shared by reference.
//
//     auto x = onecopy::share(std::span<const double>{v});      // one copy, in the store
//     auto y = onecopy::attach<onecopy::array<double>>(x.handle().text());   // in another process: no copy
//
// An array is a contiguous range of const T. Copying it copies no bytes and adds a holder; the region ends when the
// last holder in any process is gone.
#pragma once

#include <string_view>
#include <type_traits>

#include "onecopy/value.hpp"
#include "onecopy/writer.hpp"

namespace onecopy {

template <class T>
class array {
  static_assert(dtype_of<T> != dtype::none, "onecopy::array holds bool, integers, floats, complex and std::byte");

 public:
  using value_type = T;
  using const_iterator = const T*;

  array() = default;
  // Throws wrong_type unless `node` is an array of T.
  explicit array(value node) : node_(std::move(node)), items_(node_.template as<T>()) {}

  const T* data() const noexcept { return items_.data(); }
  std::size_t size() const noexcept { return items_.size(); }
  bool empty() const noexcept { return items_.empty(); }
  const T* begin() const noexcept { return items_.data(); }
  const T* end() const noexcept { return items_.data() + items_.size(); }
  const T& operator[](std::size_t i) const noexcept { return items_[i]; }
  // Throws invalid_argument when i >= size().
  const T& at(std::size_t i) const {
    if (i >= size())
      throw error(error_kind::invalid_argument, "read element " + std::to_string(i),
                  "the array has " + std::to_string(size()));
    return items_[i];
  }
  std::span<const T> span() const noexcept { return items_; }
  operator std::span<const T>() const noexcept { return items_; }

  std::vector<std::uint64_t> shape() const { return node_.shape(); }
  onecopy::handle handle() const { return node_.handle(); }
  const value& node() const noexcept { return node_; }

  // The elements of an object that was made mutable; every process sees every write. Throws permission otherwise.
  std::span<T> shared_writable() const {
    if (!node_.region().writable())
      throw error(error_kind::permission, "write to a shared array", "it was shared as immutable",
                  "share it with publish_options::writable, or copy it");
    return {reinterpret_cast<T*>(node_.region().writable_bytes() + node_.data_offset()), size()};
  }

 private:
  value node_;
  std::span<const T> items_;
};

// Shares a copy of `items`. See writer::publish for the options and what it throws.
template <class T>
array<std::remove_const_t<T>> share(std::span<T> items, const publish_options& options = {}) {
  using item = std::remove_const_t<T>;
  writer w;
  w.array(w.root(), {.type = dtype_of<item>, .count = items.size()}, items.data());
  return array<item>(value(w.publish(options)));
}

// An array of `count` zeros that every process may write to: for results, counters, images in the making.
template <class T>
array<T> make_writable(std::uint64_t count, publish_options options = {}) {
  options.writable = true;
  writer w;
  w.array(w.root(), {.type = dtype_of<T>, .count = count}, nullptr);
  return array<T>(value(w.publish(options)));
}

// attach<onecopy::array<double>>(text): throws wrong_type as well as what store::attach throws.
template <class Array>
Array attach(std::string_view handle_text) {
  return Array(attach(handle_text));
}
template <class Array>
Array attach(const handle& where) {
  return Array(attach(where));
}

}  // namespace onecopy
