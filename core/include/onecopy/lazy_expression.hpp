// Arithmetic on lazy vectors that is put off until its elements are needed.
//
//     onecopy::lazy_array<double> x = ..., y = ...;
//     auto z = x + y * 2;                        // an expression: nothing is computed
//     double first = z[0];                       // one element
//     double total = onecopy::sum(x + y > 0);    // block by block in this process; no element of x + y is kept
//     onecopy::lazy_array<double> w = z;         // a lazy vector, filled by a process of the pager's when touched
//
// Expressions are computed in blocks that fit the processor's cache, all operations of one block together: no
// intermediate result is stored. A lazy vector made from an expression holds the vectors it is made of as long as
// anybody holds it, and travels by handle like all others.
//
// Functions (sqrt, min, select ...), slices and reductions: onecopy/lazy_functions.hpp.
//
// Rules: C++'s own. Operands are promoted and converted as in C++, int / int is an int, comparisons give bool, a bool is
// 0 or 1. What C++ leaves undefined is defined here: signed integers wrap around, a floating value beyond the range of
// an integer type becomes the nearest one and NaN 0, division of integers by zero is an error of the touch (it names the
// element). Complex numbers mix with all real ones. Sizes must be equal; scalars go with every size.
//
// R's rules, for vectors that R made or will use, begin with as_r(): see below.
//
// Threads: expressions don't change; read() and what is built on it may be called from any thread at once. Operators
// throw invalid_argument when sizes differ, or when an expression has grown beyond 10,000 operations: make a
// lazy_array of a part of it then. Reading throws what lazy_vector::ensure() throws.
#pragma once

#include <complex>
#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "onecopy/lazy.hpp"

