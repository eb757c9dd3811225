// Questions and answers about whole objects: does it hold anything shared, is all of it shared, make it ordinary.
// All of it is R phase: nothing here has a destructor.
#include "api.h"
#include "plan.h"
#include "subset.h"
#include "view.h"

using namespace ocr;

namespace {

enum answer { no = 0, yes = 1, ask = 2 };  // ask: R code must look into an environment

answer holds(SEXP x) {
  R_CheckStack();
  if (is_shared_view(x)) return yes;
  if (TYPEOF(x) == ENVSXP) return ask;
  answer so_far = no;
  auto consider = [&](SEXP item) {
    const answer a = holds(item);
    if (a == yes || (a == ask && so_far == no)) so_far = a;
    return so_far == yes;
  };
  if (TYPEOF(x) == VECSXP) {
    for (R_xlen_t i = 0; i < XLENGTH(x); ++i)
      if (consider(VECTOR_ELT(x, i))) return yes;
  } else if (TYPEOF(x) == LISTSXP) {
    for (SEXP cell = x; cell != R_NilValue; cell = CDR(cell))
      if (consider(CAR(cell))) return yes;
  }
  if (Rf_isS4(x) && TYPEOF(x) != CLOSXP)
    any_attribute(x, [&](SEXP name, SEXP value) { return name != R_ClassSymbol && consider(value); });
  return so_far;
}

bool fully(SEXP x, R_xlen_t min_length) {
  R_CheckStack();
  switch (TYPEOF(x)) {
    case LGLSXP: case INTSXP: case REALSXP: case CPLXSXP: case RAWSXP: case STRSXP:
      if (XLENGTH(x) >= min_length && !is_shared_view(x)) return false;
      break;
    case VECSXP:
      if (is_shared_view(x)) return true;
      if (is_long_list(x)) return false;
      for (R_xlen_t i = 0; i < XLENGTH(x); ++i)
        if (!fully(VECTOR_ELT(x, i), min_length)) return false;
      break;
    case LISTSXP:
      for (SEXP cell = x; cell != R_NilValue; cell = CDR(cell))
        if (!fully(CAR(cell), min_length)) return false;
      break;
    case ENVSXP: return false;
    default: break;
  }
  return !Rf_isS4(x) || TYPEOF(x) == CLOSXP || !any_attribute(x, [=](SEXP name, SEXP value) {
    return name != R_ClassSymbol && !fully(value, min_length);
  });
}

// What makes an environment's content ordinary is R code: bindings may be locked or active.
struct ordinary_maker {
  SEXP environment_function;
};

SEXP ordinary(SEXP x, const ordinary_maker& how);

SEXP ordinary_vector(SEXP x) {
  const R_xlen_t n = XLENGTH(x);
  SEXP plain = PROTECT(Rf_allocVector(TYPEOF(x), n));
  switch (TYPEOF(x)) {
    case STRSXP:
      for (R_xlen_t i = 0; i < n; ++i) SET_STRING_ELT(plain, i, STRING_ELT(x, i));
      break;
    case LGLSXP: LOGICAL_GET_REGION(x, 0, n, LOGICAL(plain)); break;
    case INTSXP: INTEGER_GET_REGION(x, 0, n, INTEGER(plain)); break;
    case REALSXP: REAL_GET_REGION(x, 0, n, REAL(plain)); break;
    case CPLXSXP: COMPLEX_GET_REGION(x, 0, n, COMPLEX(plain)); break;
    default: RAW_GET_REGION(x, 0, n, RAW(plain)); break;
  }
  SHALLOW_DUPLICATE_ATTRIB(plain, x);
  UNPROTECT(1);
  return plain;
}

bool atomic(SEXP x) {
  switch (TYPEOF(x)) {
    case LGLSXP: case INTSXP: case REALSXP: case CPLXSXP: case RAWSXP: case STRSXP: return true;
    default: return false;
  }
}

// x itself when nothing in it is shared. `copy` is protected by the caller's index.
SEXP ordinary(SEXP x, const ordinary_maker& how) {
  R_CheckStack();
  if (TYPEOF(x) == ENVSXP) {
    SEXP call = PROTECT(Rf_lang2(how.environment_function, x));
    Rf_eval(call, R_GlobalEnv);
    UNPROTECT(1);
    return x;
  }
  const bool container = TYPEOF(x) == VECSXP || TYPEOF(x) == LISTSXP || TYPEOF(x) == S4SXP;
  if (!container && !atomic(x)) return x;
  PROTECT_INDEX at;
  SEXP copy = x;
  R_ProtectWithIndex(copy, &at);
  if (atomic(x) && (find_view(x) || is_gone(x))) R_Reprotect(copy = ordinary_vector(x), at);
  auto own = [&] {
    if (copy == x) R_Reprotect(copy = Rf_shallow_duplicate(x), at);
  };
  if (TYPEOF(x) == VECSXP && (find_view(x) || is_gone(x))) own();
  if (TYPEOF(x) == VECSXP) {
    for (R_xlen_t i = 0; i < XLENGTH(x); ++i) {
      SEXP item = PROTECT(ordinary(VECTOR_ELT(x, i), how));
      if (item != VECTOR_ELT(x, i)) {
        own();
        SET_VECTOR_ELT(copy, i, item);
      }
      UNPROTECT(1);
    }
  } else if (TYPEOF(x) == LISTSXP) {
    R_xlen_t i = 0;
    for (SEXP cell = x; cell != R_NilValue; cell = CDR(cell), ++i) {
      SEXP item = PROTECT(ordinary(CAR(cell), how));
      if (item != CAR(cell)) {
        own();
        SEXP to = copy;
        for (R_xlen_t skip = i; skip > 0; --skip) to = CDR(to);
        SETCAR(to, item);
      }
      UNPROTECT(1);
    }
  }
  each_attribute(x, [&](SEXP name, SEXP value) {
    SEXP item = PROTECT(ordinary(value, how));
    if (item != value) {
      own();
      Rf_setAttrib(copy, name, item);
    }
    UNPROTECT(1);
  });
  UNPROTECT(1);
  return copy;
}

}  // namespace

SEXP oc_holds_shared(SEXP x) {
  const answer a = holds(x);
  return Rf_ScalarLogical(a == ask ? NA_LOGICAL : a);
}

SEXP oc_fully_shared(SEXP x, SEXP min_length) {
  return entry([&] {
    const double n = number_argument(min_length, "minLength");
    return r_call([=] { return Rf_ScalarLogical(fully(x, static_cast<R_xlen_t>(n))); });
  });
}

SEXP oc_ordinary(SEXP x, SEXP environment_function) {
  const ordinary_maker how{environment_function};
  return ordinary(x, how);
}

SEXP oc_set_binding(SEXP environment, SEXP name, SEXP item) {
  set_binding(environment, Rf_installTrChar(STRING_ELT(name, 0)), item);
  return R_NilValue;
}
