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
  lazy_modified = 2,  // and R was given a pointer to write through: its handle would not carry what it shows
};

struct lazy_state {
  R_xlen_t length;
  int type;   // SEXPTYPE
  int flags;
  int depth;  // 0, or more than that of every lazy vector that its function reads
};

// The greatest depth of the lazy vectors serialized since it was last set to -1: how deep a function that was
// serialized reads.
extern int lazy_depth_seen;

inline lazy_state* lazy_state_of(SEXP lazy) { return reinterpret_cast<lazy_state*>(RAW(R_altrep_data1(lazy))); }
void register_lazy_classes(DllInfo* dll);
bool is_lazy_view(SEXP x);
// The lazy vector itself where R has wrapped it; null if there is none.
SEXP find_lazy(SEXP x);
// Throws when it is gone.
const onecopy::lazy_vector& usable_lazy(SEXP lazy);
// Copies bytes out, filled. Throws what ensure() throws.
void read_lazy(const onecopy::lazy_vector& v, std::uint64_t offset, std::uint64_t size, void* out);
SEXP new_lazy_pointer(onecopy::lazy_vector vector, SEXP kept, const std::string& reason = {});
// What R makes of it, by the type of its elements and its note. Throws wrong_type if there is no such vector in R.
lazy_state lazy_state_for(const onecopy::lazy_vector& v);
// R phase.
SEXP build_lazy_altrep(const lazy_state& state, SEXP pointer);

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
SEXP oc_lazy_depth(SEXP reset);
SEXP oc_lazy_pager(SEXP path);
SEXP oc_lazy_serve(SEXP fill);
}
