// C++ objects that R holds by external pointers.
#pragma once

#include <cmath>
#include <memory>
#include <string_view>

#include "glue.h"

namespace ocr {

// A C++ object behind an external pointer. `Held` is destroyed by R's collector or by oc_close().
template <class Held>
void drop(SEXP pointer) {
  delete static_cast<Held*>(R_ExternalPtrAddr(pointer));
  R_ClearExternalPtr(pointer);
}

template <class Held>
SEXP wrap(std::unique_ptr<Held> held, const char* tag) {
  SEXP pointer = r_call([=] {
    SEXP p = PROTECT(R_MakeExternalPtr(nullptr, Rf_install(tag), R_NilValue));
    R_RegisterCFinalizerEx(p, drop<Held>, TRUE);
    UNPROTECT(1);
    return p;
  });
  R_SetExternalPtrAddr(pointer, held.release());
  return pointer;
}

inline bool is_pointer(SEXP x, const char* tag) {
  return TYPEOF(x) == EXTPTRSXP && TYPEOF(R_ExternalPtrTag(x)) == SYMSXP &&
         std::string_view(CHAR(PRINTNAME(R_ExternalPtrTag(x)))) == tag;
}

template <class Held>
Held& held_by(SEXP x, const char* tag, const char* what) {
  if (!is_pointer(x, tag)) bad_argument(what, "it is of another kind", "see ?channels and ?attachRecord");
  if (R_ExternalPtrAddr(x) == nullptr)
    throw onecopy::error(onecopy::error_kind::invalid_argument, std::string("use a ") + what, "it is closed",
                         "open a new one (it does not survive saving, or another process)");
  return *static_cast<Held*>(R_ExternalPtrAddr(x));
}

// NULL, NA and Inf wait for ever.
inline double timeout_argument(SEXP x) {
  if (x == R_NilValue) return -1;
  const bool number = (TYPEOF(x) == REALSXP || TYPEOF(x) == INTSXP) && XLENGTH(x) == 1;
  const double seconds = number ? Rf_asReal(x) : std::nan("");
  if (std::isnan(seconds) || seconds < 0)
    bad_argument("timeout", "it is not a number of seconds", "give 0 or more, or NULL to wait for as long as it takes");
  return std::isinf(seconds) ? -1 : seconds;
}

}  // namespace ocr
