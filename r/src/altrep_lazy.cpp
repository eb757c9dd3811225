// Lazy vectors in R: ALTREP vectors over the mapping of a onecopy::lazy_vector. Each method fills what it reads first,
// because an error of the source can be an R error there; a touch through a pointer (Dataptr) can't be one.
//   data1: a raw vector with a lazy_state; data2: the external pointer that keeps the mapping. What that pointer
//   protects is the expression that the vector was made from, or NULL: it keeps the vectors it reads alive.
#include <algorithm>
#include <cstring>

#include "altrep_classes.h"
#include "lazy.h"
#include "subset.h"
#include "view.h"

namespace ocr {

namespace {

number_classes classes;

R_altrep_class_t class_for(int type) { return type == STRSXP ? lazy_string_class : classes.of(type); }

void drop(SEXP pointer) {
  delete static_cast<lazy_ref*>(R_ExternalPtrAddr(pointer));
  R_ClearExternalPtr(pointer);
}

bool is_about_saving(const onecopy::error& failed) { return failed.tried().rfind("save ", 0) == 0; }

R_xlen_t length(SEXP x) { return lazy_state_of(x)->length; }

void* data_pointer(SEXP x, Rboolean) {
  failure unsaved;
  unsaved.what[0] = '\0';
  void* data = entry([&]() -> void* {
    const onecopy::lazy_vector& v = usable_lazy(x);
    // Of a touch through the pointer given out before. What could not be saved must not keep anybody from mending it.
    if (auto failed = v.take_error()) {
      if (!is_about_saving(*failed)) throw *failed;
      unsaved.take("", failed->what(), "");
    }
    lazy_state* s = lazy_state_of(x);
    if (s->flags & lazy_private) s->flags |= lazy_modified;
    return v.data();
  });
  if (unsaved.what[0] != '\0') Rf_warning("%s", unsaved.what);
  return data;
}

// NULL makes R's own loops read block by block (Get_region), where errors are possible.
const void* no_pointer(SEXP) { return nullptr; }

// What a touch that failed reads as.
template <class T>
bool may_have_failed(const T& value) {
  constexpr std::size_t words = sizeof(T) >= 8 ? sizeof(T) / 8 : 1;
  std::uint64_t parts[words];
  std::memset(parts, 0xff, sizeof parts);
  std::memcpy(parts, &value, sizeof(T));
  for (const std::uint64_t part : parts)
    if (part != ~std::uint64_t{0}) return false;
  return true;
}

template <class T>
bool any_may_have_failed(SEXP x) {
  const T* items = elements_of<T>(x);
  return std::any_of(items, items + XLENGTH(x), may_have_failed<T>);
}

SEXP duplicate(SEXP x, Rboolean deep) {
  return entry([&]() -> SEXP {
    const lazy_state s = *lazy_state_of(x);
    if (s.flags & lazy_expanded) return nullptr;
    const onecopy::lazy_vector& v = usable_lazy(x);
    SEXP pointer = R_altrep_data2(x);
    if (v.writable()) {
      if (deep) return nullptr;  // arithmetic: an ordinary copy; assignment duplicates shallowly and means this memory
      return r_call([=] { return build_lazy_altrep(s, pointer); });
    }
    const bool changed = lazy_was_changed(x);
    if (changed && s.type == STRSXP) return nullptr;
    SEXP kept = R_ExternalPtrProtected(pointer);
    keep again(new_lazy_pointer(changed ? v.another_view_with_writes() : v.another_view(), kept));
    lazy_state copy = s;
    copy.flags = lazy_private | (changed ? lazy_modified : 0);
    SEXP held = again;
    return r_call([=] { return build_lazy_altrep(copy, held); });
  });
}

SEXP serialized_state(SEXP x) {
  return entry([&]() -> SEXP {
    const lazy_state s = *lazy_state_of(x);
    const lazy_ref* ref = lazy_ref_of(x);
    if (ref == nullptr || !ref->vector || lazy_was_changed(x)) return nullptr;
    lazy_depth_seen = std::max(lazy_depth_seen, s.depth);
    const std::string handle = ref->vector.handle().text();
    note_traveller_elsewhere();
    SEXP kept = R_ExternalPtrProtected(R_altrep_data2(x));
    const char* text = handle.c_str();
    return r_call([=] {
      SEXP state = PROTECT(Rf_allocVector(VECSXP, 4));
      SET_VECTOR_ELT(state, 0, Rf_mkString(text));
      SET_VECTOR_ELT(state, 1, Rf_ScalarInteger(s.type));
      SET_VECTOR_ELT(state, 2, Rf_ScalarReal(static_cast<double>(s.length)));
      SET_VECTOR_ELT(state, 3, kept);
      UNPROTECT(1);
      return state;
    });
  });
}

SEXP unserialize(SEXP, SEXP state) {
  return entry([&]() -> SEXP {
    if (TYPEOF(state) != VECSXP || XLENGTH(state) != 4 || TYPEOF(VECTOR_ELT(state, 0)) != STRSXP)
      throw r_error("corrupt", "onecopy: what arrived is not a handle of a lazy vector of this version");
    SEXP kept = VECTOR_ELT(state, 3);
    lazy_state s{};
    s.type = Rf_asInteger(VECTOR_ELT(state, 1));
    s.length = static_cast<R_xlen_t>(Rf_asReal(VECTOR_ELT(state, 2)));
    onecopy::lazy_vector found;
    std::string reason;
    try {
      found = onecopy::attach_lazy(onecopy::handle::parse(CHAR(STRING_ELT(VECTOR_ELT(state, 0), 0))));
      s = lazy_state_for(found);
    } catch (const std::exception& e) {
      reason = e.what();  // an error here would break the connection that carries the vector
    }
    keep pointer(new_lazy_pointer(std::move(found), kept, reason));
    SEXP held = pointer;
    return r_call([=] { return build_lazy_altrep(s, held); });
  });
}

Rboolean inspect(SEXP x, int, int, int, void (*)(SEXP, int, int, int)) {
  Rprintf(" onecopy lazy %s (len=%lld)\n", Rf_type2char(static_cast<SEXPTYPE>(TYPEOF(x))),
          static_cast<long long>(length(x)));
  return TRUE;
}

struct methods {
  // Loops call this for each element, so it reads first and asks later: asking first costs more than reading.
  template <class T>
  static T element(SEXP x, R_xlen_t i) {
    return entry([&] {
      const onecopy::lazy_vector& v = usable_lazy(x);
      const auto* items = reinterpret_cast<const T*>(v.data());
      if (!may_have_failed(items[i])) return items[i];
      throw_if_unfilled(v);
      v.ensure(static_cast<std::uint64_t>(i) * sizeof(T), sizeof(T));
      return items[i];
    });
  }

