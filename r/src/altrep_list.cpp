// Views of long lists, on R 4.3 and later: an element is made when it is first asked for, and the whole list travels as
// one handle. Before R 4.3 there is no such class, and lists are ordinary lists of views.
//
// Data frames stay ordinary lists: they have few columns, and packages write into their headers.
//
// data1: list_state. data2: pair of the region's pointer and the elements made so far (NULL: not made yet; a null node
// is cheap to make again).
#include <cstring>

#include "plan.h"
#include "subset.h"

namespace ocr {

#if R_VERSION >= R_Version(4, 3, 0)

namespace {

R_altrep_class_t list_class;

struct list_state {
  view_state view;
  R_xlen_t min_length;
  bool complete;
};

list_state* list_of(SEXP x) { return reinterpret_cast<list_state*>(RAW(R_altrep_data1(x))); }
SEXP cache_of(SEXP x) { return CDR(R_altrep_data2(x)); }

// Numbers without attributes, which long lists are often made of, need no plan. NULL if it is anything else.
SEXP short_vector(const onecopy::value& v) {
  using onecopy::dtype;
  if (v.kind() != onecopy::node_kind::array || v.size() > 4 || v.attribute_count() || v.validity() ||
      v.semantic() != onecopy::semantic::none || v.shape().size() > 1)
    return R_NilValue;
  SEXPTYPE type;
  switch (v.type()) {
    case dtype::float64: type = REALSXP; break;
    case dtype::int32: type = INTSXP; break;
    case dtype::logical32: type = LGLSXP; break;
    default: return R_NilValue;
  }
  const std::byte* data = v.data();
  const auto n = static_cast<R_xlen_t>(v.size());
  const std::size_t bytes = v.data_bytes();
  // Without r_call: all that can go wrong is that R has no memory left, and then a reference to the region is lost.
  SEXP x = Rf_allocVector(type, n);
  if (bytes) std::memcpy(untyped(x), data, bytes);
  return x;
}

SEXP element(SEXP x, R_xlen_t i) {
  SEXP known = VECTOR_ELT(cache_of(x), i);
  if (known != R_NilValue) return known;
  return entry([&]() -> SEXP {
    const list_state* s = list_of(x);
    const onecopy::value child = onecopy::value(s->view.ref->region, s->view.node).child(static_cast<std::uint64_t>(i));
    SEXP item = static_cast<R_xlen_t>(child.size()) < s->min_length ? short_vector(child) : R_NilValue;
    if (item == R_NilValue) {
      build_options options;
      options.views.flags = s->view.flags;
      options.views.min_length = s->min_length;
      item = build_node(child, options, region_pointer_of(x));
    }
    SET_VECTOR_ELT(cache_of(x), i, item);
    return item;
  });
}

void make_all(SEXP x) {
  list_state* s = list_of(x);
  if (s->complete) return;
  for (R_xlen_t i = 0; i < s->view.length; ++i) element(x, i);
  s->complete = true;
}

// R asks only for reading: a writable pointer to a list's elements does not exist.
void* data_pointer(SEXP x, Rboolean) {
  make_all(x);
  return const_cast<void*>(DATAPTR_RO(cache_of(x)));
}

const void* data_pointer_or_null(SEXP x) { return list_of(x)->complete ? DATAPTR_RO(cache_of(x)) : nullptr; }

void set_element(SEXP x, R_xlen_t i, SEXP item) {
  make_all(x);
  list_of(x)->view.flags |= modified;
  SET_VECTOR_ELT(cache_of(x), i, item);
}

SEXP duplicate(SEXP x, Rboolean deep) {
  make_all(x);
  const R_xlen_t n = list_of(x)->view.length;
  SEXP copy = PROTECT(Rf_allocVector(VECSXP, n));
  for (R_xlen_t i = 0; i < n; ++i) {
    SEXP item = VECTOR_ELT(cache_of(x), i);
    // Views are shared between copies as R's own vectors are: whoever writes duplicates first.
    SET_VECTOR_ELT(copy, i, deep && !is_view(item) ? Rf_duplicate(item) : item);
  }
  UNPROTECT(1);
  return copy;
}

SEXP extract_subset(SEXP x, SEXP index, SEXP) {
  return pick_objects(index, list_of(x)->view.length, VECSXP, R_NilValue, [=](R_xlen_t i) { return element(x, i); },
                      SET_VECTOR_ELT);
}

}  // namespace

bool is_list_view(SEXP x) { return R_altrep_inherits(x, list_class); }

bool list_diverged(SEXP x) {
  const list_state* s = list_of(x);
  const onecopy::region& region = s->view.ref->region;
  if (!region.writable() && region.diverged(0, region.bytes().size())) return true;
  for (R_xlen_t i = 0; i < s->view.length; ++i) {
    SEXP item = VECTOR_ELT(cache_of(x), i);
    SEXP view = find_view(item);
    if (view && !is_numeric_view(view) && diverged(view)) return true;
  }
  return false;
}

bool lists_are_views() { return true; }

SEXP build_list_view(const view_state& state, R_xlen_t min_length, SEXP pointer) {
  SEXP raw = PROTECT(Rf_allocVector(RAWSXP, sizeof(list_state)));
  auto* s = reinterpret_cast<list_state*>(RAW(raw));
  std::memset(s, 0, sizeof *s);
  std::memcpy(&s->view, &state, sizeof state);
  s->min_length = min_length;
  SEXP cache = PROTECT(Rf_allocVector(VECSXP, state.length));
  SEXP held = PROTECT(Rf_cons(pointer, cache));
  SEXP view = R_new_altrep(list_class, raw, held);
  UNPROTECT(3);
  return view;
}

void register_list_class(DllInfo* dll) {
  list_class = R_make_altlist_class("list", "onecopy", dll);
  set_common_view_methods(list_class);
  R_set_altrep_Duplicate_method(list_class, duplicate);
  R_set_altvec_Dataptr_method(list_class, data_pointer);
  R_set_altvec_Dataptr_or_null_method(list_class, data_pointer_or_null);
  R_set_altvec_Extract_subset_method(list_class, extract_subset);
  R_set_altlist_Elt_method(list_class, element);
  R_set_altlist_Set_elt_method(list_class, set_element);
}

#else

bool is_list_view(SEXP) { return false; }
bool list_diverged(SEXP) { return false; }
bool lists_are_views() { return false; }
SEXP build_list_view(const view_state&, R_xlen_t, SEXP) { return R_NilValue; }
void register_list_class(DllInfo*) {}

#endif

}  // namespace ocr
