#include "pager/source.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <mutex>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/flags.hpp"
#include "pager/expression.hpp"
#include "pager/runner.hpp"

namespace onecopy::pager {

status source::write_back(std::uint64_t, std::span<const std::byte>) {
  return failure{error_kind::unsupported, "write a lazy vector back", "its source can't be written to",
                 "Make it without write_back: changes are then kept in a spill file"};
}

namespace {

failure senseless(const std::string& happened, const std::string& remedy = {}) {
  return {error_kind::invalid_argument, "make a lazy vector", happened, remedy};
}

std::string field(const lazy_source& from, const char* name, const char* otherwise) {
  const auto found = from.fields.find(name);
  return found == from.fields.end() ? otherwise : found->second;
}

template <class T>
bool parse(const std::string& text, T& out) {
  const char* end = text.data() + text.size();
  const auto [stop, wrong] = std::from_chars(text.data(), end, out);
  return wrong == std::errc{} && stop == end;
}

// ---- from + i * by

template <class T>
class float_sequence final : public source {
 public:
  float_sequence(double from, double by) : from_(from), by_(by) {}
  bool immediate() const noexcept override { return true; }
  status fill(std::uint64_t first, std::span<std::byte> out) override {
    auto* items = reinterpret_cast<T*>(out.data());
    const std::size_t count = out.size() / sizeof(T);
    // Each element from its own index: adding up would make the value depend on where the chunk begins.
    // In two parts, whose sum is exact: no address space has 2^53 elements, no chunk 2^31. Processors convert 64-bit
    // integers one by one, and 32-bit ones several at once.
    const auto start = static_cast<double>(first);
    const auto few = static_cast<std::int32_t>(count);
    for (std::int32_t i = 0; i < few; ++i) items[i] = static_cast<T>(from_ + (start + static_cast<double>(i)) * by_);
    return done();
  }

 private:
  double from_, by_;
};

template <class T>
class integer_sequence final : public source {
 public:
  integer_sequence(std::int64_t from, std::int64_t by) : from_(from), by_(by) {}
  bool immediate() const noexcept override { return true; }
  status fill(std::uint64_t first, std::span<std::byte> out) override {
    auto* items = reinterpret_cast<T*>(out.data());
    const std::size_t count = out.size() / sizeof(T);
    // Unsigned arithmetic: the ends were checked to be in range, and so is all between.
    const auto from = static_cast<std::uint64_t>(from_), by = static_cast<std::uint64_t>(by_);
    for (std::size_t i = 0; i < count; ++i) items[i] = static_cast<T>(from + (first + i) * by);
    return done();
  }

 private:
  std::int64_t from_, by_;
};

template <class T>
result<std::unique_ptr<source>> checked_integers(std::int64_t from, std::int64_t by, std::uint64_t count) {
  const __int128 last = static_cast<__int128>(from) + static_cast<__int128>(count == 0 ? 0 : count - 1) * by;
  const __int128 low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
  if (from < low || from > high || last < low || last > high)
    return senseless("the sequence leaves the range of its type", "Use fewer elements, or a wider type");
  return std::unique_ptr<source>(std::make_unique<integer_sequence<T>>(from, by));
}

result<std::unique_ptr<source>> make_sequence(const lazy_source& from, const source_context& context) {
  const std::string first = field(from, "from", "0"), step = field(from, "by", "1");
  if (context.type == dtype::float64 || context.type == dtype::float32) {
    double a = 0, b = 0;
    if (!parse(first, a) || !parse(step, b)) return senseless("'" + first + "' and '" + step + "' must be numbers");
    if (context.type == dtype::float32) return std::unique_ptr<source>(std::make_unique<float_sequence<float>>(a, b));
    return std::unique_ptr<source>(std::make_unique<float_sequence<double>>(a, b));
  }
  std::int64_t a = 0, b = 0;
  if (!parse(first, a) || !parse(step, b))
    return senseless("an integer sequence from " + first + " by " + step, "Use whole numbers, or a floating type");
  switch (context.type) {
    case dtype::int8: return checked_integers<std::int8_t>(a, b, context.count);
    case dtype::int16: return checked_integers<std::int16_t>(a, b, context.count);
    case dtype::int32: return checked_integers<std::int32_t>(a, b, context.count);
    case dtype::int64: return checked_integers<std::int64_t>(a, b, context.count);
    case dtype::raw:
    case dtype::uint8: return checked_integers<std::uint8_t>(a, b, context.count);
    case dtype::uint16: return checked_integers<std::uint16_t>(a, b, context.count);
    case dtype::uint32: return checked_integers<std::uint32_t>(a, b, context.count);
    case dtype::uint64: return checked_integers<std::uint64_t>(a, b, context.count);
    default: return senseless(std::string("there is no sequence of ") + name_of(context.type));
  }
}

// ---- a file of numbers

class file_source final : public source {
 public:
  file_source(std::string path, std::uint64_t offset, std::uint64_t stride, bool swap, std::size_t swap_unit,
              const source_context& context)
      : path_(std::move(path)), offset_(offset), stride_(stride), swap_(swap), swap_unit_(swap_unit),
        context_(context) {}

