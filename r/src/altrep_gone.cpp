// What an attached object becomes when its memory is no longer there: a vector of the right type and length that gives
// a clear error at its first use. Receiving it must not fail, or the connection that carried it would break.
//
// data1: the travel state as it arrived (so it can be sent on). data2: the reason, and the kind of error that it is.
#include "view.h"

namespace ocr {

namespace {

R_altrep_class_t logical_class, integer_class, real_class, complex_class, raw_class, string_class;
#if R_VERSION >= R_Version(4, 3, 0)
R_altrep_class_t list_class;
#endif

[[noreturn]] void refuse(SEXP x) {
  const void* vmax = vmaxget();
  raise(CHAR(STRING_ELT(R_altrep_data2(x), 1)), Rf_translateCharUTF8(STRING_ELT(R_altrep_data2(x), 0)));
  vmaxset(vmax);
}

R_xlen_t length(SEXP x) { return read_promise(R_altrep_data1(x)).length; }
void* data_pointer(SEXP x, Rboolean) { refuse(x); }
// NULL, not an error: R asks for it also where it only wants to know.
const void* no_pointer(SEXP) { return nullptr; }
template <class T> T element(SEXP x, R_xlen_t) { refuse(x); }
template <class T> R_xlen_t get_region(SEXP x, R_xlen_t, R_xlen_t, T*) { refuse(x); }
SEXP subset(SEXP x, SEXP, SEXP) { refuse(x); }
SEXP serialized_state(SEXP x) { return R_altrep_data1(x); }
SEXP duplicate(SEXP x, Rboolean) {
#if R_VERSION >= R_Version(4, 3, 0)
  if (TYPEOF(x) == VECSXP) return R_new_altrep(list_class, R_altrep_data1(x), R_altrep_data2(x));
#endif
  SEXP again = R_new_altrep(TYPEOF(x) == STRSXP ? string_class : TYPEOF(x) == LGLSXP ? logical_class
                            : TYPEOF(x) == INTSXP ? integer_class : TYPEOF(x) == CPLXSXP ? complex_class
                            : TYPEOF(x) == RAWSXP ? raw_class : real_class,
                            R_altrep_data1(x), R_altrep_data2(x));
  return again;
}
Rboolean inspect(SEXP x, int, int, int, void (*)(SEXP, int, int, int)) {
  Rprintf(" onecopy object that is gone: %s\n", CHAR(STRING_ELT(R_altrep_data2(x), 0)));
  return TRUE;
}

R_altrep_class_t common(R_altrep_class_t c) {
  R_set_altrep_Length_method(c, length);
  R_set_altrep_Inspect_method(c, inspect);
  R_set_altrep_Duplicate_method(c, duplicate);
  R_set_altrep_Serialized_state_method(c, serialized_state);
  R_set_altrep_Unserialize_method(c, travel_unserialize);
  R_set_altvec_Dataptr_method(c, data_pointer);
  R_set_altvec_Dataptr_or_null_method(c, no_pointer);
  R_set_altvec_Extract_subset_method(c, subset);
  return c;
}

}  // namespace

bool is_gone(SEXP x) {
#if R_VERSION >= R_Version(4, 3, 0)
  if (ALTREP(x) && R_altrep_inherits(x, list_class)) return true;
#endif
  return ALTREP(x) && (R_altrep_inherits(x, real_class) || R_altrep_inherits(x, integer_class) ||
                       R_altrep_inherits(x, string_class) || R_altrep_inherits(x, logical_class) ||
                       R_altrep_inherits(x, raw_class) || R_altrep_inherits(x, complex_class));
}

SEXP build_gone(SEXP state, const char* reason, const char* kind) {
  SEXP why = PROTECT(Rf_allocVector(STRSXP, 2));
  SET_STRING_ELT(why, 0, Rf_mkCharCE(reason, CE_UTF8));
  SET_STRING_ELT(why, 1, Rf_mkChar(kind));
  R_altrep_class_t c = real_class;
  if (read_promise(state).type == VECSXP) {
#if R_VERSION >= R_Version(4, 3, 0)
    c = list_class;
#else
    // A list from a later R: an ordinary one whose elements refuse.
    SEXP element = PROTECT(R_new_altrep(real_class, state, why));
    SEXP list = PROTECT(Rf_allocVector(VECSXP, read_promise(state).length));
    for (R_xlen_t i = 0; i < XLENGTH(list); ++i) SET_VECTOR_ELT(list, i, element);
    UNPROTECT(3);
    return list;
#endif
  }
  switch (read_promise(state).type) {
    case LGLSXP: c = logical_class; break;
    case INTSXP: c = integer_class; break;
    case CPLXSXP: c = complex_class; break;
    case RAWSXP: c = raw_class; break;
    case STRSXP: c = string_class; break;
    default: break;
  }
  SEXP gone = R_new_altrep(c, state, why);
  MARK_NOT_MUTABLE(gone);
  UNPROTECT(1);
  return gone;
}

void register_gone_classes(DllInfo* dll) {
  logical_class = common(R_make_altlogical_class("gone_lgl", "onecopy", dll));
  R_set_altlogical_Elt_method(logical_class, element<int>);
  R_set_altlogical_Get_region_method(logical_class, get_region<int>);
  integer_class = common(R_make_altinteger_class("gone_int", "onecopy", dll));
  R_set_altinteger_Elt_method(integer_class, element<int>);
  R_set_altinteger_Get_region_method(integer_class, get_region<int>);
  real_class = common(R_make_altreal_class("gone_dbl", "onecopy", dll));
  R_set_altreal_Elt_method(real_class, element<double>);
  R_set_altreal_Get_region_method(real_class, get_region<double>);
  complex_class = common(R_make_altcomplex_class("gone_cplx", "onecopy", dll));
  R_set_altcomplex_Elt_method(complex_class, element<Rcomplex>);
  R_set_altcomplex_Get_region_method(complex_class, get_region<Rcomplex>);
  raw_class = common(R_make_altraw_class("gone_raw", "onecopy", dll));
  R_set_altraw_Elt_method(raw_class, element<Rbyte>);
  R_set_altraw_Get_region_method(raw_class, get_region<Rbyte>);
  string_class = common(R_make_altstring_class("gone_chr", "onecopy", dll));
  R_set_altstring_Elt_method(string_class, element<SEXP>);
#if R_VERSION >= R_Version(4, 3, 0)
  list_class = common(R_make_altlist_class("gone_list", "onecopy", dll));
  R_set_altlist_Elt_method(list_class, element<SEXP>);
#endif
}

}  // namespace ocr
