// What a package does with onecopy in C++: make objects for R, and read R's.
#include <onecopy/onecopy.hpp>
#include <SharedObject/sharedMemory.h>

#include <complex>
#include <cstring>
#include <numeric>
#include <vector>

#include <R.h>
#include <Rinternals.h>
#include <R_ext/Rdynload.h>

// Shared with R and Python field by field: attachRecord() in R, @onecopy.record in Python.
struct tally {
  std::int32_t visits = 0;
  double total = 0;
};
ONECOPY_RECORD(tally, visits, total)

namespace {

// R's errors jump over destructors, so the message is kept until every C++ object is gone.
template <class F>
SEXP guarded(F body) {
  static char message[2000];
  try {
    return body();
  } catch (const std::exception& e) {
    std::strncpy(message, e.what(), sizeof message - 1);
  }
  Rf_error("%s", message);
}

SEXP text(const std::string& s) { return Rf_mkString(s.c_str()); }

// The lease that a handle carries keeps the object until R has attached to it.
SEXP fibonacci(SEXP n) {
  return guarded([&] {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(Rf_asReal(n)), 1);
    for (std::size_t i = 2; i < numbers.size(); ++i) numbers[i] = numbers[i - 1] + numbers[i - 2];
    return text(onecopy::share(std::span<const std::int64_t>(numbers)).handle().text());
  });
}

SEXP sum(SEXP handle) {
  return guarded([&] {
    const auto numbers = onecopy::attach<onecopy::array<double>>(CHAR(STRING_ELT(handle, 0)));
    return Rf_ScalarReal(std::accumulate(numbers.begin(), numbers.end(), 0.0));
  });
}

struct point {
  std::int32_t id;
  double position[2];
  std::int64_t stamp;
};