namespace onecopy {

// Integers and logical values of R: INT32_MIN is NA. Overflow gives NA, division a double; %% and %/% round down;
// comparisons give 0, 1 or NA, and & | ! know three values.
struct r_integer {
  std::int32_t value = 0;
  static constexpr std::int32_t na = std::numeric_limits<std::int32_t>::min();
};
// Doubles of R: like C++'s, but comparing a NaN or NA gives NA.
struct r_number {
  double value = 0;
};

namespace detail {

// One operation and what it works on; immutable, and shared by the expressions that contain it.
class lazy_node;
using lazy_node_pointer = std::shared_ptr<const lazy_node>;

enum class lazy_kind : std::uint8_t {
  boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, complex64, complex128,
  r_integer, r_number
};
// Numbers are stored with objects and never change meaning.
enum class lazy_operation : std::uint8_t {
  leaf = 0, constant = 1, convert = 2, slice = 3, concatenate = 4, select = 5,
  add = 10, subtract, multiply, divide, remainder, minimum, maximum, power, arc_tangent2, bit_and, bit_or, bit_xor,
  whole_quotient,
  less = 30, less_equal, greater, greater_equal, equal, not_equal,
  logical_and = 40, logical_or, logical_not,
  negate = 50, bit_not, absolute, square_root, exponential, exponential_minus1, logarithm, logarithm2, logarithm10,
  logarithm_plus1, sine, cosine, tangent, arc_sine, arc_cosine, arc_tangent, hyperbolic_sine, hyperbolic_cosine,
  hyperbolic_tangent, floor, ceiling, round, truncate, is_nan
};

lazy_node_pointer leaf(lazy_vector vector, lazy_kind kind);
lazy_node_pointer constant(lazy_kind kind, const void* value);
// Children are converted to `operands` first; one of them at least has a size. select: the first one is boolean.
lazy_node_pointer apply(lazy_operation what, lazy_kind operands, lazy_kind result,
                        std::vector<lazy_node_pointer> children);
lazy_node_pointer convert(lazy_node_pointer child, lazy_kind to);
// Elements first, first + step, ... (`count` of them; step may be negative).
lazy_node_pointer slice(lazy_node_pointer child, std::uint64_t first, std::uint64_t count, std::int64_t step);
lazy_node_pointer concatenate(std::vector<lazy_node_pointer> children);
std::uint64_t size_of(const lazy_node& node) noexcept;
void read(const lazy_node& node, std::uint64_t first, std::uint64_t count, void* out);
lazy_vector store(const lazy_node_pointer& node, dtype type, const lazy_options& options);

template <class T>
constexpr lazy_kind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return lazy_kind::boolean;
  else if constexpr (std::is_same_v<T, float>) return lazy_kind::float32;
  else if constexpr (std::is_same_v<T, double>) return lazy_kind::float64;
  else if constexpr (std::is_same_v<T, std::complex<float>>) return lazy_kind::complex64;
  else if constexpr (std::is_same_v<T, std::complex<double>>) return lazy_kind::complex128;
  else if constexpr (std::is_same_v<T, r_integer>) return lazy_kind::r_integer;
  else if constexpr (std::is_same_v<T, r_number>) return lazy_kind::r_number;
  else {
    static_assert(std::is_integral_v<T>, "lazy expressions are of bool, integers, floats and complex numbers");
    constexpr int size = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<lazy_kind>(static_cast<int>(std::is_signed_v<T> ? lazy_kind::int8 : lazy_kind::uint8) + size);
  }
}

template <class T> struct is_complex : std::false_type {};
template <class T> struct is_complex<std::complex<T>> : std::true_type {};
template <class T> inline constexpr bool is_r = std::is_same_v<T, r_integer> || std::is_same_v<T, r_number>;
template <class T> struct real_of { using type = T; };
template <class T> struct real_of<std::complex<T>> { using type = T; };

// The types with a dtype stand for all others of their size: long long for long.
template <class T>
struct standing_for {
  using type = T;
};
template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
struct standing_for<T> {
  template <class S8, class S16, class S32, class S64>
  using by_size = std::conditional_t<sizeof(T) == 1, S8, std::conditional_t<sizeof(T) == 2, S16,
                                     std::conditional_t<sizeof(T) == 4, S32, S64>>>;
  using type = std::conditional_t<std::is_signed_v<T>, by_size<std::int8_t, std::int16_t, std::int32_t, std::int64_t>,
                                  by_size<std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t>>;
};

// What a + b is.
template <class A, class B>
constexpr auto sum_type() {
  if constexpr (is_r<A> || is_r<B>) {
    constexpr bool whole = (std::is_same_v<A, r_integer> || std::is_integral_v<A>) &&
                           (std::is_same_v<B, r_integer> || std::is_integral_v<B>);
    return std::type_identity<std::conditional_t<whole, r_integer, r_number>>{};
  } else if constexpr (is_complex<A>::value || is_complex<B>::value) {
    using real = decltype(std::declval<typename real_of<A>::type>() + std::declval<typename real_of<B>::type>());
    return std::type_identity<std::complex<std::conditional_t<std::is_same_v<real, float>, float, double>>>{};
  } else {
    return std::type_identity<typename standing_for<decltype(std::declval<A>() + std::declval<B>())>::type>{};
  }
}
template <class A, class B> using sum_of = typename decltype(sum_type<A, B>())::type;
template <class T, class...>
struct common_of {
  using type = T;
};
template <class A, class B, class... More>
struct common_of<A, B, More...> : common_of<std::conditional_t<std::is_same_v<A, B>, A, sum_of<A, B>>, More...> {};
// What a function like sqrt makes of a T.
template <class T>
using floating = std::conditional_t<is_r<T>, r_number,
                                    std::conditional_t<std::is_integral_v<T>, double, T>>;
// What an expression of T is stored as.
template <class T> struct stored { using type = T; };
template <> struct stored<r_integer> { using type = std::int32_t; };
template <> struct stored<r_number> { using type = double; };

}  // namespace detail

template <class T>
class lazy_expression {
 public:
  using value_type = typename detail::stored<T>::type;
  explicit lazy_expression(detail::lazy_node_pointer node) : node_(std::move(node)) {}
  template <class U>
    requires(std::is_same_v<U, T> && dtype_of<U> != dtype::none)
  lazy_expression(const lazy_array<U>& x) : node_(detail::leaf(x.vector(), detail::kind_of<T>())) {}

