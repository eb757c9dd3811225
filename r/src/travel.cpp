// What travels to another process instead of the data: 48 bytes that name the node, and its type and length, so that
// the receiver gets an object of the right shape even when the original is gone.
#include <cstdio>
#include <cstring>
#include <unordered_set>

#include "plan.h"
#include "view.h"

namespace ocr {

namespace {

constexpr std::uint8_t travel_version = 1;
enum class kind : std::uint8_t { store = 0, file = 1 };

// The byte order is the machine's: shareCluster() refuses hosts of another one.
struct travel_header {
  std::uint8_t version;
  std::uint8_t kind;
  std::uint8_t flags;
  std::uint8_t type;
  std::uint32_t node;
  std::int64_t length;
};
struct store_part {
  std::uint64_t host, store;
  std::uint8_t id[16];
};

std::uint64_t from_hex(const std::string& text) { return std::stoull(text, nullptr, 16); }
std::string to_hex(std::uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

SEXP pack(const travel_header& header, const void* rest, std::size_t size) {
  SEXP raw = r_call([=] { return Rf_allocVector(RAWSXP, static_cast<R_xlen_t>(sizeof(travel_header) + size)); });
  std::memcpy(RAW(raw), &header, sizeof header);
  std::memcpy(RAW(raw) + sizeof header, rest, size);
  return raw;
}

bool unpack(SEXP state, travel_header& header) {
  if (TYPEOF(state) != RAWSXP || XLENGTH(state) < static_cast<R_xlen_t>(sizeof header)) return false;
  std::memcpy(&header, RAW(state), sizeof header);
  if (header.version != travel_version || header.length < 0) return false;
  return header.kind == 1 ||
         (header.kind == 0 && XLENGTH(state) == static_cast<R_xlen_t>(sizeof header + sizeof(store_part)));
}

onecopy::region attach_state(SEXP state, const travel_header& header) {
  const Rbyte* rest = RAW(state) + sizeof header;
  if (header.kind == static_cast<std::uint8_t>(kind::file)) {
    std::string path(reinterpret_cast<const char*>(rest), static_cast<std::size_t>(XLENGTH(state)) - sizeof header);
    return onecopy::store::open_file(path);
  }
  store_part part;
  std::memcpy(&part, rest, sizeof part);
  onecopy::handle where{to_hex(part.host), to_hex(part.store), {}, header.node};
  std::memcpy(where.id.bytes.data(), part.id, sizeof part.id);
  return onecopy::store::attach(where);
}

SEXP gone_for(SEXP state, const char* reason, const char* kind) {
  return r_call([=] { return build_gone(state, reason, kind); });
}

// R runs one thread.
struct {
  bool on = false;
  bool elsewhere = false;
  std::unordered_set<const void*> seen;
  SEXP list = nullptr;  // a cell that R keeps, whose CDR is the list
} noted;

void note_traveller(SEXP view) {
  if (!noted.on || !noted.seen.insert(state_of(view)->ref->region.state().get()).second) return;
  SEXP pointer = region_pointer_of(view);
  SEXP cell = noted.list;
  r_call([=] {
    SETCDR(cell, Rf_cons(pointer, CDR(cell)));
    return R_NilValue;
  });
}

}  // namespace

void note_travellers(bool on) {
  if (!noted.list) {
    noted.list = r_call([] {
      SEXP cell = PROTECT(Rf_cons(R_NilValue, R_NilValue));
      R_PreserveObject(cell);
      UNPROTECT(1);
      return cell;
    });
  }
  SETCDR(noted.list, R_NilValue);
  noted.seen.clear();
  noted.on = on;
  noted.elsewhere = false;
}
void note_traveller_elsewhere() { noted.elsewhere = noted.elsewhere || noted.on; }
SEXP travellers() { return noted.list ? CDR(noted.list) : R_NilValue; }
bool travellers_elsewhere() { return noted.elsewhere; }

promised read_promise(SEXP state) {
  travel_header header;
  if (!unpack(state, header)) return {};
  return {header.type, static_cast<R_xlen_t>(header.length)};
}

SEXP travel_state(SEXP view) {
  view_state* s = state_of(view);
  if (s->flags & (private_pages | modified) || !s->ref) return nullptr;
  if (diverged(view)) {
    report_copy(view, "it was changed in this process, so its data is sent instead of its handle");
    return nullptr;
  }
  travel_header header{travel_version, 0, static_cast<std::uint8_t>(s->flags & ~exclusive), s->type, s->node, s->length};
  const onecopy::region& region = s->ref->region;
  if (region.where() == onecopy::backing::file) {
    if (region.path().empty()) return nullptr;
    header.kind = static_cast<std::uint8_t>(kind::file);
    note_traveller_elsewhere();
    return pack(header, region.path().data(), region.path().size());
  }
  try {
    onecopy::handle where = region.handle(s->node);
    // Freed by hand while we still hold it: nobody else could attach, so the data has to go.
    if (!onecopy::store::exists(where)) return nullptr;
    store_part part{from_hex(where.host), from_hex(where.store), {}};
    std::memcpy(part.id, where.id.bytes.data(), sizeof part.id);
    if (s->flags & exclusive) {
      // From now on others see these bytes: this process must not write to them unasked.
      s->flags = static_cast<std::uint8_t>(s->flags & ~exclusive);
      MARK_NOT_MUTABLE(view);
    }
    note_traveller(view);
    return pack(header, &part, sizeof part);
  } catch (const onecopy::error&) {
    return nullptr;  // it has no name that others could attach by
  }
}

SEXP travel_unserialize(SEXP, SEXP state) {
  return entry([&]() -> SEXP {
    travel_header header;
    if (!unpack(state, header)) {
      return gone_for(state, "onecopy: the shared object can't be used: what arrived is not a handle of this version. "
                             "Install the same version of onecopy on both sides.", "unsupported");
    }
    std::string reason;
    const char* error_kind = "not_found";
    try {
      onecopy::region region = attach_state(state, header);
      build_options options;
      options.views.flags = static_cast<std::uint8_t>(header.flags & ~(private_pages | exclusive | modified));
      options.views.min_length = 0;
      options.with_attributes = false;
      keep found(build_node(onecopy::value(region, header.node), options));
      if (TYPEOF(found) == header.type && XLENGTH(found) == header.length) return found;
      reason = "onecopy: the shared object is not what its handle says: the store was tampered with, or this is a bug.";
    } catch (const onecopy::error& e) {
      reason = e.what();
      error_kind = onecopy::name_of(e.kind());
      if (e.kind() == onecopy::error_kind::wrong_host)
        reason += " shareCluster(cl, x) brings an object to all hosts of a cluster; where workers on another host joined "
                  "later, call it again with all of them.";
    } catch (const std::exception& e) {
      reason = e.what();
    }
    // An error here would break the connection that carries the object, and with it the cluster.
    return gone_for(state, reason.c_str(), error_kind);
  });
}

}  // namespace ocr
