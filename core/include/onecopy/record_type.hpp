// What a C struct is made of, so that every language and program finds out whether it means the same struct.
//
//     struct Foo { std::int32_t bar = 0; std::int32_t baz = 0; };
//     ONECOPY_RECORD(Foo, bar, baz)          // at global scope
//
// Members may be numbers, bool, enums, char[N] (a fixed string), char32_t[N], std::byte[N], arrays and std::array of
// these, structs with an ONECOPY_RECORD of their own, and the states of lock.hpp and coordination.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "onecopy/coordination.hpp"
#include "onecopy/types.hpp"
#include "onecopy/writer.hpp"

namespace onecopy {

struct record_type {
  std::string name;
  std::size_t size = 0;  // bytes, padding at the end included
  std::vector<record_field> fields;
};

// "" if both describe the same bytes: name, size, and each field's name, type, place, width and shape. Otherwise one
// sentence that says what differs.
std::string difference(const record_type& found, const record_type& expected);

// Made by ONECOPY_RECORD, or by hand: `static std::string name()` and `static std::vector<record_field> fields()`.
template <class T>
struct record_traits;

namespace detail {

template <class T>
concept described = requires { record_traits<T>::fields(); };

template <class T>
constexpr dtype integer_dtype() {
  constexpr bool negative = std::is_signed_v<T>;
  switch (sizeof(T)) {
    case 1: return negative ? dtype::int8 : dtype::uint8;
    case 2: return negative ? dtype::int16 : dtype::uint16;
    case 4: return negative ? dtype::int32 : dtype::uint32;
    default: return negative ? dtype::int64 : dtype::uint64;
  }
}

template <class T>
struct element_of_std_array : std::false_type {};
template <class T, std::size_t n>
struct element_of_std_array<std::array<T, n>> : std::true_type {
  using type = T;
  static constexpr std::size_t count = n;
};

// Fills type, item_size, shape and fields for a member of type T.
template <class T>
void describe_member(record_field& field) {
  if constexpr (described<T>) {
    field.type = dtype::record;
    field.item_size = sizeof(T);
    field.fields = record_traits<T>::fields();
  } else if constexpr (std::is_same_v<std::remove_extent_t<T>, char> && std::rank_v<T> == 1) {
    field.type = dtype::fixed_bytes;
    field.item_size = std::extent_v<T>;
  } else if constexpr (std::is_same_v<std::remove_extent_t<T>, char32_t> && std::rank_v<T> == 1) {
    field.type = dtype::fixed_utf32;
    field.item_size = sizeof(T);
  } else if constexpr (std::is_array_v<T>) {
    field.shape.push_back(std::extent_v<T>);
    describe_member<std::remove_extent_t<T>>(field);
  } else if constexpr (element_of_std_array<T>::value) {
    field.shape.push_back(element_of_std_array<T>::count);
    describe_member<typename element_of_std_array<T>::type>(field);
  } else if constexpr (std::is_same_v<T, std::byte>) {
    field.type = dtype::raw;
    field.item_size = 1;
  } else if constexpr (std::is_enum_v<T>) {
    describe_member<std::underlying_type_t<T>>(field);
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    field.type = integer_dtype<T>();
    field.item_size = sizeof(T);
  } else {
    static_assert(dtype_of<T> != dtype::none, "a record can't hold a member of this type: see record_type.hpp");
    field.type = dtype_of<T>;
    field.item_size = sizeof(T);
  }
}

template <class Member>
record_field describe(const char* name, std::size_t offset) {
  record_field field{.name = name, .offset = offset};
  describe_member<Member>(field);
  return field;
}

}  // namespace detail

template <class T>
record_type record_type_of() {
  static_assert(std::is_trivially_copyable_v<T>, "a record must be trivially copyable: others map the same bytes");
  static_assert(std::is_standard_layout_v<T>, "a record must have standard layout");
  static_assert(alignof(T) <= 64, "a record can't be aligned to more than 64 bytes");
  return {record_traits<T>::name(), sizeof(T), record_traits<T>::fields()};
}

// The states of synchronization as members: opaque, but named, so that other languages know what they are.
#define ONECOPY_STATE_(state, label)                                                              \
  template <>                                                                                     \
  struct record_traits<state> {                                                                   \
    static std::string name() { return label; }                                                   \
    static std::vector<record_field> fields() {                                                   \
      return {{.name = label, .type = dtype::uint64, .item_size = 8, .shape = {sizeof(state) / 8}}};\
    }                                                                                             \
  };
ONECOPY_STATE_(mutex_state, "onecopy.mutex")
ONECOPY_STATE_(rwlock_state, "onecopy.rwlock")
ONECOPY_STATE_(condition_state, "onecopy.condition")
ONECOPY_STATE_(event_state, "onecopy.event")
ONECOPY_STATE_(semaphore_state, "onecopy.semaphore")
ONECOPY_STATE_(barrier_state, "onecopy.barrier")
ONECOPY_STATE_(counter_state, "onecopy.counter")
#undef ONECOPY_STATE_

}  // namespace onecopy

#define ONECOPY_EXPAND_(...) ONECOPY_EXPAND1_(ONECOPY_EXPAND1_(ONECOPY_EXPAND1_(ONECOPY_EXPAND1_(__VA_ARGS__))))
#define ONECOPY_EXPAND1_(...) ONECOPY_EXPAND2_(ONECOPY_EXPAND2_(ONECOPY_EXPAND2_(ONECOPY_EXPAND2_(__VA_ARGS__))))
#define ONECOPY_EXPAND2_(...) ONECOPY_EXPAND3_(ONECOPY_EXPAND3_(ONECOPY_EXPAND3_(ONECOPY_EXPAND3_(__VA_ARGS__))))
#define ONECOPY_EXPAND3_(...) __VA_ARGS__
#define ONECOPY_PARENS_ ()
#define ONECOPY_FIELDS_(struct_, member, ...)                                                     \
  ::onecopy::detail::describe<decltype(struct_::member)>(#member, offsetof(struct_, member)),     \
      __VA_OPT__(ONECOPY_FIELDS_AGAIN_ ONECOPY_PARENS_(struct_, __VA_ARGS__))
#define ONECOPY_FIELDS_AGAIN_() ONECOPY_FIELDS_

// Describes a struct to onecopy: every member, in order (up to about 80). The name is what stands here, without
// namespaces, so give it as other languages do: use ONECOPY_RECORD_AS where they differ.
#define ONECOPY_RECORD(struct_, ...) ONECOPY_RECORD_AS(struct_, #struct_, __VA_ARGS__)
#define ONECOPY_RECORD_AS(struct_, label, ...)                                                    \
  template <>                                                                                     \
  struct onecopy::record_traits<struct_> {                                                        \
    static std::string name() { return label; }                                                   \
    static std::vector<::onecopy::record_field> fields() {                                        \
      return {ONECOPY_EXPAND_(ONECOPY_FIELDS_(struct_, __VA_ARGS__))};                            \
    }                                                                                             \
  };
