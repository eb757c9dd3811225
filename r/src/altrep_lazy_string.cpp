// Lazy vectors of strings: records of a size in bytes (-1: NA) and UTF-8, each as wide as the longest may be.
//
// What a vector keeps besides its records is a list, an attribute of its state (data1):
//   ring: the strings made last. R keeps pointers to elements that it does not protect, because an ordinary vector
//     would; it never keeps many.
//   full: all of it as an ordinary vector, made when compiled code asks for a pointer (sort() does), else NULL.
//   longer: strings that were assigned to this copy and do not fit; their records have the size -2 - index.
#include <algorithm>
#include <cstring>

#include "lazy.h"
#include "subset.h"

namespace ocr {

R_altrep_class_t lazy_string_class;

namespace {

constexpr int ring_size = 1024;

enum extra : R_xlen_t { ring, full, longer, extra_count };

SEXP extras_symbol() {
  static SEXP symbol = Rf_install("onecopy_strings");
  return symbol;
}
SEXP extras_of(SEXP x) { return Rf_getAttrib(R_altrep_data1(x), extras_symbol()); }
SEXP ring_of(SEXP x) { return VECTOR_ELT(extras_of(x), extra::ring); }
SEXP full_of(SEXP x) { return VECTOR_ELT(extras_of(x), extra::full); }
SEXP longer_of(SEXP x) { return VECTOR_ELT(extras_of(x), extra::longer); }

std::int32_t size_in(const std::byte* record) {
  std::int32_t size;
  std::memcpy(&size, record, sizeof size);
  return size;
}

// R phase.
SEXP string_of(SEXP x, const std::byte* record) {
  const std::int32_t size = size_in(record);
  if (size < -1 && -2 - size < lazy_state_of(x)->longer) return STRING_ELT(longer_of(x), -2 - size);
  return string_from(record, lazy_state_of(x)->record);
}

const std::byte* ensured(SEXP x, R_xlen_t i) {
  const onecopy::lazy_vector& v = usable_lazy(x);
  const auto record = static_cast<std::uint64_t>(lazy_state_of(x)->record);
  v.ensure(static_cast<std::uint64_t>(i) * record, record);
  return v.data() + static_cast<std::uint64_t>(i) * record;
}

bool full_is_the_truth(SEXP x) { return (lazy_state_of(x)->flags & lazy_expanded) != 0; }

SEXP element(SEXP x, R_xlen_t i) {
  if (full_is_the_truth(x)) return STRING_ELT(full_of(x), i);
  const std::byte* record = entry([&] { return ensured(x, i); });
  SEXP made = string_of(x, record);
  lazy_state* s = lazy_state_of(x);
  SET_STRING_ELT(ring_of(x), s->next, made);
  s->next = (s->next + 1) % ring_size;
  return made;
}

// R phase. Where the string is found again: its index in `longer`.
int keep_longer(SEXP x, SEXP item) {
  lazy_state* s = lazy_state_of(x);
  SEXP kept = longer_of(x);
  if (s->longer == Rf_length(kept)) {
    SEXP more = PROTECT(Rf_allocVector(STRSXP, std::max(16, 2 * s->longer)));
    for (int k = 0; k < s->longer; ++k) SET_STRING_ELT(more, k, STRING_ELT(kept, k));
    SET_VECTOR_ELT(extras_of(x), extra::longer, more);
    UNPROTECT(1);
    kept = more;
  }
  SET_STRING_ELT(kept, s->longer, item);
  return s->longer++;
}

void set_element(SEXP x, R_xlen_t i, SEXP item) {
  lazy_state* s = lazy_state_of(x);
  if (full_is_the_truth(x)) {
    SET_STRING_ELT(full_of(x), i, item);
    return;
  }
  auto* record = const_cast<std::byte*>(entry([&] { return ensured(x, i); }));
  const void* before = vmaxget();
  const char* text = item == NA_STRING ? "" : Rf_translateCharUTF8(item);
  const std::size_t bytes = std::strlen(text), room = static_cast<std::size_t>(s->record) - 4;
  std::int32_t size = item == NA_STRING ? -1 : static_cast<std::int32_t>(bytes);
  const bool private_copy = (s->flags & lazy_private) != 0;
  if (bytes > room) {
    if (!private_copy)
      raise("invalid_argument", "onecopy: the string is longer than what others can see of it: make the vector with a "
                                "larger `width`");
    size = -2 - keep_longer(x, item);
  }
  if (private_copy) s->flags |= lazy_modified;
  if (size >= 0) std::memcpy(record + 4, text, bytes);
  std::memcpy(record, &size, sizeof size);
  vmaxset(before);
}

SEXP extract_subset(SEXP x, SEXP index, SEXP) {
  if (full_is_the_truth(x)) return nullptr;
  return entry([&]() -> SEXP {
    const onecopy::lazy_vector& v = usable_lazy(x);
    const R_xlen_t n = lazy_state_of(x)->length;
    if (TYPEOF(index) != INTSXP && TYPEOF(index) != REALSXP) return nullptr;
    keep picked(r_call([=] { return Rf_allocVector(STRSXP, XLENGTH(index)); }));
    SEXP out = picked;
    const std::byte* items = v.data();
    const auto record = static_cast<std::size_t>(lazy_state_of(x)->record);
    r_call([=] {
      for_each_index(index, n, [=](R_xlen_t k, R_xlen_t i) {
        SET_STRING_ELT(out, k, i < 0 ? NA_STRING : string_of(x, items + static_cast<std::size_t>(i) * record));
      });
      return R_NilValue;
    });
    throw_if_unfilled(v);
    return out;
  });
}

void* data_pointer(SEXP x, Rboolean writable) {
  if (full_of(x) == R_NilValue) {
    SEXP full = PROTECT(Rf_allocVector(STRSXP, lazy_state_of(x)->length));
    for (R_xlen_t i = 0; i < XLENGTH(full); ++i) SET_STRING_ELT(full, i, element(x, i));
    SET_VECTOR_ELT(extras_of(x), extra::full, full);
    UNPROTECT(1);
  }
  lazy_state* s = lazy_state_of(x);
  if (writable) s->flags |= lazy_expanded | lazy_modified;
  // STRING_PTR would refuse an ordinary vector's pointer to be written to; R's own code asks like this.
  return const_cast<SEXP*>(STRING_PTR_RO(full_of(x)));
}

}  // namespace

SEXP string_from(const std::byte* record, int record_bytes) {
  const std::int32_t size = size_in(record);
  if (size < 0 || size > record_bytes - 4) return NA_STRING;
  const auto* text = reinterpret_cast<const char*>(record) + 4;
  // R's strings end at a NUL; those of other languages may hold one.
  const void* nul = std::memchr(text, 0, static_cast<std::size_t>(size));
  return Rf_mkCharLenCE(text, nul ? static_cast<int>(static_cast<const char*>(nul) - text) : size, CE_UTF8);
}

void share_string_extras(SEXP to, SEXP from) {
  Rf_setAttrib(R_altrep_data1(to), extras_symbol(), extras_of(from));
}

void attach_string_extras(SEXP state) {
  SEXP extras = PROTECT(Rf_allocVector(VECSXP, extra_count));
  SET_VECTOR_ELT(extras, extra::ring, Rf_allocVector(STRSXP, ring_size));
  Rf_setAttrib(state, extras_symbol(), extras);
  UNPROTECT(1);
}

SEXP read_lazy_strings(const onecopy::lazy_vector& v, const lazy_state& s, R_xlen_t first, R_xlen_t count) {
  keep out(r_call([=] { return Rf_allocVector(STRSXP, count); }));
  const auto record = static_cast<std::uint64_t>(s.record);
  const auto part = static_cast<R_xlen_t>(std::max<std::uint64_t>(1, (1u << 20) / record));
  for (R_xlen_t done = 0; done < count; done += part) {
    const R_xlen_t some = std::min(part, count - done);
    const std::uint64_t offset = static_cast<std::uint64_t>(first + done) * record;
    v.ensure(offset, static_cast<std::uint64_t>(some) * record);
    const std::byte* from = v.data() + offset;
    const int bytes = s.record;
    SEXP to = out;
    r_call([=] {
      for (R_xlen_t k = 0; k < some; ++k) SET_STRING_ELT(to, done + k, string_from(from + k * bytes, bytes));
      return R_NilValue;
    });
    // A part taken back meanwhile is filled again by the touch; if that fails, the bytes are no data.
    throw_if_unfilled(v);
  }
  return out;
}

void register_lazy_string_class(DllInfo* dll) {
  lazy_string_class = R_make_altstring_class("lazy_str", "onecopy", dll);
  set_common_lazy_methods(lazy_string_class);
  R_set_altvec_Dataptr_method(lazy_string_class, data_pointer);
  R_set_altvec_Extract_subset_method(lazy_string_class, extract_subset);
  R_set_altstring_Elt_method(lazy_string_class, element);
  R_set_altstring_Set_elt_method(lazy_string_class, set_element);
}

}  // namespace ocr

