#include "transport/cache_directory.hpp"

#include <fcntl.h>

#include <charconv>
#include <cinttypes>
#include <cstdio>

#include "base/hash.hpp"
#include "onecopy/mapped_file.hpp"
#include "onecopy/store.hpp"
#include "onecopy/writer.hpp"
#include "os/file.hpp"
#include "os/range_lock.hpp"
#include "os/socket.hpp"
#include "region/directory.hpp"
#include "region/state.hpp"

namespace onecopy::detail {
namespace {

constexpr const char* lock_file = ".cache-locks";  // of the store; has no bytes

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::uint64_t number(std::string_view text) {
  std::uint64_t parsed = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (problem != std::errc() || end != text.data() + text.size())
    throw error(error_kind::corrupt, "find an entry of a cache", "its notice is not a cache's");
  return parsed;
}

// {"handle", text} or {"file", path, type, order, offset, count, extents...}
std::vector<std::string> notice_of(const value& object) {
  const auto& state = *object.region().state();
  const auto& from = state.from();
  if (from.store) return {"handle", object.handle(0).text()};
  if (from.where == backing::mapped_file && object.kind() == node_kind::array) {
    std::vector<std::string> notice = {"file", from.path, std::to_string(static_cast<int>(object.type())),
                                       std::to_string(static_cast<int>(object.order())),
                                       std::to_string(*state.offset_in_file(object.data_offset())),
                                       std::to_string(object.size())};
    for (const std::uint64_t extent : object.shape()) notice.push_back(std::to_string(extent));
    return notice;
  }
  throw error(error_kind::invalid_argument, "add an entry to a cache that processes share",
              "the object is neither in the store nor a mapped file, so no other process could attach to it",
              "Share it in the store (the default), or use a cache without a name and send entries over channels");
}

value follow(const value& notice) {
  const auto word = [&](std::uint64_t i) { return std::string(notice.string(i)); };
  if (notice.kind() != node_kind::string || notice.size() < 2)
    throw error(error_kind::corrupt, "find an entry of a cache", "its notice is not a cache's");
  if (word(0) == "handle") return onecopy::attach(word(1));
  if (word(0) != "file" || notice.size() < 6)
    throw error(error_kind::unsupported, "find an entry of a cache", "it was added by a newer version",
                "Use the same version of onecopy in all processes");
  map_options options;
  options.type = static_cast<dtype>(number(word(2)));
  options.order = static_cast<memory_order>(number(word(3)));
  options.offset = number(word(4));
  options.count = number(word(5));
  for (std::uint64_t i = 6; i < notice.size(); ++i) options.shape.push_back(number(word(i)));
  return map_file(word(1), options);
}

}  // namespace

cache_directory::cache_directory(const std::string& name) : seed_(xxh64(bytes_of(name))) {
  if (name.size() > 120)
    throw error(error_kind::invalid_argument, "open a cache", "its name is longer than 120 bytes",
                "Choose a shorter one");
}

std::string cache_directory::name_of(std::string_view key) const {
  char text[64];
  std::snprintf(text, sizeof text, "cache:%016" PRIx64 ":%016" PRIx64 "%016" PRIx64, seed_, xxh64(bytes_of(key), seed_),
                xxh64(bytes_of(key), mix(seed_)));
  return text;
}

std::optional<found_entry> cache_directory::find(std::string_view key) const {
  try {
    region notice = store::attach_name(name_of(key));
    value object = follow(value(notice));
    return found_entry{std::move(object), std::move(notice)};
  } catch (const error& e) {
    if (e.kind() == error_kind::not_found) return {};  // no notice, or the last holder let go between the two
    throw;
  }
}

region cache_directory::announce(std::string_view key, const value& object) const {
  const auto notice = notice_of(object);
  const std::vector<std::string_view> words(notice.begin(), notice.end());
  writer w;
  w.strings(w.root(), words);
  publish_options options;
  options.name = name_of(key);
  options.replace = true;
  return w.publish(options);
}

os::fd cache_directory::turn(std::string_view key, const os::deadline& until,
                             const std::function<void()>& check_interrupt) const {
  const auto store = unwrap(store_directory::current());
  os::fd file = unwrap(os::open_at(store->fd(), lock_file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  const std::uint64_t byte = xxh64(bytes_of(key), seed_) >> 2;  // an off_t
  for (double nap = 0.0005;; nap = nap < 0.02 ? nap * 2 : nap) {
    if (unwrap(os::try_lock_byte(file.get(), byte))) return file;
    if (until.passed())
      throw error(error_kind::timeout, "wait for an entry of a cache", "another process is still loading it",
                  "Wait longer, or see what that process does");
    if (check_interrupt) check_interrupt();
    (void)os::wait_readable(-1, os::deadline::in(nap));  // of no descriptor: sleeps
  }
}

}  // namespace onecopy::detail
