// A place in the source of whoever calls. std::source_location does the same, but clang 14 can't compile it.
#pragma once

namespace onecopy {

class code_place {
 public:
  static constexpr code_place current(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE(),
                                      const char* function = __builtin_FUNCTION()) noexcept {
    return code_place(file, line, function);
  }
  constexpr const char* file_name() const noexcept { return file_; }
  constexpr unsigned line() const noexcept { return line_; }
  constexpr const char* function_name() const noexcept { return function_; }

 private:
  constexpr code_place(const char* file, unsigned line, const char* function) noexcept
      : file_(file), function_(function), line_(line) {}
  const char* file_;
  const char* function_;
  unsigned line_;
};

}  // namespace onecopy