using namespace ocr;

// Strings as records, for the pager. Throws when one does not fit.
SEXP oc_lazy_pack(SEXP strings, SEXP record) {
  return entry([&] {
    const auto bytes = static_cast<std::size_t>(number_argument(record, "record"));
    if (TYPEOF(strings) != STRSXP || bytes < 5) bad_argument("strings", "they are no strings");
    const R_xlen_t n = XLENGTH(strings);
    keep packed(r_call([=] { return Rf_allocVector(RAWSXP, n * static_cast<R_xlen_t>(bytes)); }));
    auto* out = RAW(packed);
    std::memset(out, 0, static_cast<std::size_t>(n) * bytes);
    R_xlen_t worst = -1;
    std::size_t needed = 0;
    R_xlen_t* worst_at = &worst;
    std::size_t* needed_at = &needed;
    r_call([=] {
      for (R_xlen_t i = 0; i < n; ++i) {
        SEXP item = STRING_ELT(strings, i);
        const void* before = vmaxget();
        const char* text = item == NA_STRING ? "" : Rf_translateCharUTF8(item);
        const std::size_t size = std::strlen(text);
        const std::int32_t kept = item == NA_STRING ? -1 : static_cast<std::int32_t>(size);
        if (size <= bytes - 4) {
          std::memcpy(out + static_cast<std::size_t>(i) * bytes, &kept, sizeof kept);
          std::memcpy(out + static_cast<std::size_t>(i) * bytes + 4, text, size);
        } else if (size > *needed_at) {
          *needed_at = size;
          *worst_at = i;
        }
        vmaxset(before);
      }
      return R_NilValue;
    });
    if (worst >= 0)
      throw r_error("invalid_argument",
                    "it returned a string of " + std::to_string(needed) + " bytes (number " +
                        std::to_string(worst + 1) + " of its elements), and at most " + std::to_string(bytes - 4) +
                        " fit: make the vector with `width` of " + std::to_string(needed) + " or more");
    return static_cast<SEXP>(packed);
  });
}

