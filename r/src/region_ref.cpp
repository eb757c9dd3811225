#include <memory>

#include "view.h"

namespace ocr {

namespace {

void drop_region(SEXP pointer) {
  delete static_cast<region_ref*>(R_ExternalPtrAddr(pointer));
  R_ClearExternalPtr(pointer);
}

void drop_private(SEXP pointer) {
  delete static_cast<private_ref*>(R_ExternalPtrAddr(pointer));
  R_ClearExternalPtr(pointer);
}

SEXP empty_pointer(const char* tag, R_CFinalizer_t drop) {
  return r_call([=] {
    SEXP pointer = PROTECT(R_MakeExternalPtr(nullptr, Rf_install(tag), R_NilValue));
    R_RegisterCFinalizerEx(pointer, drop, TRUE);
    UNPROTECT(1);
    return pointer;
  });
}

R_xlen_t length(SEXP x) { return state_of(x)->length; }

Rboolean inspect(SEXP x, int, int, int, void (*)(SEXP, int, int, int)) {
  const view_state* s = state_of(x);
  Rprintf(" onecopy %s (len=%lld, node=%u%s%s)\n", Rf_type2char(static_cast<SEXPTYPE>(s->type)),
          static_cast<long long>(s->length), s->node, s->flags & private_pages ? ", private pages" : "",
          s->flags & copy_on_write ? "" : ", writable");
  return TRUE;
}

SEXP serialized_state(SEXP x) {
  return entry([&] { return travel_state(x); });
}

}  // namespace

SEXP new_region_pointer(const onecopy::region& region, bool creator) {
  auto ref = std::make_unique<region_ref>(region_ref{region, creator});
  SEXP pointer = empty_pointer("onecopy_region", drop_region);
  R_SetExternalPtrAddr(pointer, ref.release());
  return pointer;
}

SEXP new_private_pointer(onecopy::private_view pages) {
  auto ref = std::make_unique<private_ref>(private_ref{std::move(pages)});
  SEXP pointer = empty_pointer("onecopy_private", drop_private);
  R_SetExternalPtrAddr(pointer, ref.release());
  return pointer;
}

region_ref* ref_of(SEXP pointer) { return static_cast<region_ref*>(R_ExternalPtrAddr(pointer)); }

SEXP find_view(SEXP x) {
  // A wrapper holds the vector in data1; no other class of base R holds a view of the same type there.
  while (ALTREP(x)) {
    if (is_view(x)) return x;
    SEXP inner = R_altrep_data1(x);
    if (TYPEOF(inner) != TYPEOF(x)) return nullptr;
    x = inner;
  }
  return nullptr;
}

bool is_shared_view(SEXP x) {
  SEXP view = find_view(x);
  return view && !(state_of(view)->flags & (private_pages | modified));
}

SEXP region_pointer_of(SEXP view) {
  SEXP held = R_altrep_data2(view);
  return TYPEOF(held) == LISTSXP ? CAR(held) : held;
}

bool diverged(SEXP view) {
  const view_state* s = state_of(view);
  if (s->flags & (private_pages | modified)) return true;
  if (is_converted_view(view)) return converted_diverged(view);
  if (is_string_view(view)) return strings_diverged(view);
  if (is_list_view(view)) return list_diverged(view);
  const onecopy::region& region = s->ref->region;
  return region.diverged(s->offset, s->bytes);
}

void report_copy(SEXP view, const char* why) {
  SEXP limit = Rf_GetOption1(Rf_install("onecopy.report_copies"));
  if (limit == R_NilValue) return;
  const view_state* s = state_of(view);
  // Strings take a pointer each in R, beside their bytes.
  const std::uint64_t size = TYPEOF(view) == STRSXP ? s->bytes + static_cast<std::uint64_t>(s->length) * 8 : s->bytes;
  const double bytes = static_cast<double>(size);
  if (!(bytes >= Rf_asReal(limit))) return;
  r_call([=] {
    SEXP ns = PROTECT(R_FindNamespace(Rf_mkString("onecopy")));
    SEXP number = PROTECT(Rf_ScalarReal(bytes));
    SEXP reason = PROTECT(Rf_mkString(why));
    SEXP call = PROTECT(Rf_lang3(Rf_install("warn_copied"), number, reason));
    Rf_eval(call, ns);
    UNPROTECT(4);
    return R_NilValue;
  });
}

void set_common_view_methods(R_altrep_class_t c) {
  R_set_altrep_Length_method(c, length);
  R_set_altrep_Inspect_method(c, inspect);
  R_set_altrep_Serialized_state_method(c, serialized_state);
  R_set_altrep_Unserialize_method(c, travel_unserialize);
}

}  // namespace ocr
