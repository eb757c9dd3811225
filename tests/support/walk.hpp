// Asks a value everything the public face offers, and reads every byte it points to. On a hostile region each answer
// may be an error; none may be a crash.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include <sys/mman.h>

#include "onecopy/onecopy.hpp"

namespace test {

class walker {
 public:
  // A sum over all bytes, so that no read can be left out by the compiler.
  std::uint64_t sum = 0;
  // Nodes and elements visited at most: a hostile region of a few bytes may claim 2^64 elements of width 0.
  std::uint64_t budget = 2'000'000;

  void walk(const onecopy::value& node, int depth = 0) {
    if (!spend()) return;
    sum += static_cast<std::uint64_t>(node.kind()) + static_cast<std::uint64_t>(node.type()) + node.index();
    sum += static_cast<std::uint64_t>(node.semantic()) + static_cast<std::uint64_t>(node.unit());
    sum += static_cast<std::uint64_t>(node.form()) + static_cast<std::uint64_t>(node.order());
    sum += node.rows() + static_cast<std::uint64_t>(node.ordered()) + static_cast<std::uint64_t>(node.code_base());
    sum += static_cast<std::uint64_t>(static_cast<unsigned char>(onecopy::name_of(node.kind())[0]));
    attempt([&] { array(node); });
    attempt([&] { strings(node); });
    attempt([&] { codes(node); });
    attempt([&] { fields(node.fields(), 0); });
    attempt([&] { text(node.tag()); });
    attempt([&] { bytes(node.opaque_bytes()); });
    attempt([&] { if (depth < 2000) walk(node.dictionary(), depth + 1); });
    attempt([&] { children(node, depth); });
    attempt([&] { if (auto found = node.find("number")) walk(*found, depth + 1); });
    attempt([&] { sum += node.attribute("names").has_value(); });
    for (std::size_t i = 0, n = node.attribute_count(); i < n && spend(); ++i) {
      attempt([&] { text(node.attribute_name(i)); });
      attempt([&] { if (depth < 2000) walk(node.attribute(i), depth + 1); });
    }
  }

 private:
  bool spend() { return budget > 0 && budget-- > 0; }

  template <class Call>
  void attempt(Call call) {
    try {
      call();
    } catch (const onecopy::error& refused) {
      // what() has been built from the region's bytes.
      sum += refused.kind() == onecopy::error_kind::corrupt ? 1 : std::string_view(refused.what()).size();
    }
  }

  void bytes(std::span<const std::byte> range) {
    for (const std::byte byte : range) sum = sum * 31 + std::to_integer<std::uint64_t>(byte);
  }
  void text(std::string_view range) { bytes(std::as_bytes(std::span(range))); }

  void array(const onecopy::value& node) {
    for (const std::uint64_t extent : node.shape()) sum += extent;
    bytes({node.data(), static_cast<std::size_t>(node.data_bytes())});
    sum += node.item_size() + node.data_offset();
    if (const std::uint8_t* bits = node.validity())
      for (std::uint64_t i = 0; i < node.size(); ++i) sum += bits[i / 8] >> (i % 8) & 1;
    attempt([&] { for (const double x : node.as<double>()) sum += x > 0; });
    attempt([&] { for (const std::int32_t x : node.as<std::int32_t>()) sum += x > 0; });
    for (std::uint64_t i = 0; i < node.size() && spend(); ++i) sum += node.is_missing(i);
  }

  void strings(const onecopy::value& node) {
    attempt([&] { for (std::uint64_t i = 0; i < node.size() && spend(); ++i) text(node.string(i)); });
    attempt([&] { if (node.size() > 0) text(node.string(node.size() - 1)); });
    if (const std::uint8_t* marks = node.encodings())
      for (std::uint64_t i = 0; i < node.size(); ++i) sum += marks[i];
    attempt([&] {
      const auto layout = node.strings();
      bytes({layout.offsets, static_cast<std::size_t>((node.size() + 1) * static_cast<unsigned>(layout.offset_bytes))});
      text({layout.bytes, static_cast<std::size_t>(layout.bytes_size)});
    });
  }

  void codes(const onecopy::value& node) {
    node.check_codes();
    const onecopy::value levels = node.dictionary();
    // After check_codes every code may be used as an index.
    if (node.kind() != onecopy::node_kind::coded_string) return;
    for (std::uint64_t i = 0; i < node.size() && spend(); ++i) text(node.string(i));
    sum += levels.size();
  }

  void fields(const std::vector<onecopy::record_field>& all, int depth) {
    for (const auto& field : all) {
      text(field.name);
      sum += field.offset + field.item_size;
      if (depth < 2000) fields(field.fields, depth + 1);
    }
  }

  void children(const onecopy::value& node, int depth) {
    if (node.kind() != onecopy::node_kind::list && node.kind() != onecopy::node_kind::table) return;
    for (std::uint64_t i = 0; i < node.size() && spend(); ++i)
      if (depth < 2000) walk(node.child(i), depth + 1);
  }
};

// Reads `region` as a hostile peer's: through a descriptor. Answers true if it was accepted as a region.
inline bool read_hostile(std::span<const std::byte> region, walker& walk) {
  const int file = memfd_create("hostile", MFD_CLOEXEC);
  if (file < 0) throw std::runtime_error("can't make a memfd");
  struct closer {
    int number;
    ~closer() { close(number); }
  } owner{file};
  if (write(file, region.data(), region.size()) != static_cast<ssize_t>(region.size()))
    throw std::runtime_error("can't write a memfd");
  try {
    const onecopy::region attached = onecopy::store::from_descriptor(file, true);
    walk.walk(onecopy::value(attached));
    try {
      onecopy::verify(attached);
    } catch (const onecopy::error&) {
    }
    return true;
  } catch (const onecopy::error&) {
    return false;
  }
}

}  // namespace test
