// Records: C structs that processes share and change, read and written field by field.
#include "api.h"
#include "pointers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace ocr {
namespace {

using onecopy::dtype;

constexpr const char* record_tag = "onecopy_record";

onecopy::raw_record& record_of(SEXP x) { return held_by<onecopy::raw_record>(x, record_tag, "record"); }

[[noreturn]] void unreadable(const onecopy::record_field& field) {
  throw onecopy::error(onecopy::error_kind::unsupported, "use the field " + field.name + " of a record",
                       "R has no form for a field of type " + std::string(onecopy::name_of(field.type)),
                       "use it in Python or C++");
}

const onecopy::record_field& field_named(const onecopy::raw_record& of, const std::string& name) {
  std::string all;
  for (const auto& field : of.type().fields) {
    if (field.name == name) return field;
    all += (all.empty() ? "" : ", ") + field.name;
  }
  throw onecopy::error(onecopy::error_kind::invalid_argument, "use the field " + name + " of a record",
                       of.type().name + " has no such field; it has " + all);
}

std::size_t elements_of(const onecopy::record_field& field) {
  std::size_t count = 1;
  for (const auto extent : field.shape) count *= static_cast<std::size_t>(extent);
  return count;
}

SEXPTYPE type_for(dtype type) {
  switch (type) {
    case dtype::bool8: return LGLSXP;
    case dtype::int8: case dtype::int16: case dtype::int32: case dtype::uint8: case dtype::uint16: return INTSXP;
    case dtype::uint32: case dtype::int64: case dtype::uint64: case dtype::float32: case dtype::float64: return REALSXP;
    case dtype::raw: return RAWSXP;
    case dtype::fixed_bytes: return STRSXP;
    default: return NILSXP;
  }
}

// Others may write meanwhile: a number that is aligned is read and written in one step.
template <class T>
T load(const std::byte* at) {
  T number;
  if (reinterpret_cast<std::uintptr_t>(at) % sizeof(T) == 0)
    __atomic_load(reinterpret_cast<const T*>(at), &number, __ATOMIC_ACQUIRE);
  else
    std::memcpy(&number, at, sizeof number);
  return number;
}

template <class T>
void store(std::byte* at, T number) {
  if (reinterpret_cast<std::uintptr_t>(at) % sizeof(T) == 0)
    __atomic_store(reinterpret_cast<T*>(at), &number, __ATOMIC_RELEASE);
  else
    std::memcpy(at, &number, sizeof number);
}

// Calls `use` with a null pointer of the field's C type.
template <class Use>
auto with_type(const onecopy::record_field& field, Use use) {
  switch (field.type) {
    case dtype::int8: return use(static_cast<std::int8_t*>(nullptr));
    case dtype::int16: return use(static_cast<std::int16_t*>(nullptr));
    case dtype::int32: return use(static_cast<std::int32_t*>(nullptr));
    case dtype::int64: return use(static_cast<std::int64_t*>(nullptr));
    case dtype::bool8: case dtype::raw: case dtype::uint8: return use(static_cast<std::uint8_t*>(nullptr));
    case dtype::uint16: return use(static_cast<std::uint16_t*>(nullptr));
    case dtype::uint32: return use(static_cast<std::uint32_t*>(nullptr));
    case dtype::uint64: return use(static_cast<std::uint64_t*>(nullptr));
    case dtype::float32: return use(static_cast<float*>(nullptr));
    case dtype::float64: return use(static_cast<double*>(nullptr));
    default: unreadable(field);
  }
}

SEXP read_text(const onecopy::record_field& field, const std::byte* at) {
  const char* text = reinterpret_cast<const char*>(at);
  const int size = static_cast<int>(strnlen(text, field.item_size));
  return r_call([=] { return Rf_ScalarString(Rf_mkCharLenCE(text, size, CE_UTF8)); });
}

SEXP read_field(const onecopy::record_field& field, const std::byte* base) {
  const SEXPTYPE type = type_for(field.type);
  const std::size_t count = elements_of(field);
  if (type == NILSXP || (type == STRSXP && count != 1)) unreadable(field);
  const std::byte* at = base + field.offset;
  if (type == STRSXP) return read_text(field, at);
  keep values(r_call([=] { return Rf_allocVector(type, static_cast<R_xlen_t>(count)); }));
  SEXP out = values;
  with_type(field, [&]<class T>(T*) {
    for (std::size_t i = 0; i < count; ++i) {
      const T number = load<T>(at + i * sizeof(T));
      if (type == LGLSXP) LOGICAL(out)[i] = number != 0;
      else if (type == INTSXP) INTEGER(out)[i] = static_cast<int>(number);
      else if (type == RAWSXP) RAW(out)[i] = static_cast<Rbyte>(number);
      else REAL(out)[i] = static_cast<double>(number);
      constexpr double exact = 9007199254740992.0;  // 2^53 itself may stand for the next number
      if (std::is_integral_v<T> && type == REALSXP && std::fabs(REAL(out)[i]) >= exact)
        throw onecopy::error(onecopy::error_kind::unsupported, "read the field " + field.name + " of a record",
                             "it is 2^53 or more, and R's numbers would change it", "read it in Python or C++");
    }
  });
  return out;
}

[[noreturn]] void unfit(const onecopy::record_field& field, const char* happened) {
  throw onecopy::error(onecopy::error_kind::invalid_argument, "write the field " + field.name + " of a record", happened);
}

double number_at(SEXP value, std::size_t i, const onecopy::record_field& field) {
  switch (TYPEOF(value)) {
    case LGLSXP:
    case INTSXP: {
      const int number = TYPEOF(value) == LGLSXP ? LOGICAL_ELT(value, static_cast<R_xlen_t>(i))
                                                 : INTEGER_ELT(value, static_cast<R_xlen_t>(i));
      if (number == NA_INTEGER) unfit(field, "a C struct has no NA");
      return number;
    }
    case RAWSXP: return RAW_ELT(value, static_cast<R_xlen_t>(i));
    case REALSXP: return REAL_ELT(value, static_cast<R_xlen_t>(i));
    default: unfit(field, "the value is no number");
  }
}

void write_text(const onecopy::record_field& field, std::byte* at, SEXP value) {
  if (TYPEOF(value) != STRSXP || XLENGTH(value) != 1 || STRING_ELT(value, 0) == NA_STRING)
    unfit(field, "the value is not one string");
  SEXP element = STRING_ELT(value, 0);
  const char* text = nullptr;
  const char** found = &text;
  r_call([=]() -> SEXP {
    *found = Rf_translateCharUTF8(element);
    return R_NilValue;
  });
  const std::size_t size = std::strlen(text);
  if (size > field.item_size) unfit(field, "the string is longer than the field");
  std::memcpy(at, text, size);
  std::memset(at + size, 0, field.item_size - size);
}

// All values are looked at before the first is written.
void write_field(const onecopy::record_field& field, std::byte* base, SEXP value) {
  const SEXPTYPE type = type_for(field.type);
  const std::size_t count = elements_of(field);
  if (type == NILSXP || (type == STRSXP && count != 1)) unreadable(field);
  std::byte* at = base + field.offset;
  if (type == STRSXP) return write_text(field, at, value);
  if (static_cast<std::size_t>(Rf_xlength(value)) != count)
    unfit(field, ("it has " + std::to_string(count) + " elements, the value " + std::to_string(Rf_xlength(value))).c_str());
  with_type(field, [&]<class T>(T*) {
    std::vector<T> numbers(count);
    for (std::size_t i = 0; i < count; ++i) {
      const double number = number_at(value, i, field);
      if constexpr (std::is_integral_v<T>) {
        // As doubles: the upper limit of 64 bits is not one, but the power of two above it is.
        const double low = static_cast<double>(std::numeric_limits<T>::min());
        const double above = std::ldexp(1.0, std::numeric_limits<T>::digits);
        if (!(number >= low && number < above) || number != std::floor(number))
          unfit(field, "the value is not a whole number that the field can hold");
        if (field.type == dtype::bool8 && number > 1) unfit(field, "the value is neither TRUE nor FALSE");
      }
      numbers[i] = static_cast<T>(number);
    }
    for (std::size_t i = 0; i < count; ++i) store<T>(at + i * sizeof(T), numbers[i]);
  });
}

struct kind_of_field {
  dtype type;
  std::size_t bytes;  // of one element, which is its alignment too
};

kind_of_field field_kind(const std::string& word, const std::string& field) {
  static const std::pair<const char*, kind_of_field> known[] = {
      {"bool", {dtype::bool8, 1}},     {"int8", {dtype::int8, 1}},      {"int16", {dtype::int16, 2}},
      {"int32", {dtype::int32, 4}},    {"int64", {dtype::int64, 8}},    {"uint8", {dtype::uint8, 1}},
      {"uint16", {dtype::uint16, 2}},  {"uint32", {dtype::uint32, 4}},  {"uint64", {dtype::uint64, 8}},
      {"float32", {dtype::float32, 4}}, {"float64", {dtype::float64, 8}}, {"raw", {dtype::raw, 1}},
      {"char", {dtype::fixed_bytes, 1}}};
  std::string all;
  for (const auto& [name, kind] : known) {
    if (word == name) return kind;
    all += (all.empty() ? "" : ", ") + std::string(name);
  }
  bad_argument("fields", field + " is of the type \"" + word + "\"", "use one of " + all);
}

// The layout that a C compiler gives the struct: each field at a multiple of its width, the whole at one of the widest.
onecopy::record_type describe_record(const std::string& name, SEXP names, SEXP kinds, SEXP extents) {
  onecopy::record_type made{.name = name};
  std::size_t widest = 1;
  for (R_xlen_t i = 0; i < XLENGTH(names); ++i) {
    onecopy::record_field field{.name = CHAR(STRING_ELT(names, i))};
    const auto kind = field_kind(CHAR(STRING_ELT(kinds, i)), field.name);
    field.type = kind.type;
    field.item_size = kind.bytes;
    std::size_t elements = 1;
    SEXP extent = VECTOR_ELT(extents, i);
    for (R_xlen_t d = 0; d < XLENGTH(extent); ++d) {
      field.shape.push_back(static_cast<std::uint64_t>(INTEGER_ELT(extent, d)));
      elements *= static_cast<std::size_t>(INTEGER_ELT(extent, d));
      if (elements > std::size_t{1} << 30)
        bad_argument("fields", field.name + " is larger than 1 GB", "share() the data");
    }
    if (kind.type == dtype::fixed_bytes) {
      if (field.shape.size() != 1) bad_argument("fields", field.name + " has no length", "say char[16], for example");
      field.item_size = elements;
      field.shape.clear();
    }
    made.size = (made.size + kind.bytes - 1) / kind.bytes * kind.bytes;
    field.offset = made.size;
    made.size += elements * kind.bytes;
    widest = std::max(widest, kind.bytes);
    made.fields.push_back(std::move(field));
  }
  made.size = (made.size + widest - 1) / widest * widest;
  return made;
}

onecopy::waiting patience(double seconds) {
  return {.seconds = seconds, .stop = [] { return !R_ToplevelExec([](void*) { R_CheckUserInterrupt(); }, nullptr); }};
}

// Throws unless the wait was successful; true if an owner died.
bool waited(onecopy::wait_result how, const char* tried) {
  using onecopy::wait_result;
  if (how == wait_result::interrupted)
    throw onecopy::error(onecopy::error_kind::interrupted, tried, "the user interrupted it");
  if (how == wait_result::timed_out)
    throw onecopy::error(onecopy::error_kind::timeout, tried, "another process keeps it locked", "wait longer");
  return how == wait_result::owner_died;
}

}  // namespace
}  // namespace ocr

