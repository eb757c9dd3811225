// Objects that travel as descriptors: to children at birth, over channels, and files that are used where they lie.
#include "api.h"
#include "plan.h"
#include "pointers.h"
#include "write.h"

#include <R_ext/Utils.h>
#include <unistd.h>

#include <cmath>
#include <optional>

namespace ocr {
namespace {

void check_interrupt() {
  if (!R_ToplevelExec([](void*) { R_CheckUserInterrupt(); }, nullptr))
    throw onecopy::error(onecopy::error_kind::interrupted, "wait", "the user interrupted it");
}

constexpr const char* channel_tag = "onecopy_channel";
constexpr const char* listener_tag = "onecopy_listener";
constexpr const char* pending_tag = "onecopy_pending";

onecopy::channel& channel_of(SEXP x) { return held_by<onecopy::channel>(x, channel_tag, "channel"); }

onecopy::channel_options channel_settings() {
  onecopy::channel_options options;
  options.check_interrupt = check_interrupt;
  return options;
}

SEXP new_channel(onecopy::channel made) {
  return wrap(std::make_unique<onecopy::channel>(std::move(made)), channel_tag);
}

int descriptor_argument(SEXP x, const char* name) {
  const double n = number_argument(x, name);
  if (n < 0 || n > 1e9 || n != std::floor(n)) bad_argument(name, "it is not the number of a descriptor");
  return static_cast<int>(n);
}

onecopy::region write_object(SEXP x, const std::function<onecopy::region(onecopy::writer&)>& publish) {
  onecopy::writer w;
  write_options how;
  how.min_length = 1;
  describer tree(w, how);
  tree.describe(w.root(), x);
  return publish(w);
}

// The node that x shows, if x is a view of all of it, unchanged, with no attribute but the shape that the node says.
std::optional<onecopy::value> whole_node(SEXP x) {
  SEXP view = find_view(x);
  if (view == nullptr || !is_shared_view(x) || diverged(view)) return {};
  const view_state* s = state_of(view);
  onecopy::value node(s->ref->region, s->node);
  if (node.kind() != onecopy::node_kind::array || node.attribute_count() != 0) return {};
  const auto shape = node.shape();
  const auto attributes = attributes_of(x);
  if (attributes.empty()) return shape.size() <= 1 ? std::optional(node) : std::nullopt;
  SEXP dim = attributes[0].value;
  if (attributes[0].name != R_DimSymbol || attributes.size() > 1 || TYPEOF(dim) != INTSXP ||
      static_cast<std::size_t>(XLENGTH(dim)) != shape.size())
    return {};
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (static_cast<std::uint64_t>(INTEGER_ELT(dim, static_cast<R_xlen_t>(i))) != shape[i]) return {};
  return node;
}

SEXP built(const onecopy::value& v) {
  build_options build;
  build.views.min_length = 3;
  return build_node(v, build);
}

// What stands for x in a message; written first, unless it is shared already.
onecopy::value to_send(const onecopy::channel& c, SEXP x, SEXP handle) {
  if (handle != R_NilValue) return onecopy::attach(text_argument(handle, "handle"));
  if (const auto node = whole_node(x)) return *node;
  return onecopy::value(write_object(x, [&](onecopy::writer& w) {
    onecopy::publish_options options;
    options.where = c.peer().same_store ? onecopy::backing::store : onecopy::backing::memfd;
    return w.publish(options);
  }));
}

// Objects of other users must be data: what R unserializes may run its author's code.
const onecopy::value& trusted(const onecopy::value& v, const onecopy::channel& from) {
  const auto who = from.peer();
  if (who.known && who.user == geteuid()) return v;
  const std::uint32_t count = onecopy::node_count(v.region());
  for (std::uint32_t i = 0; i < count; ++i) {
    const onecopy::value node(v.region(), i);
    if (node.kind() == onecopy::node_kind::opaque && node.tag() == "r-serialize")
      throw onecopy::error(onecopy::error_kind::permission, "receive an object",
                           "a part of it is a function, a formula or the like, which may run code of whoever wrote it, "
                           "and the sender is not known to be a process of this user",
                           "let the sender send plain data");
  }
  return v;
}

SEXP raw_of(const onecopy::message& m) {
  const auto size = static_cast<R_xlen_t>(m.bytes().size());
  SEXP raw = r_call([size] { return Rf_allocVector(RAWSXP, size); });
  std::copy(m.bytes().begin(), m.bytes().end(), reinterpret_cast<std::byte*>(RAW(raw)));
  return raw;
}

SEXP refused(const onecopy::error& why) {
  const char *kind = onecopy::name_of(why.kind()), *what = why.what(), *remedy = why.remedy().c_str();
  return r_call([=] {
    SEXP made = PROTECT(Rf_allocVector(STRSXP, 3));
    SET_STRING_ELT(made, 0, Rf_mkChar(kind));
    SET_STRING_ELT(made, 1, Rf_mkCharCE(what, CE_UTF8));
    SET_STRING_ELT(made, 2, Rf_mkCharCE(remedy, CE_UTF8));
    Rf_setAttrib(made, R_ClassSymbol, Rf_mkString("onecopy_refused"));
    UNPROTECT(1);
    return made;
  });
}

}  // namespace
}  // namespace ocr

