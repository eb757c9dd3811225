// A record in a region: the root is an array of one dtype::record, with the attributes "onecopy.record", the name of
// the struct, and "onecopy.sync", the 64 bytes of record_sync.
#include "object/shared_record.hpp"

#include <atomic>
#include <cstring>

#include "base/result.hpp"
#include "onecopy/error.hpp"
#include "onecopy/store.hpp"
#include "onecopy/value.hpp"
#include "os/fd.hpp"

namespace onecopy {
namespace {

constexpr std::string_view name_attribute = "onecopy.record", sync_attribute = "onecopy.sync";
constexpr std::uint64_t alignment = 64;

std::string extent_text(const std::vector<std::uint64_t>& shape) {
  std::string text;
  for (const auto extent : shape) text.append("[").append(std::to_string(extent)).append("]");
  return text;
}

std::string field_text(const record_field& field) {
  std::string type = name_of(field.type);
  if (size_of(field.type) == 0) type.append("(").append(std::to_string(field.item_size)).append(")");
  return "\"" + field.name + "\" " + type + extent_text(field.shape) + " at " + std::to_string(field.offset);
}

std::size_t width(const record_field& field) { return field.item_size != 0 ? field.item_size : size_of(field.type); }

std::string fields_difference(const std::vector<record_field>& found, const std::vector<record_field>& expected,
                              const std::string& inside) {
  if (found.size() != expected.size())
    return "it has " + std::to_string(found.size()) + " fields" + inside + ", not " + std::to_string(expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto &a = found[i], &b = expected[i];
    if (a.name != b.name || a.type != b.type || a.offset != b.offset || width(a) != width(b) || a.shape != b.shape)
      return "its field " + std::to_string(i + 1) + inside + " is " + field_text(a) + ", not " + field_text(b);
    if (auto deeper = fields_difference(a.fields, b.fields, " of \"" + a.name + "\""); !deeper.empty()) return deeper;
  }
  return "";
}

[[noreturn]] void not_this_record(const std::string& happened) {
  throw error(error_kind::wrong_type, "use a shared object as a record", happened,
              "Open it with the type that it was made with");
}

}  // namespace

std::string difference(const record_type& found, const record_type& expected) {
  if (found.name != expected.name) return "it holds a record \"" + found.name + "\", not \"" + expected.name + "\"";
  if (auto fields = fields_difference(found.fields, expected.fields, ""); !fields.empty()) return fields;
  if (found.size != expected.size)
    return "it has " + std::to_string(found.size) + " bytes, not " + std::to_string(expected.size);
  return "";
}

region detail::find_or_make(const std::function<region()>& find, const std::function<region()>& make, missing what,
                            const std::string& tried) {
  // Another turn is needed only when others make it or let go of it just now.
  for (int turn = 0; turn < 100; ++turn) {
    try {
      return find();
    } catch (const error& problem) {
      if (problem.kind() != error_kind::not_found || what == missing::refuse) throw;
    }
    try {
      return make();
    } catch (const error& problem) {
      if (problem.kind() != error_kind::exists) throw;
    }
  }
  throw error(error_kind::busy, tried, "something is there that can be neither opened nor made",
              "Look whether it is a link to nowhere");
}

region detail::publish_record(const record_type& type, const void* first, const publish_options& options) {
  if (type.size == 0 || type.fields.empty())
    throw error(error_kind::invalid_argument, "make a record \"" + type.name + "\"", "it has no fields");
  const record_sync fresh;
  writer describes;
  describes.records(describes.root(), {.type = dtype::record, .count = 1, .scalar = true, .item_size = type.size},
                    type.fields, first);
  const std::string_view names[] = {name_attribute, sync_attribute};
  const auto slot = describes.attributes(describes.root(), names);
  const std::string_view type_name[] = {type.name};
  describes.strings(slot, type_name);
  describes.array(slot + 1, {.type = dtype::raw, .count = sizeof fresh}, &fresh);
  publish_options writable = options;
  writable.writable = true;
  return describes.publish(writable);
}

region detail::find_or_make_named(std::string_view name, const record_type& type, const void* first, missing what,
                                  bool keep) {
  return find_or_make([&] { return store::attach_name(name); },
                      [&] { return publish_record(type, first, {.name = std::string(name), .keep = keep}); }, what,
                      "open the shared record \"" + std::string(name) + "\"");
}

region detail::find_or_make_file(const std::string& path, const record_type& type, const void* first, missing what) {
  return find_or_make([&] { return store::open_file(path); },
                      [&] { return publish_record(type, first, {.where = backing::file, .path = path}); }, what,
                      "open the record in " + path);
}

raw_record raw_record::from(const onecopy::region& whole, const record_type* expected) {
  const value root(whole);
  if (root.kind() != node_kind::array || root.type() != dtype::record || root.size() != 1)
    not_this_record(std::string("it is ") + name_of(root.kind()) + ", and not one record");
  const auto name = root.attribute(name_attribute), sync = root.attribute(sync_attribute);
  if (!name || !sync) not_this_record("it is an array of structs that was not made as a record");
  if (!whole.writable())
    throw error(error_kind::permission, "use a shared object as a record", "it was shared as immutable",
                "Make it with record::make, shared or open");
  auto type =
      std::make_shared<record_type>(record_type{std::string(name->string(0)), root.item_size(), root.fields()});
  if (expected != nullptr)
    if (const std::string differs = difference(*type, *expected); !differs.empty()) not_this_record(differs);
  if (sync->type() != dtype::raw || sync->size() < sizeof(record_sync) || sync->data_offset() % alignment != 0 ||
      root.data_offset() % alignment != 0)
    throw error(error_kind::corrupt, "use a shared object as a record", "its lock is damaged", "Make it again");
  raw_record made;
  made.region_ = whole;
  made.type_ = std::move(type);
  made.data_ = whole.writable_bytes() + root.data_offset();
  made.sync_ = reinterpret_cast<record_sync*>(whole.writable_bytes() + sync->data_offset());
  const os::fd file(whole.open_descriptor());
  made.who_ = take_part(file.get());
  return made;
}

raw_record raw_record::open(const std::string& path, const record_type& type, const void* first, missing what) {
  return from(detail::find_or_make_file(path, type, first, what), &type);
}

raw_record raw_record::shared(std::string_view name, const record_type& type, const void* first, missing what,
                              bool keep) {
  return from(detail::find_or_make_named(name, type, first, what, keep), &type);
}

raw_record raw_record::make(const record_type& type, const void* first, backing where) {
  return from(detail::publish_record(type, first, {.where = where}), &type);
}

raw_record raw_record::attach(std::string_view handle_text, const record_type* expected) {
  return from(store::attach(onecopy::handle::parse(handle_text)), expected);
}

wait_result raw_record::begin_writing(const waiting& how_long) const {
  const wait_result how = lock().acquire(how_long);
  if (how != wait_result::done && how != wait_result::owner_died) return how;
  // Odd from here on. It is odd already if a writer died here, and must be another number than its was.
  std::atomic_ref sequence(sync_->sequence);
  const std::uint64_t before = sequence.load(std::memory_order_relaxed);
  sequence.store(before + 1 + before % 2);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return how;
}

bool raw_record::end_writing() const noexcept {
  onecopy::mutex own = lock();
  try {
    if (!own.held()) return false;
  } catch (...) {
    return false;  // a forked child that can't take part writes nothing
  }
  std::atomic_ref sequence(sync_->sequence);
  sequence.store((sequence.load(std::memory_order_relaxed) | 1) + 1, std::memory_order_release);
  return own.release();
}

namespace {

// Word by word, as another process may write meanwhile; the caller finds out afterwards.
void copy_shared(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    const std::uint64_t word = __atomic_load_n(reinterpret_cast<const std::uint64_t*>(from + at), __ATOMIC_RELAXED);
    std::memcpy(to + at, &word, 8);
  }
  for (; at < size; ++at)
    to[at] = std::byte(__atomic_load_n(reinterpret_cast<const unsigned char*>(from + at), __ATOMIC_RELAXED));
}

}  // namespace

wait_result raw_record::snapshot(std::span<std::byte> out, const waiting& how_long) const {
  if (out.size() != size())
    throw error(error_kind::invalid_argument, "copy a record of " + std::to_string(size()) + " bytes",
                "there is room for " + std::to_string(out.size()));
  std::vector<std::byte> copy(size());
  onecopy::mutex door = lock();
  std::atomic_ref sequence(sync_->sequence);
  const auto finish = [&](wait_result how) {
    std::memcpy(out.data(), copy.data(), copy.size());
    return how;
  };
  for (int turn = 0; turn < 64; ++turn) {
    const std::uint64_t before = sequence.load(std::memory_order_acquire);
    if (before % 2 != 0) continue;
    copy_shared(copy.data(), data_, copy.size());
    std::atomic_thread_fence(std::memory_order_acquire);
    if (sequence.load(std::memory_order_relaxed) == before)
      return finish(door.damaged() ? wait_result::owner_died : wait_result::done);
  }
  // Somebody writes without pause, or died while writing. The lock tells.
  const wait_result how = door.acquire(how_long);
  if (how != wait_result::done && how != wait_result::owner_died) return how;
  copy_shared(copy.data(), data_, copy.size());
  door.release();
  return finish(how);
}

}  // namespace onecopy
