#include "write.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace ocr {

bool inherits_exactly(SEXP x, std::initializer_list<const char*> classes) {
  SEXP given = Rf_getAttrib(x, R_ClassSymbol);
  if (TYPEOF(given) != STRSXP || XLENGTH(given) != static_cast<R_xlen_t>(classes.size())) return false;
  R_xlen_t i = 0;
  for (const char* name : classes)
    if (std::strcmp(CHAR(STRING_ELT(given, i++)), name) != 0) return false;
  return true;
}

bool is_system_environment(SEXP x) {
  return x == R_GlobalEnv || x == R_BaseEnv || x == R_EmptyEnv || R_IsNamespaceEnv(x) || R_IsPackageEnv(x);
}

namespace {

// R phase.
SEXP evaluate(const char* function, SEXP x) {
  SEXP quoted = PROTECT(Rf_lang2(R_QuoteSymbol, x));
  SEXP call = PROTECT(Rf_lang2(Rf_install(function), quoted));
  SEXP result = Rf_eval(call, R_BaseEnv);
  UNPROTECT(2);
  return result;
}

}  // namespace

void describer::describe(slot at, SEXP x) {
  if (is_gone(x))
    throw onecopy::error(onecopy::error_kind::not_found, "share an object", "part of it was shared and is gone",
                         "make it anew and share that");
  if (Rf_isS4(x) && has_own_method(x)) {
    // The class has a share() method of its own: it decides, and its result travels as R serializes it.
    keep own_result(kept_.add(r_call([=] {
      SEXP ns = PROTECT(R_FindNamespace(Rf_mkString("onecopy")));
      SEXP call = PROTECT(Rf_lang2(Rf_install("share"), x));
      SEXP result = Rf_eval(call, ns);
      UNPROTECT(2);
      return result;
    })));
    opaque(at, own_result, nullptr);
    return;
  }
  switch (TYPEOF(x)) {
    case NILSXP: out_.null(at); return;
    case LGLSXP: case INTSXP: case REALSXP: case CPLXSXP: case RAWSXP: case STRSXP: vector(at, x); return;
    case VECSXP: container(at, x); return;
    case LISTSXP: pairlist(at, x); return;
    case ENVSXP: environment(at, x); return;
    case S4SXP: s4(at, x); return;
    default: opaque(at, x, "cannot be shared"); return;
  }
}

void describer::container(slot at, SEXP x) {
  const R_xlen_t n = XLENGTH(x);
  bool table = Rf_inherits(x, "data.frame") && n > 0 && Rf_getAttrib(x, R_DimSymbol) == R_NilValue;
  R_xlen_t rows = 0;
  // A table has columns of one length; a data frame may also hold matrices and data frames, and is then a list.
  for (R_xlen_t i = 0; table && i < n; ++i) {
    SEXP column = VECTOR_ELT(x, i);
    const bool plain = (Rf_isVectorAtomic(column) || (TYPEOF(column) == VECSXP && !Rf_inherits(column, "data.frame"))) &&
                       Rf_getAttrib(column, R_DimSymbol) == R_NilValue && !Rf_isS4(column);
    if (i == 0) rows = XLENGTH(column);
    table = plain && XLENGTH(column) == rows;
  }
  if (!table && is_long_list(x)) ++views_;
  const slot first = table ? out_.table(at, static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(rows))
                           : out_.list(at, static_cast<std::uint64_t>(n));
  for (R_xlen_t i = 0; i < n; ++i) describe(first + static_cast<slot>(i), VECTOR_ELT(x, i));
  std::vector<SEXP> implied;
  if (table && inherits_exactly(x, {"data.frame"})) implied.push_back(R_ClassSymbol);
  if (table) {
    // Row names that only count are implied by the number of rows.
    for (const auto& [name, value] : attributes_of(x))
      if (name == R_RowNamesSymbol && TYPEOF(value) == INTSXP && XLENGTH(value) == 2 &&
          INTEGER_ELT(value, 0) == NA_INTEGER && std::abs(INTEGER_ELT(value, 1)) == rows)
        implied.push_back(R_RowNamesSymbol);
  }
  attributes(at, x, implied, Rf_isS4(x), at == 0 && !known_.objects.empty());
}

void describer::pairlist(slot at, SEXP x) {
  const int n = Rf_length(x);
  const slot first = out_.list(at, static_cast<std::uint64_t>(n), onecopy::list_form::pairlist);
  slot child = first;
  bool named = false;
  for (SEXP cell = x; cell != R_NilValue; cell = CDR(cell), ++child) {
    describe(child, CAR(cell));
    named = named || TAG(cell) != R_NilValue;
  }
  if (!named || !options_.attributes) return;
  std::vector<std::string_view> names;
  for (SEXP cell = x; cell != R_NilValue; cell = CDR(cell))
    names.emplace_back(TAG(cell) == R_NilValue ? "" : CHAR(PRINTNAME(TAG(cell))));
  out_.names(at, names);
}

