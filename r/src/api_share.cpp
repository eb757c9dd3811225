#include <cmath>
#include <functional>

#include "api.h"
#include "subset.h"
#include "write.h"

#include <R_ext/Utils.h>

namespace ocr {

namespace {

SEXP option(SEXP options, const char* name) {
  SEXP names = Rf_getAttrib(options, R_NamesSymbol);
  for (R_xlen_t i = 0; i < Rf_xlength(names); ++i)
    if (std::string_view(CHAR(STRING_ELT(names, i))) == name) return VECTOR_ELT(options, i);
  return R_NilValue;
}

bool flag_option(SEXP options, const char* name, bool otherwise) {
  SEXP x = option(options, name);
  return x == R_NilValue ? otherwise : flag_argument(x, name);
}

std::string text_option(SEXP options, const char* name) {
  SEXP x = option(options, name);
  return x == R_NilValue ? std::string() : text_argument(x, name);
}

R_xlen_t length_option(SEXP options, const char* name, double otherwise) {
  SEXP x = option(options, name);
  const double n = x == R_NilValue ? otherwise : number_argument(x, name);
  if (n < 0) bad_argument(name, "it is negative");
  return n >= 4e18 ? R_XLEN_T_MAX : static_cast<R_xlen_t>(std::min(n, static_cast<double>(R_XLEN_T_MAX)));
}

std::uint8_t sharing_flags(SEXP options) {
  std::uint8_t flags = 0;
  if (flag_option(options, "copyOnWrite", true)) flags |= copy_on_write;
  if (flag_option(options, "sharedSubset", false)) flags |= shared_subset;
  if (flag_option(options, "sharedCopy", false)) flags |= shared_copy;
  return flags;
}

// Lets the user interrupt, and shows progress; both end the publishing by an exception, which leaves nothing behind.
std::function<void(std::uint64_t, std::uint64_t)> progress_of(SEXP options) {
  SEXP shown = option(options, "progress");
  return [shown](std::uint64_t done, std::uint64_t total) {
    if (!R_ToplevelExec([](void*) { R_CheckUserInterrupt(); }, nullptr))
      throw onecopy::error(onecopy::error_kind::interrupted, "share an object", "the user interrupted it");
    if (Rf_isFunction(shown)) {
      r_call([=] {
        SEXP call = PROTECT(Rf_lang3(shown, PROTECT(Rf_ScalarReal(static_cast<double>(done))),
                                     PROTECT(Rf_ScalarReal(static_cast<double>(total)))));
        Rf_eval(call, R_GlobalEnv);
        UNPROTECT(3);
        return R_NilValue;
      });
    }
  };
}

onecopy::publish_options publishing(SEXP options) {
  onecopy::publish_options p;
  p.name = text_option(options, "name");
  p.replace = flag_option(options, "replace", false);
  p.keep = flag_option(options, "keep", false);
  p.writable = !flag_option(options, "copyOnWrite", true);
  p.path = text_option(options, "path");
  if (!p.path.empty()) p.where = onecopy::backing::file;
  p.progress = progress_of(options);
  return p;
}

// Lists of short vectors only have no view that would hold a named region (before R 4.3 lists are ordinary lists).
void hold_for_the_session(SEXP region_pointer) {
  r_call([=] {
    R_PreserveObject(region_pointer);
    return R_NilValue;
  });
}

}  // namespace

SEXP share_subset(SEXP picked, std::uint8_t flags) {
  if (XLENGTH(picked) == 0) return picked;
  onecopy::writer w;
  write_options how;
  describer tree(w, how);
  tree.describe(w.root(), picked);
  onecopy::publish_options p;
  p.writable = !(flags & copy_on_write);
  keep pointer(new_region_pointer(w.publish(p), true));
  build_options build;
  build.views.flags = flags;
  build.views.min_length = 1;
  return build_node(onecopy::value(ref_of(pointer)->region), build, pointer);
}

}  // namespace ocr

using namespace ocr;

