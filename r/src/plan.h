// From a node of a region to an R object, in two steps: the planner (plan*.cpp) reads the region, may throw, and calls
// nothing of R; the builder (build.cpp) makes R's objects from the plan and uses nothing that has a destructor.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "convert.h"
#include "view.h"

namespace ocr {

enum class making : std::uint8_t {
  nil,
  view,          // in place
  copied,        // an ordinary vector, its bytes copied
  plain,         // an ordinary vector over private pages of the region
  converted,     // converted when read
  string_view,
  numbers,       // an ordinary vector, copied or converted now
  texts,         // an ordinary character vector
  integers,      // few numbers of the planner's own: dim, compact row names
  list,
  list_view,     // a long list whose elements are made when they are asked for
  pairlist,
  environment,
  s4,            // an S4 object without data part
  unserialized,  // an opaque of R
  foreign,       // an opaque of another language
  original,      // an object that is at hand, for nodes just written from it
};

struct planned {
  making how = making::nil;
  std::uint8_t type = 0;      // SEXPTYPE
  bool s4_bit = false;        // S4 class that extends a basic type
  bool as_text = false;       // levels that are not strings
  bool copy_strings = false;  // an ordinary character vector instead of a view
  std::uint32_t node = 0;
  R_xlen_t length = 0;
  const std::byte* data = nullptr;
  std::uint64_t offset = 0, bytes = 0;
  std::uint32_t first_child = 0, children = 0;      // in plan::links
  std::uint32_t first_attribute = 0, attributes = 0;  // in plan::attributes
  std::uint32_t detail = 0;   // in conversions, texts or integers
  SEXP original = nullptr;
  SEXP pointers_of = nullptr;  // the object whose external pointers among its attributes are kept
};

struct planned_text {
  std::string_view text;
  bool missing = false;
  bool bytes = false;
};

struct planned_attribute {
  const char* name;
  std::uint32_t item;  // in plan::items
};

struct plan {
  std::vector<planned> items;
  std::vector<std::uint32_t> links;
  std::vector<planned_attribute> attributes;
  std::vector<conversion> conversions;
  std::vector<planned_text> texts;
  std::vector<int> integers;
  std::deque<std::string> owned;  // texts and names that don't lie in the region as such
};

// Objects that stand for nodes which were written from them a moment ago.
struct originals {
  std::unordered_map<std::uint32_t, SEXP> objects;      // what can't be shared; environments, filled in place
  std::unordered_map<std::uint32_t, SEXP> attributes;   // nodes whose attributes are not shared
  std::unordered_map<std::uint32_t, SEXP> pointers;     // nodes with external pointers among their attributes
};

struct build_options {
  view_options views;
  bool plain = false;            // ordinary vectors laid over private pages, instead of views
  bool with_attributes = true;   // false: R restores them itself
  const originals* known = nullptr;
};

// Memory for one ordinary vector whose elements are private pages of a region, with room for R's header before them.
struct plain_block {
  onecopy::region region;
  onecopy::private_view pages;
  std::byte* data = nullptr;
  std::size_t bytes = 0;   // of the elements
  bool taken = false;      // R owns it now, and frees it with the vector
};
// Null when the leaf can't be laid out so (it is too near the start of its region): it is copied then.
plain_block* new_plain_block(const onecopy::region& region, std::uint64_t offset, std::uint64_t bytes);
SEXP build_plain_vector(SEXPTYPE type, R_xlen_t length, plain_block* block);

class planner {
 public:
  planner(plan& out, const build_options& options) : out_(out), options_(options) {}
  // Returns the index of the planned item. Throws onecopy::error.
  std::uint32_t node(const onecopy::value& v, bool attribute = false);

 private:
  friend class attribute_list;
  using attribute_pairs = std::vector<planned_attribute>;

  planned& at(std::uint32_t item) { return out_.items[item]; }
  std::uint32_t add(planned item);
  // plan_array.cpp
  void array(std::uint32_t item, const onecopy::value& v, attribute_pairs& derived);
  void categorical(std::uint32_t item, const onecopy::value& v, attribute_pairs& derived);
  void strings(std::uint32_t item, const onecopy::value& v, bool attribute);
  void fixed_texts(std::uint32_t item, const onecopy::value& v);
  void records(std::uint32_t item, const onecopy::value& v, attribute_pairs& derived);
  void fields(std::uint32_t item, const std::vector<onecopy::record_field>& list, const std::byte* data,
              std::uint64_t stride, R_xlen_t rows, attribute_pairs& derived);
  void use_conversion(std::uint32_t item, const conversion& how, SEXPTYPE type, bool lazy);
  // plan.cpp
  void list(std::uint32_t item, const onecopy::value& v, attribute_pairs& derived);
  void table(std::uint32_t item, const onecopy::value& v, attribute_pairs& derived);
  void opaque(std::uint32_t item, const onecopy::value& v, attribute_pairs& derived);
  void attributes(std::uint32_t item, const onecopy::value& v, attribute_pairs derived);
  std::uint32_t texts(std::initializer_list<const char*> items);
  std::uint32_t integers(std::vector<int> items);
  const char* own(std::string_view text);

  plan& out_;
  const build_options& options_;
  int depth_ = 0;
};

// Plans and builds. Throws. The result is not protected.
SEXP build_node(const onecopy::value& v, const build_options& options);
// The same with a pointer that is there already; its region is v's.
SEXP build_node(const onecopy::value& v, const build_options& options, SEXP region_pointer);

// R phase. Binds `symbol` anew, also where it is locked; the lock stays.
void set_binding(SEXP environment, SEXP symbol, SEXP item);

}  // namespace ocr