using namespace ocr;

SEXP oc_record_open(SEXP handle, SEXP name, SEXP path) {
  return entry([&]() -> SEXP {
    auto made = std::make_unique<onecopy::raw_record>();
    if (handle != R_NilValue) *made = onecopy::raw_record::attach(text_argument(handle, "handle"));
    else if (name != R_NilValue)
      *made = onecopy::raw_record::from(onecopy::store::attach_name(text_argument(name, "name")));
    else *made = onecopy::raw_record::from(onecopy::store::open_file(text_argument(path, "path")));
    return wrap(std::move(made), record_tag);
  });
}

// `kinds`: "int32", "char", ...; `extents`: for each field an integer vector, of length 0 for a single element;
// `values`: what it begins as, a list of the length of `names`, with NULL for zero; `where`: NULL, or one string named
// "name", "kept" or "path".
SEXP oc_record_make(SEXP type, SEXP names, SEXP kinds, SEXP extents, SEXP values, SEXP where) {
  return entry([&]() -> SEXP {
    const onecopy::record_type made_of = describe_record(text_argument(type, "type"), names, kinds, extents);
    std::vector<std::byte> first(made_of.size);
    for (std::size_t i = 0; i < made_of.fields.size(); ++i) {
      SEXP value = VECTOR_ELT(values, static_cast<R_xlen_t>(i));
      if (value != R_NilValue) write_field(made_of.fields[i], first.data(), value);
    }
    using onecopy::raw_record;
    auto made = std::make_unique<raw_record>();
    if (where == R_NilValue) {
      *made = raw_record::make(made_of, first.data());
    } else {
      const std::string what = CHAR(STRING_ELT(Rf_getAttrib(where, R_NamesSymbol), 0));
      const std::string text = text_argument(where, what == "path" ? "path" : "name");
      if (what == "path") *made = raw_record::open(text, made_of, first.data());
      else *made = raw_record::shared(text, made_of, first.data(), onecopy::missing::make, what == "kept");
    }
    return wrap(std::move(made), record_tag);
  });
}

