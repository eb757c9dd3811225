// What r/R/lazy*.R calls.
#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "lazy.h"
#include "subset.h"

namespace ocr {

namespace {

int r_type_of(const onecopy::lazy_vector& v) {
  switch (v.type()) {
    case onecopy::dtype::float64: return REALSXP;
    case onecopy::dtype::int32:
      return v.note().rfind("R logical", 0) == 0 || v.note().find("\"R\": \"logical\"") != std::string::npos ? LGLSXP
                                                                                                         : INTSXP;
    case onecopy::dtype::complex128: return CPLXSXP;
    case onecopy::dtype::raw:
      if (v.note().find("\"strings\": true") != std::string::npos) return STRSXP;
      return RAWSXP;
    case onecopy::dtype::uint8: return RAWSXP;
    default:
      throw onecopy::error(onecopy::error_kind::wrong_type, "use a lazy vector in R",
                           std::string("R has no vectors of ") + onecopy::name_of(v.type()),
                           "Make it of float64, int32, complex128 or uint8");
  }
}

const onecopy::lazy_vector& lazy_argument(SEXP x) {
  SEXP found = find_lazy(x);
  if (found == nullptr) bad_argument("x", "it is not a lazy vector", "make one with lazyVector()");
  return usable_lazy(found);
}

SEXP wrap(onecopy::lazy_vector v, SEXP kept) {
  const lazy_state s = lazy_state_for(v);
  keep pointer(new_lazy_pointer(std::move(v), kept));
  SEXP held = pointer;
  // The class is set here, before R sees the vector: class(x) <- would make R ask for a copy first.
  return r_call([=] {
    SEXP made = PROTECT(build_lazy_altrep(s, held));
    Rf_classgets(made, PROTECT(Rf_mkString("lazyVector")));
    UNPROTECT(2);
    return made;
  });
}

std::uint64_t whole(SEXP x, const char* name) {
  const double n = number_argument(x, name);
  if (!(n >= 0) || n > 4503599627370496.0 || n != static_cast<double>(static_cast<std::uint64_t>(n)))
    bad_argument(name, "it is not a whole number from 0 to 2^52");
  return static_cast<std::uint64_t>(n);
}

// The note is Python's: a column of strings is the same in both languages.
std::string strings_note(std::uint64_t length, std::uint64_t record, const std::string& depth) {
  return "{\"R\": \"character" + depth + "\", \"python\": {\"dtype\": {\"names\": [\"size\", \"text\"], \"formats\": "
         "[\"<i4\", {\"base\": \"|u1\", \"shape\": [" + std::to_string(record - 4) +
         "]}], \"offsets\": [0, 4], \"itemsize\": " + std::to_string(record) + "}, \"shape\": [" +
         std::to_string(length) + "], \"strings\": true}}";
}

std::uint64_t record_bytes_in(const std::string& note) {
  const auto at = note.find("\"itemsize\":");
  const long bytes = at == std::string::npos ? 0 : std::strtol(note.c_str() + at + 11, nullptr, 10);
  if (bytes < 5 || bytes > INT_MAX) throw r_error("corrupt", "onecopy: its note does not say how wide its strings are");
  return static_cast<std::uint64_t>(bytes);
}

// A whole number of bytes for each string, and where changes are written back, never across two chunks.
std::uint64_t record_bytes_for(std::uint64_t width, const onecopy::lazy_options& o) {
  std::uint64_t record = 4 + (std::max<std::uint64_t>(width, 1) + 3) / 4 * 4;
  if (width > (1u << 26)) bad_argument("width", "strings of more than 64 MiB are too wide", "give less");
  if (o.write_back) {
    std::uint64_t power = 8;
    while (power < record) power *= 2;
    record = power;
    if (record > o.chunk_bytes) bad_argument("width", "a string would not fit into a chunk", "give a larger `chunk`");
  }
  return record;
}

SEXP named(SEXP list, const char* name) {
  SEXP names = Rf_getAttrib(list, R_NamesSymbol);
  for (R_xlen_t i = 0; i < Rf_xlength(names); ++i)
    if (std::strcmp(CHAR(STRING_ELT(names, i)), name) == 0) return VECTOR_ELT(list, i);
  return R_NilValue;
}

onecopy::lazy_source source_from(SEXP list, onecopy::dtype type) {
  const std::string kind = text_argument(named(list, "kind"), "kind");
  if (kind == "sequence") {
    const double from = number_argument(named(list, "from"), "from"), by = number_argument(named(list, "by"), "by");
    if (type != onecopy::dtype::int32) return onecopy::lazy_source::sequence(from, by);
    return onecopy::lazy_source::sequence(static_cast<std::int64_t>(from), static_cast<std::int64_t>(by));
  }
  if (kind == "file")
    return onecopy::lazy_source::binary_file(text_argument(named(list, "path"), "path"),
                                             whole(named(list, "offset"), "offset"),
                                             whole(named(list, "stride"), "stride"),
                                             flag_argument(named(list, "swap"), "swap"));
  SEXP words = named(list, "command"), payload = named(list, "payload");
  if (TYPEOF(words) != STRSXP || TYPEOF(payload) != RAWSXP) bad_argument("source", "it has no command or no payload");
  std::vector<std::string> command;
  for (R_xlen_t i = 0; i < XLENGTH(words); ++i) command.emplace_back(CHAR(STRING_ELT(words, i)));
  return onecopy::lazy_source::program(
      command, {reinterpret_cast<const char*>(RAW_RO(payload)), static_cast<std::size_t>(XLENGTH(payload))},
      text_argument(named(list, "description"), "description"));
}

}  // namespace

lazy_state lazy_state_for(const onecopy::lazy_vector& v) {
  lazy_state s{};
  s.type = r_type_of(v);
  s.length = static_cast<R_xlen_t>(v.size());
  if (s.type == STRSXP) {
    s.record = static_cast<int>(record_bytes_in(v.note()));
    s.length /= s.record;
  }
  for (const char* label : {"depth=", "\"depth\": "}) {  // R's, and Python's
    const auto at = v.note().find(label);
    if (at != std::string::npos) s.depth = std::atoi(v.note().c_str() + at + std::strlen(label));
  }
  return s;
}

}  // namespace ocr