using namespace ocr;

// A descriptor of sealed memory that holds x, which the caller closes.
SEXP oc_share_descriptor(SEXP x) {
  return entry([&]() -> SEXP {
    const onecopy::region made = write_object(x, [](onecopy::writer& w) {
      onecopy::publish_options options;
      options.where = onecopy::backing::memfd;
      return w.publish(options);
    });
    const int fd = made.open_descriptor();
    return r_call([=] { return Rf_ScalarInteger(fd); });
  });
}

SEXP oc_pending_new() {
  return entry([&]() -> SEXP { return wrap(std::make_unique<onecopy::pending_memory>(), pending_tag); });
}

SEXP oc_pending_descriptor(SEXP pending) {
  return entry([&]() -> SEXP {
    auto& memory = held_by<onecopy::pending_memory>(pending, pending_tag, "connection");
    const int fd = onecopy::duplicate_descriptor(memory.descriptor());
    return r_call([=] { return Rf_ScalarInteger(fd); });
  });
}

SEXP oc_pending_fill(SEXP pending, SEXP x) {
  return entry([&]() -> SEXP {
    auto& memory = held_by<onecopy::pending_memory>(pending, pending_tag, "connection");
    (void)write_object(x, [&](onecopy::writer& w) { return memory.publish(w); });
    return R_NilValue;
  });
}

SEXP oc_receive_descriptor(SEXP fd, SEXP timeout) {
  return entry([&]() -> SEXP {
    return built(onecopy::value(
        onecopy::receive_descriptor(descriptor_argument(fd, "from"), timeout_argument(timeout), check_interrupt)));
  });
}

SEXP oc_channel_pair() {
  return entry([&]() -> SEXP {
    auto ends = onecopy::channel::pair(channel_settings());
    keep first(new_channel(std::move(ends.first)));
    keep second(new_channel(std::move(ends.second)));
    SEXP a = first, b = second;
    return r_call([=] {
      SEXP both = PROTECT(Rf_allocVector(VECSXP, 2));
      SET_VECTOR_ELT(both, 0, a);
      SET_VECTOR_ELT(both, 1, b);
      UNPROTECT(1);
      return both;
    });
  });
}

SEXP oc_channel_connect(SEXP path, SEXP timeout) {
  return entry([&]() -> SEXP {
    return new_channel(
        onecopy::channel::connect(text_argument(path, "path"), timeout_argument(timeout), channel_settings()));
  });
}

SEXP oc_channel_adopt(SEXP fd) {
  return entry([&]() -> SEXP {
    const int own = onecopy::duplicate_descriptor(descriptor_argument(fd, "fd"));
    try {
      return new_channel(onecopy::channel(own, channel_settings()));
    } catch (const onecopy::error&) {
      onecopy::close_descriptor(own);
      throw;
    }
  });
}

SEXP oc_channel_inherited() {
  return entry([&]() -> SEXP { return new_channel(onecopy::channel::inherited(channel_settings())); });
}

SEXP oc_channel_descriptor(SEXP channel) {
  return entry([&]() -> SEXP {
    const int fd = is_pointer(channel, listener_tag)
                       ? held_by<onecopy::listener>(channel, listener_tag, "listener").descriptor()
                       : channel_of(channel).descriptor();
    return r_call([=] { return Rf_ScalarInteger(fd); });
  });
}

SEXP oc_listen(SEXP path) {
  return entry([&]() -> SEXP {
    return wrap(std::make_unique<onecopy::listener>(text_argument(path, "path"), channel_settings()), listener_tag);
  });
}

