// The five classes of vectors of numbers that each kind of view needs: one for each of R's types, with the same methods.
#pragma once

#include <string>

#include "glue.h"

namespace ocr {

struct number_classes {
  R_altrep_class_t logical, integer, real, complex, raw;

  R_altrep_class_t of(int type) const noexcept {
    switch (type) {
      case LGLSXP: return logical;
      case INTSXP: return integer;
      case REALSXP: return real;
      case CPLXSXP: return complex;
      default: return raw;
    }
  }
  bool have(SEXP x) const noexcept {
    return ALTREP(x) && (R_altrep_inherits(x, real) || R_altrep_inherits(x, integer) || R_altrep_inherits(x, logical) ||
                         R_altrep_inherits(x, raw) || R_altrep_inherits(x, complex));
  }
};

// Methods: `template <class T> static T element(SEXP, R_xlen_t)`, `template <class T> static R_xlen_t get_region(SEXP,
// R_xlen_t, R_xlen_t, T*)`, `template <class T, SEXPTYPE type> static void common(R_altrep_class_t)` for the methods that
// all types have. The names travel with every serialized view: `prefix` is short, and stays what it is.
template <class Methods>
number_classes make_number_classes(const std::string& prefix, DllInfo* dll) {
  number_classes made;
  auto name = [&](const char* type) { return prefix + type; };
  made.logical = R_make_altlogical_class(name("lgl").c_str(), "onecopy", dll);
  Methods::template common<int, LGLSXP>(made.logical);
  R_set_altlogical_Elt_method(made.logical, Methods::template element<int>);
  R_set_altlogical_Get_region_method(made.logical, Methods::template get_region<int>);
  made.integer = R_make_altinteger_class(name("int").c_str(), "onecopy", dll);
  Methods::template common<int, INTSXP>(made.integer);
  R_set_altinteger_Elt_method(made.integer, Methods::template element<int>);
  R_set_altinteger_Get_region_method(made.integer, Methods::template get_region<int>);
  made.real = R_make_altreal_class(name("dbl").c_str(), "onecopy", dll);
  Methods::template common<double, REALSXP>(made.real);
  R_set_altreal_Elt_method(made.real, Methods::template element<double>);
  R_set_altreal_Get_region_method(made.real, Methods::template get_region<double>);
  made.complex = R_make_altcomplex_class(name("cplx").c_str(), "onecopy", dll);
  Methods::template common<Rcomplex, CPLXSXP>(made.complex);
  R_set_altcomplex_Elt_method(made.complex, Methods::template element<Rcomplex>);
  R_set_altcomplex_Get_region_method(made.complex, Methods::template get_region<Rcomplex>);
  made.raw = R_make_altraw_class(name("raw").c_str(), "onecopy", dll);
  Methods::template common<Rbyte, RAWSXP>(made.raw);
  R_set_altraw_Elt_method(made.raw, Methods::template element<Rbyte>);
  R_set_altraw_Get_region_method(made.raw, Methods::template get_region<Rbyte>);
  return made;
}

}  // namespace ocr
