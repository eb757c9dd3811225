// What R's views of a region are made of. A view is an ALTREP vector:
//   data1: a raw vector that holds the view's state (plain data, below)
//   data2: the external pointer that keeps the region (or its private pages) mapped; for views that build ordinary R
//          data (strings, converted numbers) a pair of that pointer and the cache.
#pragma once

#include <atomic>
#include <memory>

#include "glue.h"

namespace ocr {

// What all views of one region in this process have in common.
struct region_ref {
  onecopy::region region;
  bool creator = false;  // made by share() in this process
};

// Pages copied on write for one R vector.
struct private_ref {
  onecopy::private_view pages;
};

enum view_flags : std::uint8_t {
  copy_on_write = 1,   // R duplicates before it writes
  shared_subset = 2,   // x[i] is shared again
  shared_copy = 4,     // a duplicate is shared again
  private_pages = 8,   // no longer the shared object: a private copy of it, by the page
  exclusive = 16,      // a copy made by shared_copy that has not left this process: may be written in place
  modified = 32,       // its R data was changed: its handle would not carry what it shows
};

struct view_state {
  R_xlen_t length;
  std::byte* data;     // the elements, for views in place; else null
  region_ref* ref;     // null for private pages
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint32_t node;
  std::uint8_t flags;
  std::uint8_t type;   // SEXPTYPE
};

struct view_options {
  std::uint8_t flags = copy_on_write;
  R_xlen_t min_length = 3;  // shorter vectors become ordinary ones
};

// ---- the classes, each in its own file
void register_numeric_classes(DllInfo* dll);
void register_converted_classes(DllInfo* dll);
void register_string_class(DllInfo* dll);
void register_list_class(DllInfo* dll);
void register_gone_classes(DllInfo* dll);
bool is_numeric_view(SEXP x);
bool is_converted_view(SEXP x);
bool is_string_view(SEXP x);
bool is_list_view(SEXP x);
bool is_gone(SEXP x);
// False before R 4.3: long lists are ordinary lists of views then.
bool lists_are_views();
// Shorter lists are cheaper as ordinary lists.
constexpr R_xlen_t long_list = 64;
// Whether share() makes a view of this list.
inline bool is_long_list(SEXP x) {
  return lists_are_views() && TYPEOF(x) == VECSXP && XLENGTH(x) >= long_list && !Rf_isObject(x);
}

// One of the above but gone; not the wrappers that R puts around vectors.
inline bool is_view(SEXP x) {
  return ALTREP(x) && (is_numeric_view(x) || is_converted_view(x) || is_string_view(x) || is_list_view(x));
}
// The view itself where R has wrapped it (attr<-, sort); null if there is none.
SEXP find_view(SEXP x);
inline view_state* state_of(SEXP view) { return reinterpret_cast<view_state*>(RAW(R_altrep_data1(view))); }
SEXP region_pointer_of(SEXP view);
// True while the vector still is the shared object: not private, not changed.
bool is_shared_view(SEXP x);
// True if what the view shows is not what its handle would carry. May throw.
bool diverged(SEXP view);

bool converted_diverged(SEXP view);
bool strings_diverged(SEXP view);
bool list_diverged(SEXP view);
// Values in the dictionary (-1: stored one by one) and bytes of a code.
std::pair<R_xlen_t, int> string_storage(SEXP view);

// ---- R phase: may be left by a jump
SEXP build_numeric_view(const view_state& state, SEXP region_pointer);
struct conversion;
SEXP build_converted_view(const view_state& state, const conversion& how, SEXP region_pointer);
SEXP build_string_view(const view_state& state, SEXP region_pointer);
SEXP build_list_view(const view_state& state, R_xlen_t min_length, SEXP region_pointer);
SEXP build_gone(SEXP travel_state, const char* reason, const char* kind);

// ---- external pointers
// A new one that owns a reference to `region`. Throws.
SEXP new_region_pointer(const onecopy::region& region, bool creator);
region_ref* ref_of(SEXP region_pointer);
SEXP new_private_pointer(onecopy::private_view pages);

// ---- travelling (travel.cpp)
// What R serializes instead of the data: a raw vector, or null when the data itself has to go.
SEXP travel_state(SEXP view);
SEXP travel_unserialize(SEXP r_class, SEXP state);
// Type and length that a travelling state promises; type 0 when it isn't one.
struct promised {
  std::uint8_t type = 0;
  R_xlen_t length = 0;
};
promised read_promise(SEXP state);
// For shareCluster(): while switched on, the regions are noted whose handles are made, and whether anything else is sent
// that leads to this host only. Switching it on begins anew, switching it off forgets.
void note_travellers(bool on);
void note_traveller_elsewhere();
SEXP travellers();  // a pairlist of region pointers, each region once
bool travellers_elsewhere();

// The methods that do not depend on what the view shows.
void set_common_view_methods(R_altrep_class_t c);

// Warns (option onecopy.report_copies) that something large that was shared is copied after all.
void report_copy(SEXP view, const char* why);

}  // namespace ocr
