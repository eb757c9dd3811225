#include <cmath>

#include "api.h"
#include "view.h"

using namespace ocr;
namespace store = onecopy::store;

namespace {

// What users give to name an object: an id, "<id>/<node>" as properties show it, a handle, or a name.
std::optional<onecopy::object_id> find_id(SEXP x) {
  const std::string text = text_argument(x, "id");
  if (onecopy::handle::looks_like(text)) return onecopy::handle::parse(text).id;
  const std::string head = text.substr(0, text.find('/'));
  if (head.size() == 32 && head.find_first_not_of("0123456789abcdef") == std::string::npos)
    return onecopy::object_id::parse(head);
  return store::find_name(text);
}

onecopy::handle handle_of(const onecopy::object_id& id) { return {store::host_id(), store::store_id(), id, 0}; }

onecopy::object_id need_id(SEXP x, const char* tried) {
  const auto id = find_id(x);
  if (!id || !store::exists(handle_of(*id)))
    throw onecopy::error(onecopy::error_kind::not_found, tried, "there is no shared object with that id or name",
                         "listSharedObjects() shows what there is");
  return *id;
}

}  // namespace

SEXP oc_list() {
  return entry([&]() -> SEXP {
    const auto entries = store::list();
    const auto* all = &entries;
    // The texts are made here: an id's text is a C++ string.
    std::vector<std::string> ids;
    for (const auto& e : entries) ids.push_back(e.id.text());
    const auto* id_texts = &ids;
    return r_call([=] {
      const auto n = static_cast<R_xlen_t>(all->size());
      const char* names[] = {"Id", "size", "name", "created", "lease", "writable", "memfd", ""};
      SEXP out = PROTECT(Rf_mkNamed(VECSXP, names));
      const SEXPTYPE types[] = {STRSXP, REALSXP, STRSXP, REALSXP, REALSXP, LGLSXP, LGLSXP};
      for (int c = 0; c < 7; ++c) SET_VECTOR_ELT(out, c, Rf_allocVector(types[c], n));
      for (R_xlen_t i = 0; i < n; ++i) {
        const auto& e = (*all)[static_cast<std::size_t>(i)];
        SET_STRING_ELT(VECTOR_ELT(out, 0), i, Rf_mkChar((*id_texts)[static_cast<std::size_t>(i)].c_str()));
        REAL(VECTOR_ELT(out, 1))[i] = static_cast<double>(e.bytes);
        SET_STRING_ELT(VECTOR_ELT(out, 2), i, Rf_mkCharCE(e.name.c_str(), CE_UTF8));
        REAL(VECTOR_ELT(out, 3))[i] = static_cast<double>(e.created);
        REAL(VECTOR_ELT(out, 4))[i] = e.lease_seconds;
        LOGICAL(VECTOR_ELT(out, 5))[i] = e.writable;
        LOGICAL(VECTOR_ELT(out, 6))[i] = e.in_memfd;
      }
      UNPROTECT(1);
      return out;
    });
  });
}

SEXP oc_free(SEXP id) {
  return entry([&] {
    const auto found = find_id(id);
    return Rf_ScalarLogical(found && store::remove(*found));
  });
}

SEXP oc_exists(SEXP id) {
  return entry([&] {
    const auto found = find_id(id);
    return Rf_ScalarLogical(found && store::exists(handle_of(*found)));
  });
}

SEXP oc_size(SEXP id) {
  return entry([&]() -> SEXP {
    const auto found = need_id(id, "tell the size of shared memory");
    const onecopy::region region = store::attach(handle_of(found));
    const onecopy::value root(region);
    const bool bare = root.kind() == onecopy::node_kind::array;
    return Rf_ScalarReal(static_cast<double>(bare ? root.data_bytes() : region.bytes().size()));
  });
}

SEXP oc_holders(SEXP id) {
  return entry([&] {
    const auto found = find_id(id);
    return Rf_ScalarReal(found ? static_cast<double>(store::holders(*found)) : 0);
  });
}

SEXP oc_collect() {
  return entry([&] {
    const auto freed = store::collect();
    return r_call([&] {
      const char* names[] = {"objects", "bytes", ""};
      SEXP out = PROTECT(Rf_mkNamed(VECSXP, names));
      SET_VECTOR_ELT(out, 0, Rf_ScalarReal(static_cast<double>(freed.objects)));
      SET_VECTOR_ELT(out, 1, Rf_ScalarReal(static_cast<double>(freed.bytes)));
      UNPROTECT(1);
      return out;
    });
  });
}