  std::uint64_t size() const noexcept { return detail::size_of(*node_); }
  // Computes elements [first, first + out.size()) here and now. Throws invalid_argument when they are out of range.
  void read(std::uint64_t first, std::span<value_type> out) const {
    detail::read(*node_, first, out.size(), out.data());
  }
  value_type operator[](std::uint64_t i) const {
    value_type one{};
    read(i, {&one, 1});
    return one;
  }
  // A lazy vector of these elements. Throws what make_lazy throws; options.writable: what is written is kept on disk.
  lazy_array<value_type> lazy(const lazy_options& options = {}) const {
    return lazy_array<value_type>(detail::store(node_, dtype_of<value_type>, options));
  }
  operator lazy_array<value_type>() const { return lazy(); }
  const detail::lazy_node_pointer& node() const noexcept { return node_; }

 private:
  detail::lazy_node_pointer node_;
};

namespace detail {

template <class T> struct element_of {};
template <class T> struct element_of<lazy_array<T>> { using type = T; };
template <class T> struct element_of<lazy_expression<T>> { using type = T; };
template <class T> concept lazy_operand = requires { typename element_of<std::remove_cvref_t<T>>::type; };
template <class T>
concept scalar_operand = std::is_arithmetic_v<std::remove_cvref_t<T>> || is_complex<std::remove_cvref_t<T>>::value;
template <class T> struct operand_element { using type = typename standing_for<T>::type; };
template <lazy_operand T> struct operand_element<T> { using type = typename element_of<T>::type; };
template <class T> using element = typename operand_element<std::remove_cvref_t<T>>::type;
template <class A, class B>
concept lazy_pair = (lazy_operand<A> && (lazy_operand<B> || scalar_operand<B>)) || (scalar_operand<A> && lazy_operand<B>);
template <class A, class B>
concept bit_pair = lazy_pair<A, B> && ((std::is_integral_v<element<A>> && std::is_integral_v<element<B>>) ||
                                       is_r<element<A>> || is_r<element<B>>);

template <class X>
lazy_node_pointer node_of(const X& x) {
  if constexpr (lazy_operand<X>) {
    return lazy_expression<element<X>>(x).node();
  } else {
    const element<X> value = static_cast<element<X>>(x);
    return constant(kind_of<element<X>>(), &value);
  }
}

template <class Result, class Operands, class A, class B>
lazy_expression<Result> binary(lazy_operation what, const A& a, const B& b) {
  return lazy_expression<Result>(apply(what, kind_of<Operands>(), kind_of<Result>(), {node_of(a), node_of(b)}));
}
template <class Result, class Operand, class A>
lazy_expression<Result> unary(lazy_operation what, const A& a) {
  return lazy_expression<Result>(apply(what, kind_of<Operand>(), kind_of<Result>(), {node_of(a)}));
}

}  // namespace detail

// ---- operators

#define ONECOPY_LAZY_ARITHMETIC(symbol, name)                                                        \
  template <class A, class B>                                                                        \
    requires detail::lazy_pair<A, B>                                                                 \
  auto operator symbol(const A& a, const B& b) {                                                     \
    using type = detail::sum_of<detail::element<A>, detail::element<B>>;                             \
    return detail::binary<type, type>(detail::lazy_operation::name, a, b);                           \
  }
ONECOPY_LAZY_ARITHMETIC(+, add)
ONECOPY_LAZY_ARITHMETIC(-, subtract)
ONECOPY_LAZY_ARITHMETIC(*, multiply)
#undef ONECOPY_LAZY_ARITHMETIC

template <class A, class B>
  requires detail::lazy_pair<A, B>
auto operator/(const A& a, const B& b) {
  using sum = detail::sum_of<detail::element<A>, detail::element<B>>;
  using type = std::conditional_t<std::is_same_v<sum, r_integer>, r_number, sum>;
  return detail::binary<type, type>(detail::lazy_operation::divide, a, b);
}
// Integers; with R's rules, R's %%.
template <class A, class B>
  requires detail::bit_pair<A, B>
