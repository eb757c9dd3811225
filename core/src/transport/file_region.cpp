#include "transport/file_region.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "base/arithmetic.hpp"
#include "onecopy/version.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/system.hpp"

namespace onecopy::transport {
namespace {

result<std::shared_ptr<detail::region_state>> hold_checked(int descriptor, const struct stat& info,
                                                           const std::string& path, const file_front& front) {
  auto mapped = os::mapping::map_behind(front.bytes, descriptor, front.part.offset, front.part.bytes);
  if (!mapped) return mapped.reason();
  const std::uint64_t front_pages = round_up(front.bytes.size(), page_size);
  return detail::region_state::adopt(std::move(*mapped), front_pages + front.part.bytes, false,
                                     {.where = backing::mapped_file, .path = path,
                                      .device = info.st_dev, .inode = info.st_ino,
                                      .front = front_pages, .file_offset = front.part.offset});
}

}  // namespace

file_front front_of(const detail::region_state& state) {
  const auto& from = state.from();
  return {{from.file_offset, state.checked().bytes - from.front},
          {state.checked().base, static_cast<std::size_t>(from.front)}};
}

std::vector<std::byte> make_front(const format::node_record& array, std::span<const std::uint64_t> aux,
                                  std::uint64_t skip, std::uint64_t file_bytes) {
  constexpr std::uint64_t nodes_at = sizeof(format::header);
  constexpr std::uint64_t aux_at = nodes_at + sizeof(format::node_record);
  std::vector<std::byte> front(aux_at + aux.size_bytes());
  const std::uint64_t front_pages = round_up(front.size(), page_size);

  format::header head{};
  std::memcpy(head.magic, format::magic, sizeof head.magic);
  head.version_major = format_version_major;
  head.version_minor = format_version_minor;
  head.byte_order = format::byte_order_mark;
  head.header_bytes = sizeof head;
  head.region_bytes = front_pages + file_bytes;
  head.nodes_offset = nodes_at;
  head.node_count = 1;
  os::random_bytes(head.id);
  head.created = static_cast<std::uint64_t>(os::wall_clock());

  format::node_record node = array;
  node.data_offset = front_pages + skip;
  node.aux_offset = aux_at;
  node.aux_bytes = aux.size_bytes();
  std::memcpy(front.data(), &head, sizeof head);
  std::memcpy(front.data() + nodes_at, &node, sizeof node);
  if (!aux.empty()) std::memcpy(front.data() + aux_at, aux.data(), aux.size_bytes());
  return front;
}

result<std::shared_ptr<detail::region_state>> hold_mapped_file(int descriptor, const std::string& path,
                                                               const file_front& front) {
  auto info = os::status_of(descriptor, path);
  if (!info) return info.reason();
  return hold_checked(descriptor, *info, path, front);
}

result<std::shared_ptr<detail::region_state>> hold_received_file(int descriptor, const std::string& path,
                                                                 const file_front& front) {
  constexpr const char* tried = "use a received file";
  auto info = os::status_of(descriptor, path);
  if (!info) return info.reason();
  if (!S_ISREG(info->st_mode))
    return failure{error_kind::corrupt, tried, "it is not an ordinary file", "The sender must send a mapped file"};
  // Reading is all that is done with it; but a descriptor that can write says that the sender's own could.
  if (os::is_writable(descriptor))
    return failure{error_kind::permission, tried, "its descriptor can write",
                   "The sender must open it for reading only"};
  const bool ours_or_root = info->st_uid == 0 || info->st_uid == os::user_id();
  if (!ours_or_root || (info->st_mode & (S_IWGRP | S_IWOTH)) != 0 || info->st_nlink == 0)
    return failure{error_kind::permission, tried, "other users could change it while it is read",
                   "Only files that belong to you or root, and that nobody else may write, are accepted; others must "
                   "be shared (copied into sealed memory) before they are sent"};
  const auto end = checked_add(front.part.offset, front.part.bytes);
  const auto total = checked_add(front.part.bytes, round_up(front.bytes.size(), page_size));
  if (!end || !total || front.part.offset % page_size != 0 || front.bytes.size() > blob_limit)
    return failure{error_kind::corrupt, tried, "its description makes no sense", ""};
  if (*end > static_cast<std::uint64_t>(info->st_size))
    return failure{error_kind::corrupt, tried, "it is shorter than its sender says", "It was cut short: send it again"};
  return hold_checked(descriptor, *info, path, front);
}

result<std::shared_ptr<detail::region_state>> hold_bytes(std::vector<std::byte> bytes) {
  // No file: making one costs more than everything else about a small message.
  auto mapped = os::mapping::copy_of(bytes);
  if (!mapped) return mapped.reason();
  const std::uint64_t size = bytes.size();
  return detail::region_state::adopt(std::move(*mapped), size, false,
                                     {.where = backing::memfd, .original = std::move(bytes)});
}

}  // namespace onecopy::transport
