#include "object/dictionary.hpp"

#include <limits>

#include "base/arithmetic.hpp"
#include "base/hash.hpp"

namespace onecopy::detail {
namespace {

// Vectors shorter than this are written as they are: a dictionary has a node and offsets of its own.
constexpr std::uint64_t shortest = 64;
// After each so many elements, numbering is given up if more than half of them were new.
constexpr std::uint64_t checkpoint = 16384;

// Open addressing; twice as many places as different strings, at least.
class numbering {
 public:
  explicit numbering(const string_source& source) : source_(source), places_(1024, -1) {}

  std::int32_t code_of(std::uint64_t i, const string_source::item& item) {
    const std::uint64_t hash =
        item.identity != nullptr ? mix(reinterpret_cast<std::uintptr_t>(item.identity))
                                 : xxh64(std::as_bytes(std::span(item.text)));
    for (std::size_t place = hash & (places_.size() - 1);; place = (place + 1) & (places_.size() - 1)) {
      const std::int32_t code = places_[place];
      if (code < 0) return add(place, i, hash, item.text.size());
      const auto known = static_cast<std::size_t>(code);
      if (hashes_[known] == hash && same(known, item)) return code;
    }
  }

  std::vector<std::uint64_t> take_representatives() { return std::move(representatives_); }
  std::uint64_t count() const noexcept { return representatives_.size(); }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  bool same(std::size_t code, const string_source::item& item) const {
    const auto known = source_.at(representatives_[code]);
    if (known.identity != nullptr && item.identity != nullptr) return known.identity == item.identity;
    return known.text == item.text;
  }

  std::int32_t add(std::size_t place, std::uint64_t i, std::uint64_t hash, std::size_t size) {
    const auto code = static_cast<std::int32_t>(representatives_.size());
    representatives_.push_back(i);
    hashes_.push_back(hash);
    bytes_ += size;
    places_[place] = code;
    if (representatives_.size() * 2 > places_.size()) grow();
    return code;
  }

  void grow() {
    places_.assign(places_.size() * 4, -1);
    for (std::size_t code = 0; code < hashes_.size(); ++code) {
      std::size_t place = hashes_[code] & (places_.size() - 1);
      while (places_[place] >= 0) place = (place + 1) & (places_.size() - 1);
      places_[place] = static_cast<std::int32_t>(code);
    }
  }

  const string_source& source_;
  std::vector<std::int32_t> places_;
  std::vector<std::uint64_t> hashes_, representatives_;
  std::uint64_t bytes_ = 0;
};

std::uint64_t code_width(std::uint64_t different) noexcept {
  if (different <= std::numeric_limits<std::int8_t>::max()) return 1;
  return different <= std::numeric_limits<std::int16_t>::max() ? 2 : 4;
}

}  // namespace

string_survey survey(const string_source& source) {
  string_survey found;
  const std::uint64_t count = source.size();
  found.offsets.reserve(static_cast<std::size_t>(count) + 1);
  found.offsets.push_back(0);
  numbering numbers(source);
  bool repeating = count >= shortest && count <= std::numeric_limits<std::int32_t>::max();
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto item = source.at(i);
    if (item.missing) {
      if (found.validity.empty()) found.validity.assign(static_cast<std::size_t>(bitmap_bytes(count)), 0xff);
      found.validity[static_cast<std::size_t>(i / 8)] &= static_cast<std::uint8_t>(~(1u << (i % 8)));
      found.any_missing = true;
    } else {
      found.bytes += item.text.size();
    }
    found.offsets.push_back(found.bytes);
    if (item.bytes && !item.missing) {
      if (found.marks.empty()) found.marks.assign(static_cast<std::size_t>(count), 0);
      found.marks[static_cast<std::size_t>(i)] = 1;
      found.any_marked = true;
      repeating = false;  // a mark belongs to an element, not to a string of the dictionary
    }
    if (!repeating) continue;
    found.codes.push_back(item.missing ? -1 : numbers.code_of(i, item));
    if ((i + 1) % checkpoint == 0 && numbers.count() > (i + 1) / 2) repeating = false;
  }
  const std::uint64_t plain = found.bytes + (found.bytes <= INT32_MAX ? 4 : 8) * count;
  const std::uint64_t coded = numbers.bytes() + 8 * numbers.count() + code_width(numbers.count()) * count;
  if (!repeating || coded + coded / 4 > plain) {
    found.codes = {};
    return found;
  }
  found.dictionary_bytes = numbers.bytes();
  found.representatives = numbers.take_representatives();
  return found;
}

}  // namespace onecopy::detail
