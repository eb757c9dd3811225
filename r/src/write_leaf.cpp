// Vectors: how the elements of R's six types, factors, dates and times are written.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "subset.h"
#include "write.h"

namespace ocr {

using onecopy::dtype;
using onecopy::semantic;
using onecopy::time_unit;

namespace {

bool valid_utf8(const char* text, std::size_t size) {
  const auto* at = reinterpret_cast<const unsigned char*>(text);
  const auto* end = at + size;
  while (at < end) {
    if (*at < 0x80) {
      ++at;
      continue;
    }
    const int more = *at >= 0xc2 && *at <= 0xdf ? 1 : *at >= 0xe0 && *at <= 0xef ? 2 : *at >= 0xf0 && *at <= 0xf4 ? 3 : 0;
    if (!more || end - at <= more) return false;
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) || (*at == 0xf0 && at[1] < 0x90) ||
        (*at == 0xf4 && at[1] > 0x8f))
      return false;
    for (int i = 1; i <= more; ++i)
      if ((at[i] & 0xc0) != 0x80) return false;
    at += more + 1;
  }
  return true;
}

bool is_ascii(const char* text, std::size_t size) {
  unsigned char all = 0;
  for (std::size_t i = 0; i < size; ++i) all |= static_cast<unsigned char>(text[i]);
  return all < 0x80;
}

// A character vector whose CHARSXPs are all there; reading it calls nothing that could fail.
class charsxp_source : public onecopy::string_source {
 public:
  charsxp_source(const SEXP* items, std::uint64_t size) : items_(items), size_(size) {
    for (std::uint64_t i = 0; i < size; ++i) prepare(items[i]);
  }
  std::uint64_t size() const override { return size_; }
  item at(std::uint64_t i) const override {
    SEXP x = items_[i];
    if (x == NA_STRING) return {{}, true, false, x};
    if (!special_.empty())
      if (auto found = special_.find(x); found != special_.end())
        return {found->second.text, false, found->second.bytes, x};
    return {{CHAR(x), static_cast<std::size_t>(LENGTH(x))}, false, false, x};
  }

 private:
  struct special {
    std::string text;
    bool bytes;
  };
  // Other encodings are translated once, before anything is written.
  void prepare(SEXP x) {
    if (x == NA_STRING) return;
    const auto size = static_cast<std::size_t>(LENGTH(x));
    if (is_ascii(CHAR(x), size)) return;
    const cetype_t encoding = Rf_getCharCE(x);
    if (encoding != CE_BYTES && encoding != CE_LATIN1 && valid_utf8(CHAR(x), size)) return;
    if (special_.count(x)) return;
    if (encoding == CE_LATIN1) {
      const char* text = nullptr;
      const void* vmax = vmaxget();
      r_call([&] {
        text = Rf_translateCharUTF8(x);
        return R_NilValue;
      });
      special_[x] = {text, false};
      vmaxset(vmax);
      return;
    }
    special_[x] = {std::string(CHAR(x), size), true};
  }

  const SEXP* items_;
  std::uint64_t size_;
  std::unordered_map<SEXP, special> special_;
};

// Vectors that make their elements when asked (1:1e9) are asked block by block, and never made whole.
void get_region(SEXP x, R_xlen_t start, R_xlen_t n, std::byte* out) {
  r_call([=] {
    switch (TYPEOF(x)) {
      case LGLSXP: LOGICAL_GET_REGION(x, start, n, reinterpret_cast<int*>(out)); break;
      case INTSXP: INTEGER_GET_REGION(x, start, n, reinterpret_cast<int*>(out)); break;
      case REALSXP: REAL_GET_REGION(x, start, n, reinterpret_cast<double*>(out)); break;
      case CPLXSXP: COMPLEX_GET_REGION(x, start, n, reinterpret_cast<Rcomplex*>(out)); break;
      default: RAW_GET_REGION(x, start, n, reinterpret_cast<Rbyte*>(out)); break;
    }
    return R_NilValue;
  });
}

dtype dtype_for(SEXPTYPE type) {
  switch (type) {
    case LGLSXP: return dtype::logical32;
    case INTSXP: return dtype::int32;
    case REALSXP: return dtype::float64;
    case CPLXSXP: return dtype::complex128;
    default: return dtype::raw;
  }
}

