// The builder: a plan becomes R objects. All of it runs in one r_call, so nothing here has a destructor and nothing
// here calls the core.
#include <cstring>

#include "plan.h"
#include "subset.h"

namespace ocr {

namespace {

struct building {
  const plan* from;
  const view_options* views;
  SEXP pointer;
  plain_block* const* blocks;
};

SEXP build(const building& b, std::uint32_t item);

SEXP evaluate1(const char* function, SEXP argument) {
  SEXP call = PROTECT(Rf_lang2(Rf_install(function), argument));
  SEXP result = Rf_eval(call, R_BaseEnv);
  UNPROTECT(1);
  return result;
}

view_state state_for(const building& b, const planned& p) {
  view_state s{};
  s.length = p.length;
  s.ref = ref_of(b.pointer);
  s.node = p.node;
  s.type = p.type;
  s.flags = b.views->flags;
  s.offset = p.offset;
  s.bytes = p.bytes;
  s.data = const_cast<std::byte*>(p.data);
  return s;
}

SEXP build_texts(const building& b, const planned& p) {
  SEXP x = PROTECT(Rf_allocVector(STRSXP, p.length));
  for (R_xlen_t i = 0; i < p.length; ++i) {
    const planned_text& t = b.from->texts[p.detail + static_cast<std::size_t>(i)];
    if (t.missing) {
      SET_STRING_ELT(x, i, NA_STRING);
      continue;
    }
    const void* nul = t.text.empty() ? nullptr : std::memchr(t.text.data(), 0, t.text.size());
    const std::size_t size = nul ? static_cast<std::size_t>(static_cast<const char*>(nul) - t.text.data()) : t.text.size();
    SET_STRING_ELT(x, i, Rf_mkCharLenCE(t.text.data(), static_cast<int>(size), t.bytes ? CE_BYTES : CE_UTF8));
  }
  UNPROTECT(1);
  return x;
}

SEXP build_numbers(const building& b, const planned& p) {
  SEXP x = PROTECT(Rf_allocVector(p.type, p.length));
  convert(b.from->conversions[p.detail], p.type, 0, p.length, untyped(x));
  UNPROTECT(1);
  return x;
}

SEXP build_bytes(const planned& p) {
  SEXP x = PROTECT(Rf_allocVector(RAWSXP, p.length));
  std::memcpy(RAW(x), p.data, p.bytes);
  UNPROTECT(1);
  return x;
}

SEXP build_copy(const planned& p) {
  SEXP x = PROTECT(Rf_allocVector(p.type, p.length));
  if (p.bytes) std::memcpy(untyped(x), p.data, p.bytes);
  UNPROTECT(1);
  return x;
}

SEXP build_list(const building& b, const planned& p) {
  SEXP x = PROTECT(Rf_allocVector(VECSXP, p.children));
  for (std::uint32_t i = 0; i < p.children; ++i) SET_VECTOR_ELT(x, i, build(b, b.from->links[p.first_child + i]));
  UNPROTECT(1);
  return x;
}

SEXP build_pairlist(const building& b, const planned& p) {
  SEXP x = PROTECT(Rf_allocList(static_cast<int>(p.children)));
  SEXP cell = x;
  for (std::uint32_t i = 0; i < p.children; ++i, cell = CDR(cell))
    SETCAR(cell, build(b, b.from->links[p.first_child + i]));
  UNPROTECT(1);
  return x;
}

// The names of a list node, from the plan of its attributes; null if it has none.
const planned* names_of(const building& b, const planned& p) {
  for (std::uint32_t i = 0; i < p.attributes; ++i) {
    const planned_attribute& a = b.from->attributes[p.first_attribute + i];
    if (std::strcmp(a.name, "names") == 0) return &b.from->items[a.item];
  }
  return nullptr;
}

// An environment that is at hand keeps its identity: its bindings are replaced by shared ones.
SEXP build_environment(const building& b, const planned& p) {
  const planned* names = names_of(b, p);
  SEXP environment = PROTECT(p.original ? p.original : R_NewEnv(R_GlobalEnv, TRUE, 29));
  if (names && static_cast<std::uint32_t>(names->length) == p.children) {
    SEXP labels = PROTECT(build(b, static_cast<std::uint32_t>(names - b.from->items.data())));
    for (std::uint32_t i = 0; i < p.children; ++i) {
      SEXP item = PROTECT(build(b, b.from->links[p.first_child + i]));
      const char* label = CHAR(STRING_ELT(labels, i));
      if (*label) set_binding(environment, Rf_installTrChar(STRING_ELT(labels, i)), item);
      UNPROTECT(1);
    }
    UNPROTECT(1);
  }
  UNPROTECT(1);
  return environment;
}

void set_attribute(SEXP x, const char* name, SEXP item) {
  SEXP symbol = Rf_install(name);
  if (symbol == R_RowNamesSymbol && TYPEOF(item) != INTSXP && TYPEOF(item) != STRSXP) item = evaluate1("as.character", item);
  PROTECT(item);
  Rf_setAttrib(x, symbol, item);
  UNPROTECT(1);
}

void build_attributes(const building& b, const planned& p, SEXP x) {
  if (p.original && p.how != making::original && p.how != making::environment) {
    SHALLOW_DUPLICATE_ATTRIB(x, p.original);
    return;
  }
  for (std::uint32_t i = 0; i < p.attributes; ++i) {
    const planned_attribute& a = b.from->attributes[p.first_attribute + i];
    SEXP item = PROTECT(build(b, a.item));
    if (p.how == making::s4 && std::strcmp(a.name, "class") != 0) R_do_slot_assign(x, Rf_install(a.name), item);
    else set_attribute(x, a.name, item);
    UNPROTECT(1);
  }
}

SEXP build_bare(const building& b, const planned& p) {
  SEXP x;
  switch (p.how) {
    case making::nil: return R_NilValue;
    case making::original: return p.original;
    case making::view: x = build_numeric_view(state_for(b, p), b.pointer); break;
    case making::copied: return build_copy(p);
    case making::plain: return build_plain_vector(p.type, p.length, b.blocks[p.detail]);
    case making::converted: x = build_converted_view(state_for(b, p), b.from->conversions[p.detail], b.pointer); break;
    case making::string_view:
      x = build_string_view(state_for(b, p), b.pointer);
      if (p.copy_strings) {
        PROTECT(x);
        x = Rf_duplicate(x);
        UNPROTECT(1);
      }
      break;
    case making::numbers: return build_numbers(b, p);
    case making::texts: return build_texts(b, p);
    case making::integers:
      x = Rf_allocVector(INTSXP, p.length);
      if (p.length) std::memcpy(INTEGER(x), &b.from->integers[p.detail], static_cast<std::size_t>(p.length) * sizeof(int));
      return x;
    case making::list: return build_list(b, p);
    case making::list_view: return build_list_view(state_for(b, p), b.views->min_length, b.pointer);
    case making::pairlist: return build_pairlist(b, p);
    case making::environment: return build_environment(b, p);
    case making::s4: return Rf_allocS4Object();
    case making::unserialized: {
      SEXP bytes = PROTECT(build_bytes(p));
      x = evaluate1("unserialize", bytes);
      UNPROTECT(1);
      return x;
    }
    case making::foreign: return build_bytes(p);
    default: return R_NilValue;
  }
  return x;
}

bool is_view_plan(const planned& p) {
  return p.how == making::view || p.how == making::list_view || p.how == making::converted ||
         (p.how == making::string_view && !p.copy_strings);
}

// Pointers of this process, such as data.table's, were not written; the object made here keeps them.
void keep_pointers(SEXP x, SEXP original) {
  each_attribute(original, [=](SEXP name, SEXP value) {
    if (TYPEOF(value) == EXTPTRSXP) Rf_setAttrib(x, name, value);
  });
}

SEXP build(const building& b, std::uint32_t item) {
  const planned& p = b.from->items[item];
  R_CheckStack();
  SEXP x = PROTECT(build_bare(b, p));
  const bool takes_attributes = x != R_NilValue && p.how != making::original && p.how != making::environment &&
                                p.how != making::unserialized;
  if (p.as_text && TYPEOF(x) != STRSXP) {
    SEXP text = evaluate1("as.character", x);
    UNPROTECT(1);
    return text;
  }
  if (takes_attributes) build_attributes(b, p, x);
  if (p.pointers_of && x != R_NilValue) keep_pointers(x, p.pointers_of);
  if (p.s4_bit && p.how != making::s4 && x != R_NilValue) x = Rf_asS4(x, TRUE, 0);
  // R duplicates before it assigns to a view, however few names it has. Last: what is not mutable gets no S4 bit.
  if (is_view_plan(p)) MARK_NOT_MUTABLE(x);
  UNPROTECT(1);
  return x;
}

// Frees the blocks that R did not take.
struct plain_blocks {
  std::vector<plain_block*> all;
  ~plain_blocks() {
    for (plain_block* block : all)
      if (!block->taken) delete block;
  }
};

// Views become ordinary vectors; short ones and strings are copied.
void lay_out_plain(plan& steps, const onecopy::region& region, plain_blocks& blocks) {
  for (planned& p : steps.items) {
    if (p.how == making::view) {
      blocks.all.reserve(blocks.all.size() + 1);
      // R takes no allocator for vectors of one element.
      plain_block* block = p.length > 1 ? new_plain_block(region, p.offset, p.bytes) : nullptr;
      if (block) {
        p.how = making::plain;
        p.detail = static_cast<std::uint32_t>(blocks.all.size());
        blocks.all.push_back(block);
      } else {
        p.how = making::copied;
      }
    } else if (p.how == making::converted) {
      p.how = making::numbers;
    } else if (p.how == making::string_view) {
      p.copy_strings = true;
    }
  }
}

}  // namespace

void set_binding(SEXP environment, SEXP symbol, SEXP item) {
  const bool locked = R_existsVarInFrame(environment, symbol) && R_BindingIsLocked(symbol, environment);
  if (locked) R_unLockBinding(symbol, environment);
  Rf_defineVar(symbol, item, environment);
  if (locked) R_LockBinding(symbol, environment);
}

SEXP build_node(const onecopy::value& v, const build_options& options, SEXP region_pointer) {
  plan steps;
  build_options wanted = options;
  planner(steps, wanted).node(v);
  // A mutable object is written through its views.
  if (!(wanted.views.flags & copy_on_write) && v.region().writable()) {
    std::byte* base = v.region().writable_bytes();
    for (planned& p : steps.items)
      if (p.how == making::view) p.data = base + p.offset;
  }
  plain_blocks blocks;
  if (options.plain) lay_out_plain(steps, v.region(), blocks);
  const building b{&steps, &wanted.views, region_pointer, blocks.all.data()};
  const building* held = &b;
  return r_call([=] { return build(*held, 0); });
}

SEXP build_node(const onecopy::value& v, const build_options& options) {
  keep pointer(new_region_pointer(v.region(), false));
  return build_node(v, options, pointer);
}

}  // namespace ocr
