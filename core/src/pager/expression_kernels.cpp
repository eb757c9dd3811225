// The operations themselves: one loop for each operation and type, which the compiler makes vector instructions of.
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "pager/expression.hpp"

namespace onecopy::pager {

using detail::lazy_kind;
using detail::lazy_operation;

namespace {

constexpr std::int32_t na = r_integer::na;

// R's NA_real_: a NaN with 1954 in its low word.
double na_number() {
  constexpr std::uint64_t bits = 0x7ff00000000007a2;
  double made;
  std::memcpy(&made, &bits, sizeof made);
  return made;
}

template <class T> inline constexpr bool is_complex = detail::is_complex<T>::value;

// ---- conversions

template <class To, class From>
To converted(From from) {
  if constexpr (std::is_same_v<From, r_integer>) {
    if constexpr (std::is_same_v<To, r_number>) return {from.value == na ? na_number() : from.value};
    else if constexpr (std::is_same_v<To, double>) return from.value == na ? na_number() : from.value;
    else if constexpr (std::is_same_v<To, r_integer>) return from;
    else return converted<To>(from.value);
  } else if constexpr (std::is_same_v<From, r_number>) {
    if constexpr (std::is_same_v<To, r_integer>) {
      // As as.integer(): what does not fit is NA.
      const double whole = std::trunc(from.value);
      return {whole > -2147483648.0 && whole < 2147483648.0 ? static_cast<std::int32_t>(whole) : na};
    } else {
      return converted<To>(from.value);
    }
  } else if constexpr (std::is_same_v<To, r_integer>) {
    if constexpr (std::is_same_v<From, bool>) return {from ? 1 : 0};
    else if constexpr (std::is_same_v<From, std::int32_t>) return {from};  // the NA of an R vector as well
    else if constexpr (std::is_integral_v<From>)
      return {std::in_range<std::int32_t>(from) ? static_cast<std::int32_t>(from) : na};
    else return converted<r_integer>(r_number{converted<double>(from)});
  } else if constexpr (std::is_same_v<To, r_number>) {
    return {converted<double>(from)};
  } else if constexpr (is_complex<To>) {
    using real = typename To::value_type;
    if constexpr (is_complex<From>) return To(static_cast<real>(from.real()), static_cast<real>(from.imag()));
    else return To(converted<real>(from), 0);
  } else if constexpr (is_complex<From>) {
    return converted<To>(from.real());
  } else if constexpr (std::is_same_v<To, bool>) {
    return from != From{};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // The bounds as floats may be one beyond; then they are out of range themselves.
    constexpr From low = static_cast<From>(std::numeric_limits<To>::min());
    constexpr From high = static_cast<From>(std::numeric_limits<To>::max());
    if (from != from) return 0;
    if (from <= low) return std::numeric_limits<To>::min();
    if (from >= high) return std::numeric_limits<To>::max();
    return static_cast<To>(from);
  } else {
    return static_cast<To>(from);
  }
}

template <class F>
void with_type(lazy_kind kind, F&& f) {
  switch (kind) {
    case lazy_kind::boolean: return f.template operator()<bool>();
    case lazy_kind::int8: return f.template operator()<std::int8_t>();
    case lazy_kind::int16: return f.template operator()<std::int16_t>();
    case lazy_kind::int32: return f.template operator()<std::int32_t>();
    case lazy_kind::int64: return f.template operator()<std::int64_t>();
    case lazy_kind::uint8: return f.template operator()<std::uint8_t>();
    case lazy_kind::uint16: return f.template operator()<std::uint16_t>();
    case lazy_kind::uint32: return f.template operator()<std::uint32_t>();
    case lazy_kind::uint64: return f.template operator()<std::uint64_t>();
    case lazy_kind::float32: return f.template operator()<float>();
    case lazy_kind::float64: return f.template operator()<double>();
    case lazy_kind::complex64: return f.template operator()<std::complex<float>>();
    case lazy_kind::complex128: return f.template operator()<std::complex<double>>();
    case lazy_kind::r_integer: return f.template operator()<r_integer>();
    case lazy_kind::r_number: return f.template operator()<r_number>();
  }
}

// A bool in memory may be any byte of a file; as a bool it must be read as one.
template <class T>
T item(const void* from, std::uint64_t i) {
  if constexpr (std::is_same_v<T, bool>) return static_cast<const std::uint8_t*>(from)[i] != 0;
  else return static_cast<const T*>(from)[i];
}

template <class R, class A, class F>
void each(const void* a, std::uint64_t count, void* out, F&& f) {
  auto* to = static_cast<R*>(out);
  for (std::uint64_t i = 0; i < count; ++i) to[i] = f(item<A>(a, i));
}
template <class R, class A, class F>
void each(const void* a, const void* b, std::uint64_t count, void* out, F&& f) {
  auto* to = static_cast<R*>(out);
  for (std::uint64_t i = 0; i < count; ++i) to[i] = f(item<A>(a, i), item<A>(b, i));
}

// ---- arithmetic

// R's integers: NA goes through, and what overflows is NA.
template <class F>
void each_r(const void* a, const void* b, std::uint64_t count, void* out, F&& f) {
  each<r_integer, r_integer>(a, b, count, out, [&](r_integer x, r_integer y) -> r_integer {
    if (x.value == na || y.value == na) return {na};
    const std::int64_t made = f(static_cast<std::int64_t>(x.value), static_cast<std::int64_t>(y.value));
    return {made > std::numeric_limits<std::int32_t>::max() || made <= na ? na : static_cast<std::int32_t>(made)};
  });
}

double r_remainder(double x, double y) {
  if (y == 0) return std::numeric_limits<double>::quiet_NaN();
  const double rest = std::fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}
double r_quotient(double x, double y) {
  const double quotient = x / y;
  if (y == 0 || std::fabs(quotient) > 4503599627370496.0 || !std::isfinite(quotient)) return quotient;
  return std::floor((x - r_remainder(x, y)) / y + 0.5);
}

template <class T>
void whole_numbers(lazy_operation what, const void* a, const void* b, std::uint64_t count, void* out) {
  using op = lazy_operation;
  // As unsigned numbers of at least the size of int, where wrapping around has a meaning.
  using wide = std::make_unsigned_t<decltype(T{} + T{})>;
  const auto run = [&](auto f) { each<T, T>(a, b, count, out, f); };
  const auto divided = [&](auto f) {
    for (std::uint64_t i = 0; i < count; ++i)
      if (item<T>(b, i) == 0) throw std::domain_error(std::to_string(i));
    run(f);
  };
  switch (what) {
    case op::add: return run([](T x, T y) { return static_cast<T>(static_cast<wide>(x) + static_cast<wide>(y)); });
    case op::subtract: return run([](T x, T y) { return static_cast<T>(static_cast<wide>(x) - static_cast<wide>(y)); });
    case op::multiply: return run([](T x, T y) { return static_cast<T>(static_cast<wide>(x) * static_cast<wide>(y)); });
    case op::divide:
      return divided([](T x, T y) {
        if constexpr (std::is_signed_v<T>)
          if (y == -1) return static_cast<T>(wide{0} - static_cast<wide>(x));
        return static_cast<T>(x / y);
      });
    case op::remainder:
      return divided([](T x, T y) {
        if constexpr (std::is_signed_v<T>)
          if (y == -1) return T{0};
        return static_cast<T>(x % y);
      });
    case op::minimum: return run([](T x, T y) { return std::min(x, y); });
    case op::maximum: return run([](T x, T y) { return std::max(x, y); });
    case op::bit_and: return run([](T x, T y) { return static_cast<T>(x & y); });
    case op::bit_or: return run([](T x, T y) { return static_cast<T>(x | y); });
    default: return run([](T x, T y) { return static_cast<T>(x ^ y); });
  }
}

template <class T>
void real_numbers(lazy_operation what, const void* a, const void* b, std::uint64_t count, void* out) {
  using op = lazy_operation;
  const auto run = [&](auto f) { each<T, T>(a, b, count, out, f); };
  switch (what) {
    case op::add: return run([](T x, T y) { return x + y; });
    case op::subtract: return run([](T x, T y) { return x - y; });
    case op::multiply: return run([](T x, T y) { return x * y; });
    case op::divide: return run([](T x, T y) { return x / y; });
    case op::minimum: return run([](T x, T y) { return std::min(x, y); });
    case op::maximum: return run([](T x, T y) { return std::max(x, y); });
    case op::power: return run([](T x, T y) { return std::pow(x, y); });
    default: return run([](T x, T y) { return std::atan2(x, y); });
  }
}

void r_integers(lazy_operation what, const void* a, const void* b, std::uint64_t count, void* out) {
  using op = lazy_operation;
  using whole = std::int64_t;
  const auto floored = [](whole x, whole y) { return x / y - (x % y != 0 && (x < 0) != (y < 0)); };
  switch (what) {
    case op::add: return each_r(a, b, count, out, [](whole x, whole y) { return x + y; });
    case op::subtract: return each_r(a, b, count, out, [](whole x, whole y) { return x - y; });
    case op::multiply: return each_r(a, b, count, out, [](whole x, whole y) { return x * y; });
    case op::minimum: return each_r(a, b, count, out, [](whole x, whole y) { return std::min(x, y); });
    case op::maximum: return each_r(a, b, count, out, [](whole x, whole y) { return std::max(x, y); });
    case op::whole_quotient:
      return each_r(a, b, count, out, [&](whole x, whole y) { return y == 0 ? whole{na} : floored(x, y); });
    default:
      return each_r(a, b, count, out, [&](whole x, whole y) { return y == 0 ? whole{na} : x - floored(x, y) * y; });
  }
}

void r_numbers(lazy_operation what, const void* a, const void* b, std::uint64_t count, void* out) {
  using op = lazy_operation;
  const auto run = [&](auto f) { each<double, double>(a, b, count, out, f); };
  const auto missing = [](double x, double y) { return std::isnan(x) ? x : y; };
  switch (what) {
    case op::remainder: return run(r_remainder);
    case op::whole_quotient: return run(r_quotient);
    case op::power:  // R: 1^NA and NA^0 are 1, as for pow(); NA otherwise
      return run([](double x, double y) { return std::isnan(x) && y != 0 ? x : std::pow(x, y); });
    case op::minimum:
      return run([&](double x, double y) { return std::isnan(x) || std::isnan(y) ? missing(x, y) : std::min(x, y); });
    case op::maximum:
      return run([&](double x, double y) { return std::isnan(x) || std::isnan(y) ? missing(x, y) : std::max(x, y); });
    default: return real_numbers<double>(what, a, b, count, out);
  }
}

template <class T>
void arithmetic(lazy_operation what, const void* a, const void* b, std::uint64_t count, void* out) {
  if constexpr (std::is_same_v<T, r_integer>) r_integers(what, a, b, count, out);
  else if constexpr (std::is_same_v<T, r_number>) r_numbers(what, a, b, count, out);
  else if constexpr (std::is_same_v<T, bool>) return;  // bool is promoted to int before
  else if constexpr (std::is_integral_v<T>) whole_numbers<T>(what, a, b, count, out);
  else if constexpr (std::is_floating_point_v<T>) real_numbers<T>(what, a, b, count, out);
  else {
    const auto run = [&](auto f) { each<T, T>(a, b, count, out, f); };
    if (what == lazy_operation::add) return run([](T x, T y) { return x + y; });
    if (what == lazy_operation::subtract) return run([](T x, T y) { return x - y; });
    if (what == lazy_operation::multiply) return run([](T x, T y) { return x * y; });
    return run([](T x, T y) { return x / y; });
  }
}

// ---- comparison and logic

template <class T, class F>
void compare(const void* a, const void* b, std::uint64_t count, void* out, F&& f) {
  if constexpr (std::is_same_v<T, r_integer>)
    each<r_integer, T>(a, b, count, out, [&](T x, T y) -> r_integer {
      return {x.value == na || y.value == na ? na : f(x.value, y.value)};
    });
  else if constexpr (std::is_same_v<T, r_number>)
    each<r_integer, T>(a, b, count, out, [&](T x, T y) -> r_integer {
      return {std::isnan(x.value) || std::isnan(y.value) ? na : f(x.value, y.value)};
    });
  else each<bool, T>(a, b, count, out, f);
}

template <class T>
void comparison(lazy_operation what, const void* a, const void* b, std::uint64_t count, void* out) {
  using op = lazy_operation;
  if (what == op::equal) return compare<T>(a, b, count, out, [](auto x, auto y) { return x == y; });
  if (what == op::not_equal) return compare<T>(a, b, count, out, [](auto x, auto y) { return x != y; });
  if constexpr (!is_complex<T>) {
    if (what == op::less) return compare<T>(a, b, count, out, [](auto x, auto y) { return x < y; });
    if (what == op::less_equal) return compare<T>(a, b, count, out, [](auto x, auto y) { return x <= y; });
    if (what == op::greater) return compare<T>(a, b, count, out, [](auto x, auto y) { return x > y; });
    return compare<T>(a, b, count, out, [](auto x, auto y) { return x >= y; });
  }
}

void logic(lazy_operation what, lazy_kind on, const void* a, const void* b, std::uint64_t count, void* out) {
  using op = lazy_operation;
  if (on == lazy_kind::boolean) {
    if (what == op::logical_not) return each<bool, bool>(a, count, out, [](bool x) { return !x; });
    if (what == op::logical_and) return each<bool, bool>(a, b, count, out, [](bool x, bool y) { return x && y; });
    return each<bool, bool>(a, b, count, out, [](bool x, bool y) { return x || y; });
  }
  using three = r_integer;
  if (what == op::logical_not)
    return each<three, three>(a, count, out, [](three x) -> three { return {x.value == na ? na : x.value == 0}; });
  // What decides by itself does so even beside NA.
  if (what == op::logical_and)
    return each<three, three>(a, b, count, out, [](three x, three y) -> three {
      return {x.value == 0 || y.value == 0 ? 0 : x.value == na || y.value == na ? na : 1};
    });
  each<three, three>(a, b, count, out, [](three x, three y) -> three {
    const bool yes = (x.value != 0 && x.value != na) || (y.value != 0 && y.value != na);
    return {yes ? 1 : x.value == na || y.value == na ? na : 0};
  });
}

// ---- functions of one number

template <class T>
void real_function(lazy_operation what, const void* a, std::uint64_t count, void* out) {
  using op = lazy_operation;
  const auto run = [&](auto f) { each<T, T>(a, count, out, f); };
  switch (what) {
    case op::square_root: return run([](T x) { return std::sqrt(x); });
    case op::exponential: return run([](T x) { return std::exp(x); });
    case op::exponential_minus1: return run([](T x) { return std::expm1(x); });
    case op::logarithm: return run([](T x) { return std::log(x); });
    case op::logarithm2: return run([](T x) { return std::log2(x); });
    case op::logarithm10: return run([](T x) { return std::log10(x); });
    case op::logarithm_plus1: return run([](T x) { return std::log1p(x); });
    case op::sine: return run([](T x) { return std::sin(x); });
    case op::cosine: return run([](T x) { return std::cos(x); });
    case op::tangent: return run([](T x) { return std::tan(x); });
    case op::arc_sine: return run([](T x) { return std::asin(x); });
    case op::arc_cosine: return run([](T x) { return std::acos(x); });
    case op::arc_tangent: return run([](T x) { return std::atan(x); });
    case op::hyperbolic_sine: return run([](T x) { return std::sinh(x); });
    case op::hyperbolic_cosine: return run([](T x) { return std::cosh(x); });
    case op::hyperbolic_tangent: return run([](T x) { return std::tanh(x); });
    case op::floor: return run([](T x) { return std::floor(x); });
    case op::ceiling: return run([](T x) { return std::ceil(x); });
    case op::round: return run([](T x) { return std::round(x); });
    case op::truncate: return run([](T x) { return std::trunc(x); });
    case op::absolute: return run([](T x) { return std::fabs(x); });
    default: return run([](T x) { return -x; });
  }
}

template <class T>
void one_operand(lazy_operation what, const void* a, std::uint64_t count, void* out) {
  using op = lazy_operation;
  if (what == op::is_nan)
    return each<bool, T>(a, count, out, [](T x) {
      if constexpr (std::is_same_v<T, r_integer>) return x.value == na;
      else if constexpr (std::is_same_v<T, r_number>) return std::isnan(x.value);
      else if constexpr (is_complex<T>) return std::isnan(x.real()) || std::isnan(x.imag());
      else return x != x;
    });
  if constexpr (std::is_same_v<T, r_number>) {
    if (what == op::round) {  // half to even, as R does for zero digits
      return each<double, double>(a, count, out, [](double x) { return std::nearbyint(x); });
    }
    real_function<double>(what, a, count, out);
  } else if constexpr (std::is_floating_point_v<T>) {
    real_function<T>(what, a, count, out);
  } else if constexpr (is_complex<T>) {
    if (what == op::absolute)
      return each<typename T::value_type, T>(a, count, out, [](T x) { return std::abs(x); });
    each<T, T>(a, count, out, [](T x) { return -x; });
  } else if constexpr (std::is_same_v<T, r_integer>) {
    const bool negate = what == op::negate;
    each<T, T>(a, count, out, [&](T x) -> T {
      return {x.value != na && (negate || x.value < 0) ? -x.value : x.value};
    });
  } else if constexpr (!std::is_same_v<T, bool>) {
    using wide = std::make_unsigned_t<decltype(T{} + T{})>;
    if (what == op::bit_not) return each<T, T>(a, count, out, [](T x) { return static_cast<T>(~x); });
    const bool negate = what == op::negate;
    each<T, T>(a, count, out, [&](T x) {
      return negate || x < T{0} ? static_cast<T>(wide{0} - static_cast<wide>(x)) : x;
    });
  }
}

}  // namespace

void convert(lazy_kind from, lazy_kind to, const void* in, std::uint64_t count, void* out) {
  with_type(from, [&]<class From>() {
    with_type(to, [&]<class To>() { each<To, From>(in, count, out, [](From x) { return converted<To>(x); }); });
  });
}

void work(lazy_operation what, lazy_kind operands, lazy_kind, const void* a, const void* b, const void* c,
          std::uint64_t count, void* out) {
  using op = lazy_operation;
  if (what == op::select)
    return with_type(operands, [&]<class T>() {
      auto* to = static_cast<T*>(out);
      for (std::uint64_t i = 0; i < count; ++i) to[i] = item<bool>(a, i) ? item<T>(b, i) : item<T>(c, i);
    });
  if (what >= op::logical_and && what <= op::logical_not) return logic(what, operands, a, b, count, out);
  with_type(operands, [&]<class T>() {
    if (what >= op::negate) one_operand<T>(what, a, count, out);
    else if (what >= op::less) comparison<T>(what, a, b, count, out);
    else arithmetic<T>(what, a, b, count, out);
  });
}

}  // namespace onecopy::pager
