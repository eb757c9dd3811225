// Functions of lazy vectors and expressions: mathematics, choosing elements, and reductions that read block by block.
//
//     auto distance = onecopy::sqrt(x * x + y * y);
//     auto last = onecopy::reverse(onecopy::slice(distance, 0, 1000));
//     double average = onecopy::mean(distance);
//
// Rules and threads: onecopy/lazy_expression.hpp.
#pragma once

#include <algorithm>
#include <memory>

#include "onecopy/lazy_expression.hpp"

namespace onecopy {

// ---- functions. Of integers they give doubles, as in C++; not for complex numbers, but for abs.

#define ONECOPY_LAZY_FUNCTION(function, name)                                                        \
  template <detail::lazy_operand A>                                                                  \
    requires(!detail::is_complex<detail::element<A>>::value)                                         \
  auto function(const A& a) {                                                                        \
    using type = detail::floating<detail::element<A>>;                                               \
    return detail::unary<type, type>(detail::lazy_operation::name, a);                               \
  }
ONECOPY_LAZY_FUNCTION(sqrt, square_root)
ONECOPY_LAZY_FUNCTION(exp, exponential)
ONECOPY_LAZY_FUNCTION(expm1, exponential_minus1)
ONECOPY_LAZY_FUNCTION(log, logarithm)
ONECOPY_LAZY_FUNCTION(log2, logarithm2)
ONECOPY_LAZY_FUNCTION(log10, logarithm10)
ONECOPY_LAZY_FUNCTION(log1p, logarithm_plus1)
ONECOPY_LAZY_FUNCTION(sin, sine)
ONECOPY_LAZY_FUNCTION(cos, cosine)
ONECOPY_LAZY_FUNCTION(tan, tangent)
ONECOPY_LAZY_FUNCTION(asin, arc_sine)
ONECOPY_LAZY_FUNCTION(acos, arc_cosine)
ONECOPY_LAZY_FUNCTION(atan, arc_tangent)
ONECOPY_LAZY_FUNCTION(sinh, hyperbolic_sine)
ONECOPY_LAZY_FUNCTION(cosh, hyperbolic_cosine)
ONECOPY_LAZY_FUNCTION(tanh, hyperbolic_tangent)
ONECOPY_LAZY_FUNCTION(floor, floor)
ONECOPY_LAZY_FUNCTION(ceil, ceiling)
ONECOPY_LAZY_FUNCTION(round, round)
ONECOPY_LAZY_FUNCTION(trunc, truncate)
#undef ONECOPY_LAZY_FUNCTION

template <detail::lazy_operand A>
auto abs(const A& a) {
  using item = detail::element<A>;
  if constexpr (detail::is_complex<item>::value) {
    using real = typename item::value_type;
    return detail::unary<real, item>(detail::lazy_operation::absolute, a);
  } else {
    using type = std::conditional_t<detail::is_r<item>, item, detail::sum_of<item, item>>;
    return detail::unary<type, type>(detail::lazy_operation::absolute, a);
  }
}
// True where the element is NaN; with R's rules, where it is NA or NaN.
template <detail::lazy_operand A>
auto isnan(const A& a) {
  return detail::unary<bool, detail::element<A>>(detail::lazy_operation::is_nan, a);
}

template <class A, class B>
  requires detail::lazy_pair<A, B>
auto pow(const A& a, const B& b) {
  using type = detail::floating<detail::sum_of<detail::element<A>, detail::element<B>>>;
  return detail::binary<type, type>(detail::lazy_operation::power, a, b);
}
template <class A, class B>
  requires detail::lazy_pair<A, B>
auto atan2(const A& a, const B& b) {
  using type = detail::floating<detail::sum_of<detail::element<A>, detail::element<B>>>;
  return detail::binary<type, type>(detail::lazy_operation::arc_tangent2, a, b);
}
// std::min and std::max of each two: a NaN on the right is passed over. With R's rules NA and NaN win.
template <class A, class B>
  requires detail::lazy_pair<A, B>
auto min(const A& a, const B& b) {
  using type = detail::sum_of<detail::element<A>, detail::element<B>>;
  return detail::binary<type, type>(detail::lazy_operation::minimum, a, b);
}
template <class A, class B>
  requires detail::lazy_pair<A, B>
auto max(const A& a, const B& b) {
  using type = detail::sum_of<detail::element<A>, detail::element<B>>;
  return detail::binary<type, type>(detail::lazy_operation::maximum, a, b);
}
// R's %/%: rounded down.
template <class A, class B>
  requires(detail::lazy_pair<A, B> && (detail::is_r<detail::element<A>> || detail::is_r<detail::element<B>>))
auto whole_quotient(const A& a, const B& b) {
  using type = detail::sum_of<detail::element<A>, detail::element<B>>;
  return detail::binary<type, type>(detail::lazy_operation::whole_quotient, a, b);
}
// a where the condition holds, b elsewhere; both are computed.
template <detail::lazy_operand C, class A, class B>
auto select(const C& condition, const A& a, const B& b) {
  using type = detail::sum_of<detail::element<A>, detail::element<B>>;
  return lazy_expression<type>(detail::apply(detail::lazy_operation::select, detail::kind_of<type>(),
                                             detail::kind_of<type>(),
                                             {detail::node_of(condition), detail::node_of(a), detail::node_of(b)}));
}

// ---- which elements

template <class T, detail::lazy_operand A>
lazy_expression<typename detail::standing_for<T>::type> cast(const A& a) {
  using type = typename detail::standing_for<T>::type;
  return lazy_expression<type>(detail::convert(detail::node_of(a), detail::kind_of<type>()));
}
// Under R's rules from here on. The vector's elements are int32 (integers and logical values) or doubles.
template <detail::lazy_operand A>
auto as_r(const A& a) {
  using item = detail::element<A>;
  static_assert(detail::is_r<item> || std::is_same_v<item, std::int32_t> || std::is_same_v<item, double> ||
                std::is_same_v<item, bool>, "R's numbers are int32 and double");
  return cast<std::conditional_t<std::is_same_v<item, double> || std::is_same_v<item, r_number>, r_number, r_integer>>(a);
}
// Elements first, first + step, ..., before `end`.
template <detail::lazy_operand A>
auto slice(const A& a, std::uint64_t first, std::uint64_t end, std::uint64_t step = 1) {
  const std::uint64_t count = end > first && step > 0 ? (end - first - 1) / step + 1 : 0;
  return lazy_expression<detail::element<A>>(
      detail::slice(detail::node_of(a), first, count, static_cast<std::int64_t>(step)));
}
template <detail::lazy_operand A>
auto reverse(const A& a) {
  auto node = detail::node_of(a);
  const std::uint64_t count = detail::size_of(*node);
  return lazy_expression<detail::element<A>>(detail::slice(std::move(node), count - (count > 0), count, -1));
}
// One after the other, converted to what their sum would be.
template <detail::lazy_operand A, detail::lazy_operand... More>
auto concatenate(const A& a, const More&... more) {
  using type = typename detail::common_of<detail::element<A>, detail::element<More>...>::type;
  std::vector<detail::lazy_node_pointer> parts{detail::convert(detail::node_of(a), detail::kind_of<type>()),
                                               detail::convert(detail::node_of(more), detail::kind_of<type>())...};
  return lazy_expression<type>(detail::concatenate(std::move(parts)));
}

// ---- reductions: block by block, in this process

// Calls `each(first, span of elements)` for one block after the other, in order.
template <detail::lazy_operand A, class F>
void for_each_block(const A& a, F&& each) {
  const lazy_expression<detail::element<A>> x(a);
  using item = typename lazy_expression<detail::element<A>>::value_type;
  constexpr std::uint64_t most = 65536;
  const auto block = std::make_unique<item[]>(std::min(most, x.size()));
  for (std::uint64_t at = 0; at < x.size(); at += most) {
    const std::span<item> part(block.get(), std::min(most, x.size() - at));
    x.read(at, part);
    each(at, std::span<const item>(part));
  }
}

// The sum: of integers and truth values as (u)int64, which wraps around; of floats as double; of complex numbers as
// they are. Added up in blocks, so a float sum is a little more exact than a plain loop's. Not for R's rules: NA there
// has no number; use select(isnan(x), 0, x) first.
template <detail::lazy_operand A>
  requires(!detail::is_r<detail::element<A>>)
auto sum(const A& a) {
  using item = detail::element<A>;
  using total_type = std::conditional_t<detail::is_complex<item>::value, std::complex<double>,
      std::conditional_t<std::is_floating_point_v<item>, double,
                         std::conditional_t<std::is_unsigned_v<item>, std::uint64_t, std::int64_t>>>;
  total_type total{};
  for_each_block(a, [&](std::uint64_t, auto block) {
    total_type part{};
    for (const auto& one : block) {
      if constexpr (std::is_same_v<total_type, std::int64_t>)
        part = static_cast<std::int64_t>(static_cast<std::uint64_t>(part) + static_cast<std::uint64_t>(one));
      else
        part += static_cast<total_type>(one);
    }
    if constexpr (std::is_same_v<total_type, std::int64_t>)
      total = static_cast<std::int64_t>(static_cast<std::uint64_t>(total) + static_cast<std::uint64_t>(part));
    else
      total += part;
  });
  return total;
}
// NaN of nothing.
template <detail::lazy_operand A>
  requires(!detail::is_r<detail::element<A>>)
auto mean(const A& a) {
  const lazy_expression<detail::element<A>> x(a);
  if constexpr (detail::is_complex<detail::element<A>>::value) return sum(x) / static_cast<double>(x.size());
  else return sum(cast<double>(x)) / static_cast<double>(x.size());
}

}  // namespace onecopy
