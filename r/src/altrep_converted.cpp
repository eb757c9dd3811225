// Views of numbers that R has no type for (int64 timestamps, float32, bytes as truth values, row-major arrays): each
// element is converted when it is read. Only code that asks for a pointer makes the converted vector, once.
//
// data1: view_state, then conversion. data2: pair of the region's pointer and the converted vector (or NULL).
#include <cstring>
#include <vector>

#include "convert.h"
#include "subset.h"
#include "view.h"

namespace ocr {

namespace {

R_altrep_class_t logical_class, integer_class, real_class, complex_class, raw_class;

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

void* data_pointer(SEXP x, Rboolean writable) {
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
  if (writable) state_of(x)->flags |= exclusive;  // may have been written to: see converted_diverged
  return untyped(cache_of(x));
}

template <class T>
T element(SEXP x, R_xlen_t i) {
  SEXP cache = cache_of(x);
  if (cache != R_NilValue) return elements_of<T>(cache)[i];
  T item;
  convert(how_of(x), TYPEOF(x), i, 1, &item);
  return item;
}

template <class T>
R_xlen_t get_region(SEXP x, R_xlen_t start, R_xlen_t n, T* out) {
  const R_xlen_t count = std::min(n, state_of(x)->length - start);
  if (count <= 0) return 0;
  if (SEXP cache = cache_of(x); cache != R_NilValue)
    std::memcpy(out, elements_of<T>(cache) + start, static_cast<std::size_t>(count) * sizeof(T));
  else
    convert(how_of(x), TYPEOF(x), start, count, out);
  return count;
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

template <class T, SEXPTYPE type>
SEXP extract_subset(SEXP x, SEXP index, SEXP) {
  return entry([&]() -> SEXP {
    SEXP picked = r_call([=] {
      return pick<T>(index, state_of(x)->length, type, [=](R_xlen_t i) { return element<T>(x, i); });
    });
    return Rf_isNull(picked) ? nullptr : picked;
  });
}

// Narrow integers without a bitmap have no room for a missing value.
int no_missing(SEXP x) {
  const conversion& how = how_of(x);
  return !how.validity && cache_of(x) == R_NilValue &&
         (how.from == onecopy::dtype::bool8 || how.from == onecopy::dtype::uint8 ||
          how.from == onecopy::dtype::int8 || how.from == onecopy::dtype::int16 ||
          how.from == onecopy::dtype::uint16);
}

template <class T, SEXPTYPE type>
void common(R_altrep_class_t c) {
  R_set_altrep_Length_method(c, length_of_view);
  R_set_altrep_Inspect_method(c, inspect_view);
  R_set_altrep_Duplicate_method(c, duplicate);
  R_set_altrep_Serialized_state_method(c, serialized_state_of_view);
  R_set_altrep_Unserialize_method(c, travel_unserialize);
  R_set_altvec_Dataptr_method(c, data_pointer);
  R_set_altvec_Dataptr_or_null_method(c, cached_data);
  R_set_altvec_Extract_subset_method(c, extract_subset<T, type>);
}

}  // namespace

bool is_converted_view(SEXP x) {
  return R_altrep_inherits(x, real_class) || R_altrep_inherits(x, integer_class) ||
         R_altrep_inherits(x, logical_class) || R_altrep_inherits(x, complex_class) || R_altrep_inherits(x, raw_class);
}

bool converted_diverged(SEXP x) {
  const view_state* s = state_of(x);
  if (!(s->flags & exclusive)) return false;
  // Compared block by block with what the region still holds.
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
  R_altrep_class_t c = state.type == LGLSXP ? logical_class : state.type == INTSXP ? integer_class
                     : state.type == REALSXP ? real_class : state.type == CPLXSXP ? complex_class : raw_class;
  SEXP view = R_new_altrep(c, raw, held);
  UNPROTECT(2);
  return view;
}

void register_converted_classes(DllInfo* dll) {
  logical_class = R_make_altlogical_class("clgl", "onecopy", dll);
  common<int, LGLSXP>(logical_class);
  R_set_altlogical_Elt_method(logical_class, element<int>);
  R_set_altlogical_Get_region_method(logical_class, get_region<int>);
  R_set_altlogical_No_NA_method(logical_class, no_missing);
  integer_class = R_make_altinteger_class("cint", "onecopy", dll);
  common<int, INTSXP>(integer_class);
  R_set_altinteger_Elt_method(integer_class, element<int>);
  R_set_altinteger_Get_region_method(integer_class, get_region<int>);
  R_set_altinteger_No_NA_method(integer_class, no_missing);
  real_class = R_make_altreal_class("cdbl", "onecopy", dll);
  common<double, REALSXP>(real_class);
  R_set_altreal_Elt_method(real_class, element<double>);
  R_set_altreal_Get_region_method(real_class, get_region<double>);
  complex_class = R_make_altcomplex_class("ccplx", "onecopy", dll);
  common<Rcomplex, CPLXSXP>(complex_class);
  R_set_altcomplex_Elt_method(complex_class, element<Rcomplex>);
  R_set_altcomplex_Get_region_method(complex_class, get_region<Rcomplex>);
  raw_class = R_make_altraw_class("craw", "onecopy", dll);
  common<Rbyte, RAWSXP>(raw_class);
  R_set_altraw_Elt_method(raw_class, element<Rbyte>);
  R_set_altraw_Get_region_method(raw_class, get_region<Rbyte>);
}

}  // namespace ocr