SEXP oc_record_handle(SEXP record, SEXP lease) {
  return entry([&]() -> SEXP {
    const std::string text = record_of(record).region().handle(0, number_argument(lease, "lease")).text();
    const char* letters = text.c_str();
    return r_call([=] { return Rf_mkString(letters); });
  });
}

SEXP oc_record_names(SEXP record) {
  return entry([&]() -> SEXP {
    const auto& fields = record_of(record).type().fields;
    keep names(r_call([&fields] { return Rf_allocVector(STRSXP, static_cast<R_xlen_t>(fields.size())); }));
    SEXP out = names;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const char* text = fields[i].name.c_str();
      r_call([=] {
        SET_STRING_ELT(out, static_cast<R_xlen_t>(i), Rf_mkCharCE(text, CE_UTF8));
        return R_NilValue;
      });
    }
    return out;
  });
}

SEXP oc_record_type(SEXP record) {
  return entry([&]() -> SEXP {
    const char* text = record_of(record).type().name.c_str();
    return r_call([=] { return Rf_mkString(text); });
  });
}

SEXP oc_record_read(SEXP record, SEXP name) {
  return entry([&]() -> SEXP {
    const auto& from = record_of(record);
    return read_field(field_named(from, text_argument(name, "name")), from.data());
  });
}

