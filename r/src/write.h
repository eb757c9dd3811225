// From an R object to the description of a region.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "plan.h"

namespace ocr {

struct write_options {
  bool attributes = true;    // false: only what the elements mean (shape, levels, dates) is written
  bool must_work = false;    // refuse what can't be shared, instead of carrying it along
  R_xlen_t min_length = 3;
};

// Describes one object to a writer. Lives until the writer has published.
class describer {
 public:
  describer(onecopy::writer& out, const write_options& options) : out_(out), options_(options) {}
  void describe(onecopy::writer::slot slot, SEXP x);
  // What has to be put in the place of nodes when the object is built from its region in this process.
  originals& known() { return known_; }
  // Vectors that will become views: 0 means that sharing gained nothing.
  std::size_t views() const { return views_; }

 private:
  using slot = onecopy::writer::slot;
  // write.cpp
  void container(slot at, SEXP x);
  void pairlist(slot at, SEXP x);
  void environment(slot at, SEXP x);
  void s4(slot at, SEXP x);
  void opaque(slot at, SEXP x, const char* what);
  void attributes(slot at, SEXP x, const std::vector<SEXP>& implied, bool mark_s4 = false,
                  bool mark_odd = false);
  bool has_own_method(SEXP x);
  // write_leaf.cpp
  void vector(slot at, SEXP x);
  void strings(slot at, SEXP x);
  bool factor(slot at, SEXP x);
  void numbers(slot at, SEXP x, onecopy::array_spec spec);
  const std::uint8_t* missing_bitmap(SEXP x, bool as_int64);
  const char* own(std::string_view text) { return texts_.emplace_back(text).c_str(); }
  void count_view(SEXP x) {
    if (XLENGTH(x) >= options_.min_length) ++views_;
  }

  onecopy::writer& out_;
  const write_options& options_;
  originals known_;
  keepers kept_;
  std::deque<std::string> texts_;
  std::set<SEXP> seen_;  // environments, which may contain themselves
  std::size_t views_ = 0;
};

bool inherits_exactly(SEXP x, std::initializer_list<const char*> classes);
// True for environments that belong to R itself or to a package: they are never shared or changed.
bool is_system_environment(SEXP x);

}  // namespace ocr