SEXP oc_accept(SEXP listener, SEXP timeout) {
  return entry([&]() -> SEXP {
    return new_channel(
        held_by<onecopy::listener>(listener, listener_tag, "listener").accept(timeout_argument(timeout)));
  });
}

SEXP oc_close(SEXP pointer) {
  return entry([&]() -> SEXP {
    if (is_pointer(pointer, channel_tag)) drop<onecopy::channel>(pointer);
    else if (is_pointer(pointer, listener_tag)) drop<onecopy::listener>(pointer);
    else bad_argument("con", "it is neither a channel nor a listener");
    return R_NilValue;
  });
}

// `handles`: for each of the list `objects` its handle, when all of it is a shared object already; else NULL.
SEXP oc_send(SEXP channel, SEXP bytes, SEXP objects, SEXP handles, SEXP timeout) {
  return entry([&]() -> SEXP {
    auto& c = channel_of(channel);
    const double seconds = timeout_argument(timeout);
    if (TYPEOF(bytes) != RAWSXP) bad_argument("bytes", "it is not a raw vector", "use charToRaw() for text");
    std::vector<onecopy::value> all;
    for (R_xlen_t i = 0; i < XLENGTH(objects); ++i)
      all.push_back(to_send(c, VECTOR_ELT(objects, i), VECTOR_ELT(handles, i)));
    c.send(all, {reinterpret_cast<const char*>(RAW(bytes)), static_cast<std::size_t>(XLENGTH(bytes))}, seconds);
    return R_NilValue;
  });
}

// The first object, or the ordinary bytes of a message that has none.
SEXP oc_receive(SEXP channel, SEXP timeout) {
  return entry([&]() -> SEXP {
    auto& from = channel_of(channel);
    const onecopy::message m = from.receive(timeout_argument(timeout));
    return m.size() == 0 ? raw_of(m) : built(trusted(m.object(), from));
  });
}

// list(bytes, objects); an object that could not be accepted is c(kind, message, remedy) of class "onecopy_refused".
SEXP oc_receive_message(SEXP channel, SEXP timeout) {
  return entry([&]() -> SEXP {
    auto& from = channel_of(channel);
    const onecopy::message m = from.receive(timeout_argument(timeout));
    const auto count = static_cast<R_xlen_t>(m.size());
    keep both(r_call([] { return Rf_allocVector(VECSXP, 2); }));
    SET_VECTOR_ELT(both, 0, raw_of(m));
    SET_VECTOR_ELT(both, 1, r_call([count] { return Rf_allocVector(VECSXP, count); }));
    SEXP objects = VECTOR_ELT(both, 1);
    for (R_xlen_t i = 0; i < count; ++i) {
      try {
        SET_VECTOR_ELT(objects, i, built(trusted(m.object(static_cast<std::size_t>(i)), from)));
      } catch (const onecopy::error& e) {
        SET_VECTOR_ELT(objects, i, refused(e));
      }
    }
    return both;
  });
}

SEXP oc_map_file(SEXP path, SEXP mode, SEXP offset, SEXP length, SEXP dims) {
  return entry([&]() -> SEXP {
    const std::string type = text_argument(mode, "mode");
    onecopy::map_options options;
    if (type == "raw") options.type = onecopy::dtype::raw;
    else if (type == "logical") options.type = onecopy::dtype::logical32;
    else if (type == "integer") options.type = onecopy::dtype::int32;
    else if (type == "numeric" || type == "double") options.type = onecopy::dtype::float64;
    else if (type == "complex") options.type = onecopy::dtype::complex128;
    else bad_argument("mode", "'" + type + "' is none of raw, logical, integer, numeric, complex");
    const auto whole = [](SEXP x, const char* name) {
      const double n = number_argument(x, name);
      if (n < 0 || n > 9e15 || n != std::floor(n)) bad_argument(name, "it is not a whole number of 0 or more");
      return static_cast<std::uint64_t>(n);
    };
    options.offset = whole(offset, "offset");
    if (length != R_NilValue) options.count = whole(length, "length");
    if (dims != R_NilValue)
      for (R_xlen_t i = 0; i < XLENGTH(dims); ++i)
        options.shape.push_back(static_cast<std::uint64_t>(INTEGER_ELT(dims, i)));
    build_options build;
    build.views.min_length = 0;
    return build_node(onecopy::map_file(text_argument(path, "path"), options), build);
  });
}
