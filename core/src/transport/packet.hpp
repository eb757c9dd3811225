// The bytes of a channel's packets. Pure functions: what an untrusted peer sends is taken apart here, and nowhere else.
//
// packet: header, `items` times (item header, text, blob), then `bytes` ordinary bytes. Texts and blobs are padded to
// a multiple of 8.
// A message is one packet with flag_first, and the packets after it up to flag_last. The descriptors that the items of
// a packet need travel with that packet, in the order of the items.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace onecopy::transport {

inline constexpr std::size_t packet_limit = 65536;
inline constexpr std::size_t bytes_limit = packet_limit / 2;  // more ordinary bytes than this travel as an object
inline constexpr std::size_t blob_limit = packet_limit / 4;   // so a packet has room for one blob, a text, and bytes
inline constexpr std::uint16_t protocol_version = 1;
inline constexpr std::size_t items_in_message = std::size_t{1} << 20;

enum class packet_kind : std::uint8_t { hello = 1, message = 2 };
enum packet_flag : std::uint8_t { flag_first = 1, flag_last = 2 };

struct packet_header {
  char magic[4];  // "1cpy"
  std::uint16_t version;
  packet_kind kind;
  std::uint8_t flags;
  std::uint32_t message;  // counts up, so that the rest of a message that was given up is recognised
  std::uint32_t items;
  std::uint32_t bytes;
  std::uint32_t reserved;
};
static_assert(sizeof(packet_header) == 24);

// How an object travels.
enum class item_form : std::uint8_t {
  handle = 1,      // text: the handle
  descriptor = 2,  // a descriptor of a sealed region
  whole = 3,       // blob: the region's bytes
  file = 4,        // a descriptor of an ordinary file; text: its path; blob: file_part, then the pages in front of it
};
enum item_flag : std::uint8_t {
  item_is_bytes = 1,  // the message's ordinary bytes, as an array
};

struct item_header {
  item_form form;
  std::uint8_t flags;
  std::uint16_t reserved;
  std::uint32_t node;
  std::uint32_t text;
  std::uint32_t blob;
};
static_assert(sizeof(item_header) == 16);

struct file_part {
  std::uint64_t offset;  // in the file, a multiple of the page size
  std::uint64_t bytes;
};

struct item {
  item_form form{};
  std::uint8_t flags = 0;
  std::uint32_t node = 0;
  std::string text;
  std::vector<std::byte> blob;

  bool has_descriptor() const noexcept { return form == item_form::descriptor || form == item_form::file; }
  std::size_t size() const noexcept;  // in a packet
};

// Who speaks: the first packet from each end.
struct hello {
  std::uint32_t user = 0;
  std::string host, store;  // as in handles
};

struct packet {
  packet_kind kind{};
  std::uint8_t flags = 0;
  std::uint32_t message = 0;
  std::vector<item> items;
  std::string_view bytes;  // in the buffer that was taken apart
  hello who;               // of a hello packet
};

std::vector<std::byte> write_hello(const hello& who);
// True if a packet that begins with these bytes is a hello.
bool begins_as_hello(std::span<const std::byte> first_bytes) noexcept;
// The packet without its ordinary bytes, which follow it.
std::vector<std::byte> write_packet(std::uint8_t flags, std::uint32_t message, std::span<const item> items,
                                    std::size_t bytes);
// Failures are of kind corrupt, or unsupported for another version of the protocol.
result<packet> read_packet(std::span<const std::byte> buffer);

}  // namespace onecopy::transport