  status fill(std::uint64_t first, std::span<std::byte> out) override {
    auto file = opened(O_RDONLY);
    if (!file) return file.reason();
    const std::uint64_t item = context_.item_bytes, count = out.size() / item;
    if (auto enough = check_size((*file)->get(), first + count); !enough) return enough;
    if (stride_ == item) {
      if (auto ok = os::read_at((*file)->get(), out, offset_ + first * item); !ok) return explain(ok.reason());
    } else {
      // One read for many elements, however far apart they lie, up to a limit.
      constexpr std::uint64_t room = 1u << 20;
      const std::uint64_t at_once = std::max<std::uint64_t>(1, room / stride_);
      std::vector<std::byte> block;
      for (std::uint64_t i = 0; i < count; i += at_once) {
        const std::uint64_t some = std::min(at_once, count - i);
        block.resize((some - 1) * stride_ + item);
        if (auto ok = os::read_at((*file)->get(), block, offset_ + (first + i) * stride_); !ok)
          return explain(ok.reason());
        for (std::uint64_t k = 0; k < some; ++k)
          std::memcpy(out.data() + (i + k) * item, block.data() + k * stride_, item);
      }
    }
    if (swap_) reverse(out);
    return done();
  }

  status write_back(std::uint64_t first, std::span<const std::byte> changed) override {
    auto file = opened(O_RDWR);
    if (!file) return file.reason();
    const std::uint64_t item = context_.item_bytes, count = changed.size() / item;
    // A file that became shorter must not be made longer by us: its owner has changed its meaning.
    if (auto enough = check_size((*file)->get(), first + count); !enough) return enough;
    std::vector<std::byte> swapped;
    if (swap_) {
      swapped.assign(changed.begin(), changed.end());
      reverse(swapped);
      changed = swapped;
    }
    if (stride_ == item) {
      if (auto ok = os::write_at((*file)->get(), changed, offset_ + first * item); !ok) return explain(ok.reason());
      return done();
    }
    for (std::uint64_t i = 0; i < count; ++i)
      if (auto ok = os::write_at((*file)->get(), changed.subspan(i * item, item), offset_ + (first + i) * stride_); !ok)
        return explain(ok.reason());
    return done();
  }

 private:
  failure explain(failure why) const {
    why.tried = "read " + path_;
    return why;
  }

  // Opened again for each use that fails, so that a file that comes back is found.
  result<std::shared_ptr<os::fd>> opened(int flags) {
    std::lock_guard hold(mutex_);
    auto& kept = flags == O_RDONLY ? reader_ : writer_;
    if (kept) return kept;
    auto file = os::open_file(path_, flags | O_NONBLOCK);  // opening a pipe must not hang
    if (!file) return file.reason();
    auto info = os::status_of(file->get(), path_);
    if (!info) return info.reason();
    if (!S_ISREG(info->st_mode) && !S_ISBLK(info->st_mode))
      return failure{error_kind::invalid_argument, "read " + path_, "it is not a regular file", "Copy it to a file"};
    kept = std::make_shared<os::fd>(*std::move(file));
    return kept;
  }

