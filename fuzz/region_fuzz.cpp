// Any bytes as a region: checked, then everything that the public face offers is read. An onecopy::error is a good end;
// a crash, a sanitizer's report or a hang is not.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "onecopy/onecopy.hpp"

namespace {

using onecopy::node_kind;
using onecopy::value;

std::uint64_t sink = 0;  // what is read must not be optimized away

void read_bytes(const std::byte* from, std::uint64_t size) {
  for (std::uint64_t i = 0; i < size; i += 61) sink += std::to_integer<unsigned>(from[i]);
  if (size > 0) sink += std::to_integer<unsigned>(from[size - 1]);
}

template <class Read>
void attempt(Read read) {
  try {
    read();
  } catch (const onecopy::error&) {
  }
}

void walk(const value& node) {
  const std::uint64_t few = std::min<std::uint64_t>(node.size(), 64);
  attempt([&] { read_bytes(node.data(), node.data_bytes()); });
  attempt([&] { sink += node.shape().size() + node.item_size() + node.rows(); });
  attempt([&] { for (std::uint64_t i = 0; i < few; ++i) sink += node.is_missing(i); });
  attempt([&] { for (std::uint64_t i = 0; i < few; ++i) sink += node.string(i).size(); });
  attempt([&] {
    const auto text = node.strings();
    read_bytes(text.offsets, (node.size() + 1) * static_cast<unsigned>(text.offset_bytes));
    for (std::uint64_t i = 0; i < node.size(); ++i) for (const char c : node.string(i)) sink += static_cast<unsigned char>(c);
  });
  attempt([&] { node.check_codes(); for (std::uint64_t i = 0; i < node.size(); ++i) sink += node.string(i).size(); });
  attempt([&] { if (const auto* marks = node.encodings()) for (std::uint64_t i = 0; i < node.size(); ++i) sink += marks[i]; });
  attempt([&] { sink += node.tag().size() + node.opaque_bytes().size(); });
  attempt([&] { sink += node.fields().size(); });
  attempt([&] { (void)node.find("x"); });
  for (std::size_t i = 0; i < node.attribute_count(); ++i)
    attempt([&] { sink += node.attribute_name(i).size(); walk(node.attribute(i)); });
  if (node.kind() == node_kind::list || node.kind() == node_kind::table)
    for (std::uint64_t i = 0; i < node.size(); ++i) attempt([&] { walk(node.child(i)); });
  attempt([&] { walk(node.dictionary()); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int memfd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memfd < 0 || write(memfd, data, size) != static_cast<ssize_t>(size)) std::abort();
  attempt([&] {
    const auto region = onecopy::store::from_descriptor(memfd, true);
    walk(value(region));
    onecopy::verify(region);
  });
  close(memfd);
  return 0;
}