const void* pointer_or_null(SEXP x) { return ALTREP(x) ? DATAPTR_OR_NULL(x) : DATAPTR_RO(x); }

time_unit unit_of_difftime(SEXP x) {
  SEXP units = Rf_getAttrib(x, Rf_install("units"));
  if (TYPEOF(units) != STRSXP || XLENGTH(units) != 1 || has_attributes(units)) return time_unit::none;
  const std::string_view name = CHAR(STRING_ELT(units, 0));
  if (name == "secs") return time_unit::second;
  if (name == "mins") return time_unit::minute;
  if (name == "hours") return time_unit::hour;
  if (name == "days") return time_unit::day;
  if (name == "weeks") return time_unit::week;
  return time_unit::none;
}

}  // namespace

// Arrow doesn't know R's NA in integers, so a bitmap says it again and Python needs to make none. Null: nothing is missing.
const std::uint8_t* describer::missing_bitmap(SEXP x, bool as_int64) {
  if (ALTREP(x) && TYPEOF(x) == INTSXP && INTEGER_NO_NA(x)) return nullptr;
  const R_xlen_t n = XLENGTH(x);
  constexpr R_xlen_t block = 8192;
  std::shared_ptr<std::vector<std::uint8_t>> bitmap;
  std::vector<std::byte> buffer(block * sizeof(double));
  const auto* whole = static_cast<const std::byte*>(pointer_or_null(x));
  const std::size_t width = element_size(TYPEOF(x));
  for (R_xlen_t start = 0; start < n; start += block) {
    const R_xlen_t count = std::min(block, n - start);
    const std::byte* items = whole + static_cast<std::size_t>(start) * width;
    if (!whole) {
      get_region(x, start, count, buffer.data());
      items = buffer.data();
    }
    auto scan = [&]<class T>(T missing) {
      const T* numbers = reinterpret_cast<const T*>(items);
      bool any = false;
      for (R_xlen_t i = 0; i < count; ++i) any |= numbers[i] == missing;
      if (!any) return;
      if (!bitmap) bitmap = std::make_shared<std::vector<std::uint8_t>>(static_cast<std::size_t>(n + 7) / 8, 0xff);
      for (R_xlen_t i = 0; i < count; ++i)
        if (numbers[i] == missing)
          (*bitmap)[static_cast<std::size_t>(start + i) / 8] &= static_cast<std::uint8_t>(~(1u << ((start + i) % 8)));
    };
    if (as_int64) scan(INT64_MIN);
    else scan(static_cast<std::int32_t>(NA_INTEGER));
  }
  if (!bitmap) return nullptr;
  out_.keep(bitmap);
  return bitmap->data();
}

void describer::numbers(slot at, SEXP x, onecopy::array_spec spec) {
  const R_xlen_t n = XLENGTH(x);
  spec.count = static_cast<std::uint64_t>(n);
  if (const void* data = pointer_or_null(x)) {
    out_.array(at, spec, data);
    return;
  }
  const std::size_t width = element_size(TYPEOF(x));
  out_.array(at, spec, [x, width, n](std::uint64_t offset, std::span<std::byte> out) {
    auto start = static_cast<R_xlen_t>(offset / width);
    std::size_t skip = offset % width;
    std::size_t done = 0;
    while (done < out.size()) {
      std::byte* to = out.data() + done;
      const std::size_t left = out.size() - done;
      if (skip == 0 && left >= width && reinterpret_cast<std::uintptr_t>(to) % alignof(double) == 0) {
        const auto count = std::min<R_xlen_t>(static_cast<R_xlen_t>(left / width), n - start);
        get_region(x, start, count, to);
        done += static_cast<std::size_t>(count) * width;
        start += count;
      } else {
        // The piece asked for begins or ends within an element.
        alignas(16) std::byte one[sizeof(Rcomplex)];
        get_region(x, start, 1, one);
        const std::size_t count = std::min(width - skip, left);
        std::memcpy(to, one + skip, count);
        done += count;
        skip = 0;
        ++start;
      }
    }
  });
}

