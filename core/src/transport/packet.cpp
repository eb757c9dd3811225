#include "transport/packet.hpp"

#include <cstring>

#include "base/arithmetic.hpp"

namespace onecopy::transport {
namespace {

constexpr char magic[4] = {'1', 'c', 'p', 'y'};
constexpr std::size_t name_bytes = 16;  // of a host and of a store

failure not_ours(const char* what) {
  return {error_kind::corrupt, "receive from a channel", what,
          "Is the other end an onecopy channel, and does nobody else write to its socket?"};
}

void append(std::vector<std::byte>& to, const void* from, std::size_t size) {
  if (size == 0) return;
  const std::size_t at = to.size();
  to.resize(at + size);
  std::memcpy(to.data() + at, from, size);
}
void pad(std::vector<std::byte>& to) { to.resize(round_up(to.size(), 8)); }

packet_header header_of(packet_kind kind) {
  packet_header made{};
  std::memcpy(made.magic, magic, sizeof magic);
  made.version = protocol_version;
  made.kind = kind;
  return made;
}

// Takes pieces from the front of a buffer that nobody has checked.
class cursor {
 public:
  explicit cursor(std::span<const std::byte> all) : rest_(all) {}
  bool take(std::size_t size, const std::byte*& piece) {
    if (size > rest_.size()) return false;
    piece = rest_.data();
    rest_ = rest_.subspan(size);
    return true;
  }
  template <class T>
  bool take(T& out) {
    const std::byte* piece = nullptr;
    if (!take(sizeof(T), piece)) return false;
    std::memcpy(&out, piece, sizeof(T));
    return true;
  }
  bool take_padded(std::size_t size, const std::byte*& piece) {
    const std::byte* padding = nullptr;
    return take(size, piece) && take(round_up(size, 8) - size, padding);
  }
  std::size_t left() const { return rest_.size(); }

 private:
  std::span<const std::byte> rest_;
};

result<packet> read_hello(cursor& in) {
  packet made;
  made.kind = packet_kind::hello;
  const std::byte *host = nullptr, *store = nullptr;
  if (!in.take(made.who.user) || !in.take(name_bytes, host) || !in.take(name_bytes, store))
    return not_ours("its greeting is too short");
  made.who.host.assign(reinterpret_cast<const char*>(host), name_bytes);
  made.who.store.assign(reinterpret_cast<const char*>(store), name_bytes);
  return made;
}

}  // namespace

std::size_t item::size() const noexcept {
  return sizeof(item_header) + round_up(text.size(), 8) + round_up(blob.size(), 8);
}

std::vector<std::byte> write_hello(const hello& who) {
  std::vector<std::byte> out;
  const packet_header head = header_of(packet_kind::hello);
  append(out, &head, sizeof head);
  append(out, &who.user, sizeof who.user);
  for (std::string name : {who.host, who.store}) {
    name.resize(name_bytes, ' ');
    append(out, name.data(), name.size());
  }
  return out;
}

bool begins_as_hello(std::span<const std::byte> first_bytes) noexcept {
  packet_header head;
  if (first_bytes.size() < sizeof head) return false;
  std::memcpy(&head, first_bytes.data(), sizeof head);
  return std::memcmp(head.magic, magic, sizeof magic) == 0 && head.kind == packet_kind::hello;
}

std::vector<std::byte> write_packet(std::uint8_t flags, std::uint32_t message, std::span<const item> items,
                                    std::size_t bytes) {
  packet_header head = header_of(packet_kind::message);
  head.flags = flags;
  head.message = message;
  head.items = static_cast<std::uint32_t>(items.size());
  head.bytes = static_cast<std::uint32_t>(bytes);
  std::vector<std::byte> out;
  std::size_t size = sizeof head;
  for (const item& one : items) size += one.size();
  out.reserve(size);
  append(out, &head, sizeof head);
  for (const item& one : items) {
    const item_header about{one.form, one.flags, 0, one.node, static_cast<std::uint32_t>(one.text.size()),
                            static_cast<std::uint32_t>(one.blob.size())};
    append(out, &about, sizeof about);
    append(out, one.text.data(), one.text.size());
    pad(out);
    append(out, one.blob.data(), one.blob.size());
    pad(out);
  }
  return out;
}

result<packet> read_packet(std::span<const std::byte> buffer) {
  cursor in(buffer);
  packet_header head;
  if (!in.take(head) || std::memcmp(head.magic, magic, sizeof magic) != 0)
    return not_ours("what arrived does not begin as a channel's packet does");
  if (head.version != protocol_version)
    return failure{error_kind::unsupported, "receive from a channel",
                   "the other end speaks version " + std::to_string(head.version) + ", this library speaks version " +
                       std::to_string(protocol_version),
                   "Use the same version of onecopy in both processes"};
  if (head.kind == packet_kind::hello) return read_hello(in);
  if (head.kind != packet_kind::message) return not_ours("a packet is of no known kind");
  // An item takes at least its header, so this bounds what a lie can make us reserve.
  if (head.items > in.left() / sizeof(item_header)) return not_ours("a packet has fewer objects than it says");
  packet made;
  made.kind = head.kind;
  made.flags = head.flags;
  made.message = head.message;
  made.items.resize(head.items);
  for (item& one : made.items) {
    item_header about;
    const std::byte *text = nullptr, *blob = nullptr;
    if (!in.take(about) || !in.take_padded(about.text, text) || !in.take_padded(about.blob, blob))
      return not_ours("a packet ends within an object");
    one.form = about.form;
    one.flags = about.flags;
    one.node = about.node;
    one.text.assign(reinterpret_cast<const char*>(text), about.text);
    one.blob.assign(blob, blob + about.blob);
  }
  const std::byte* bytes = nullptr;
  if (in.left() != head.bytes || !in.take(head.bytes, bytes)) return not_ours("a packet has another size than it says");
  made.bytes = {reinterpret_cast<const char*>(bytes), head.bytes};
  return made;
}

}  // namespace onecopy::transport
