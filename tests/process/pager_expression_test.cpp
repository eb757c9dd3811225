// Arithmetic on lazy vectors: the same as C++ computes, and nothing stored on the way.
#include <bit>
#include <cmath>
#include <complex>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "onecopy/lazy_functions.hpp"
#include "support/lazy.hpp"

namespace {

using namespace onecopy;
using test::refused;
constexpr std::uint64_t MiB = 1u << 20;
using whole = std::int64_t;

template <class T>
class vectors_of {
 public:
  explicit vectors_of(unsigned seed) : random_(seed) {}
  // Small and large numbers, and those at the edges of the type.
  std::vector<T> make(std::size_t count) {
    std::vector<T> made(count);
    for (auto& one : made) one = number();
    return made;
  }

 private:
  T number() {
    if constexpr (std::is_floating_point_v<T>) {
      switch (random_() % 8) {
        case 0: return std::numeric_limits<T>::quiet_NaN();
        case 1: return std::numeric_limits<T>::infinity();
        case 2: return T{0};
        default: return static_cast<T>(static_cast<double>(random_() % 20'001) / 16 - 600);
      }
    } else {
      switch (random_() % 8) {
        case 0: return std::numeric_limits<T>::min();
        case 1: return std::numeric_limits<T>::max();
        case 2: return T{1};
        default: return static_cast<T>(random_() >> (random_() % 64));
      }
    }
  }
  std::mt19937_64 random_;
};

// A lazy vector of given elements: a file.
class LazyExpression : public testing::Test {
 protected:
  template <class T>
  lazy_array<T> lazily(const std::vector<T>& values) {
    const std::string path = folder / std::to_string(++number_);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
    return lazy<T>(values.size(), lazy_source::binary_file(path), {.in_place = true});
  }
  test::scratch_folder folder;

 private:
  int number_ = 0;
};

template <class T>
std::vector<typename lazy_expression<T>::value_type> all(const lazy_expression<T>& of) {
  // Not vector<bool>.
  std::vector<typename lazy_expression<T>::value_type> out;
  for_each_block(of, [&](std::uint64_t, auto block) { out.insert(out.end(), block.begin(), block.end()); });
  return out;
}

template <class T>
bool same(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a == b || (std::isnan(a) && std::isnan(b));
  else return a == b;
}

// Every element of `got` is what `right` says, and the types are C++'s.
template <class T, class F>
void expect_all(const lazy_expression<T>& got, std::size_t count, F&& right, const char* what) {
  static_assert(std::is_same_v<T, std::remove_cvref_t<decltype(right(std::size_t{0}))>>);
  ASSERT_EQ(got.size(), count);
  const auto seen = all(got);
  for (std::size_t i = 0; i < count; ++i)
    ASSERT_TRUE(same<T>(seen[i], right(i))) << what << " of element " << i << ": " << +seen[i] << ", not " << +right(i);
}

template <class T> using wide = decltype(T{} + T{});
// What C++ leaves undefined wraps around.
template <class R, class F>
R wrapped(F&& f, R a, R b) {
  if constexpr (std::is_integral_v<R>) {
    using u = std::make_unsigned_t<R>;
    return static_cast<R>(f(static_cast<u>(a), static_cast<u>(b)));
  } else {
    return f(a, b);
  }
}

template <class A, class B>
void check_pair(const lazy_array<A>& x, const lazy_array<B>& y, const std::vector<A>& a, const std::vector<B>& b) {
  using R = typename detail::standing_for<decltype(A{} + B{})>::type;
  const std::size_t n = a.size();
  const auto left = [&](std::size_t i) { return static_cast<R>(a[i]); };
  const auto right = [&](std::size_t i) { return static_cast<R>(b[i]); };
  expect_all(x + y, n, [&](std::size_t i) { return wrapped<R>(std::plus<>(), left(i), right(i)); }, "+");
  expect_all(x - y, n, [&](std::size_t i) { return wrapped<R>(std::minus<>(), left(i), right(i)); }, "-");
  expect_all(x * y, n, [&](std::size_t i) { return wrapped<R>(std::multiplies<>(), left(i), right(i)); }, "*");
  expect_all(x < y, n, [&](std::size_t i) { return left(i) < right(i); }, "<");
  expect_all(x >= y, n, [&](std::size_t i) { return left(i) >= right(i); }, ">=");
  expect_all(x == y, n, [&](std::size_t i) { return left(i) == right(i); }, "==");
  expect_all(x != y, n, [&](std::size_t i) { return left(i) != right(i); }, "!=");
  expect_all(min(x, y), n, [&](std::size_t i) { return std::min(left(i), right(i)); }, "min");
  expect_all(max(x, y), n, [&](std::size_t i) { return std::max(left(i), right(i)); }, "max");
  expect_all(select(x < y, x, y), n, [&](std::size_t i) { return left(i) < right(i) ? left(i) : right(i); }, "select");
  if constexpr (std::is_floating_point_v<R>) {
    expect_all(x / y, n, [&](std::size_t i) { return left(i) / right(i); }, "/");
    expect_all(pow(x, y), n, [&](std::size_t i) { return std::pow(left(i), right(i)); }, "pow");
  } else {
    // Zeros are left out of the divisor.
    const auto d = [&](std::size_t i) { return right(i) == 0 ? R{7} : right(i); };
    const auto lazy_d = select(y == 0, static_cast<R>(7), cast<R>(y));
    const auto divided = [&](std::size_t i) {
      if constexpr (std::is_signed_v<R>)
        if (d(i) == -1) return wrapped<R>(std::minus<>(), R{0}, left(i));
      return static_cast<R>(left(i) / d(i));
    };
    expect_all(x / lazy_d, n, divided, "/");
    expect_all(x % lazy_d, n, [&](std::size_t i) {
      if constexpr (std::is_signed_v<R>)
        if (d(i) == -1) return R{0};
      return static_cast<R>(left(i) % d(i));
    }, "%");
    expect_all(x & y, n, [&](std::size_t i) { return static_cast<R>(left(i) & right(i)); }, "&");
    expect_all(x ^ y, n, [&](std::size_t i) { return static_cast<R>(left(i) ^ right(i)); }, "^");
  }
}

template <class A, class... B>
void check_with_all(const std::vector<A>& a, const lazy_array<A>& x,
                    const std::pair<lazy_array<B>, std::vector<B>>&... others) {
  (check_pair(x, others.first, a, others.second), ...);
}

TEST_F(LazyExpression, ArithmeticIsThatOfCxxForEveryPairOfTypes) {
  constexpr std::size_t n = 5003;  // blocks, and a rest
  const auto with = [&]<class T>(std::type_identity<T>, unsigned seed) {
    auto values = vectors_of<T>(seed).make(n);
    auto made = lazily(values);
    return std::pair(std::move(made), std::move(values));
  };
  const auto i8 = with(std::type_identity<std::int8_t>{}, 1);
  const auto u16 = with(std::type_identity<std::uint16_t>{}, 2);
  const auto i32 = with(std::type_identity<std::int32_t>{}, 3);
  const auto u32 = with(std::type_identity<std::uint32_t>{}, 4);
  const auto i64 = with(std::type_identity<std::int64_t>{}, 5);
  const auto u64 = with(std::type_identity<std::uint64_t>{}, 6);
  const auto f32 = with(std::type_identity<float>{}, 7);
  const auto f64 = with(std::type_identity<double>{}, 8);
  const auto each = [&](const auto& one) { check_with_all(one.second, one.first, i8, u16, i32, u32, i64, u64, f32, f64); };
  each(i8), each(u16), each(i32), each(u32), each(i64), each(u64), each(f32), each(f64);
}

TEST_F(LazyExpression, ScalarsAndTheirTypes) {
  const std::vector<float> f{0.5f, 1.5f, -2.5f};
  const std::vector<std::uint8_t> b{200, 100, 255};
  auto x = lazily(f);
  auto y = lazily(b);
  static_assert(std::is_same_v<decltype(x * 2)::value_type, float>);
  static_assert(std::is_same_v<decltype(x * 2.0)::value_type, double>);
  static_assert(std::is_same_v<decltype(y + y)::value_type, std::int32_t>);
  static_assert(std::is_same_v<decltype(y + 1LL)::value_type, std::int64_t>);
  static_assert(std::is_same_v<decltype(x < 1)::value_type, bool>);
  static_assert(std::is_same_v<decltype(sqrt(y))::value_type, double>);
  static_assert(std::is_same_v<decltype(sqrt(x))::value_type, float>);
  EXPECT_EQ((y + y)[0], 400) << "promoted, as in C++";
  EXPECT_EQ((1 - x)[2], 3.5f);
  EXPECT_EQ((-y)[2], -255);
  EXPECT_EQ((~y)[0], ~200);
  EXPECT_EQ((x > 0 && y > 150)[0], true);
  EXPECT_EQ((x > 0 && y > 150)[1], false);
  EXPECT_EQ((!(x > 0))[2], true);
  EXPECT_EQ(sum(x > 0), 2u);
  EXPECT_EQ(sum(y), 555u);
  EXPECT_EQ(mean(y), 185.0);
  EXPECT_EQ(abs(x)[2], 2.5f);
}

TEST_F(LazyExpression, FunctionsAndCasts) {
  const auto values = vectors_of<double>(11).make(3000);
  auto x = lazily(values);
  const auto check = [&](const auto& got, double (*right)(double), const char* what) {
    expect_all(got, values.size(), [&](std::size_t i) { return right(values[i]); }, what);
  };
  check(sqrt(x), std::sqrt, "sqrt"), check(exp(x), std::exp, "exp"), check(log(x), std::log, "log");
  check(log2(x), std::log2, "log2"), check(log10(x), std::log10, "log10"), check(sin(x), std::sin, "sin");
  check(cos(x), std::cos, "cos"), check(tan(x), std::tan, "tan"), check(atan(x), std::atan, "atan");
  check(asin(x / 1000), [](double v) { return std::asin(v / 1000); }, "asin");
  check(tanh(x), std::tanh, "tanh"), check(floor(x), std::floor, "floor"), check(ceil(x), std::ceil, "ceil");
  check(round(x), std::round, "round"), check(trunc(x), std::trunc, "trunc"), check(expm1(x), std::expm1, "expm1");
  check(log1p(x), std::log1p, "log1p"), check(abs(x), std::fabs, "abs");
  expect_all(isnan(x), values.size(), [&](std::size_t i) { return std::isnan(values[i]); }, "isnan");
  const double odd[] = {1e30, -1e30, NAN, 255.9, -1.0, 256.0, 3.99};
  auto y = lazily(std::vector<double>(std::begin(odd), std::end(odd)));
  const std::uint8_t bytes[] = {255, 0, 0, 255, 0, 255, 3};
  expect_all(cast<std::uint8_t>(y), 7, [&](std::size_t i) { return bytes[i]; }, "to bytes");
  const bool truth[] = {true, true, true, true, true, true, true};
  expect_all(cast<bool>(y), 7, [&](std::size_t i) { return truth[i]; }, "to truth values");
  EXPECT_EQ(cast<std::int64_t>(y)[0], std::numeric_limits<whole>::max());
}

TEST_F(LazyExpression, ComplexNumbers) {
  const std::vector<std::complex<float>> a{{1, 2}, {3, -4}, {0, 1}};
  auto x = lazily(a);
  EXPECT_EQ((x * x)[0], (std::complex<float>(-3, 4)));
  EXPECT_EQ((x + 1.0)[1], (std::complex<double>(4, -4)));
  EXPECT_EQ((2.0f * x)[2], (std::complex<float>(0, 2)));
  EXPECT_EQ(abs(x)[1], 5.0f);
  EXPECT_TRUE((x == x)[0]);
  EXPECT_EQ((-x)[0], (std::complex<float>(-1, -2)));
  EXPECT_EQ(sum(x), (std::complex<double>(4, -1)));
}

TEST_F(LazyExpression, SlicesReversedAndConcatenated) {
  auto x = lazy<double>(100'000, lazy_source::sequence(0.0, 1.0));
  auto i = lazy<std::int32_t>(10, lazy_source::sequence(whole{100}, whole{1}));
  const auto back = reverse(x);
  EXPECT_EQ(back[0], 99'999.0);
  EXPECT_EQ(all(back).back(), 0.0);
  const auto every = slice(x, 5, 100'000, 7);
  expect_all(every, (100'000 - 5 + 6) / 7, [](std::size_t k) { return static_cast<double>(5 + 7 * k); }, "slice");
  const auto joined = concatenate(i, slice(x, 0, 0), reverse(slice(x, 0, 3000)), i + 1);
  static_assert(std::is_same_v<decltype(joined)::value_type, double>);
  ASSERT_EQ(joined.size(), 3020u);
  EXPECT_EQ(joined[9], 109.0);
  EXPECT_EQ(joined[10], 2999.0);
  EXPECT_EQ(joined[3009], 0.0);
  EXPECT_EQ(joined[3010], 101.0);
  EXPECT_EQ(sum(joined), 1045.0 + 2999.0 * 1500 + 1055.0);
  EXPECT_EQ(sum(reverse(joined)), sum(joined));
  EXPECT_EQ(all(slice(joined, 3005, 3015)), (std::vector<double>{4, 3, 2, 1, 0, 101, 102, 103, 104, 105}));
  EXPECT_EQ(slice(x, 7, 3).size(), 0u);
  EXPECT_EQ(all(slice(x, 3, 10, ~std::uint64_t{0})), std::vector<double>{3});
  EXPECT_EQ(sum(slice(x, 7, 3)), 0.0);
}

TEST_F(LazyExpression, BadUseIsRefused) {
  const auto bad = error_kind::invalid_argument;
  auto x = test::numbers(100), y = test::numbers(99);
  EXPECT_EQ(refused([&] { (void)(x + y); }), bad);
  EXPECT_EQ(refused([&] { (void)slice(x, 50, 101); }), bad);
  EXPECT_EQ(refused([&] { (void)(x + 1)[100]; }), bad);
  EXPECT_EQ(refused([&] { (void)(lazy_array<double>{} + 1); }), bad);
  EXPECT_EQ(refused([&] {
    lazy_expression<double> e = x + 1;
    for (int i = 0; i < 100; ++i) e = e + e;  // twice as large each time
  }), bad);
  auto zeros = lazy<std::int32_t>(100'000, lazy_source::sequence(whole{90'000}, whole{-1}));
  const auto quotient = 7 / zeros;
  EXPECT_EQ(quotient[0], 0);
  try {
    (void)sum(quotient);
    FAIL();
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), bad);
    EXPECT_NE(std::string(e.what()).find("90000"), std::string::npos) << e.what();
  }
}

// ---- R's rules

TEST_F(LazyExpression, IntegersOfRKnowNA) {
  constexpr std::int32_t na = r_integer::na, most = std::numeric_limits<std::int32_t>::max();
  auto x = as_r(lazily(std::vector<std::int32_t>{5, na, most, -7, 0}));
  auto y = as_r(lazily(std::vector<std::int32_t>{3, 4, 1, 2, na}));
  const auto is = [](const auto& got, const std::vector<std::int32_t>& right) { EXPECT_EQ(all(got), right); };
  is(x + y, {8, na, na, -5, na});
  is(x * 2, {10, na, na, -14, 0});
  is(x % y, {2, na, 0, 1, na});
  is(whole_quotient(x, y), {1, na, most, -4, na});
  is(x % 0, {na, na, na, na, na});
  is(x < y, {0, na, 0, 1, na});
  is(x == 0, {0, na, 0, 0, 1});
  is(-x, {-5, na, -most, 7, 0});
  is(!as_r(x > 0), {0, na, 0, 1, 1});
  is(x & y, {1, na, 1, 1, 0});
  is(x | y, {1, 1, 1, 1, na});
  is(x & 0.5, {1, na, 1, 1, 0});
  is(max(x, y), {5, na, most, 2, na});
  const auto quotient = all(x / y);
  EXPECT_EQ(quotient[3], -3.5);
  EXPECT_EQ(static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(quotient[1])), 1954u) << "NA, not just any NaN";
  EXPECT_TRUE(std::isnan(quotient[1]));
  EXPECT_EQ(sum(isnan(x)), 1u);
  EXPECT_EQ(sum(select(isnan(x), 0, cast<std::int64_t>(x))), 5 + whole{most} - 7);
}

TEST_F(LazyExpression, DoublesOfR) {
  auto x = as_r(lazily(std::vector<double>{5.5, NAN, -5.5, 2.5, 1e300}));
  const auto compared = all(x > 2);
  EXPECT_EQ(compared, (std::vector<std::int32_t>{1, r_integer::na, 0, 1, 1}));
  const auto rest = all(x % 2);
  EXPECT_EQ(rest[0], 1.5);
  EXPECT_EQ(rest[2], 0.5);
  EXPECT_EQ(whole_quotient(x, 2)[2], -3.0);
  EXPECT_EQ(round(x)[3], 2.0) << "half to even";
  EXPECT_TRUE(std::isnan(max(x, 0)[1]));
  EXPECT_EQ(cast<r_integer>(x)[4], r_integer::na);
}

// ---- as objects

TEST_F(LazyExpression, AsALazyVectorItIsFilledChunkByChunk) {
  auto x = lazy<double>(MiB, lazy_source::sequence(0.0, 1.0));
  lazy_array<double> z = x + x * 2;
  EXPECT_EQ(z.vector().count().fills, 0u);
  EXPECT_EQ(z[500'000], 1'500'000.0);
  EXPECT_EQ(z.vector().count().fills, 1u);
  EXPECT_LE(x.vector().count().fills, 1u);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < z.size(); ++i) wrong += z[i] != static_cast<double>(i) * 3;
  EXPECT_EQ(wrong, 0u);
  // By handle, in another process.
  const auto handle = z.handle();
  const pid_t child = test::in_child([&] {
    auto y = attach_lazy<double>(handle);
    return y[77'777] == 3 * 77'777.0 ? 0 : 1;
  });
  EXPECT_EQ(test::outcome_of(child), 0);
}

TEST_F(LazyExpression, ItHoldsWhatItIsMadeOf) {
  lazy_array<double> z;
  handle x_handle;
  {
    auto x = lazy<double>(100'000, lazy_source::sequence(0.0, 1.0));
    x_handle = x.vector().handle(0);
    z = sqrt(x) + 1;
  }
  sleep(2);  // the pager looks each half second, and leases count whole ones
  EXPECT_TRUE(is_lazy(x_handle));
  EXPECT_EQ(z[90'000], 301.0);
  // Made of expressions that nobody else holds.
  lazy_array<double> w = z * 2;
  z = {};
  EXPECT_EQ(w[90'000], 602.0);
  EXPECT_EQ(w[40'000], 402.0);
  const auto travelling = w.vector().handle(20);
  w = {};
  sleep(2);
  auto again = attach_lazy<double>(travelling);
  EXPECT_EQ(again[10'000], 202.0) << "the lease keeps all of it";
  again = {};
}

TEST_F(LazyExpression, WhatIsUsedManyTimesIsHeldOnce) {
  const auto held = [] {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) count += line.find("/lazy/") != std::string::npos;
    return count;
  };
  lazy_array<double> before = test::numbers(1000) + 1, last = test::numbers(1000) + 2;
  const auto at_first = held();
  for (int i = 0; i < 16; ++i) {
    lazy_array<double> next = last + before;  // the ways to the first ones are as many as Fibonacci's rabbits
    before = std::move(last);
    last = std::move(next);
  }
  EXPECT_LT(held(), at_first + 100);
  EXPECT_EQ(last[1], 6765.0);
}

TEST_F(LazyExpression, DeeplyNestedObjectsDoNotWaitForEachOther) {
  lazy_array<double> z = lazy<double>(200'000, lazy_source::sequence(0.0, 1.0));
  for (int i = 0; i < 6; ++i) z = lazy_array<double>(z + 1);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (std::uint64_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = t; i < z.size(); i += 8192 * 3) wrong += z[i] != static_cast<double>(i) + 6;
    });
  for (auto& one : threads) one.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_FALSE(z.vector().take_error());
}

TEST_F(LazyExpression, ErrorsOfWhatItReadsAreItsErrors) {
  auto x = lazy<double>(100'000, lazy_source::binary_file(folder / "missing"));
  EXPECT_EQ(refused([&] { (void)sum(x + 1); }), error_kind::not_found);
  EXPECT_EQ(refused([&] { (void)(x + 1)[5]; }), error_kind::not_found);
  lazy_array<double> z = x + 1;
  try {
    (void)z.at(70'000);
    FAIL();
  } catch (const error& e) {
    EXPECT_NE(std::string(e.what()).find("missing"), std::string::npos) << e.what();
  }
  EXPECT_TRUE(std::isnan(z[3]));
  std::vector<double> values(100'000, 1.5);
  std::ofstream(folder / "missing", std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), 800'000);
  EXPECT_EQ(z.at(70'000), 2.5);
  auto zeros = lazy<std::int32_t>(100'000, lazy_source::sequence(whole{90'000}, whole{-1}));
  lazy_array<std::int32_t> q = 7 / zeros;
  EXPECT_EQ(q.at(10), 0);
  try {
    (void)q.at(90'001);
    FAIL();
  } catch (const error& e) {
    EXPECT_NE(std::string(e.what()).find("divided by zero"), std::string::npos) << e.what();
  }
}

TEST_F(LazyExpression, ReductionsBeyondTheBudgetStoreNothing) {
  constexpr std::uint64_t count = 64 * MiB / 8;  // two vectors of twice the budget each
  auto x = lazy<double>(count, lazy_source::sequence(0.0, 1.0));
  auto y = lazy<double>(count, lazy_source::sequence(-1000.0, -0.5));
  const test::new_objects made;
  EXPECT_EQ(sum(x + y > 0), count - 2001);
  EXPECT_EQ(made.count(), 0u);
  EXPECT_LE(pager::look().peak_resident, 32 * MiB);
  lazy_array<bool> z = x + y > 0;
  EXPECT_EQ(sum(z), count - 2001);
  EXPECT_LE(pager::look().peak_resident, 32 * MiB);
}

TEST_F(LazyExpression, WritableResultsKeepWhatIsWritten) {
  auto x = test::numbers(100'000);
  auto z = (x * 10).lazy({.writable = true});
  z.writable_data()[5] = -1;
  z.vector().release(0, z.vector().bytes());
  EXPECT_EQ(z[5], -1.0);
  EXPECT_EQ(z[6], 60.0);
}

TEST_F(LazyExpression, ItSurvivesItsRunnersAndPagers) {
  auto x = test::numbers(4 * MiB);
  lazy_array<double> z = x + 1;
  std::atomic<bool> stop{false};
  std::thread killer([&] {
    while (!stop) {
      kill(test::pager_process(), SIGKILL);
      usleep(20'000);
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < z.size(); i += 50) wrong += z[i] != static_cast<double>(i) + 1;
  stop = true;
  killer.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
