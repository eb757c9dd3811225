// What an attached object becomes when its memory is no longer there: a vector of the right type and length that gives
// a clear error at its first use. Receiving it must not fail, or the connection that carried it would break.
//
// data1: the travel state as it arrived (so it can be sent on). data2: the reason, and the kind of error that it is.
#include "altrep_classes.h"
#include "view.h"

namespace ocr {

namespace {

number_classes classes;
R_altrep_class_t string_class;
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
SEXP subset(SEXP x, SEXP, SEXP) { refuse(x); }
SEXP serialized_state(SEXP x) { return R_altrep_data1(x); }
SEXP duplicate(SEXP x, Rboolean) {
#if R_VERSION >= R_Version(4, 3, 0)
  if (TYPEOF(x) == VECSXP) return R_new_altrep(list_class, R_altrep_data1(x), R_altrep_data2(x));
#endif
  R_altrep_class_t c = TYPEOF(x) == STRSXP ? string_class : classes.of(TYPEOF(x));
  return R_new_altrep(c, R_altrep_data1(x), R_altrep_data2(x));
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

struct methods {
  template <class T> static T element(SEXP x, R_xlen_t) { refuse(x); }
  template <class T> static R_xlen_t get_region(SEXP x, R_xlen_t, R_xlen_t, T*) { refuse(x); }
  template <class T, SEXPTYPE type> static void common(R_altrep_class_t c) { ocr::common(c); }
};

}  // namespace

bool is_gone(SEXP x) {
#if R_VERSION >= R_Version(4, 3, 0)
  if (ALTREP(x) && R_altrep_inherits(x, list_class)) return true;
#endif
  return classes.have(x) || (ALTREP(x) && R_altrep_inherits(x, string_class));
}

SEXP build_gone(SEXP state, const char* reason, const char* kind) {
  SEXP why = PROTECT(Rf_allocVector(STRSXP, 2));
  SET_STRING_ELT(why, 0, Rf_mkCharCE(reason, CE_UTF8));
  SET_STRING_ELT(why, 1, Rf_mkChar(kind));
  const int type = read_promise(state).type;
  R_altrep_class_t c = type == STRSXP ? string_class : type == NILSXP ? classes.real : classes.of(type);
  if (type == VECSXP) {
#if R_VERSION >= R_Version(4, 3, 0)
    c = list_class;
#else
    // A list from a later R: an ordinary one whose elements refuse.
    SEXP element = PROTECT(R_new_altrep(classes.real, state, why));
    SEXP list = PROTECT(Rf_allocVector(VECSXP, read_promise(state).length));
    for (R_xlen_t i = 0; i < XLENGTH(list); ++i) SET_VECTOR_ELT(list, i, element);
    UNPROTECT(3);
    return list;
#endif
  }
  SEXP gone = R_new_altrep(c, state, why);
  MARK_NOT_MUTABLE(gone);
  UNPROTECT(1);
  return gone;
}

void register_gone_classes(DllInfo* dll) {
  classes = make_number_classes<methods>("gone_", dll);
  string_class = common(R_make_altstring_class("gone_chr", "onecopy", dll));
  R_set_altstring_Elt_method(string_class, methods::element<SEXP>);
#if R_VERSION >= R_Version(4, 3, 0)
  list_class = common(R_make_altlist_class("gone_list", "onecopy", dll));
  R_set_altlist_Elt_method(list_class, methods::element<SEXP>);
#endif
}

}  // namespace ocr
