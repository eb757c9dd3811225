#include <cstring>

#include "api.h"
#include "plan.h"

using namespace ocr;

namespace {

std::string id_of(const view_state* s) {
  const std::string id = s->ref->region.id().text();
  return s->node == 0 ? id : id + "/" + std::to_string(s->node);
}

}  // namespace

SEXP oc_is_shared(SEXP x) {
  return entry([&] { return Rf_ScalarLogical(is_shared_view(x)); });
}

SEXP oc_is_gone(SEXP x) {
  return entry([&] { return Rf_ScalarLogical(is_gone(x)); });
}

SEXP oc_properties(SEXP x) {
  return entry([&]() -> SEXP {
    SEXP view = find_view(x);
    if (!view || !is_shared_view(x)) return R_NilValue;
    const view_state* s = state_of(view);
    const onecopy::value node(s->ref->region, s->node);
    const std::string id = id_of(s);
    std::pair<R_xlen_t, int> storage{-1, 0};
    double total = static_cast<double>(s->bytes);
    if (is_string_view(view)) {
      storage = string_storage(view);
      total = storage.first >= 0 ? static_cast<double>(node.data_bytes()) : static_cast<double>(node.strings().bytes_size);
    } else if (is_converted_view(view)) {
      total = static_cast<double>(node.data_bytes());
    }
    const char* text = id.c_str();
    return r_call([=] {
      const char* names[] = {"dataId", "length", "totalSize", "dataType", "ownData", "copyOnWrite", "sharedSubset",
                             "sharedCopy", "unitSize", "uniqueChar", ""};
      SEXP out = PROTECT(Rf_mkNamed(VECSXP, names));
      SET_VECTOR_ELT(out, 0, Rf_mkString(text));
      SET_VECTOR_ELT(out, 1, Rf_ScalarReal(static_cast<double>(s->length)));
      SET_VECTOR_ELT(out, 2, Rf_ScalarReal(total));
      SET_VECTOR_ELT(out, 3, Rf_ScalarInteger(s->type));
      SET_VECTOR_ELT(out, 4, Rf_ScalarLogical(s->ref->creator));
      SET_VECTOR_ELT(out, 5, Rf_ScalarLogical(s->flags & copy_on_write));
      SET_VECTOR_ELT(out, 6, Rf_ScalarLogical(s->flags & shared_subset));
      SET_VECTOR_ELT(out, 7, Rf_ScalarLogical(s->flags & shared_copy));
      SET_VECTOR_ELT(out, 8, Rf_ScalarInteger(storage.second));
      SET_VECTOR_ELT(out, 9, storage.first < 0 ? Rf_ScalarReal(NA_REAL) : Rf_ScalarReal(static_cast<double>(storage.first)));
      UNPROTECT(1);
      return out;
    });
  });
}

// Sets one of copyOnWrite, sharedSubset, sharedCopy; returns the old value, or NULL if x is not shared.
SEXP oc_set_flag(SEXP x, SEXP flag, SEXP on) {
  return entry([&]() -> SEXP {
    SEXP view = find_view(x);
    if (!view || !is_shared_view(x)) return R_NilValue;
    const std::string name = text_argument(flag, "property");
    const bool value = flag_argument(on, "value");
    const std::uint8_t bit = name == "copyOnWrite" ? copy_on_write : name == "sharedSubset" ? shared_subset : shared_copy;
    view_state* s = state_of(view);
    const bool old = s->flags & bit;
    if (bit == copy_on_write && !value && !s->ref->region.writable())
      throw onecopy::error(onecopy::error_kind::permission, "set copyOnWrite to FALSE",
                           "the object was shared as immutable, and others may rely on that",
                           "share it anew: share(unshare(x), copyOnWrite = FALSE)");
    s->flags = static_cast<std::uint8_t>(value ? s->flags | bit : s->flags & ~bit);
    // An alias made by an assignment may be written in place by R; with copy-on-write it must be duplicated first.
    if (bit == copy_on_write && value) MARK_NOT_MUTABLE(x);
    return Rf_ScalarLogical(old);
  });
}

// Region id and node of a view, to find the container that it belongs to; NULL for others.
SEXP oc_node_at(SEXP x) {
  return entry([&]() -> SEXP {
    SEXP view = find_view(x);
    if (!view || !is_shared_view(x)) return R_NilValue;
    const view_state* s = state_of(view);
    const double node = s->node;
    const std::string id = s->ref->region.id().text();
    const char* text = id.c_str();
    return r_call([=] {
      SEXP out = PROTECT(Rf_allocVector(VECSXP, 2));
      SET_VECTOR_ELT(out, 0, Rf_mkString(text));
      SET_VECTOR_ELT(out, 1, Rf_ScalarReal(node));
      UNPROTECT(1);
      return out;
    });
  });
}

// The container `levels` above x's node in its region, as a node number; NULL if there is none.
SEXP oc_container_node(SEXP x, SEXP levels) {
  return entry([&]() -> SEXP {
    SEXP view = find_view(x);
    if (!view || !is_shared_view(x)) return R_NilValue;
    const view_state* s = state_of(view);
    std::uint32_t node = s->node;
    for (int level = static_cast<int>(number_argument(levels, "levels")); level > 0; --level) {
      bool found = false;
      // Containers come before their children, and children follow each other.
      for (std::uint32_t candidate = node; candidate-- > 0 && !found;) {
        const onecopy::value v(s->ref->region, candidate);
        if (v.kind() != onecopy::node_kind::list && v.kind() != onecopy::node_kind::table) continue;
        if (v.size() == 0 || v.child(0).index() > node || v.child(v.size() - 1).index() < node) continue;
        node = candidate;
        found = true;
      }
      if (!found) return R_NilValue;
    }
    return Rf_ScalarReal(node);
  });
}

// The object at `node` of x's region, built anew.
SEXP oc_read_node(SEXP x, SEXP node, SEXP min_length) {
  return entry([&]() -> SEXP {
    SEXP view = find_view(x);
    if (!view || !is_shared_view(x)) return R_NilValue;
    const view_state* s = state_of(view);
    build_options build;
    build.views.min_length = static_cast<R_xlen_t>(number_argument(min_length, "minLength"));
    const onecopy::value v(s->ref->region, static_cast<std::uint32_t>(number_argument(node, "node")));
    return build_node(v, build, region_pointer_of(view));
  });
}

// The handle of a node of x's region.
SEXP oc_handle_of_node(SEXP x, SEXP node, SEXP lease) {
  return entry([&]() -> SEXP {
    SEXP view = find_view(x);
    if (!view || !is_shared_view(x)) return R_NilValue;
    const auto index = static_cast<std::uint32_t>(number_argument(node, "node"));
    const std::string text = state_of(view)->ref->region.handle(index, number_argument(lease, "lease")).text();
    const char* held = text.c_str();
    return r_call([=] { return Rf_mkString(held); });
  });
}
