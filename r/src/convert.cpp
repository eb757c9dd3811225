#include "convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstring>
#include <limits>

namespace ocr {

namespace {

using onecopy::dtype;

// Where element `position` (R's order) lies, kept up to date from one element to the next.
class cursor {
 public:
  cursor(const conversion& how, R_xlen_t position) noexcept : how_(how) {
    for (int d = 0; d < how.dimensions; ++d) {
      const R_xlen_t extent = std::max<R_xlen_t>(how.shape[d], 1);
      index_[d] = position % extent;
      position /= extent;
      offset_ += index_[d] * how.stride[d];
    }
  }
  std::ptrdiff_t offset() const noexcept { return offset_; }
  void next() noexcept {
    for (int d = 0; d < how_.dimensions; ++d) {
      offset_ += how_.stride[d];
      if (++index_[d] < how_.shape[d]) return;
      offset_ -= how_.shape[d] * how_.stride[d];
      index_[d] = 0;
    }
  }

 private:
  const conversion& how_;
  R_xlen_t index_[max_dimensions];
  std::ptrdiff_t offset_ = 0;
};

template <class T>
T load(const std::byte* at) noexcept {
  T item;
  std::memcpy(&item, at, sizeof item);  // fields of packed records may lie anywhere
  return item;
}

double half_to_double(std::uint16_t half) noexcept {
  const int exponent = (half >> 10) & 0x1f;
  const int fraction = half & 0x3ff;
  double size;
  if (exponent == 0) size = fraction * 0x1p-24;
  else if (exponent == 31) size = fraction ? std::numeric_limits<double>::quiet_NaN() : HUGE_VAL;
  else size = (fraction + 1024) * std::bit_cast<double>(static_cast<std::uint64_t>(exponent - 25 + 1023) << 52);
  return half & 0x8000 ? -size : size;
}

// Days from 1970-01-01 to the first day of a month of the proleptic Gregorian calendar.
double days_to_month(std::int64_t year, int month) noexcept {
  year -= month < 3;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = year - era * 400;
  const auto day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;
  const auto day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<double>(era * 146097 + day_of_era - 719468);
}

double calendar_days(std::int64_t number, conversion_rule rule) noexcept {
  if (rule == conversion_rule::years) return days_to_month(1970 + number, 1);
  std::int64_t year = number / 12, month = number % 12;
  if (month < 0) {
    month += 12;
    --year;
  }
  return days_to_month(1970 + year, static_cast<int>(month) + 1);
}

struct truth {
  std::uint8_t byte;
  operator int() const noexcept { return byte != 0; }
};
struct half {
  std::uint16_t bits;
  operator double() const noexcept { return half_to_double(bits); }
};
// bit64's integer64: the 64 bits of an integer in an R double.
struct integer64_bits {
  double bits;
  operator double() const noexcept { return bits; }
};

template <class To> To missing() noexcept;
template <> int missing<int>() noexcept { return NA_INTEGER; }
template <> double missing<double>() noexcept { return NA_REAL; }
template <> Rcomplex missing<Rcomplex>() noexcept {
  Rcomplex both;
  both.r = NA_REAL;
  both.i = NA_REAL;
  return both;
}
template <> Rbyte missing<Rbyte>() noexcept { return 0; }

template <class From, class To>
To one(const std::byte* at, const conversion& how) noexcept {
  if constexpr (std::is_same_v<To, Rcomplex>) {
    const From number = load<From>(at);
    Rcomplex both;
    both.r = number.real();
    both.i = number.imag();
    return both;
  } else if constexpr (std::is_same_v<To, double>) {
    const From number = load<From>(at);
    if (how.rule == conversion_rule::number) return static_cast<double>(number);
    if constexpr (std::is_integral_v<From> && std::is_signed_v<From> && sizeof(From) >= 4)
      if (number == std::numeric_limits<From>::min()) return NA_REAL;
    if (how.rule == conversion_rule::scaled) return static_cast<double>(number) * how.scale;
    return calendar_days(static_cast<std::int64_t>(number), how.rule) * how.scale;
  } else {
    if constexpr (std::is_integral_v<From>)
      if (how.rule == conversion_rule::codes) {
        const auto code = static_cast<std::int64_t>(load<From>(at)) + static_cast<std::int64_t>(how.scale);
        return code < 1 || code > std::numeric_limits<int>::max() ? missing<To>() : static_cast<To>(code);
      }
    return static_cast<To>(load<From>(at));
  }
}

template <class From, class To>
void fill(const conversion& how, R_xlen_t start, R_xlen_t n, To* out) noexcept {
  if (how.dimensions == 1 && !how.validity) {
    const std::byte* at = how.data + start * how.stride[0];
    for (R_xlen_t i = 0; i < n; ++i, at += how.stride[0]) out[i] = one<From, To>(at, how);
    return;
  }
  // Whole row-major matrices go tile by tile, or every element would touch another cache line.
  if (how.dimensions == 2 && !how.validity && start == 0 && n == how.count) {
    constexpr R_xlen_t tile = 32;
    const R_xlen_t rows = how.shape[0], columns = how.shape[1];
    for (R_xlen_t c0 = 0; c0 < columns; c0 += tile)
      for (R_xlen_t r0 = 0; r0 < rows; r0 += tile)
        for (R_xlen_t c = c0; c < std::min(c0 + tile, columns); ++c)
          for (R_xlen_t r = r0; r < std::min(r0 + tile, rows); ++r)
            out[c * rows + r] = one<From, To>(how.data + r * how.stride[0] + c * how.stride[1], how);
    return;
  }
  cursor at(how, start);
  for (R_xlen_t i = 0; i < n; ++i, at.next()) {
    const auto source = static_cast<std::uint64_t>(at.offset()) / how.item_size;
    const bool present = !how.validity || (how.validity[source / 8] >> (source % 8) & 1);
    if (present) out[i] = one<From, To>(how.data + at.offset(), how);
    else if constexpr (std::is_same_v<From, integer64_bits> && std::is_same_v<To, double>)
      out[i] = std::bit_cast<double>(std::numeric_limits<std::int64_t>::min());
    else out[i] = missing<To>();
  }
}

}  // namespace

SEXPTYPE r_type_for(dtype from, conversion_rule rule) {
  switch (from) {
    case dtype::bool8: case dtype::logical32: return LGLSXP;
    case dtype::int8: case dtype::int16: case dtype::int32: case dtype::uint8: case dtype::uint16:
      return rule == conversion_rule::number ? INTSXP : REALSXP;
    case dtype::int64: case dtype::uint32: case dtype::uint64: case dtype::float16: case dtype::float32:
    case dtype::float64:
      return REALSXP;
    case dtype::complex64: case dtype::complex128: return CPLXSXP;
    case dtype::raw: return RAWSXP;
    default: return NILSXP;
  }
}

std::size_t element_size(SEXPTYPE type) noexcept {
  switch (type) {
    case LGLSXP: case INTSXP: return sizeof(int);
    case REALSXP: return sizeof(double);
    case CPLXSXP: return sizeof(Rcomplex);
    case RAWSXP: return 1;
    default: return 0;
  }
}

void convert(const conversion& how, SEXPTYPE to, R_xlen_t start, R_xlen_t n, void* out) noexcept {
  auto run = [&]<class From>(From) {
    if constexpr (std::is_same_v<From, std::complex<float>> || std::is_same_v<From, std::complex<double>>) {
      if (to == CPLXSXP) fill<From>(how, start, n, static_cast<Rcomplex*>(out));
    } else {
      if (to == INTSXP || to == LGLSXP) fill<From>(how, start, n, static_cast<int*>(out));
      else if (to == REALSXP) fill<From>(how, start, n, static_cast<double*>(out));
      else if (to == RAWSXP) fill<From>(how, start, n, static_cast<Rbyte*>(out));
    }
  };
  switch (how.from) {
    case dtype::bool8: return run(truth{});
    case dtype::int8: return run(std::int8_t{});
    case dtype::int16: return run(std::int16_t{});
    case dtype::int32: case dtype::logical32: return run(std::int32_t{});
    case dtype::int64:
      if (to == REALSXP && how.rule == conversion_rule::number) return run(integer64_bits{});
      return run(std::int64_t{});
    case dtype::uint8: return run(std::uint8_t{});
    case dtype::uint16: return run(std::uint16_t{});
    case dtype::uint32: return run(std::uint32_t{});
    case dtype::uint64: return run(std::uint64_t{});
    case dtype::float16: return run(half{});
    case dtype::float32: return run(float{});
    case dtype::float64: return run(double{});
    case dtype::complex64: return run(std::complex<float>{});
    case dtype::complex128: return run(std::complex<double>{});
    case dtype::raw: return run(std::uint8_t{});
    default: return;
  }
}

}  // namespace ocr