using namespace ocr;

SEXP oc_lazy_make(SEXP mode, SEXP length, SEXP source, SEXP options, SEXP kept) {
  return entry([&] {
    const std::string name = text_argument(mode, "mode");
    const auto type = name == "numeric" || name == "double" ? onecopy::dtype::float64
                      : name == "integer" || name == "logical" ? onecopy::dtype::int32
                      : name == "complex" ? onecopy::dtype::complex128
                      : name == "raw" || name == "character" ? onecopy::dtype::raw : onecopy::dtype::none;
    if (type == onecopy::dtype::none)
      bad_argument("mode", "there are no lazy vectors of mode '" + name + "'",
                   "use logical, integer, numeric, complex, raw or character");
    onecopy::lazy_options o;
    o.chunk_bytes = whole(named(options, "chunk"), "chunk");
    o.deadline_seconds = number_argument(named(options, "deadline"), "deadline");
    o.writable = flag_argument(named(options, "writable"), "writable");
    o.write_back = flag_argument(named(options, "write_back"), "write_back");
    o.in_place = flag_argument(named(options, "in_place"), "in_place");
    const std::string depth = " depth=" + std::to_string(whole(named(options, "depth"), "depth"));
    std::uint64_t elements = whole(length, "length");
    o.note = "R " + name + depth;
    if (name == "character") {
      const std::uint64_t record = record_bytes_for(whole(named(options, "width"), "width"), o);
      if (elements > (1ull << 52) / record) bad_argument("length", "it is more than any machine addresses");
      o.note = strings_note(elements, record, depth);
      elements *= record;
    }
    return wrap(onecopy::make_lazy(type, elements, source_from(source, type), o), kept);
  });
}

// NULL for the handle of something else.
SEXP oc_lazy_attach(SEXP handle) {
  return entry([&]() -> SEXP {
    if (!onecopy::is_lazy(onecopy::handle::parse(text_argument(handle, "handle")))) return R_NilValue;
    return wrap(onecopy::attach_lazy(onecopy::handle::parse(text_argument(handle, "handle"))), R_NilValue);
  });
}

SEXP oc_lazy_handle(SEXP x, SEXP lease) {
  return entry([&] {
    const auto& v = lazy_argument(x);
    if (lazy_was_changed(find_lazy(x)))
      throw r_error("invalid_argument",
                    "onecopy: this copy of a lazy vector was changed in this process only, and has no handle");
    const std::string text = v.handle(number_argument(lease, "lease")).text();
    const char* chars = text.c_str();
    return r_call([=] { return Rf_mkString(chars); });
  });
}

SEXP oc_lazy_is(SEXP x) { return Rf_ScalarLogical(find_lazy(x) != nullptr); }

// Elements first to last (from 1) as an ordinary vector.
SEXP oc_lazy_read(SEXP x, SEXP first, SEXP last) {
  return entry([&] {
    const auto& v = lazy_argument(x);
    const std::uint64_t from = whole(first, "first"), to = whole(last, "last");
    const lazy_state s = *lazy_state_of(find_lazy(x));
    if (from < 1 || to < from - 1 || to > static_cast<std::uint64_t>(s.length))
      bad_argument("first, last", "they are not within the vector");
    const SEXPTYPE type = static_cast<SEXPTYPE>(TYPEOF(x));
    const auto count = static_cast<R_xlen_t>(to - from + 1);
    if (type == STRSXP) {
      if (!(s.flags & lazy_modified)) return read_lazy_strings(v, s, static_cast<R_xlen_t>(from - 1), count);
      return r_call([=] {  // changed here: only its own methods know all of its strings
        SEXP out = PROTECT(Rf_allocVector(STRSXP, count));
        for (R_xlen_t i = 0; i < count; ++i)
          SET_STRING_ELT(out, i, STRING_ELT(x, static_cast<R_xlen_t>(from) - 1 + i));
        UNPROTECT(1);
        return out;
      });
    }
    keep out(r_call([=] { return Rf_allocVector(type, count); }));
    const std::uint64_t item = onecopy::size_of(v.type());
    void* bytes = untyped(out);
    read_lazy(v, (from - 1) * item, (to - from + 1) * item, bytes);
    return static_cast<SEXP>(out);
  });
}

