// Where the records of a CSV text begin and end, and which of them are bad. What the fields mean is for a library.
#include <algorithm>
#include <climits>
#include <cstring>
#include <string>
#include <vector>

#include "lazy.h"

namespace ocr {

namespace {

enum class place : std::uint8_t { begin, plain, quoted, after_quote };

// Why a record is bad, where that is not its number of fields.
constexpr int text_after_quote = -1, quote_not_closed = -2;

struct records {
  std::size_t end = 0;       // bytes up to the end of the last whole record
  int lines = 0;             // line ends within them
  std::string text;          // the good records, each with a line end
  std::vector<int> starts;   // of each: its line, from 0
  std::vector<int> bad_lines, bad_fields;
  bool doubled = false;      // a quote was written twice within a quoted field
};

struct dialect {
  char separator, quote;     // quote 0: there are none
  int fields;                // 0: any number
  int most;                  // records to read
  bool final;                // nothing follows the block
};

// One pass. A record that the block cuts is left to the next block.
records scan_records(const char* from, std::size_t size, const dialect& d) {
  records out;
  place at = place::begin;
  std::size_t record = 0, copied = 0;
  int line = 0, first_line = 0, fields = 1, why = 0;
  const auto flush = [&](std::size_t upto) {
    out.text.append(from + copied, upto - copied);
    copied = upto;
  };
  for (std::size_t i = 0; i <= size; ++i) {
    const bool last = i == size;
    if (last && (!d.final || record == size)) break;
    const char c = last ? '\n' : from[i];
    if (c == '\n' && !last) ++line;
    if (at == place::quoted && !last) {
      if (c == d.quote) at = place::after_quote;
      continue;
    }
    if (at == place::after_quote && c == d.quote && !last) {
      out.doubled = true;
      at = place::quoted;
      continue;
    }
    if (at == place::begin && d.quote != 0 && c == d.quote && !last) {
      at = place::quoted;
      continue;
    }
    if (c == d.separator && !last) {
      ++fields;
      at = place::begin;
      continue;
    }
    if (c != '\n') {
      if (at == place::after_quote && c != '\r') why = text_after_quote;
      if (at == place::begin) at = place::plain;
      // Within a field without quotes nothing else matters.
      if (at == place::plain)
        while (i + 1 < size && from[i + 1] != d.separator && from[i + 1] != '\n') ++i;
      continue;
    }
    if (at == place::quoted) why = quote_not_closed;
    const std::size_t end = last ? size : i + 1;
    const std::size_t bare = last ? size : i;
    const bool blank = bare == record || (bare == record + 1 && from[record] == '\r');
    if (why == 0 && d.fields != 0 && fields != d.fields) why = fields;
    if (blank || why != 0) {
      flush(record);
      copied = end;
      if (!blank) {
        out.bad_lines.push_back(first_line);
        out.bad_fields.push_back(why);
      }
    } else {
      out.starts.push_back(first_line);
    }
    record = end;
    first_line = line;
    fields = 1;
    why = 0;
    at = place::begin;
    if (static_cast<int>(out.starts.size()) == d.most) break;
  }
  flush(record);
  if (!out.text.empty() && out.text.back() != '\n') out.text += '\n';
  out.end = record;
  out.lines = first_line;
  return out;
}

SEXP integers(const std::vector<int>& from) {
  SEXP out = Rf_allocVector(INTSXP, static_cast<R_xlen_t>(from.size()));
  std::copy(from.begin(), from.end(), INTEGER(out));
  return out;
}

char character(SEXP x, const char* name) {
  const std::string text = text_argument(x, name);
  if (text.size() > 1) bad_argument(name, "it is '" + text + "'", "give one character");
  return text.empty() ? '\0' : text[0];
}

}  // namespace
}  // namespace ocr

using namespace ocr;

// A list of what scan_records() found.
SEXP oc_csv_records(SEXP block, SEXP final, SEXP separator, SEXP quote, SEXP fields, SEXP most) {
  return entry([&] {
    if (TYPEOF(block) != RAWSXP || XLENGTH(block) > INT_MAX) bad_argument("block", "it is no block of bytes");
    dialect d{};
    d.separator = character(separator, "sep");
    if (d.separator == '\0' || d.separator == '\n') bad_argument("sep", "it is empty", "give one character");
    d.quote = character(quote, "quote");
    d.fields = static_cast<int>(number_argument(fields, "fields"));
    d.most = static_cast<int>(number_argument(most, "most"));
    d.final = flag_argument(final, "final");
    const auto* bytes = reinterpret_cast<const char*>(RAW_RO(block));
    const auto length = static_cast<std::size_t>(XLENGTH(block));
    if (std::memchr(bytes, 0, length) != nullptr)
      throw r_error("corrupt", "there are NUL bytes in it: it is no text, or of another encoding");
    const records found = scan_records(bytes, length, d);
    const records* r = &found;
    return r_call([=] {
      const char* names[] = {"end", "lines", "text", "starts", "bad", "fields", "doubled", ""};
      SEXP out = PROTECT(Rf_mkNamed(VECSXP, names));
      SET_VECTOR_ELT(out, 0, Rf_ScalarReal(static_cast<double>(r->end)));
      SET_VECTOR_ELT(out, 1, Rf_ScalarInteger(r->lines));
      const int size = static_cast<int>(r->text.size());
      SET_VECTOR_ELT(out, 2, Rf_ScalarString(Rf_mkCharLenCE(r->text.data(), size, CE_NATIVE)));
      SET_VECTOR_ELT(out, 3, integers(r->starts));
      SET_VECTOR_ELT(out, 4, integers(r->bad_lines));
      SET_VECTOR_ELT(out, 5, integers(r->bad_fields));
      SET_VECTOR_ELT(out, 6, Rf_ScalarLogical(r->doubled));
      UNPROTECT(1);
      return out;
    });
  });
}

// The lines of a text: a list of where each begins (from 0), without what follows the last line end, and the bytes of
// the longest.
SEXP oc_text_lines(SEXP block) {
  return entry([&] {
    if (TYPEOF(block) != RAWSXP) bad_argument("block", "it is no block of bytes");
    const auto* bytes = reinterpret_cast<const char*>(RAW_RO(block));
    const auto size = static_cast<std::size_t>(XLENGTH(block));
    std::vector<double> ends;
    std::size_t longest = 0, begin = 0;
    while (begin < size) {
      const void* found = std::memchr(bytes + begin, '\n', size - begin);
      if (found == nullptr) break;
      const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - bytes) + 1;
      longest = std::max(longest, end - begin - 1);
      ends.push_back(static_cast<double>(end));
      begin = end;
    }
    const auto* kept = &ends;
    const double most = static_cast<double>(longest);
    return r_call([=] {
      const char* names[] = {"ends", "longest", ""};
      SEXP out = PROTECT(Rf_mkNamed(VECSXP, names));
      SET_VECTOR_ELT(out, 0, Rf_allocVector(REALSXP, static_cast<R_xlen_t>(kept->size())));
      std::copy(kept->begin(), kept->end(), REAL(VECTOR_ELT(out, 0)));
      SET_VECTOR_ELT(out, 1, Rf_ScalarReal(most));
      UNPROTECT(1);
      return out;
    });
  });
}