SEXP oc_record_write(SEXP record, SEXP name, SEXP value) {
  return entry([&]() -> SEXP {
    const auto& to = record_of(record);
    write_field(field_named(to, text_argument(name, "name")), to.data(), value);
    return R_NilValue;
  });
}

// The fields as they were at one moment, without names; NULL for those that R has no form for.
SEXP oc_record_snapshot(SEXP record, SEXP timeout) {
  return entry([&]() -> SEXP {
    const auto& from = record_of(record);
    std::vector<std::byte> copy(from.size());
    (void)waited(from.snapshot(copy, patience(timeout_argument(timeout))), "read a record");
    const auto& fields = from.type().fields;
    keep values(r_call([&fields] { return Rf_allocVector(VECSXP, static_cast<R_xlen_t>(fields.size())); }));
    for (std::size_t i = 0; i < fields.size(); ++i)
      if (type_for(fields[i].type) != NILSXP && (type_for(fields[i].type) != STRSXP || elements_of(fields[i]) == 1))
        SET_VECTOR_ELT(values, static_cast<R_xlen_t>(i), read_field(fields[i], copy.data()));
    return values;
  });
}

SEXP oc_record_must_be_free(SEXP record) {
  return entry([&]() -> SEXP {
    if (record_of(record).lock().held())
      throw onecopy::error(onecopy::error_kind::invalid_argument, "lock a record",
                           "this process has locked it already, and would wait for itself");
    return R_NilValue;
  });
}

// TRUE if somebody was killed while changing it.
SEXP oc_record_lock(SEXP record, SEXP timeout) {
  return entry([&]() -> SEXP {
    const bool died =
        waited(record_of(record).begin_writing(patience(timeout_argument(timeout))), "lock a record");
    return r_call([=] { return Rf_ScalarLogical(died); });
  });
}

// Does nothing if this process has not locked it.
SEXP oc_record_unlock(SEXP record) {
  return entry([&]() -> SEXP {
    (void)record_of(record).end_writing();
    return R_NilValue;
  });
}

SEXP oc_record_repaired(SEXP record) {
  return entry([&]() -> SEXP {
    record_of(record).lock().repaired();
    return R_NilValue;
  });
}
