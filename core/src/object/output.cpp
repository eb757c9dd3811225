#include "object/output.hpp"

#include <algorithm>

#include "region/publish.hpp"

namespace onecopy::detail {
namespace {
// As much as fits a second-level cache, so that what was gathered is still there when the kernel copies it.
constexpr std::size_t gather_limit = 256 * 1024;
// Between two calls of progress: a few milliseconds.
constexpr std::size_t step = 16 * 1024 * 1024;
}  // namespace

output::output(region_file& file, std::uint64_t total, const std::function<void(std::uint64_t, std::uint64_t)>& progress)
    : file_(file), total_(total), progress_(progress) {
  gathered_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(total, gather_limit)));
}

void output::tell(std::uint64_t done) {
  if (progress_) progress_(done, total_);
}

status output::flush() {
  if (gathered_.empty()) return done();
  auto written = file_.write(gathered_, start_);
  gathered_.clear();
  return written;
}

status output::straight(std::uint64_t offset, std::span<const std::byte> from) {
  for (std::size_t at = 0; at < from.size(); at += step) {
    const auto part = from.subspan(at, std::min(step, from.size() - at));
    if (auto written = file_.write(part, offset + at); !written) return written;
    tell(offset + at + part.size());
  }
  return done();
}

status output::bytes(std::uint64_t offset, std::span<const std::byte> from) {
  if (from.size() > gather_limit / 2) {
    if (auto flushed = flush(); !flushed) return flushed;
    return straight(offset, from);
  }
  if (!gathered_.empty() && offset + from.size() - start_ > gather_limit) {
    if (auto flushed = flush(); !flushed) return flushed;
    tell(offset);
  }
  if (gathered_.empty()) start_ = offset;
  gathered_.resize(static_cast<std::size_t>(offset - start_));  // the gap before an aligned buffer: zeros
  gathered_.insert(gathered_.end(), from.begin(), from.end());
  return done();
}

status output::produced(std::uint64_t offset, std::uint64_t size, const writer::producer& produce) {
  std::vector<std::byte> block(static_cast<std::size_t>(std::min<std::uint64_t>(size, gather_limit)));
  for (std::uint64_t at = 0; at < size; at += block.size()) {
    const auto part = std::span(block).first(static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), size - at)));
    produce(at, part);
    if (auto written = bytes(offset + at, part); !written) return written;
  }
  return done();
}

status output::strings(std::uint64_t offset, std::uint64_t size, const string_source& source,
                       const std::vector<std::uint64_t>& only) {
  std::uint64_t at = 0;
  const auto add = [&](std::uint64_t i) -> status {
    const auto item = source.at(i);
    if (item.missing) return done();
    if (item.text.size() > size - at)
      raise({error_kind::invalid_argument, "share strings", "they changed while they were shared",
             "Don't change an object while it is being shared"});
    auto written = bytes(offset + at, std::as_bytes(std::span(item.text)));
    at += item.text.size();
    return written;
  };
  const std::uint64_t count = only.empty() ? source.size() : only.size();
  for (std::uint64_t i = 0; i < count; ++i)
    if (auto added = add(only.empty() ? i : only[static_cast<std::size_t>(i)]); !added) return added;
  if (at != size)
    raise({error_kind::invalid_argument, "share strings", "they changed while they were shared",
           "Don't change an object while it is being shared"});
  return done();
}

}  // namespace onecopy::detail