// Bytes that the longest string may have.
SEXP oc_lazy_width(SEXP x) {
  return entry([&] {
    SEXP found = find_lazy(x);
    if (found == nullptr || TYPEOF(found) != STRSXP) bad_argument("x", "it is no lazy character vector");
    int width = lazy_state_of(found)->record - 4;
    for (int k = 0; k < lazy_state_of(found)->longer; ++k) {
      const int bytes = LENGTH(STRING_ELT(longer_of(found), k));
      width = std::max(width, 2 * bytes);  // in Latin-1, a byte may be two in UTF-8
    }
    const double most = width;
    return r_call([=] { return Rf_ScalarReal(most); });
  });
}

SEXP oc_lazy_unpack(SEXP bytes, SEXP record) {
  return entry([&] {
    const int size = static_cast<int>(number_argument(record, "record"));
    if (TYPEOF(bytes) != RAWSXP || size < 5) bad_argument("bytes", "they are no records");
    return r_call([=] {
      const R_xlen_t n = XLENGTH(bytes) / size;
      SEXP out = PROTECT(Rf_allocVector(STRSXP, n));
      const auto* from = reinterpret_cast<const std::byte*>(RAW_RO(bytes));
      for (R_xlen_t i = 0; i < n; ++i) SET_STRING_ELT(out, i, string_from(from + i * size, size));
      UNPROTECT(1);
      return out;
    });
  });
}