auto operator%(const A& a, const B& b) {
  using type = detail::sum_of<detail::element<A>, detail::element<B>>;
  return detail::binary<type, type>(detail::lazy_operation::remainder, a, b);
}

#define ONECOPY_LAZY_COMPARISON(symbol, name)                                                        \
  template <class A, class B>                                                                        \
    requires detail::lazy_pair<A, B>                                                                 \
  auto operator symbol(const A& a, const B& b) {                                                     \
    using type = detail::sum_of<detail::element<A>, detail::element<B>>;                             \
    using result = std::conditional_t<detail::is_r<type>, r_integer, bool>;                          \
    return detail::binary<result, type>(detail::lazy_operation::name, a, b);                         \
  }
ONECOPY_LAZY_COMPARISON(<, less)
ONECOPY_LAZY_COMPARISON(<=, less_equal)
ONECOPY_LAZY_COMPARISON(>, greater)
ONECOPY_LAZY_COMPARISON(>=, greater_equal)
ONECOPY_LAZY_COMPARISON(==, equal)
ONECOPY_LAZY_COMPARISON(!=, not_equal)
#undef ONECOPY_LAZY_COMPARISON

// Of truth values. Both sides are always computed.
#define ONECOPY_LAZY_LOGICAL(symbol, name)                                                           \
  template <class A, class B>                                                                        \
    requires detail::lazy_pair<A, B>                                                                 \
  auto operator symbol(const A& a, const B& b) {                                                     \
    constexpr bool of_r = detail::is_r<detail::element<A>> || detail::is_r<detail::element<B>>;      \
    using type = std::conditional_t<of_r, r_integer, bool>;                                          \
    return detail::binary<type, type>(detail::lazy_operation::name, a, b);                           \
  }
ONECOPY_LAZY_LOGICAL(&&, logical_and)
ONECOPY_LAZY_LOGICAL(||, logical_or)
#undef ONECOPY_LAZY_LOGICAL

// Bit by bit, of integers; with R's rules these are R's & and |, of truth values.
#define ONECOPY_LAZY_BITS(symbol, name, r_name)                                                      \
  template <class A, class B>                                                                        \
    requires detail::bit_pair<A, B>                                                                  \
  auto operator symbol(const A& a, const B& b) {                                                     \
    using type = detail::sum_of<detail::element<A>, detail::element<B>>;                             \
    if constexpr (detail::is_r<type>)                                                                \
      return detail::binary<r_integer, r_integer>(detail::lazy_operation::r_name, a, b);             \
    else                                                                                             \
      return detail::binary<type, type>(detail::lazy_operation::name, a, b);                         \
  }
ONECOPY_LAZY_BITS(&, bit_and, logical_and)
ONECOPY_LAZY_BITS(|, bit_or, logical_or)
#undef ONECOPY_LAZY_BITS
template <class A, class B>
  requires(detail::bit_pair<A, B> && !detail::is_r<detail::element<A>> && !detail::is_r<detail::element<B>>)
auto operator^(const A& a, const B& b) {
  using type = detail::sum_of<detail::element<A>, detail::element<B>>;
  return detail::binary<type, type>(detail::lazy_operation::bit_xor, a, b);
}

template <detail::lazy_operand A>
auto operator!(const A& a) {
  using type = std::conditional_t<detail::is_r<detail::element<A>>, r_integer, bool>;
  return detail::unary<type, type>(detail::lazy_operation::logical_not, a);
}
template <detail::lazy_operand A>
auto operator-(const A& a) {
  using item = detail::element<A>;
  using type = std::conditional_t<detail::is_r<item> || detail::is_complex<item>::value, item,
                                  detail::sum_of<item, item>>;
  return detail::unary<type, type>(detail::lazy_operation::negate, a);
}
template <detail::lazy_operand A>
  requires std::is_integral_v<detail::element<A>>
auto operator~(const A& a) {
  using type = detail::sum_of<detail::element<A>, detail::element<A>>;
  return detail::unary<type, type>(detail::lazy_operation::bit_not, a);
}

}  // namespace onecopy