void describer::vector(slot at, SEXP x) {
  count_view(x);
  if (TYPEOF(x) == STRSXP) return strings(at, x);
  if (Rf_inherits(x, "onecopy_opaque") && TYPEOF(x) == RAWSXP) {
    SEXP tag = Rf_getAttrib(x, Rf_install("tag"));
    if (TYPEOF(tag) == STRSXP && XLENGTH(tag) == 1) {
      out_.opaque(at, own(CHAR(STRING_ELT(tag, 0))),
                  {reinterpret_cast<const std::byte*>(RAW_RO(x)), static_cast<std::size_t>(XLENGTH(x))});
      return;
    }
  }
  if (Rf_inherits(x, "factor") && factor(at, x)) return;

  onecopy::array_spec spec{.type = dtype_for(TYPEOF(x))};
  std::vector<SEXP> implied;
  SEXP dim = Rf_getAttrib(x, R_DimSymbol);
  if (TYPEOF(dim) == INTSXP && XLENGTH(dim) >= 2) {
    for (R_xlen_t d = 0; d < XLENGTH(dim); ++d) spec.shape.push_back(static_cast<std::uint64_t>(INTEGER_ELT(dim, d)));
    implied.push_back(R_DimSymbol);
  }
  const bool number = TYPEOF(x) == REALSXP || TYPEOF(x) == INTSXP;
  bool int64 = false;
  if (number && inherits_exactly(x, {"Date"})) {
    spec.semantic = semantic::date;
    spec.unit = time_unit::day;
    implied.push_back(R_ClassSymbol);
  } else if (number && inherits_exactly(x, {"POSIXct", "POSIXt"})) {
    spec.semantic = semantic::timestamp;
    spec.unit = time_unit::second;
    implied.push_back(R_ClassSymbol);
  } else if (number && inherits_exactly(x, {"difftime"}) && unit_of_difftime(x) != time_unit::none) {
    spec.semantic = semantic::timespan;
    spec.unit = unit_of_difftime(x);
    implied.push_back(R_ClassSymbol);
    implied.push_back(Rf_install("units"));
  } else if (TYPEOF(x) == REALSXP && inherits_exactly(x, {"integer64"})) {
    spec.type = dtype::int64;
    int64 = true;
    implied.push_back(R_ClassSymbol);
  }
  if (TYPEOF(x) == INTSXP || int64) {
    spec.least_is_missing = true;
    spec.validity = missing_bitmap(x, int64);
  }
  numbers(at, x, spec);
  attributes(at, x, implied, Rf_isS4(x));
}

bool describer::factor(slot at, SEXP x) {
  SEXP levels = Rf_getAttrib(x, R_LevelsSymbol);
  if (TYPEOF(x) != INTSXP || TYPEOF(levels) != STRSXP || Rf_isS4(x)) return false;
  const auto* codes = static_cast<const int*>(DATAPTR_RO(x));
  const R_xlen_t n = XLENGTH(x);
  const R_xlen_t count = XLENGTH(levels);
  // A damaged factor travels as the plain vector that it is.
  for (R_xlen_t i = 0; i < n; ++i)
    if (codes[i] != NA_INTEGER && (codes[i] < 1 || codes[i] > count)) return false;
  const bool ordered = Rf_inherits(x, "ordered");
  onecopy::array_spec spec{.type = dtype::int32, .count = static_cast<std::uint64_t>(n)};
  std::vector<SEXP> implied{R_LevelsSymbol};
  SEXP dim = Rf_getAttrib(x, R_DimSymbol);
  if (TYPEOF(dim) == INTSXP && XLENGTH(dim) >= 2) {
    for (R_xlen_t d = 0; d < XLENGTH(dim); ++d) spec.shape.push_back(static_cast<std::uint64_t>(INTEGER_ELT(dim, d)));
    implied.push_back(R_DimSymbol);
  }
  const slot levels_slot = out_.categorical(at, spec, codes, 1, ordered);
  strings(levels_slot, levels);
  if (ordered ? inherits_exactly(x, {"ordered", "factor"}) : inherits_exactly(x, {"factor"}))
    implied.push_back(R_ClassSymbol);
  attributes(at, x, implied);
  return true;
}

void describer::strings(slot at, SEXP x) {
  const SEXP* items = nullptr;
  r_call([&] {
    items = STRING_PTR_RO(x);
    return R_NilValue;
  });
  auto source = std::make_shared<charsxp_source>(items, static_cast<std::uint64_t>(XLENGTH(x)));
  out_.keep(source);
  out_.strings(at, *source);
  attributes(at, x, {}, Rf_isS4(x));
}

}  // namespace ocr