// R phase. What a name is bound to, promises forced; R_UnboundValue for active bindings and missing arguments.
static SEXP bound_value(SEXP environment, SEXP symbol) {
#if R_VERSION >= R_Version(4, 6, 0)
  const R_BindingType_t type = R_GetBindingType(symbol, environment);
  if (type == R_BindingTypeUnbound || type == R_BindingTypeMissing || type == R_BindingTypeActive)
    return R_UnboundValue;
  return R_getVarEx(symbol, environment, FALSE, R_UnboundValue);
#else
  if (R_BindingIsActive(symbol, environment)) return R_UnboundValue;
  SEXP value = Rf_findVarInFrame(environment, symbol);
  if (value == R_MissingArg) return R_UnboundValue;
  return TYPEOF(value) == PROMSXP ? Rf_eval(value, environment) : value;
#endif
}

void describer::environment(slot at, SEXP x) {
  if (is_system_environment(x) || !seen_.insert(x).second) {
    // Seen before, or R's own: a reference to it. Only this process can follow it.
    known_.objects[at] = x;
    if (is_system_environment(x)) return opaque(at, x, nullptr);
    out_.opaque(at, "r-environment-again", {});
    return;
  }
  SEXP names = kept_.add(r_call([=] { return R_lsInternal3(x, TRUE, FALSE); }));
  std::vector<std::pair<const char*, SEXP>> bindings;
  for (R_xlen_t i = 0; i < XLENGTH(names); ++i) {
    SEXP symbol = Rf_installTrChar(STRING_ELT(names, i));
    SEXP item = r_call([=] { return bound_value(x, symbol); });
    if (item == R_UnboundValue) continue;
    kept_.add(item);
    bindings.emplace_back(CHAR(PRINTNAME(symbol)), item);
  }
  const slot first = out_.list(at, bindings.size(), onecopy::list_form::environment);
  std::vector<std::string_view> labels;
  for (std::size_t i = 0; i < bindings.size(); ++i) {
    describe(first + static_cast<slot>(i), bindings[i].second);
    labels.emplace_back(bindings[i].first);
  }
  out_.names(at, labels);
  known_.objects[at] = x;
}

void describer::s4(slot at, SEXP x) {
  out_.list(at, 0);
  attributes(at, x, {}, true);
}

bool describer::has_own_method(SEXP x) {
  SEXP found = r_call([=] {
    SEXP ns = PROTECT(R_FindNamespace(Rf_mkString("onecopy")));
    SEXP call = PROTECT(Rf_lang2(Rf_install("hasShareMethod"), x));
    SEXP result = Rf_eval(call, ns);
    UNPROTECT(2);
    return result;
  });
  return Rf_asLogical(found) == TRUE;
}

void describer::opaque(slot at, SEXP x, const char* what) {
  if (what && options_.must_work) {
    SEXP names = kept_.add(r_call([=] { return evaluate("class", x); }));
    throw r_error("cannot_share", std::string("The object of the class <") + CHAR(STRING_ELT(names, 0)) +
                                      "> cannot be shared.\nTo suppress this error and return the same object,\n"
                                      "provide `mustWork = FALSE` as a function argument\n"
                                      "or change its default value in the package settings\n");
  }
  known_.objects[at] = x;
  SEXP bytes = kept_.add(r_call([=] {
    SEXP quoted = PROTECT(Rf_lang2(R_QuoteSymbol, x));
    SEXP call = PROTECT(Rf_lang3(Rf_install("serialize"), quoted, R_NilValue));
    SEXP result = Rf_eval(call, R_BaseEnv);
    UNPROTECT(2);
    return result;
  }));
  out_.opaque(at, "r-serialize", {reinterpret_cast<const std::byte*>(RAW(bytes)), static_cast<std::size_t>(XLENGTH(bytes))});
}

void describer::attributes(slot at, SEXP x, const std::vector<SEXP>& implied, bool mark_s4, bool mark_odd) {
  std::vector<std::pair<const char*, SEXP>> all;
  auto is_implied = [&](SEXP symbol) {
    for (SEXP i : implied)
      if (i == symbol) return true;
    return false;
  };
  const bool share_them = options_.attributes || mark_s4;
  if (!share_them) known_.attributes[at] = x;
  for (const auto& [name, value] : share_them ? attributes_of(x) : std::vector<attribute>()) {
    SEXP item = value;
    if (is_implied(name)) continue;
    if (TYPEOF(item) == EXTPTRSXP) {
      known_.pointers[at] = x;  // a pointer of this process (data.table keeps one) means nothing elsewhere
      continue;
    }
    if (mark_s4 && TYPEOF(item) == SYMSXP && std::strcmp(CHAR(PRINTNAME(item)), "\001NULL\001") == 0) item = R_NilValue;
    all.emplace_back(CHAR(PRINTNAME(name)), item);
  }
  if (mark_s4) all.emplace_back(":s4", R_NilValue);
  if (mark_odd) all.emplace_back(":odd", R_NilValue);
  if (all.empty()) return;
  std::vector<std::string_view> names;
  for (const auto& entry : all) names.emplace_back(own(entry.first));
  const slot first = out_.attributes(at, names);
  write_options& options = const_cast<write_options&>(options_);
  const bool strict = options.must_work;
  if (!mark_s4) options.must_work = false;  // an odd attribute doesn't make an object unsharable
  for (std::size_t i = 0; i < all.size(); ++i) describe(first + static_cast<slot>(i), all[i].second);
  options.must_work = strict;
}

}  // namespace ocr
