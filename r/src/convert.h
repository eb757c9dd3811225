// Numbers that R has no type for, and arrays whose elements lie in another order than R's, converted as they are read.
#pragma once

#include "glue.h"

namespace ocr {

constexpr int max_dimensions = 32;

enum class conversion_rule : std::uint8_t {
  number,      // the number itself
  scaled,      // number * scale; INT64_MIN (NaT) is missing
  months,      // months since 1970 to seconds or days (scale: seconds per day, or 1)
  years,
  codes,       // number + scale, missing where that is below 1: codes of levels that count from 0
};

// Plain data: lies in the state of a view.
struct conversion {
  onecopy::dtype from;
  conversion_rule rule;
  std::uint8_t dimensions;     // of shape and stride; at least 1
  double scale;
  const std::byte* data;
  const std::uint8_t* validity;  // Arrow's bitmap, or null; only for elements in one piece
  std::uint32_t item_size;
  R_xlen_t count;
  R_xlen_t shape[max_dimensions];         // R's order: the first index varies fastest
  std::ptrdiff_t stride[max_dimensions];  // bytes from one element to the next along each dimension
};

// The R type that elements of `from` become; NILSXP if R has none.
SEXPTYPE r_type_for(onecopy::dtype from, conversion_rule rule);
// Elements [start, start + n) in R's order, as R's type.
void convert(const conversion& how, SEXPTYPE to, R_xlen_t start, R_xlen_t n, void* out) noexcept;
// Bytes of one element of an R vector; 0 for types that are not numbers.
std::size_t element_size(SEXPTYPE type) noexcept;

}  // namespace ocr