  template <class T>
  static R_xlen_t get_region(SEXP x, R_xlen_t start, R_xlen_t n, T* out) {
    return entry([&]() -> R_xlen_t {
      const onecopy::lazy_vector& v = usable_lazy(x);
      const R_xlen_t count = std::min(n, length(x) - start);
      if (count <= 0) return 0;
      read_lazy(v, static_cast<std::uint64_t>(start) * sizeof(T), static_cast<std::uint64_t>(count) * sizeof(T), out);
      return count;
    });
  }

  template <class T, SEXPTYPE type>
  static SEXP extract_subset(SEXP x, SEXP index, SEXP) {
    return entry([&]() -> SEXP {
      const onecopy::lazy_vector& v = usable_lazy(x);
      const R_xlen_t n = length(x);
      if (TYPEOF(index) != INTSXP && TYPEOF(index) != REALSXP) return nullptr;
      const auto* items = reinterpret_cast<const T*>(v.data());
      // Each is touched once, and the error looked for afterwards: of more than the budget, what was filled first is
      // gone when the last is there.
      keep picked(r_call([=] { return pick<T>(index, n, type, [=](R_xlen_t i) { return items[i]; }); }));
      if (any_may_have_failed<T>(picked)) throw_if_unfilled(v);
      return static_cast<SEXP>(picked);
    });
  }

