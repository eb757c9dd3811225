// The border between R and C++. R leaves a function by longjmp, which skips destructors; C++ leaves by exceptions,
// which must not cross R's frames. So:
//   - C++ that calls R in a way that may fail does it in r_call(), which turns a jump into an exception;
//   - everything that R calls runs in entry(), which turns exceptions into R conditions after all destructors ran.
// A function named build_* or marked "R phase" runs inside one r_call and holds nothing that has a destructor.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "onecopy/onecopy.hpp"

#include <R.h>
#include <Rinternals.h>
#include <R_ext/Altrep.h>
#include <Rversion.h>

namespace ocr {

// Thrown where R wanted to jump; entry() continues the jump.
struct unwinding {
  SEXP token;
};

SEXP unwind_token();

// Runs `body`, which returns a SEXP and may be left by R at any point: it may hold nothing that has a destructor.
template <class F>
SEXP r_call(F body) {
  static_assert(std::is_trivially_destructible_v<F>);
  SEXP token = unwind_token();
  std::jmp_buf out;
  if (setjmp(out)) throw unwinding{token};
  SEXP result = R_UnwindProtect([](void* f) -> SEXP { return (*static_cast<F*>(f))(); }, &body,
                                [](void* to, Rboolean jumping) {
                                  if (jumping) longjmp(*static_cast<std::jmp_buf*>(to), 1);
                                },
                                &out, token);
  SETCAR(token, R_NilValue);  // or the token would keep the last result alive
  return result;
}

// What an exception said, in a form that outlives it and has no destructor.
struct failure {
  SEXP token = nullptr;
  char kind[24];
  char what[3000];
  char remedy[1000];
  void take(const char* a_kind, const char* a_what, const char* a_remedy) noexcept;
};

// Raises an R condition of class onecopy_<kind>, onecopy_error, error; or continues R's own jump. Holds no C++ object.
[[noreturn]] void raise(const failure& f);
// For code in the R phase and methods of vectors whose object is gone.
[[noreturn]] void raise(const char* kind, const char* what);

// An R error with a class of its own: onecopy_<kind>.
struct r_error : std::runtime_error {
  r_error(const char* a_kind, const std::string& message) : std::runtime_error(message), kind(a_kind) {}
  const char* kind;
};

template <class F>
auto entry(F body) -> decltype(body()) {
  failure f;
  try {
    return body();
  } catch (const unwinding& u) {
    f.token = u.token;
  } catch (const onecopy::error& e) {
    f.take(onecopy::name_of(e.kind()), e.what(), e.remedy().c_str());
  } catch (const r_error& e) {
    f.take(e.kind, e.what(), "");
  } catch (const std::bad_alloc&) {
    f.take("no_memory", "onecopy: R's process is out of memory", "free memory, or work on a smaller object");
  } catch (const std::exception& e) {
    f.take("system", e.what(), "");
  }
  raise(f);
}

// Protects an object for a C++ scope. Scopes nest, so the order of R's stack is kept.
class keep {
 public:
  explicit keep(SEXP x) noexcept : x_(Rf_protect(x)) {}
  ~keep() { Rf_unprotect(1); }
  keep(const keep&) = delete;
  keep& operator=(const keep&) = delete;
  operator SEXP() const noexcept { return x_; }

 private:
  SEXP x_;
};

// A list of objects that must live as long as this scope.
class keepers {
 public:
  keepers() noexcept { R_ProtectWithIndex(list_ = R_NilValue, &index_); }
  ~keepers() { Rf_unprotect(1); }
  keepers(const keepers&) = delete;
  keepers& operator=(const keepers&) = delete;
  SEXP add(SEXP x) {
    keep kept(x);
    SEXP old = list_;
    list_ = r_call([x, old] { return Rf_cons(x, old); });
    R_Reprotect(list_, index_);
    return x;
  }

 private:
  SEXP list_;
  PROTECT_INDEX index_ = 0;
};

[[noreturn]] void bad_argument(const std::string& name, const std::string& happened, const std::string& remedy = {});
// One string, not NA; throws naming the argument.
std::string text_argument(SEXP x, const char* name);
bool flag_argument(SEXP x, const char* name);
double number_argument(SEXP x, const char* name);

// Calls `see(name, value)` for each attribute as it is stored (compact row names stay compact) until one call returns
// true, and tells whether one did. `see` may not throw: from R 4.6 on there are R's own frames in between.
template <class F>
bool any_attribute(SEXP x, F see) {
#if R_VERSION >= R_Version(4, 6, 0)
  auto ask = [](SEXP name, SEXP value, void* f) -> SEXP { return (*static_cast<F*>(f))(name, value) ? name : nullptr; };
  return R_mapAttrib(x, ask, &see) != nullptr;
#else
  for (SEXP a = ATTRIB(x); a != R_NilValue; a = CDR(a))
    if (see(TAG(a), CAR(a))) return true;
  return false;
#endif
}

// The same for `see` that returns nothing.
template <class F>
void each_attribute(SEXP x, F see) {
  any_attribute(x, [&](SEXP name, SEXP value) {
    see(name, value);
    return false;
  });
}

inline bool has_attributes(SEXP x) {
  return any_attribute(x, [](SEXP, SEXP) { return true; });
}

struct attribute {
  SEXP name, value;
};
// For C++ that may throw while it looks at them.
std::vector<attribute> attributes_of(SEXP x);

}  // namespace ocr
