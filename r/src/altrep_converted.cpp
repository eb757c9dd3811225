// Views of numbers that R has no type for (int64 timestamps, float32, bytes as truth values, row-major arrays): each
// element is converted when it is read. Only code that asks for a pointer makes the converted vector, once.
//
// data1: view_state, then conversion. data2: pair of the region's pointer and the converted vector (or NULL).
#include <cstring>
#include <vector>

#include "altrep_classes.h"
#include "convert.h"
#include "subset.h"
#include "view.h"

namespace ocr {

namespace {

number_classes classes;

struct converted_state {
  view_state view;
  conversion how;
};

const conversion& how_of(SEXP x) { return reinterpret_cast<converted_state*>(RAW(R_altrep_data1(x)))->how; }
SEXP cache_of(SEXP x) { return CDR(R_altrep_data2(x)); }

const void* cached_data(SEXP x) {
  SEXP cache = cache_of(x);
  return cache == R_NilValue ? nullptr : DATAPTR_RO(cache);
}

void* data_pointer(SEXP x, Rboolean) {
  if (cache_of(x) == R_NilValue) {
    // Views of arrays in another order or width cost their size once somebody needs a pointer.
    entry([&] {
      report_copy(x, "its elements have to be converted for code that wants R's own type or order");
      return R_NilValue;
    });
    SEXP whole = Rf_allocVector(TYPEOF(x), state_of(x)->length);
    convert(how_of(x), TYPEOF(x), 0, XLENGTH(whole), untyped(whole));
    SETCDR(R_altrep_data2(x), whole);
  }
  return untyped(cache_of(x));
}

SEXP duplicate(SEXP x, Rboolean) {
  const view_state* s = state_of(x);
  SEXP whole = PROTECT(Rf_allocVector(TYPEOF(x), s->length));
  void* out = untyped(whole);
  if (cache_of(x) != R_NilValue)
    std::memcpy(out, untyped(cache_of(x)), element_size(TYPEOF(x)) * static_cast<std::size_t>(s->length));
  else
    convert(how_of(x), TYPEOF(x), 0, s->length, out);
  UNPROTECT(1);
  return whole;
}

// Narrow integers without a bitmap have no room for a missing value.
int no_missing(SEXP x) {
  const conversion& how = how_of(x);
  return !how.validity && cache_of(x) == R_NilValue &&
         (how.from == onecopy::dtype::bool8 || how.from == onecopy::dtype::uint8 ||
          how.from == onecopy::dtype::int8 || how.from == onecopy::dtype::int16 ||
          how.from == onecopy::dtype::uint16);
}

struct methods {
  template <class T>
  static T element(SEXP x, R_xlen_t i) {
    SEXP cache = cache_of(x);
    if (cache != R_NilValue) return elements_of<T>(cache)[i];
    T item;
    convert(how_of(x), TYPEOF(x), i, 1, &item);
    return item;
  }

  template <class T>
  static R_xlen_t get_region(SEXP x, R_xlen_t start, R_xlen_t n, T* out) {
    const R_xlen_t count = std::min(n, state_of(x)->length - start);
    if (count <= 0) return 0;
    if (SEXP cache = cache_of(x); cache != R_NilValue)
      std::memcpy(out, elements_of<T>(cache) + start, static_cast<std::size_t>(count) * sizeof(T));
    else
      convert(how_of(x), TYPEOF(x), start, count, out);
    return count;
  }

  template <class T, SEXPTYPE type>
  static SEXP extract_subset(SEXP x, SEXP index, SEXP) {
    return entry([&]() -> SEXP {
      SEXP picked = r_call([=] {
        return pick<T>(index, state_of(x)->length, type, [=](R_xlen_t i) { return element<T>(x, i); });
      });
      return Rf_isNull(picked) ? nullptr : picked;
    });
  }

  template <class T, SEXPTYPE type>
  static void common(R_altrep_class_t c) {
    set_common_view_methods(c);
    R_set_altrep_Duplicate_method(c, duplicate);
    R_set_altvec_Dataptr_method(c, data_pointer);
    R_set_altvec_Dataptr_or_null_method(c, cached_data);
    R_set_altvec_Extract_subset_method(c, extract_subset<T, type>);
  }
};

}  // namespace

bool is_converted_view(SEXP x) { return classes.have(x); }

bool converted_diverged(SEXP x) {
  if (cache_of(x) == R_NilValue) return false;
  // Somebody has a pointer, and may have written through it, whatever he asked for (see find_data in
  // altrep_numeric.cpp). Compared block by block with what the region still holds.
  const view_state* s = state_of(x);
  const std::size_t width = element_size(TYPEOF(x));
  constexpr R_xlen_t block = 4096;
  std::vector<std::byte> fresh(width * block);
  const auto* shown = static_cast<const std::byte*>(untyped(cache_of(x)));
  for (R_xlen_t i = 0; i < s->length; i += block) {
    const R_xlen_t n = std::min(block, s->length - i);
    convert(how_of(x), TYPEOF(x), i, n, fresh.data());
    if (std::memcmp(fresh.data(), shown + static_cast<std::size_t>(i) * width, width * static_cast<std::size_t>(n)))
      return true;
  }
  return false;
}

SEXP build_converted_view(const view_state& state, const conversion& how, SEXP pointer) {
  SEXP raw = PROTECT(Rf_allocVector(RAWSXP, sizeof(converted_state)));
  auto* s = reinterpret_cast<converted_state*>(RAW(raw));
  std::memcpy(&s->view, &state, sizeof state);
  std::memcpy(&s->how, &how, sizeof how);
  SEXP held = PROTECT(Rf_cons(pointer, R_NilValue));
  SEXP view = R_new_altrep(classes.of(state.type), raw, held);
  UNPROTECT(2);
  return view;
}

void register_converted_classes(DllInfo* dll) {
  classes = make_number_classes<methods>("c", dll);
  R_set_altlogical_No_NA_method(classes.logical, no_missing);
  R_set_altinteger_No_NA_method(classes.integer, no_missing);
}

}  // namespace ocr