  template <class T, SEXPTYPE type>
  static void common(R_altrep_class_t c) {
    set_common_lazy_methods(c);
    R_set_altvec_Dataptr_method(c, data_pointer);
    R_set_altvec_Extract_subset_method(c, extract_subset<T, type>);
  }
};

}  // namespace

int lazy_depth_seen = 0;

bool is_lazy_view(SEXP x) {
  return classes.have(x) || (ALTREP(x) && R_altrep_inherits(x, lazy_string_class));
}

lazy_ref* lazy_ref_of(SEXP x) { return static_cast<lazy_ref*>(R_ExternalPtrAddr(R_altrep_data2(x))); }

SEXP find_lazy(SEXP x) {
  while (ALTREP(x)) {
    if (is_lazy_view(x)) return x;
    SEXP inner = R_altrep_data1(x);  // R's wrapper around a vector whose attributes were changed
    if (TYPEOF(inner) != TYPEOF(x)) return nullptr;
    x = inner;
  }
  return nullptr;
}

const onecopy::lazy_vector& usable_lazy(SEXP x) {
  const lazy_ref* ref = lazy_ref_of(x);
  if (ref == nullptr) throw r_error("not_found", "onecopy: this lazy vector was saved by another session and is gone");
  if (!ref->vector) throw r_error("not_found", ref->reason);
  return ref->vector;
}

bool lazy_was_changed(SEXP x) {
  const lazy_state s = *lazy_state_of(x);
  if ((s.flags & lazy_modified) == 0) return false;
  return s.type == STRSXP || usable_lazy(x).has_private_writes();
}

void throw_if_unfilled(const onecopy::lazy_vector& v) {
  // What could not be saved is still there to be read; whoever writes or flushes is told.
  if (auto failed = v.take_error(); failed && !is_about_saving(*failed)) throw *failed;
}

// In parts: what is copied already may be taken back while the rest is filled.
void read_lazy(const onecopy::lazy_vector& v, std::uint64_t offset, std::uint64_t size, void* out) {
  constexpr std::uint64_t part = 1u << 20;
  auto* to = static_cast<std::byte*>(out);
  while (size > 0) {
    const std::uint64_t some = std::min(size, part - offset % part);
    v.ensure(offset, some);
    std::memcpy(to, v.data() + offset, some);
    // A part taken back between the two lines is filled again by the touch; if that fails, the bytes are no data.
    throw_if_unfilled(v);
    to += some;
    offset += some;
    size -= some;
  }
}

SEXP new_lazy_pointer(onecopy::lazy_vector vector, SEXP kept, const std::string& reason) {
  auto ref = std::make_unique<lazy_ref>(lazy_ref{std::move(vector), reason});
  SEXP pointer = r_call([=] {
    SEXP made = PROTECT(R_MakeExternalPtr(nullptr, Rf_install("onecopy_lazy"), kept));
    R_RegisterCFinalizerEx(made, drop, TRUE);
    UNPROTECT(1);
    return made;
  });
  R_SetExternalPtrAddr(pointer, ref.release());
  return pointer;
}

SEXP build_lazy_altrep(const lazy_state& state, SEXP pointer) {
  SEXP raw = PROTECT(Rf_allocVector(RAWSXP, sizeof state));
  std::memcpy(RAW(raw), &state, sizeof state);
  if (state.type == STRSXP) attach_string_extras(raw);
  SEXP made = R_new_altrep(class_for(state.type), raw, pointer);
  UNPROTECT(1);
  // Or R would write into it in place when only one variable has it; a private copy must come first.
  if (!(state.flags & lazy_private)) MARK_NOT_MUTABLE(made);
  return made;
}

void set_common_lazy_methods(R_altrep_class_t c) {
  R_set_altrep_Length_method(c, length);
  R_set_altrep_Inspect_method(c, inspect);
  R_set_altrep_Duplicate_method(c, duplicate);
  R_set_altrep_Serialized_state_method(c, serialized_state);
  R_set_altrep_Unserialize_method(c, unserialize);
  R_set_altvec_Dataptr_or_null_method(c, no_pointer);
}

void register_lazy_classes(DllInfo* dll) {
  classes = make_number_classes<methods>("lazy_", dll);
  register_lazy_string_class(dll);
}

}  // namespace ocr
