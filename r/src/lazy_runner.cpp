// The process that runs populate functions: an R that the pager has started.
#include <cstring>
#include <set>

#include "lazy.h"

namespace ocr {

namespace {

class r_runner final : public onecopy::lazy_runner {
 public:
  explicit r_runner(SEXP fill) : fill_(fill) {}

  void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
    const auto count = out.size() / onecopy::size_of(which.type);
    keep answer(ask(which, first, count, {}));
    // A string is the message of what went wrong; anything else was checked to be the elements.
    if (TYPEOF(answer) == STRSXP) throw std::runtime_error(CHAR(STRING_ELT(answer, 0)));
    if (static_cast<std::size_t>(XLENGTH(answer)) != count) throw std::runtime_error("its answer has another length");
    std::memcpy(out.data(), DATAPTR_RO(answer), out.size());
  }

  void save(const object& which, std::uint64_t first, std::span<const std::byte> changed) override {
    keep answer(ask(which, first, changed.size() / onecopy::size_of(which.type), changed));
    if (TYPEOF(answer) == STRSXP) throw std::runtime_error(CHAR(STRING_ELT(answer, 0)));
  }

  void forget(const onecopy::object_id& id) override {
    known_.erase(id);
    const std::string text = id.text();
    const char* key = text.c_str();
    SEXP call_fill = fill_;
    try {
      r_call([=] {
        SEXP call = PROTECT(Rf_lang5(call_fill, PROTECT(Rf_mkString(key)), R_NilValue, R_NilValue, R_NilValue));
        Rf_eval(call, R_BaseEnv);
        UNPROTECT(2);
        return R_NilValue;
      });
    } catch (const unwinding&) {
      return;
    }
  }

 private:
  // Without `changed`: to fill.
  SEXP ask(const object& which, std::uint64_t first, std::size_t count, std::span<const std::byte> changed) {
    const std::string id = which.id.text();
    const char* key = id.c_str();
    const char* bytes = which.payload.data();
    const auto size = static_cast<R_xlen_t>(which.payload.size());
    const bool known = !known_.insert(which.id).second;
    const double from = static_cast<double>(first) + 1, to = static_cast<double>(first + count);
    const void* saved = changed.data();
    const auto saved_size = static_cast<R_xlen_t>(changed.size());
    SEXP call_fill = fill_;
    try {
      return r_call([=] {
        SEXP payload = PROTECT(known ? R_NilValue : Rf_allocVector(RAWSXP, size));
        if (!known) std::memcpy(RAW(payload), bytes, static_cast<std::size_t>(size));
        SEXP values = PROTECT(saved_size == 0 ? R_NilValue : Rf_allocVector(RAWSXP, saved_size));
        if (saved_size != 0) std::memcpy(RAW(values), saved, static_cast<std::size_t>(saved_size));
        SEXP name = PROTECT(Rf_mkString(key));
        SEXP start = PROTECT(Rf_ScalarReal(from));
        SEXP end = PROTECT(Rf_ScalarReal(to));
        SEXP call = PROTECT(Rf_lang6(call_fill, name, payload, start, end, values));
        SEXP result = Rf_eval(call, R_BaseEnv);
        UNPROTECT(6);
        return result;
      });
    } catch (const unwinding&) {
      known_.erase(which.id);
      throw std::runtime_error("its function was left by an interrupt or a jump");
    }
  }

  SEXP fill_;
  std::set<onecopy::object_id> known_;
};

}  // namespace
}  // namespace ocr

SEXP oc_lazy_serve(SEXP fill) {
  return ocr::entry([&] {
    const int status = ocr::r_runner(fill).serve();
    return ocr::r_call([=] { return Rf_ScalarInteger(status); });
  });
}
