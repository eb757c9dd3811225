// x[i] for views: R hands the index over as it is, with NA and out-of-range positions in it.
#pragma once

#include <cmath>

#include "glue.h"

namespace ocr {

template <class T> T missing_element();
template <> inline int missing_element<int>() { return NA_INTEGER; }
template <> inline double missing_element<double>() { return NA_REAL; }
template <> inline Rbyte missing_element<Rbyte>() { return 0; }
template <> inline Rcomplex missing_element<Rcomplex>() {
  Rcomplex both;
  both.r = NA_REAL;
  both.i = NA_REAL;
  return both;
}

template <class T> T* elements_of(SEXP x) {
  switch (TYPEOF(x)) {
    case LGLSXP: return reinterpret_cast<T*>(LOGICAL(x));
    case INTSXP: return reinterpret_cast<T*>(INTEGER(x));
    case REALSXP: return reinterpret_cast<T*>(REAL(x));
    case CPLXSXP: return reinterpret_cast<T*>(COMPLEX(x));
    default: return reinterpret_cast<T*>(RAW(x));
  }
}

inline void* untyped(SEXP x) { return elements_of<std::byte>(x); }

// Calls `take(k, i)` for each position k of the result with the 0-based element i, or -1 where it is missing.
template <class Take>
bool for_each_index(SEXP index, R_xlen_t length, Take take) {
  const R_xlen_t n = XLENGTH(index);
  constexpr R_xlen_t block = 512;
  if (TYPEOF(index) == INTSXP) {
    int buffer[block];
    for (R_xlen_t k = 0; k < n; k += block) {
      const R_xlen_t got = INTEGER_GET_REGION(index, k, block, buffer);
      for (R_xlen_t j = 0; j < got; ++j)
        take(k + j, buffer[j] >= 1 && buffer[j] <= length ? static_cast<R_xlen_t>(buffer[j]) - 1 : -1);
    }
    return true;
  }
  if (TYPEOF(index) == REALSXP) {
    double buffer[block];
    for (R_xlen_t k = 0; k < n; k += block) {
      const R_xlen_t got = REAL_GET_REGION(index, k, block, buffer);
      for (R_xlen_t j = 0; j < got; ++j)
        take(k + j, buffer[j] >= 1 && buffer[j] < static_cast<double>(length) + 1
                        ? static_cast<R_xlen_t>(buffer[j]) - 1 : -1);
    }
    return true;
  }
  return false;
}

// R phase. The elements at `index`, or NULL to let R do it.
template <class T, class At>
SEXP pick(SEXP index, R_xlen_t length, SEXPTYPE type, At at) {
  if (TYPEOF(index) != INTSXP && TYPEOF(index) != REALSXP) return R_NilValue;
  SEXP result = PROTECT(Rf_allocVector(type, XLENGTH(index)));
  T* out = elements_of<T>(result);
  for_each_index(index, length,
                 [=](R_xlen_t k, R_xlen_t i) { out[k] = i < 0 ? missing_element<T>() : at(i); });
  UNPROTECT(1);
  return result;
}

// R phase. The same for vectors whose elements are objects: `set` is SET_STRING_ELT or SET_VECTOR_ELT, `missing` what
// stands for an element that there is not. Null to let R do it.
template <class At, class Set>
SEXP pick_objects(SEXP index, R_xlen_t length, SEXPTYPE type, SEXP missing, At at, Set set) {
  if (TYPEOF(index) != INTSXP && TYPEOF(index) != REALSXP) return nullptr;
  SEXP result = PROTECT(Rf_allocVector(type, XLENGTH(index)));
  for_each_index(index, length, [=](R_xlen_t k, R_xlen_t i) { set(result, k, i < 0 ? missing : at(i)); });
  UNPROTECT(1);
  return result;
}

// The picked elements as a shared object of the same kind of sharing. Throws, or returns `picked` if it is short.
SEXP share_subset(SEXP picked, std::uint8_t flags);

}  // namespace ocr