SEXP samples() {
  return guarded([&] {
    using onecopy::dtype;
    using onecopy::semantic;
    using onecopy::time_unit;
    static const std::int8_t i8[] = {-1, 0, 1, 127};
    static const std::int16_t i16[] = {-300, 0, 300};
    static const std::uint8_t u8[] = {0, 1, 255};
    static const std::uint16_t u16[] = {0, 1, 65535};
    static const std::uint32_t u32[] = {0, 1, 4294967295u};
    static const std::uint64_t u64[] = {0, 1, 1ull << 53};
    static const std::int64_t i64[] = {0, -1, 1ll << 62};
    static const float f32[] = {0.5f, -1.5f, 3.25f};
    static const std::uint16_t f16[] = {0x3c00, 0xc000, 0x3555};
    static const bool truth[] = {true, false, true};
    static const std::complex<float> c64[] = {{1, 2}, {3, 4}, {5, 6}};
    static const std::int32_t rows[] = {1, 2, 3, 4, 5, 6};
    static const std::uint8_t present[] = {0b101};
    static const std::int32_t days[] = {0, 19000, -1};
    static const std::int64_t nanoseconds[] = {0, 1500000000ll, INT64_MIN};
    static const std::int64_t months[] = {0, 13, -1};
    static const std::int64_t milliseconds[] = {1500, 2500, 3500};
    static const std::int8_t codes[] = {0, 1, -1, 0};
    static const char32_t fixed[] = U"ab\0\u00fc\0\0xyz";
    static const point points[] = {{1, {0.5, 1.5}, 10}, {2, {2.5, 3.5}, 20}, {3, {4.5, 5.5}, 30}};

    onecopy::writer w;
    const std::vector<std::string_view> names{
        "int8", "int16", "uint8", "uint16", "uint32", "uint64", "int64", "float32", "float16", "bool", "complex64",
        "row_major", "missing", "date32", "timestamp", "months", "timespan", "category", "fixed", "records", "foreign",
        "missing_bool", "missing_double"};
    const auto first = w.list(w.root(), names.size(), onecopy::list_form::dict);
    w.names(w.root(), names);
    auto at = first;
    w.array(at++, {.type = dtype::int8, .count = 4}, i8);
    w.array(at++, {.type = dtype::int16, .count = 3}, i16);
    w.array(at++, {.type = dtype::uint8, .count = 3}, u8);
    w.array(at++, {.type = dtype::uint16, .count = 3}, u16);
    w.array(at++, {.type = dtype::uint32, .count = 3}, u32);
    w.array(at++, {.type = dtype::uint64, .count = 3}, u64);
    w.array(at++, {.type = dtype::int64, .count = 3}, i64);
    w.array(at++, {.type = dtype::float32, .count = 3}, f32);
    w.array(at++, {.type = dtype::float16, .count = 3}, f16);
    w.array(at++, {.type = dtype::bool8, .count = 3}, truth);
    w.array(at++, {.type = dtype::complex64, .count = 3}, c64);
    w.array(at++, {.type = dtype::int32, .count = 6, .shape = {2, 3}, .order = onecopy::memory_order::row_major}, rows);
    w.array(at++, {.type = dtype::int32, .count = 3, .validity = present}, rows);
    w.array(at++, {.type = dtype::int32, .count = 3, .semantic = semantic::date, .unit = time_unit::day}, days);
    w.array(at++, {.type = dtype::int64, .count = 3, .semantic = semantic::timestamp, .unit = time_unit::nanosecond},
            nanoseconds);
    w.array(at++, {.type = dtype::int64, .count = 3, .semantic = semantic::date, .unit = time_unit::month}, months);
    w.array(at++, {.type = dtype::int64, .count = 3, .semantic = semantic::timespan, .unit = time_unit::millisecond},
            milliseconds);
    static const std::vector<std::string_view> levels{"low", "high"};
    w.strings(w.categorical(at++, {.type = dtype::int8, .count = 4}, codes, 0, true), levels);
    w.array(at++, {.type = dtype::fixed_utf32, .count = 3, .item_size = 12}, fixed);
    const std::vector<onecopy::record_field> fields{
        {"id", dtype::int32, offsetof(point, id)},
        {"position", dtype::float64, offsetof(point, position), 0, {2}},
        {"stamp", dtype::int64, offsetof(point, stamp)}};
    w.records(at++, {.type = dtype::record, .count = 3, .item_size = sizeof(point)}, fields, points);
    w.opaque(at++, "python-pickle", {reinterpret_cast<const std::byte*>("not for R"), 9});
    w.array(at++, {.type = dtype::bool8, .count = 3, .validity = present}, truth);
    static const double numbers[] = {1.5, 2.5, 3.5};
    w.array(at++, {.type = dtype::float64, .count = 3, .validity = present}, numbers);
    return text(w.publish().handle().text());
  });
}

SEXP memory(SEXP number) {
  return guarded([&] {
    const std::string id = allocateSharedMemory(sizeof(double));
    *static_cast<double*>(mapSharedMemory(id)) = Rf_asReal(number);
    unmapSharedMemory(id);
    const double read = *static_cast<double*>(mapSharedMemory(id));
    unmapSharedMemory(id);
    freeSharedMemory(id);
    return Rf_ScalarReal(hasSharedMemory(id) ? NA_REAL : read);
  });
}

SEXP new_tally(SEXP path) {
  return guarded([&] {
    onecopy::record<tally>::open(CHAR(STRING_ELT(path, 0)));
    return path;
  });
}

const R_CallMethodDef calls[] = {{"example_fibonacci", reinterpret_cast<DL_FUNC>(fibonacci), 1},
                                 {"example_sum", reinterpret_cast<DL_FUNC>(sum), 1},
                                 {"example_samples", reinterpret_cast<DL_FUNC>(samples), 0},
                                 {"example_memory", reinterpret_cast<DL_FUNC>(memory), 1},
                                 {"example_tally", reinterpret_cast<DL_FUNC>(new_tally), 1},
                                 {nullptr, nullptr, 0}};

}  // namespace

extern "C" __attribute__((visibility("default"))) void R_init_onecopyexample(DllInfo* dll) {
  R_registerRoutines(dll, nullptr, calls, nullptr, nullptr);
  R_useDynamicSymbols(dll, FALSE);
}