  status check_size(int file, std::uint64_t end) {
    auto info = os::status_of(file, path_);
    if (!info) return info.reason();
    const std::uint64_t needed = offset_ + (end - 1) * stride_ + context_.item_bytes;
    if (S_ISBLK(info->st_mode) || static_cast<std::uint64_t>(info->st_size) >= needed) return done();
    {
      std::lock_guard hold(mutex_);  // the path may lead to another, longer file by now
      reader_.reset();
      writer_.reset();
    }
    return failure{error_kind::corrupt, "read " + path_,
                   "element " + std::to_string(end - 1) + " ends at byte " + std::to_string(needed) +
                       ", and the file has only " + std::to_string(info->st_size),
                   "The file is shorter than the lazy vector made from it: restore it, or make a shorter vector"};
  }

  void reverse(std::span<std::byte> bytes) const {
    for (std::size_t i = 0; i + swap_unit_ <= bytes.size(); i += swap_unit_)
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   bytes.begin() + static_cast<std::ptrdiff_t>(i + swap_unit_));
  }

  std::string path_;
  std::uint64_t offset_, stride_;
  bool swap_;
  std::size_t swap_unit_;
  source_context context_;
  std::mutex mutex_;
  std::shared_ptr<os::fd> reader_, writer_;
};

result<std::unique_ptr<source>> make_file(const lazy_source& from, const source_context& context) {
  const std::string path = field(from, "path", "");
  std::uint64_t offset = 0, stride = 0;
  if (path.empty() || path[0] != '/') return senseless("a file source without an absolute path");
  if (!parse(field(from, "offset", "0"), offset) || !parse(field(from, "stride", "0"), stride))
    return senseless("offset and stride of a file source must be numbers of bytes");
  if (stride == 0) stride = context.item_bytes;
  if (stride < context.item_bytes)
    return senseless("a stride of " + std::to_string(stride) + " bytes for elements of " +
                     std::to_string(context.item_bytes) + " bytes", "Use at least the size of an element");
  const auto reach = checked_mul(context.count, stride);
  if (!reach || !checked_add(*reach, offset) || *reach + offset > (1ull << 62))
    return senseless("offset and stride lead beyond the end of any file");
  const bool pair = context.type == dtype::complex64 || context.type == dtype::complex128;
  return std::unique_ptr<source>(std::make_unique<file_source>(path, offset, stride, field(from, "swap", "0") == "1",
                                                               context.item_bytes / (pair ? 2 : 1), context));
}

// ---- an expression over other lazy vectors: computed by a process of ours, for it waits for what it reads

result<std::unique_ptr<source>> make_expression(const lazy_source& from, const source_context& context) {
  const std::string leaves = field(from, "leaves", ""), bytes = field(from, "tree", "");
  auto tree = decode(bytes, {});
  if (!tree) return senseless("its expression makes no sense", "It may be from a newer version of onecopy");
  if ((*tree)->size != context.count || detail::stored_as((*tree)->kind) != context.type || leaves.size() % 32 != 0)
    return senseless("its expression gives other elements than it has");
  return make_program({"program", {{"word0", "/proc/self/exe"}, {"word1", "--evaluate"},
                                   {"word2", field(from, "depth", "1")}, {"payload", leaves + '\n' + bytes},
                                   {"description", "a lazy expression"}}},
                      context);
}

// ---- functions in a shared library

result<std::unique_ptr<source>> make_plugin(const lazy_source& from, const source_context& context) {
  lazy_source program{"program", {{"word0", "/proc/self/exe"}, {"word1", "--plugin"},
                                  {"payload", field(from, "payload", "")},
                                  {"description", field(from, "description", "a lazy vector")}}};
  std::string library = field(from, "library0", "");
  std::size_t count = 0;
  for (; !library.empty(); library = field(from, ("library" + std::to_string(count)).c_str(), "")) {
    if (library[0] != '/') return senseless("its library '" + library + "' has no absolute path");
    program.fields["word" + std::to_string(2 + count++)] = library;
  }
  if (count == 0) return senseless("it names no library");
  return make_program(program, context);
}

}  // namespace

result<std::unique_ptr<source>> make_source(const lazy_source& description, const source_context& context) {
  if (description.kind == "sequence") return make_sequence(description, context);
  if (description.kind == "file") return make_file(description, context);
  if (description.kind == "program") return make_program(description, context);
  if (description.kind == "plugin") return make_plugin(description, context);
  if (description.kind == "expression") return make_expression(description, context);
  return senseless("there is no source of kind '" + description.kind + "'",
                   "It may be from a newer version of onecopy");
}

}  // namespace onecopy::pager