SEXP oc_directory() {
  return entry([&] {
    const std::string path = store::directory();
    const char* text = path.c_str();
    return r_call([=] { return Rf_mkString(text); });
  });
}

SEXP oc_allocate(SEXP size, SEXP name) {
  return entry([&]() -> SEXP {
    const double bytes = number_argument(size, "size");
    if (bytes < 0 || bytes > 9e15 || bytes != std::floor(bytes))
      bad_argument("size", "it is not a whole number of bytes from 0 to 9e15");
    const std::string wanted = text_argument(name, "name");
    if (!wanted.empty()) {
      // The same name again is the same memory, if there is enough of it.
      if (const auto there = store::find_name(wanted); there && store::exists(handle_of(*there))) {
        const onecopy::value root(store::attach(handle_of(*there)));
        if (root.kind() == onecopy::node_kind::array && root.region().writable() &&
            static_cast<double>(root.data_bytes()) >= bytes) {
          const char* text = wanted.c_str();
          return r_call([=] { return Rf_ScalarString(Rf_mkCharCE(text, CE_UTF8)); });
        }
        throw onecopy::error(onecopy::error_kind::exists, "allocate shared memory named '" + wanted + "'",
                             "there is an object of that name that is smaller or of another kind",
                             "free it first: freeSharedMemory(\"" + wanted + "\")");
      }
    }
    onecopy::writer w;
    w.array(w.root(), {.type = onecopy::dtype::raw, .count = static_cast<std::uint64_t>(bytes)}, nullptr);
    onecopy::publish_options options;
    options.name = wanted;
    options.writable = true;
    options.keep = true;
    const onecopy::region made = w.publish(options);
    const std::string id = wanted.empty() ? made.id().text() : wanted;
    const char* text = id.c_str();
    return r_call([=] { return Rf_ScalarString(Rf_mkCharCE(text, CE_UTF8)); });
  });
}

// An external pointer to the first byte; its protected value is the pointer that keeps the region mapped.
SEXP oc_map(SEXP id) {
  return entry([&]() -> SEXP {
    const auto found = need_id(id, "map shared memory");
    const onecopy::region region = store::attach(handle_of(found));
    const onecopy::value root(region);
    keep held(new_region_pointer(region, false));
    std::byte* first = region.writable_bytes() + (root.kind() == onecopy::node_kind::array ? root.data_offset() : 0);
    SEXP region_pointer = held;
    return r_call([=] { return R_MakeExternalPtr(first, Rf_install("onecopy_memory"), region_pointer); });
  });
}

// Clears a pointer made by oc_map and lets go of the region at once.
SEXP oc_unmap(SEXP pointer) {
  return entry([&]() -> SEXP {
    if (TYPEOF(pointer) != EXTPTRSXP || R_ExternalPtrTag(pointer) != Rf_install("onecopy_memory") ||
        !R_ExternalPtrAddr(pointer))
      return Rf_ScalarLogical(FALSE);
    SEXP held = R_ExternalPtrProtected(pointer);
    R_ClearExternalPtr(pointer);
    delete ref_of(held);
    R_ClearExternalPtr(held);
    return Rf_ScalarLogical(TRUE);
  });
}

SEXP oc_doctor() {
  return entry([&]() -> SEXP {
    const auto checks = store::doctor();
    const auto* all = &checks;
    return r_call([=] {
      const char* names[] = {"what", "state", "found", "remedy", ""};
      SEXP out = PROTECT(Rf_mkNamed(VECSXP, names));
      const auto n = static_cast<R_xlen_t>(all->size());
      for (int c = 0; c < 4; ++c) SET_VECTOR_ELT(out, c, Rf_allocVector(STRSXP, n));
      for (R_xlen_t i = 0; i < n; ++i) {
        const auto& c = (*all)[static_cast<std::size_t>(i)];
        const char* state = c.state == store::check::level::ok ? "ok"
                          : c.state == store::check::level::warning ? "warning" : "error";
        SET_STRING_ELT(VECTOR_ELT(out, 0), i, Rf_mkCharCE(c.what.c_str(), CE_UTF8));
        SET_STRING_ELT(VECTOR_ELT(out, 1), i, Rf_mkChar(state));
        SET_STRING_ELT(VECTOR_ELT(out, 2), i, Rf_mkCharCE(c.found.c_str(), CE_UTF8));
        SET_STRING_ELT(VECTOR_ELT(out, 3), i, Rf_mkCharCE(c.remedy.c_str(), CE_UTF8));
      }
      UNPROTECT(1);
      return out;
    });
  });
}