SEXP oc_lazy_range(SEXP x, SEXP what, SEXP first, SEXP last) {
  return entry([&] {
    const auto& v = lazy_argument(x);
    const std::string action = text_argument(what, "what");
    const lazy_state s = *lazy_state_of(find_lazy(x));
    const std::uint64_t from = whole(first, "from"), to = whole(last, "to"), item = item_bytes(s, v);
    if (from < 1 || to < from - 1 || to > static_cast<std::uint64_t>(s.length))
      bad_argument("from, to", "they are not within the vector", "it has " + std::to_string(s.length) + " elements");
    const std::uint64_t offset = (from - 1) * item, size = (to - from + 1) * item;
    if (action == "fill") v.ensure(offset, size);
    else if (action == "prefetch") v.prefetch(offset, size);
    else if (action == "release") v.release(offset, size);
    else if (action == "flush") v.flush(offset, size);
    else if (action == "pin") v.pin(offset, size);
    else if (action == "unpin") v.unpin(offset, size);
    else bad_argument("what", "there is no '" + action + "'");
    return R_NilValue;
  });
}

SEXP oc_lazy_kept(SEXP x) {
  return entry([&] {
    SEXP found = find_lazy(x);
    if (found == nullptr || lazy_was_changed(found)) return R_NilValue;
    return R_ExternalPtrProtected(R_altrep_data2(found));
  });
}

// The same memory without attributes.
SEXP oc_lazy_bare(SEXP x) {
  SEXP found = find_lazy(x);
  if (found == nullptr) return x;
  SEXP made = PROTECT(build_lazy_altrep(*lazy_state_of(found), R_altrep_data2(found)));
  if (TYPEOF(found) == STRSXP) share_string_extras(made, found);  // strings that were changed
  UNPROTECT(1);
  return made;
}

SEXP oc_lazy_status(SEXP x) {
  return entry([&] {
    const auto& v = lazy_argument(x);
    const auto c = v.count();
    const double numbers[] = {static_cast<double>(v.bytes()), static_cast<double>(c.resident_bytes),
                              static_cast<double>(c.fills), static_cast<double>(c.evictions),
                              static_cast<double>(c.failures), static_cast<double>(c.spilled_bytes),
                              static_cast<double>(v.chunk_bytes()), v.in_place() ? 1.0 : 0.0};
    const double* from = numbers;
    return r_call([=] {
      const char* names[] = {"bytes", "resident", "fills", "evictions", "failures", "spilled", "chunk", "inPlace",
                             ""};
      SEXP out = PROTECT(Rf_mkNamed(REALSXP, names));
      std::memcpy(REAL(out), from, 8 * sizeof(double));
      UNPROTECT(1);
      return out;
    });
  });
}

SEXP oc_lazy_usage() {
  return entry([&] {
    const auto p = onecopy::pager::look();
    const double numbers[] = {static_cast<double>(p.budget), static_cast<double>(p.resident),
                              static_cast<double>(p.peak_resident), static_cast<double>(p.pinned),
                              static_cast<double>(p.fills), static_cast<double>(p.evictions),
                              static_cast<double>(p.failures), static_cast<double>(p.clients),
                              static_cast<double>(p.objects), static_cast<double>(p.process)};
    const double* from = numbers;
    return r_call([=] {
      const char* names[] = {"budget", "resident", "peak", "pinned", "fills", "evictions", "failures", "clients",
                             "objects", "pager", ""};
      SEXP out = PROTECT(Rf_mkNamed(REALSXP, names));
      std::memcpy(REAL(out), from, 10 * sizeof(double));
      UNPROTECT(1);
      return out;
    });
  });
}

SEXP oc_lazy_budget(SEXP bytes) {
  return entry([&] {
    if (bytes != R_NilValue) onecopy::pager::set_budget(whole(bytes, "bytes"));
    const auto now = static_cast<double>(onecopy::pager::look().budget);
    return r_call([=] { return Rf_ScalarReal(now); });
  });
}

SEXP oc_lazy_depth(SEXP reset) {
  const int seen = lazy_depth_seen;
  if (Rf_asLogical(reset) == TRUE) lazy_depth_seen = -1;
  return Rf_ScalarInteger(seen);
}

SEXP oc_lazy_pager(SEXP path) {
  return entry([&] {
    onecopy::pager::set_program(text_argument(path, "path"));
    return R_NilValue;
  });
}
