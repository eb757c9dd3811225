// Views of strings. R's elements are CHARSXPs, which can't lie in shared memory: a view makes each one once, when it
// is first read, and keeps it reachable (base R keeps pointers into them across collections). Strings that are stored
// as codes need one CHARSXP for each value, not for each element.
//
// data1: string_state. data2: pair of the region's pointer and the cache, a character vector:
//   - flat: as long as the view; elements not made yet are "" (the blank string is cheap to make again);
//   - coded: the dictionary, complete; for codes of one byte without a bitmap, the string of each of the 256 bytes.
#include <algorithm>
#include <cstring>

#include "subset.h"
#include "view.h"

namespace ocr {

namespace {

R_altrep_class_t string_class;

// How an element is found; R asks a million times in a row, so it is decided once.
enum class reading : std::uint8_t {
  unprepared = 0,
  flat,      // in the cache, or made now
  coded,     // by its code in the cache
  by_byte,   // the same with 256 strings in the cache, so that no code needs a check
  complete,  // flat, and every element is made: the cache is the truth
};

struct string_state {
  view_state view;
  reading how;           // unless unprepared, the fields below are set
  bool pointer_given;    // somebody may have written to the cache
  bool wide_offsets;
  bool signed_codes;
  std::uint8_t code_bytes;
  int code_base;
  const std::byte* offsets;
  const char* bytes;
  const std::uint8_t* validity;
  const std::uint8_t* encodings;
  const std::byte* codes;
  R_xlen_t values;       // of the dictionary
  const SEXP* cache;     // the elements of the cache vector, or null
};

// R asks for one element after the other, several times each. Forgotten whenever a view is made, so that it never
// stands for a vector that was collected and whose address another one has now.
SEXP last_asked = nullptr;
string_state* last_state = nullptr;

inline string_state* strings_of(SEXP x) {
  if (x == last_asked) return last_state;
  last_state = reinterpret_cast<string_state*>(RAW(R_altrep_data1(x)));
  last_asked = x;
  return last_state;
}

// Where the strings of a node lie; checked, so that reading needs no further check.
struct text_layout {
  const std::byte* offsets;
  const char* bytes;
  const std::uint8_t* validity;
  const std::uint8_t* encodings;
  bool wide;
};

text_layout layout_of(const onecopy::value& node) {
  const auto l = node.strings();
  return {l.offsets, l.bytes, node.validity(), node.encodings(), l.offset_bytes == 8};
}

std::int64_t offset_at(const std::byte* offsets, bool wide, R_xlen_t i) {
  if (wide) {
    std::int64_t at;
    std::memcpy(&at, offsets + i * 8, 8);
    return at;
  }
  std::int32_t at;
  std::memcpy(&at, offsets + i * 4, 4);
  return at;
}

// R phase.
SEXP make_text(const text_layout& l, R_xlen_t i) {
  if (l.validity && !(l.validity[i / 8] >> (i % 8) & 1)) return NA_STRING;
  const std::int64_t from = offset_at(l.offsets, l.wide, i), to = offset_at(l.offsets, l.wide, i + 1);
  const bool marked = l.encodings && l.encodings[i];
  if (to - from > INT_MAX) raise("unsupported", "onecopy: a string of more than 2^31 bytes can't be read in R");
  // R's strings end at a NUL; those of other languages may hold one.
  const void* nul = std::memchr(l.bytes + from, 0, static_cast<std::size_t>(to - from));
  const auto length = nul ? static_cast<const char*>(nul) - (l.bytes + from) : to - from;
  return Rf_mkCharLenCE(l.bytes + from, static_cast<int>(length), marked ? CE_BYTES : CE_UTF8);
}

R_xlen_t code_at(const string_state* s, R_xlen_t i) {
  const std::byte* at = s->codes + static_cast<std::size_t>(i) * s->code_bytes;
  switch (s->code_bytes) {
    case 1: return s->signed_codes ? static_cast<R_xlen_t>(*reinterpret_cast<const std::int8_t*>(at))
                                   : static_cast<R_xlen_t>(*reinterpret_cast<const std::uint8_t*>(at));
    case 2: return s->signed_codes ? static_cast<R_xlen_t>(*reinterpret_cast<const std::int16_t*>(at))
                                   : static_cast<R_xlen_t>(*reinterpret_cast<const std::uint16_t*>(at));
    case 4: return s->signed_codes ? static_cast<R_xlen_t>(*reinterpret_cast<const std::int32_t*>(at))
                                   : static_cast<R_xlen_t>(*reinterpret_cast<const std::uint32_t*>(at));
    default: return static_cast<R_xlen_t>(*reinterpret_cast<const std::int64_t*>(at));
  }
}

void set_cache(SEXP x, SEXP cache) {
  SETCDR(R_altrep_data2(x), cache);
  strings_of(x)->cache = cache == R_NilValue ? nullptr : STRING_PTR_RO(cache);
}

// Finds and checks the bytes of the node, and for coded strings makes the dictionary.
void prepare(SEXP x) {
  entry([&]() -> SEXP {
    string_state* s = strings_of(x);
    const onecopy::value node(s->view.ref->region, s->view.node);
    if (node.kind() == onecopy::node_kind::string) {
      const text_layout l = layout_of(node);
      s->offsets = l.offsets;
      s->wide_offsets = l.wide;
      s->bytes = l.bytes;
      s->validity = l.validity;
      s->encodings = l.encodings;
      s->how = reading::flat;
      return R_NilValue;
    }
    node.check_codes();
    const onecopy::value dictionary = node.dictionary();
    const text_layout l = layout_of(dictionary);
    const auto values = static_cast<R_xlen_t>(dictionary.size());
    s->codes = node.data();
    s->code_bytes = static_cast<std::uint8_t>(node.item_size());
    s->signed_codes = node.type() <= onecopy::dtype::int64;
    s->code_base = node.code_base();
    s->validity = node.validity();
    s->values = values;
    const bool by_byte = s->code_bytes == 1 && !s->validity;
    r_call([=] {
      SEXP cache = PROTECT(Rf_allocVector(STRSXP, values));
      for (R_xlen_t i = 0; i < values; ++i) SET_STRING_ELT(cache, i, make_text(l, i));
      if (by_byte) {
        SEXP all = PROTECT(Rf_allocVector(STRSXP, 256));
        for (int byte = 0; byte < 256; ++byte) {
          const R_xlen_t code = (s->signed_codes ? static_cast<std::int8_t>(byte) : byte) - s->code_base;
          SET_STRING_ELT(all, byte, code < 0 || code >= values ? NA_STRING : STRING_ELT(cache, code));
        }
        cache = all;
      }
      set_cache(x, cache);
      UNPROTECT(by_byte ? 2 : 1);
      return R_NilValue;
    });
    s->how = by_byte ? reading::by_byte : reading::coded;
    return R_NilValue;
  });
}

// R phase, but for the error of a damaged region: nothing here has a destructor.
inline SEXP fresh_text(const string_state* s, R_xlen_t i) {
  return make_text({s->offsets, s->bytes, s->validity, s->encodings, s->wide_offsets}, i);
}

inline SEXP coded_text(const string_state* s, R_xlen_t i) {
  if (s->how == reading::by_byte) return s->cache[std::to_integer<std::uint8_t>(s->codes[i])];
  if (s->validity && !(s->validity[i / 8] >> (i % 8) & 1)) return NA_STRING;
  const R_xlen_t code = code_at(s, i) - s->code_base;
  return code < 0 || code >= s->values ? NA_STRING : s->cache[code];
}

// Kept out of `element`, whose short ways would pay for its registers at every call.
[[gnu::noinline]] SEXP other_element(SEXP x, R_xlen_t i) {
  string_state* s = strings_of(x);
  if (s->how == reading::unprepared) prepare(x);
  if (s->how == reading::complete) return s->cache[i];
  if (s->how != reading::flat) return coded_text(s, i);
  if (!s->cache) {
    SEXP cache = PROTECT(Rf_allocVector(STRSXP, s->view.length));
    set_cache(x, cache);
    UNPROTECT(1);
  }
  SEXP item = s->cache[i];
  if (item != R_BlankString) return item;
  item = fresh_text(s, i);
  SET_STRING_ELT(CDR(R_altrep_data2(x)), i, item);
  return item;
}

SEXP element(SEXP x, R_xlen_t i) {
  if (x == last_asked) {
    const string_state* s = last_state;
    if (s->how == reading::by_byte) return s->cache[std::to_integer<std::uint8_t>(s->codes[i])];
    if (s->how == reading::complete) return s->cache[i];
  }
  return other_element(x, i);
}

void report(SEXP x, const char* why) {
  entry([&] {
    report_copy(x, why);
    return R_NilValue;
  });
}

// Makes every element; from then on the cache is an ordinary character vector.
void expand(SEXP x) {
  string_state* s = strings_of(x);
  if (s->how == reading::complete) return;
  report(x, "code wants a pointer to all of its strings, or changes them");
  if (s->how == reading::unprepared) prepare(x);
  if (s->how == reading::flat) {
    for (R_xlen_t i = 0; i < s->view.length; ++i) element(x, i);
    if (!s->cache) set_cache(x, Rf_allocVector(STRSXP, s->view.length));
  } else {
    SEXP flat = PROTECT(Rf_allocVector(STRSXP, s->view.length));
    for (R_xlen_t i = 0; i < s->view.length; ++i) SET_STRING_ELT(flat, i, coded_text(s, i));
    set_cache(x, flat);
    UNPROTECT(1);
  }
  s->how = reading::complete;
}

void* data_pointer(SEXP x, Rboolean writable) {
  expand(x);
  string_state* s = strings_of(x);
  if (writable) s->pointer_given = true;
  return const_cast<SEXP*>(s->cache);
}

const void* data_pointer_or_null(SEXP x) {
  const string_state* s = strings_of(x);
  return s->how == reading::complete ? s->cache : nullptr;
}

void set_element(SEXP x, R_xlen_t i, SEXP item) {
  expand(x);
  strings_of(x)->view.flags |= modified;
  SET_STRING_ELT(CDR(R_altrep_data2(x)), i, item);
}

SEXP extract_subset(SEXP x, SEXP index, SEXP) {
  string_state* s = strings_of(x);
  if (s->how == reading::unprepared) prepare(x);
  // A few elements of a vector that nobody has read yet are not worth a cache of its whole length.
  const bool straight = s->how == reading::flat && !s->cache && XLENGTH(index) < s->view.length / 8;
  return pick_objects(index, s->view.length, STRSXP, NA_STRING,
                      [=](R_xlen_t i) { return straight ? fresh_text(s, i) : element(x, i); }, SET_STRING_ELT);
}

SEXP duplicate(SEXP x, Rboolean) {
  report(x, "strings can't be copied by the page");
  const R_xlen_t n = strings_of(x)->view.length;
  SEXP copy = PROTECT(Rf_allocVector(STRSXP, n));
  for (R_xlen_t i = 0; i < n; ++i) SET_STRING_ELT(copy, i, element(x, i));
  UNPROTECT(1);
  return copy;
}

}  // namespace

bool is_string_view(SEXP x) { return R_altrep_inherits(x, string_class); }

bool strings_diverged(SEXP x) {
  const string_state* s = strings_of(x);
  if (!s->pointer_given) return false;
  const onecopy::value node(s->view.ref->region, s->view.node);
  for (R_xlen_t i = 0; i < s->view.length; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    SEXP shown = s->cache[i];
    if ((shown == NA_STRING) != node.is_missing(at)) return true;
    if (shown == NA_STRING) continue;
    const std::string_view stored = node.string(at);
    const auto length = static_cast<std::size_t>(LENGTH(shown));
    if (stored.substr(0, std::min(stored.find('\0'), stored.size())) != std::string_view(CHAR(shown), length))
      return true;
  }
  return false;
}

std::pair<R_xlen_t, int> string_storage(SEXP x) {
  const string_state* s = strings_of(x);
  const onecopy::value node(s->view.ref->region, s->view.node);
  if (node.kind() != onecopy::node_kind::coded_string) return {-1, 0};
  return {static_cast<R_xlen_t>(node.dictionary().size()), static_cast<int>(node.item_size())};
}

SEXP build_string_view(const view_state& state, SEXP pointer) {
  SEXP raw = PROTECT(Rf_allocVector(RAWSXP, sizeof(string_state)));
  std::memset(RAW(raw), 0, sizeof(string_state));
  std::memcpy(RAW(raw), &state, sizeof state);
  SEXP held = PROTECT(Rf_cons(pointer, R_NilValue));
  SEXP view = R_new_altrep(string_class, raw, held);
  last_asked = nullptr;
  UNPROTECT(2);
  return view;
}

void register_string_class(DllInfo* dll) {
  string_class = R_make_altstring_class("chr", "onecopy", dll);
  set_common_view_methods(string_class);
  R_set_altrep_Duplicate_method(string_class, duplicate);
  R_set_altvec_Dataptr_method(string_class, data_pointer);
  R_set_altvec_Dataptr_or_null_method(string_class, data_pointer_or_null);
  R_set_altvec_Extract_subset_method(string_class, extract_subset);
  R_set_altstring_Elt_method(string_class, element);
  R_set_altstring_Set_elt_method(string_class, set_element);
}

}  // namespace ocr
