// A source of lazy vectors: files of 16-bit numbers, seen as scale * number + offset.
//
// The class runs in processes that the pager starts, which load this library; R is not in them. The function that R
// calls makes the vector, and R attaches to it by its handle.
#include <onecopy/lazy_plugin.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <R.h>
#include <Rinternals.h>
#include <R_ext/Rdynload.h>

namespace {

// What the process that fills must know, as the payload of the vector.
struct scaling {
  double scale = 1, offset = 0;
  std::string path;

  std::string as_payload() const {
    std::string bytes(2 * sizeof(double), '\0');
    std::memcpy(bytes.data(), &scale, sizeof scale);
    std::memcpy(bytes.data() + sizeof scale, &offset, sizeof offset);
    return bytes + path;
  }
  static scaling from_payload(const std::string& bytes) {
    scaling made;
    if (bytes.size() < 2 * sizeof(double)) throw std::runtime_error("the description of the file is damaged");
    std::memcpy(&made.scale, bytes.data(), sizeof made.scale);
    std::memcpy(&made.offset, bytes.data() + sizeof made.scale, sizeof made.offset);
    made.path = bytes.substr(2 * sizeof(double));
    return made;
  }
};

class scaled_numbers : public onecopy::lazy_runner {
 public:
  void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
    const auto how = scaling::from_payload(which.payload);
    std::vector<std::int16_t> numbers(out.size() / sizeof(double));
    const auto bytes = static_cast<std::streamsize>(numbers.size() * sizeof numbers[0]);
    std::ifstream file(how.path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(first * sizeof numbers[0]));
    // Never leave elements as they are: the zeros would be taken for data.
    if (!file.read(reinterpret_cast<char*>(numbers.data()), bytes))
      throw std::runtime_error(how.path + " can't be read, or became shorter");
    auto* values = reinterpret_cast<double*>(out.data());
    for (std::size_t i = 0; i < numbers.size(); ++i) values[i] = how.scale * numbers[i] + how.offset;
  }

  void save(const object& which, std::uint64_t first, std::span<const std::byte> changed) override {
    const auto how = scaling::from_payload(which.payload);
    const auto* values = reinterpret_cast<const double*>(changed.data());
    std::vector<std::int16_t> numbers(changed.size() / sizeof(double));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const double number = std::round((values[i] - how.offset) / how.scale);
      if (!(number >= INT16_MIN && number <= INT16_MAX))
        throw std::runtime_error("element " + std::to_string(first + i + 1) + " does not fit into 16 bits");
      numbers[i] = static_cast<std::int16_t>(number);
    }
    std::fstream file(how.path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(first * sizeof numbers[0]));
    file.write(reinterpret_cast<const char*>(numbers.data()),
               static_cast<std::streamsize>(numbers.size() * sizeof numbers[0]));
    if (!file.flush()) throw std::runtime_error(how.path + " can't be written to");
  }
};

// R's errors jump over destructors, so the message is kept until every C++ object is gone.
SEXP scaled_file(SEXP path, SEXP scale, SEXP offset, SEXP writable) {
  static char message[2000];
  try {
    const scaling how{Rf_asReal(scale), Rf_asReal(offset), CHAR(STRING_ELT(path, 0))};
    const std::uint64_t count = std::filesystem::file_size(how.path) / sizeof(std::int16_t);
    const bool may_write = Rf_asLogical(writable) == 1;
    const auto made = onecopy::lazy<double>(
        count, onecopy::lazy_source::plugin(onecopy::this_library(), how.as_payload(), how.path),
        {.writable = may_write, .write_back = may_write});
    // The lease that the handle carries keeps the vector until R has attached to it.
    return Rf_mkString(made.handle().text().c_str());
  } catch (const std::exception& e) {
    std::strncpy(message, e.what(), sizeof message - 1);
  }
  Rf_error("%s", message);
}

const R_CallMethodDef calls[] = {{"scaled_file", reinterpret_cast<DL_FUNC>(scaled_file), 4}, {nullptr, nullptr, 0}};

}  // namespace

ONECOPY_LAZY_PLUGIN(scaled_numbers)

extern "C" __attribute__((visibility("default"))) void R_init_onecopyscaled(DllInfo* dll) {
  R_registerRoutines(dll, nullptr, calls, nullptr, nullptr);
  R_useDynamicSymbols(dll, FALSE);
}
