#include "glue.h"

#include <cmath>
#include <cstdio>

namespace ocr {

SEXP unwind_token() {
  static SEXP token = [] {
    SEXP made = R_MakeUnwindCont();
    R_PreserveObject(made);
    return made;
  }();
  return token;
}

void failure::take(const char* a_kind, const char* a_what, const char* a_remedy) noexcept {
  std::snprintf(kind, sizeof kind, "%s", a_kind);
  std::snprintf(what, sizeof what, "%s", a_what);
  std::snprintf(remedy, sizeof remedy, "%s", a_remedy);
}

void raise(const failure& f) {
  if (f.token) R_ContinueUnwind(f.token);
  const char* fields[] = {"message", "call", "kind", "remedy", ""};
  SEXP condition = PROTECT(Rf_mkNamed(VECSXP, fields));
  SET_VECTOR_ELT(condition, 0, Rf_ScalarString(Rf_mkCharCE(f.what, CE_UTF8)));
  SET_VECTOR_ELT(condition, 2, Rf_mkString(f.kind));
  SET_VECTOR_ELT(condition, 3, Rf_ScalarString(Rf_mkCharCE(f.remedy, CE_UTF8)));
  SEXP classes = PROTECT(Rf_allocVector(STRSXP, 4));
  char name[48];
  std::snprintf(name, sizeof name, "onecopy_%s", f.kind);
  SET_STRING_ELT(classes, 0, Rf_mkChar(name));
  SET_STRING_ELT(classes, 1, Rf_mkChar("onecopy_error"));
  SET_STRING_ELT(classes, 2, Rf_mkChar("error"));
  SET_STRING_ELT(classes, 3, Rf_mkChar("condition"));
  Rf_setAttrib(condition, R_ClassSymbol, classes);
  SEXP call = PROTECT(Rf_lang2(Rf_install("stop"), condition));
  Rf_eval(call, R_BaseEnv);
  UNPROTECT(3);
  Rf_error("%s", f.what);  // stop() doesn't return
}

void raise(const char* kind, const char* what) {
  failure f;
  f.take(kind, what, "");
  raise(f);
}

void bad_argument(const std::string& name, const std::string& happened, const std::string& remedy) {
  throw onecopy::error(onecopy::error_kind::invalid_argument, "use the argument `" + name + "`", happened, remedy);
}

std::vector<attribute> attributes_of(SEXP x) {
  std::size_t count = 0;
  each_attribute(x, [&](SEXP, SEXP) { ++count; });
  std::vector<attribute> all;
  all.reserve(count);
  each_attribute(x, [&](SEXP name, SEXP value) { all.push_back({name, value}); });
  return all;
}

std::string text_argument(SEXP x, const char* name) {
  if (TYPEOF(x) != STRSXP || XLENGTH(x) != 1 || STRING_ELT(x, 0) == NA_STRING)
    bad_argument(name, "it is not one string", "give a character vector of length one, not NA");
  SEXP item = STRING_ELT(x, 0);
  const char* text = nullptr;
  r_call([&] {
    text = Rf_translateCharUTF8(item);
    return R_NilValue;
  });
  return text;
}

bool flag_argument(SEXP x, const char* name) {
  if (TYPEOF(x) != LGLSXP || XLENGTH(x) != 1 || LOGICAL_RO(x)[0] == NA_LOGICAL)
    bad_argument(name, "it is not TRUE or FALSE", "give one of them");
  return LOGICAL_RO(x)[0] != 0;
}

double number_argument(SEXP x, const char* name) {
  double number = NA_REAL;
  // The type first: XLENGTH() of what is no vector is an error of R's own.
  if (TYPEOF(x) == REALSXP && XLENGTH(x) == 1) number = REAL_RO(x)[0];
  if (TYPEOF(x) == INTSXP && XLENGTH(x) == 1 && INTEGER_RO(x)[0] != NA_INTEGER) number = INTEGER_RO(x)[0];
  if (std::isnan(number)) bad_argument(name, "it is not one number", "give a single number that is not NA");
  return number;
}

}  // namespace ocr
