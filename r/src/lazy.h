// Lazy vectors in R: what altrep_lazy.cpp, api_lazy.cpp and lazy_runner.cpp share.
#pragma once

#include <memory>
#include <string>

#include "glue.h"
#include "onecopy/lazy.hpp"

namespace ocr {

struct lazy_ref {
  onecopy::lazy_vector vector;  // empty: it could not be attached
  std::string reason;           // then: why
};

enum lazy_flags : int {
  lazy_private = 1,   // a copy that R has made in order to change it
  lazy_modified = 2,  // and R was given a pointer; see lazy_was_changed
  lazy_expanded = 4,  // strings: all of them are in an ordinary vector, to which R was given a pointer to write through
};

struct lazy_state {
  R_xlen_t length;
  int type;    // SEXPTYPE
  int flags;
  int depth;   // 0, or more than that of every lazy vector that its function reads
  int record;  // of strings: bytes of one, its size among them (docs/decisions/0007-lazy-strings.md); else 0
  int next;    // of strings: where the next one goes in the ring of those made last
  int longer;  // of strings: how many were assigned here that don't fit into their records
};

// The greatest depth of the lazy vectors serialized since it was last set to -1: how deep a function that was
// serialized reads.
extern int lazy_depth_seen;

// Bytes of an element.
inline std::uint64_t item_bytes(const lazy_state& s, const onecopy::lazy_vector& v) {
  return s.record != 0 ? static_cast<std::uint64_t>(s.record) : onecopy::size_of(v.type());
}

inline lazy_state* lazy_state_of(SEXP lazy) { return reinterpret_cast<lazy_state*>(RAW(R_altrep_data1(lazy))); }
void register_lazy_classes(DllInfo* dll);
bool is_lazy_view(SEXP x);
// The lazy vector itself where R has wrapped it; null if there is none.
SEXP find_lazy(SEXP x);
lazy_ref* lazy_ref_of(SEXP lazy);
// Throws when it is gone.
const onecopy::lazy_vector& usable_lazy(SEXP lazy);
// It shows what its handle would not carry. R asks for pointers to write through only to read (colMeans, `%*%`), and Rcpp
// for pointers to read only to write, so what counts is whether a page was written to.
bool lazy_was_changed(SEXP lazy);
// Throws why a touch could not be filled, if one could not be.
void throw_if_unfilled(const onecopy::lazy_vector& v);
// Copies bytes out, filled. Throws what ensure() throws.
void read_lazy(const onecopy::lazy_vector& v, std::uint64_t offset, std::uint64_t size, void* out);
SEXP new_lazy_pointer(onecopy::lazy_vector vector, SEXP kept, const std::string& reason = {});
// What R makes of it, by the type of its elements and its note. Throws wrong_type if there is no such vector in R.
lazy_state lazy_state_for(const onecopy::lazy_vector& v);
// R phase.
SEXP build_lazy_altrep(const lazy_state& state, SEXP pointer);
// The methods that do not depend on the type of the elements.
void set_common_lazy_methods(R_altrep_class_t c);

// Strings (altrep_lazy_string.cpp): records of a size in bytes, -1 for NA, and UTF-8.
extern R_altrep_class_t lazy_string_class;
void register_lazy_string_class(DllInfo* dll);
// R phase. What a string vector keeps besides its records.
void attach_string_extras(SEXP state);
// R phase. The new vector has the extras of the other one.
void share_string_extras(SEXP to, SEXP from);
// Elements first (from 0) and on as an ordinary vector. Throws what ensure() throws.
SEXP read_lazy_strings(const onecopy::lazy_vector& v, const lazy_state& s, R_xlen_t first, R_xlen_t count);
// R phase. A record as a string; NA for bytes that are none.
SEXP string_from(const std::byte* record, int record_bytes);

}  // namespace ocr

extern "C" {
SEXP oc_lazy_make(SEXP mode, SEXP length, SEXP source, SEXP options, SEXP kept);
SEXP oc_lazy_attach(SEXP handle);
SEXP oc_lazy_handle(SEXP x, SEXP lease);
SEXP oc_lazy_is(SEXP x);
SEXP oc_lazy_read(SEXP x, SEXP first, SEXP last);
SEXP oc_lazy_range(SEXP x, SEXP what, SEXP first, SEXP last);
SEXP oc_lazy_kept(SEXP x);
SEXP oc_lazy_bare(SEXP x);
SEXP oc_lazy_status(SEXP x);
SEXP oc_lazy_budget(SEXP bytes);
SEXP oc_lazy_usage();
SEXP oc_lazy_depth(SEXP reset);
SEXP oc_lazy_pack(SEXP strings, SEXP record);
SEXP oc_lazy_width(SEXP x);
SEXP oc_csv_records(SEXP block, SEXP final, SEXP separator, SEXP quote, SEXP fields, SEXP most);
SEXP oc_text_lines(SEXP block);
SEXP oc_lazy_unpack(SEXP bytes, SEXP record);
SEXP oc_lazy_pager(SEXP path);
SEXP oc_lazy_serve(SEXP fill);
}