SEXP oc_share(SEXP x, SEXP options) {
  return entry([&]() -> SEXP {
    write_options how;
    how.attributes = flag_option(options, "sharedAttributes", true);
    how.must_work = flag_option(options, "mustWork", false);
    how.min_length = length_option(options, "minLength", 3);
    onecopy::writer w;
    describer tree(w, how);
    tree.describe(w.root(), x);
    const onecopy::publish_options p = publishing(options);
    const bool findable = !p.name.empty() || p.keep || !p.path.empty();
    if (tree.views() == 0 && !findable) return x;
    keep pointer(new_region_pointer(w.publish(p), true));
    build_options build;
    build.views.flags = sharing_flags(options);
    build.views.min_length = how.min_length;
    build.known = &tree.known();
    keep made(build_node(onecopy::value(ref_of(pointer)->region), build, pointer));
    if (tree.views() == 0 && p.path.empty()) hold_for_the_session(pointer);
    return made;
  });
}

SEXP oc_empty(SEXP mode, SEXP length, SEXP dims, SEXP options) {
  return entry([&]() -> SEXP {
    const std::string type = text_argument(mode, "mode");
    onecopy::array_spec spec;
    if (type == "raw") spec.type = onecopy::dtype::raw;
    else if (type == "logical") spec.type = onecopy::dtype::logical32;
    else if (type == "integer") spec.type = onecopy::dtype::int32;
    else if (type == "numeric" || type == "double") spec.type = onecopy::dtype::float64;
    else if (type == "complex") spec.type = onecopy::dtype::complex128;
    else bad_argument("mode", "'" + type + "' is none of raw, logical, integer, numeric, complex");
    const double n = number_argument(length, "length");
    if (n < 0 || n != std::floor(n) || n > static_cast<double>(R_XLEN_T_MAX))
      bad_argument("length", "it is negative, fractional or too large for R");
    spec.count = static_cast<std::uint64_t>(n);
    // The shape is written too, so that other languages see a matrix where R does.
    if (TYPEOF(dims) == INTSXP && XLENGTH(dims) >= 2) {
      double product = 1;
      for (R_xlen_t d = 0; d < XLENGTH(dims); ++d) product *= INTEGER_ELT(dims, d);
      if (product != n) bad_argument("attrib", "the product of its dim is not the length");
      for (R_xlen_t d = 0; d < XLENGTH(dims); ++d) spec.shape.push_back(static_cast<std::uint64_t>(INTEGER_ELT(dims, d)));
    }
    onecopy::writer w;
    w.array(w.root(), spec, nullptr);
    onecopy::publish_options p = publishing(options);
    p.writable = true;  // made to be filled
    keep pointer(new_region_pointer(w.publish(p), true));
    build_options build;
    build.views.flags = sharing_flags(options);
    build.views.min_length = 0;
    return build_node(onecopy::value(ref_of(pointer)->region), build, pointer);
  });
}

SEXP oc_attach(SEXP handle, SEXP name, SEXP path, SEXP options) {
  return entry([&]() -> SEXP {
    onecopy::value v;
    if (path != R_NilValue) v = onecopy::open(text_argument(path, "path"));
    else if (name != R_NilValue) v = onecopy::attach_name(text_argument(name, "name"));
    else v = onecopy::attach(text_argument(handle, "handle"));
    build_options build;
    build.views.flags = sharing_flags(options);
    // Mutable objects are attached to be written to, unless the caller says otherwise.
    if (v.region().writable() && option(options, "copyOnWrite") == R_NilValue)
      build.views.flags = static_cast<std::uint8_t>(build.views.flags & ~copy_on_write);
    build.views.min_length = length_option(options, "minLength", 3);
    build.plain = flag_option(options, "plain", false);
    return build_node(v, build);
  });
}

SEXP oc_handle(SEXP x, SEXP lease) {
  return entry([&]() -> SEXP {
    SEXP view = find_view(x);
    if (!view || !is_shared_view(x)) return R_NilValue;
    if (diverged(view))
      throw onecopy::error(onecopy::error_kind::invalid_argument, "give the handle of a shared object",
                           "it was changed in this process since it was shared", "share() it again");
    const double seconds = number_argument(lease, "lease");
    const view_state* s = state_of(view);
    const std::string text = s->ref->region.handle(s->node, seconds).text();
    const char* held = text.c_str();
    return r_call([=] { return Rf_mkString(held); });
  });
}
