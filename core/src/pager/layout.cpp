#include "pager/layout.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/arithmetic.hpp"
#include "onecopy/store.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/flags.hpp"
#include "os/sparse.hpp"
#include "os/system.hpp"

namespace onecopy::pager {

namespace {

constexpr std::uint64_t least_chunk = page_size, largest_chunk = 4u << 20;
constexpr std::uint64_t largest_data = 1ull << 46;  // 64 TiB: what an address space of 47 bits can hold, with room

failure damaged(const char* what) {
  return {error_kind::corrupt, "read a lazy object", std::string("its ") + what + " is not valid",
          "It was made by another version, or damaged: make it again"};
}

void put(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out.append(text);
}

std::optional<std::string_view> take(std::string_view& in) {
  std::uint32_t size = 0;
  if (in.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, in.data(), sizeof size);
  in.remove_prefix(sizeof size);
  if (in.size() < size) return std::nullopt;
  const auto text = in.substr(0, size);
  in.remove_prefix(size);
  return text;
}

}  // namespace

std::string encode(const lazy_source& source) {
  std::string out;
  put(out, source.kind);
  for (const auto& [name, text] : source.fields) {
    put(out, name);
    put(out, text);
  }
  return out;
}

result<lazy_source> decode(std::string_view bytes) {
  lazy_source made;
  const auto kind = take(bytes);
  if (!kind) return damaged("source");
  made.kind = *kind;
  while (!bytes.empty()) {
    const auto name = take(bytes);
    const auto text = name ? take(bytes) : std::nullopt;
    if (!text) return damaged("source");
    made.fields.emplace(*name, *text);
  }
  return made;
}

result<std::string> lazy_directory() {
  std::string store;
  try {
    store = store::directory();
  } catch (const error& e) {
    return failure{e.kind(), e.tried(), e.happened(), e.remedy(), e.os_error()};
  }
  const std::string path = store + "/lazy";
  if (auto made = os::make_directory(path, 0700); !made && made.reason().kind != error_kind::exists)
    return made.reason();
  auto room = os::space_of(path);
  if (!room) return room.reason();
  if (!room->is_tmpfs)
    return failure{error_kind::unsupported, "use lazy objects in " + store, "the directory is not on tmpfs",
                   "Set ONECOPY_DIR to a directory below /dev/shm"};
  return path;
}

std::string path_of(const std::string& directory, const object_id& id) { return directory + "/" + id.text(); }

result<std::vector<object_id>> objects_in(const std::string& directory) {
  auto folder = os::open_file(directory, O_RDONLY | O_DIRECTORY);
  if (!folder) return folder.reason();
  std::vector<object_id> found;
  auto read = os::for_each_entry(folder->get(), [&](const char* entry) {
    const std::string_view name = entry;
    if (name.size() != 32) return true;
    try {
      found.push_back(object_id::parse(name));
    } catch (const error&) {  // not a name of ours
    }
    return true;
  });
  if (!read) return read.reason();
  return found;
}

result<os::fd> create_file(const std::string& directory, const object_id& id, dtype type, std::uint64_t count,
                           const lazy_source& source, const lazy_options& options, bool in_place) {
  const std::string tried = "make a lazy vector";
  const std::uint64_t item = size_of(type);
  const auto wrong = [&](std::string happened, std::string remedy) {
    return failure{error_kind::invalid_argument, tried, std::move(happened), std::move(remedy)};
  };
  if (item == 0) return wrong(std::string("elements of type ") + name_of(type) + " have no fixed size", "Use numbers");
  if (!std::has_single_bit(options.chunk_bytes) || options.chunk_bytes < least_chunk ||
      options.chunk_bytes > largest_chunk)
    return wrong("a chunk of " + std::to_string(options.chunk_bytes) + " bytes",
                 "Use a power of two from 4096 to 4194304");
  if (!(options.deadline_seconds > 0 && options.deadline_seconds <= 1e6))
    return wrong("a deadline of " + std::to_string(options.deadline_seconds) + " seconds", "Use more than 0");
  if (options.write_back && !options.writable) return wrong("write_back without writable", "Set both");
  const auto bytes = checked_mul(count, item);
  if (!bytes || *bytes > largest_data)
    return wrong(std::to_string(count) + " elements are more than an address space holds", "");

  file_header head{};
  head.magic = file_header::right_magic;
  head.version = file_header::right_version;
  head.flags = (options.writable ? file_header::flag_writable : 0u) |
               (options.write_back ? file_header::flag_write_back : 0u) | (in_place ? file_header::flag_in_place : 0u) |
               (source.fields.contains("leaves") ? file_header::flag_leaves : 0u);
  std::memcpy(head.id, id.bytes.data(), sizeof head.id);
  head.type = static_cast<std::uint32_t>(type);
  head.item_bytes = static_cast<std::uint32_t>(item);
  head.count = count;
  head.chunk_bytes = options.chunk_bytes;
  const std::uint64_t kept_here = in_place ? 0 : round_up(*bytes, page_size);
  head.chunks = round_up(kept_here, options.chunk_bytes) / options.chunk_bytes;
  const std::string encoded = encode(source);
  head.source_offset = sizeof head;
  head.source_bytes = encoded.size();
  head.note_offset = head.source_offset + head.source_bytes;
  head.note_bytes = options.note.size();
  head.table_offset = round_up(head.note_offset + head.note_bytes, 64);
  head.data_offset = round_up(head.table_offset + head.chunks, page_size);
  head.deadline_ms = static_cast<std::uint64_t>(options.deadline_seconds * 1000);
  head.lease_until = static_cast<std::int64_t>(os::wall_clock()) + 60;

  // Named only when complete, so that nobody finds half an object; the lock is there before the name.
  const std::string path = path_of(directory, id), unfinished = path + ".new";
  auto made = os::create_locked(AT_FDCWD, unfinished, 0600);
  if (!made) return made.reason();
  os::fd file = std::move(made->file);
  const auto write = [&]() -> status {
    if (!made->locked) return made->locked;
    if (auto ok = os::reserve(file.get(), 0, head.data_offset); !ok) return ok;
    if (auto ok = os::set_size(file.get(), head.data_offset + kept_here); !ok) return ok;
    if (auto ok = os::write_at(file.get(), std::as_bytes(std::span(&head, 1)), 0); !ok) return ok;
    if (auto ok = os::write_at(file.get(), std::as_bytes(std::span(encoded)), head.source_offset); !ok) return ok;
    if (auto ok = os::write_at(file.get(), std::as_bytes(std::span(options.note)), head.note_offset); !ok) return ok;
    return os::rename_file(unfinished, path);
  };
  if (auto written = write(); !written) {
    (void)os::remove_file(unfinished);
    return written.reason();
  }
  return file;
}

void remove_if_unheld(const std::string& path) {
  auto file = os::open_file(path, O_RDONLY);
  if (!file) return;
  auto object = object_file::open(file->get(), false);
  if (!object || !object->in_place()) return;
  auto alone = os::try_lock_exclusive(file->get());
  if (!alone || !*alone) return;
  // Looked at with the lock: nobody can extend the lease of an object that he doesn't hold.
  if (static_cast<double>(object->header().lease_until.load()) <= os::wall_clock()) (void)os::remove_file(path);
}

void collect_in_place(const std::string& directory) {
  const auto found = objects_in(directory);
  if (!found) return;
  for (const object_id& id : *found) remove_if_unheld(path_of(directory, id));
}

result<object_file> object_file::open(int descriptor, bool for_pager) {
  auto info = os::status_of(descriptor, "a lazy object");
  if (!info) return info.reason();
  const auto size = static_cast<std::uint64_t>(info->st_size);
  if (size < sizeof(file_header)) return damaged("size");
  file_header head{};
  if (auto ok = os::read_at(descriptor, std::as_writable_bytes(std::span(&head, 1)), 0); !ok) return ok.reason();
  if (head.magic != file_header::right_magic) return damaged("beginning");
  if (head.version != file_header::right_version)
    return failure{error_kind::unsupported, "read a lazy object",
                   "it has format version " + std::to_string(head.version) + ", and this is version " +
                       std::to_string(file_header::right_version),
                   "Use the same version of onecopy in all processes"};
  const auto bytes = checked_mul(head.count, head.item_bytes);
  if (head.item_bytes == 0 || head.item_bytes != size_of(static_cast<dtype>(head.type))) return damaged("element type");
  if (!bytes || *bytes > largest_data) return damaged("number of elements");
  if (!std::has_single_bit(head.chunk_bytes) || head.chunk_bytes < least_chunk || head.chunk_bytes > largest_chunk)
    return damaged("chunk size");
  if (head.flags > (file_header::flag_leaves << 1) - 1 ||
      ((head.flags & file_header::flag_in_place) != 0 && head.flags != file_header::flag_in_place))
    return damaged("kind");
  const std::uint64_t kept_here = head.flags == file_header::flag_in_place ? 0 : round_up(*bytes, page_size);
  if (head.chunks != round_up(kept_here, head.chunk_bytes) / head.chunk_bytes) return damaged("number of chunks");
  if (!within(head.source_offset, head.source_bytes, head.table_offset) ||
      !within(head.note_offset, head.note_bytes, head.table_offset) || head.source_offset < sizeof head ||
      !within(head.table_offset, head.chunks, head.data_offset) || head.data_offset % page_size != 0 ||
      !within(head.data_offset, kept_here, size))
    return damaged("table of contents");
  auto front = os::mapping::map(descriptor, 0, head.data_offset,
                                for_pager ? os::map_mode::shared : os::map_mode::read_only);
  if (!front) return front.reason();
  object_file made;
  made.front_ = *std::move(front);
  return made;
}

object_id object_file::id() const noexcept {
  object_id id;
  std::memcpy(id.bytes.data(), header().id, sizeof header().id);
  return id;
}

std::uint64_t object_file::mapped_bytes() const noexcept { return round_up(data_bytes(), page_size); }

std::uint64_t object_file::bytes_of(std::uint64_t i) const noexcept {
  const std::uint64_t start = i * header().chunk_bytes;
  return std::min(header().chunk_bytes, mapped_bytes() - start);
}

namespace {

std::string ids_of_leaves(const object_file& of) {
  const auto source = of.has_leaves() ? of.source() : result<lazy_source>(lazy_source{});
  if (!source) return "";
  const auto ids = source->fields.find("leaves");
  return ids == source->fields.end() ? "" : ids->second;
}

}  // namespace

std::vector<object_file> hold_leaves(const object_file& of, const std::string& directory) {
  std::vector<object_file> held;
  // Each once: the ways to one that many of the others are made of are too many to walk.
  std::vector<std::string> seen;
  const auto hold_all = [&](const std::string& ids) {
    for (std::size_t at = 0; at + 32 <= ids.size(); at += 32) {
      const std::string id = ids.substr(at, 32);
      if (std::find(seen.begin(), seen.end(), id) != seen.end()) continue;
      seen.push_back(id);
      auto file = os::open_file(directory + "/" + id, O_RDONLY | O_NOFOLLOW);
      if (!file || !os::lock_shared(file->get(), 5, "a lazy object")) continue;
      auto info = os::status_of(file->get(), "a lazy object");
      if (!info || info->st_nlink == 0) continue;
      auto leaf = object_file::open(file->get(), false);
      if (leaf) held.push_back(*std::move(leaf));
    }
  };
  hold_all(ids_of_leaves(of));
  for (std::size_t i = 0; i < held.size(); ++i) hold_all(ids_of_leaves(held[i]));
  return held;
}

std::string object_file::note() const {
  return {reinterpret_cast<const char*>(front_.data()) + header().note_offset, header().note_bytes};
}

result<lazy_source> object_file::source() const {
  return decode({reinterpret_cast<const char*>(front_.data()) + header().source_offset, header().source_bytes});
}

}  // namespace onecopy::pager
