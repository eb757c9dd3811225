// Describing an object tree: leaves and containers.
#include "onecopy/writer.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/arithmetic.hpp"
#include "object/description.hpp"
#include "object/dictionary.hpp"
#include "onecopy/version.hpp"
#include "os/system.hpp"
#include "region/names.hpp"
#include "region/publish.hpp"

namespace onecopy {

using detail::plan;
using field = plan::field;

namespace {

[[noreturn]] void wrong(const char* happened) {
  raise({error_kind::invalid_argument, "describe a shared object", happened, ""});
}

// Strings that the writer made itself: names.
struct owned_strings final : string_source {
  std::vector<std::string> items;
  std::uint64_t size() const override { return items.size(); }
  item at(std::uint64_t i) const override { return {.text = items[static_cast<std::size_t>(i)]}; }
};

struct borrowed_strings final : string_source {
  std::span<const std::string_view> items;
  std::uint64_t size() const override { return items.size(); }
  item at(std::uint64_t i) const override { return {.text = items[static_cast<std::size_t>(i)]}; }
};

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  return {bytes.begin(), bytes.end()};
}

template <class To, class From>
std::vector<std::byte> narrowed(const std::vector<From>& numbers) {
  std::vector<std::byte> bytes(numbers.size() * sizeof(To));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const To number = static_cast<To>(numbers[i]);
    std::memcpy(bytes.data() + i * sizeof(To), &number, sizeof number);
  }
  return bytes;
}

}  // namespace

writer::writer() : impl_(std::make_unique<impl>()) {}
writer::~writer() = default;
writer::writer(writer&&) noexcept = default;
writer& writer::operator=(writer&&) noexcept = default;

void writer::null(slot at) { impl_->layout.fill(at, node_kind::null); }

// ---- arrays

std::uint64_t writer::impl::start_array(slot at, node_kind kind, const array_spec& spec) {
  const bool own_width = format::width_in_node(spec.type);
  const std::size_t width = own_width ? spec.item_size : size_of(spec.type);
  if (width == 0) wrong(own_width ? "the elements of an array have no width" : "an array has no element type");
  if (spec.scalar && (spec.count != 1 || !spec.shape.empty())) wrong("a scalar has one element and no shape");
  const auto bytes = checked_mul(spec.count, width);
  if (!bytes) wrong("an array is larger than memory");
  if (!spec.shape.empty()) {
    std::uint64_t product = 1;
    for (const auto extent : spec.shape) {
      const auto next = checked_mul(product, extent);
      if (!next) wrong("the shape of an array is larger than memory");
      product = *next;
    }
    if (product != spec.count) wrong("the shape of an array does not fit its count");
  }
  auto& node = layout.fill(at, kind);
  node.type = static_cast<std::uint8_t>(spec.type);
  node.length = spec.count;
  node.semantic = spec.semantic;
  node.unit = spec.unit;
  if (spec.order == memory_order::row_major) node.flags |= format::node_row_major;
  if (spec.scalar) node.flags |= format::node_scalar;
  const bool in_time = spec.type == dtype::int64 && spec.semantic != semantic::none;
  if (spec.least_is_missing || spec.type == dtype::logical32 || in_time)
    node.flags |= format::node_least_missing;
  std::vector<std::uint64_t> aux;
  if (own_width) aux.push_back(width);
  // The shape of a vector is its length.
  if (spec.shape.size() > 1 || (spec.shape.size() == 1 && spec.shape[0] != spec.count))
    aux.insert(aux.end(), spec.shape.begin(), spec.shape.end());
  layout.buffer(at, field::aux, aux.size() * 8, bytes_of(aux));
  if (spec.validity != nullptr)
    layout.buffer(at, field::validity, bitmap_bytes(spec.count), static_cast<const void*>(spec.validity));
  return *bytes;
}

bool writer::impl::fits_inline(const array_spec& spec, std::uint64_t bytes) noexcept {
  return bytes <= format::inline_capacity && spec.shape.size() <= 1 && !format::width_in_node(spec.type);
}

void writer::impl::fill_array(slot at, node_kind kind, const array_spec& spec, const void* data) {
  const auto bytes = start_array(at, kind, spec);
  if (bytes > 0 && data != nullptr && fits_inline(spec, bytes))
    layout.inline_data(at, {static_cast<const std::byte*>(data), static_cast<std::size_t>(bytes)});
  else if (data == nullptr)
    layout.buffer(at, field::data, bytes, plan::zeros{});
  else
    layout.buffer(at, field::data, bytes, data);
}

void writer::array(slot at, const array_spec& spec, const void* data) {
  if (spec.type == dtype::record) wrong("records need their fields: use records()");
  impl_->fill_array(at, node_kind::array, spec, data);
}

void writer::array(slot at, const array_spec& spec, producer produce) {
  if (spec.type == dtype::record) wrong("records need their fields: use records()");
  const auto bytes = impl_->start_array(at, node_kind::array, spec);
  if (bytes > 0 && impl::fits_inline(spec, bytes)) {
    std::byte small[format::inline_capacity];
    produce(0, std::span(small).first(static_cast<std::size_t>(bytes)));
    impl_->layout.inline_data(at, std::span(small).first(static_cast<std::size_t>(bytes)));
  } else {
    impl_->layout.buffer(at, field::data, bytes, std::move(produce));
  }
}

// ---- strings

void writer::impl::plain_strings(slot at, const string_source* source, std::vector<std::uint64_t> only,
                                 const std::vector<std::uint64_t>& offsets) {
  auto& node = layout.fill(at, node_kind::string);
  node.length = offsets.size() - 1;
  const std::uint64_t bytes = offsets.back();
  if (bytes > std::numeric_limits<std::int32_t>::max()) {  // what Arrow's 4-byte offsets can count
    node.flags |= format::node_offsets64;
    layout.buffer(at, field::aux, offsets.size() * 8, bytes_of(offsets));
  } else {
    layout.buffer(at, field::aux, offsets.size() * 4, narrowed<std::uint32_t>(offsets));
  }
  layout.buffer(at, field::data, bytes, plan::streamed{source, std::move(only)});
}

void writer::strings(slot at, const string_source& source) {
  auto found = detail::survey(source);
  auto& layout = impl_->layout;
  if (!found.codes.empty()) {
    const auto different = found.representatives.size();
    array_spec spec{.type = dtype::int32, .count = found.codes.size()};
    std::vector<std::byte> codes;
    if (different <= static_cast<std::size_t>(std::numeric_limits<std::int8_t>::max()))
      spec.type = dtype::int8, codes = narrowed<std::int8_t>(found.codes);
    else if (different <= static_cast<std::size_t>(std::numeric_limits<std::int16_t>::max()))
      spec.type = dtype::int16, codes = narrowed<std::int16_t>(found.codes);
    else
      codes = bytes_of(found.codes);
    const auto bytes = impl_->start_array(at, node_kind::coded_string, spec);
    layout.buffer(at, field::data, bytes, std::move(codes));
    const slot dictionary = layout.reserve(1);
    layout.node(at).child = dictionary;
    std::vector<std::uint64_t> offsets{0};
    for (const auto i : found.representatives) offsets.push_back(offsets.back() + source.at(i).text.size());
    impl_->plain_strings(dictionary, &source, std::move(found.representatives), offsets);
    return;
  }
  impl_->plain_strings(at, &source, {}, found.offsets);
  if (found.any_missing)
    layout.buffer(at, field::validity, found.validity.size(), bytes_of(found.validity));
  if (found.any_marked) {
    const slot marks = layout.reserve(1);
    layout.node(at).flags |= format::node_encodings;
    layout.node(at).child = marks;
    const auto size = impl_->start_array(marks, node_kind::array, {.type = dtype::uint8, .count = found.marks.size()});
    layout.buffer(marks, field::data, size, bytes_of(found.marks));
  }
}

void writer::strings(slot at, std::span<const std::string_view> items) {
  auto source = std::make_shared<borrowed_strings>();
  source->items = items;
  strings(at, *source);
  keep(source);
}

void writer::arrow_strings(slot at, std::uint64_t count, const void* offsets, int offset_bytes, const char* bytes,
                           const std::uint8_t* validity) {
  if (offset_bytes != 4 && offset_bytes != 8) wrong("string offsets have 4 or 8 bytes");
  const auto offset = [&](std::uint64_t i) -> std::uint64_t {
    if (offset_bytes == 8) return static_cast<const std::uint64_t*>(offsets)[i];
    return static_cast<const std::uint32_t*>(offsets)[i];
  };
  auto& layout = impl_->layout;
  auto& node = layout.fill(at, node_kind::string);
  node.length = count;
  if (offset_bytes == 8) node.flags |= format::node_offsets64;
  const std::uint64_t first = count == 0 ? 0 : offset(0), last = count == 0 ? 0 : offset(count);
  for (std::uint64_t i = 0; i < count; ++i)
    if (offset(i + 1) < offset(i)) wrong("string offsets decrease");
  const std::uint64_t size = (count + 1) * static_cast<unsigned>(offset_bytes);
  if (count > 0 && first == 0) {
    layout.buffer(at, field::aux, size, offsets);
  } else {  // a slice of a longer vector
    std::vector<std::uint64_t> own(static_cast<std::size_t>(count) + 1);
    for (std::uint64_t i = 0; count > 0 && i <= count; ++i) own[static_cast<std::size_t>(i)] = offset(i) - first;
    layout.buffer(at, field::aux, size, offset_bytes == 8 ? bytes_of(own) : narrowed<std::uint32_t>(own));
  }
  layout.buffer(at, field::data, last - first, static_cast<const void*>(bytes + first));
  if (validity != nullptr) layout.buffer(at, field::validity, bitmap_bytes(count), static_cast<const void*>(validity));
}

// ---- codes

writer::slot writer::categorical(slot at, const array_spec& spec, const void* codes, int code_base, bool ordered) {
  if (!format::is_code_type(spec.type)) wrong("codes are integers");
  if (code_base != 0 && code_base != 1) wrong("codes count from 0 or 1");
  impl_->fill_array(at, node_kind::categorical, spec, codes);
  const slot levels = impl_->layout.reserve(1);
  auto& node = impl_->layout.node(at);
  node.child = levels;
  if (code_base == 1) node.flags |= format::node_one_based;
  if (ordered) node.flags |= format::node_ordered;
  return levels;
}

writer::slot writer::coded_strings(slot at, const array_spec& spec, const void* codes, int code_base) {
  const slot dictionary = categorical(at, spec, codes, code_base, false);
  impl_->layout.node(at).kind = node_kind::coded_string;
  return dictionary;
}

void writer::opaque(slot at, std::string_view tag, std::span<const std::byte> bytes) {
  auto& node = impl_->layout.fill(at, node_kind::opaque);
  node.length = bytes.size();
  const auto text = std::as_bytes(std::span(tag));
  impl_->layout.buffer(at, field::aux, tag.size(), std::vector<std::byte>(text.begin(), text.end()));
  impl_->layout.buffer(at, field::data, bytes.size(), static_cast<const void*>(bytes.data()));
}

// ---- containers

writer::slot writer::list(slot at, std::uint64_t children, list_form form) {
  auto& layout = impl_->layout;
  layout.fill(at, node_kind::list);
  const slot first = layout.reserve(children);
  auto& node = layout.node(at);
  node.type = static_cast<std::uint8_t>(form);
  node.length = children;
  node.child = children == 0 ? 0 : first;
  return first;
}

writer::slot writer::table(slot at, std::uint64_t columns, std::uint64_t rows) {
  auto& layout = impl_->layout;
  layout.fill(at, node_kind::table);
  const slot first = layout.reserve(columns);
  auto& node = layout.node(at);
  node.length = columns;
  node.data_bytes = rows;
  node.child = columns == 0 ? 0 : first;
  return first;
}

writer::slot writer::attributes(slot at, std::span<const std::string_view> names) {
  auto& layout = impl_->layout;
  if (at >= layout.node_count()) wrong("attributes of a slot that is not there");
  if (layout.node(at).attributes != 0) wrong("a node has attributes already");
  const slot list_slot = layout.reserve(1);
  layout.node(at).attributes = list_slot;
  const slot first = list(list_slot, names.size() + 1);
  this->strings_copied(first, names);
  return first + 1;
}

void writer::strings_copied(slot at, std::span<const std::string_view> items) {
  auto source = std::make_shared<owned_strings>();
  source->items.assign(items.begin(), items.end());
  // Names are kept as plain strings: they are looked up in place.
  std::vector<std::uint64_t> offsets{0};
  for (const auto& item : source->items) offsets.push_back(offsets.back() + item.size());
  impl_->plain_strings(at, source.get(), {}, offsets);
  keep(source);
}

void writer::names(slot at, std::span<const std::string_view> names) {
  const std::string_view attribute = "names";
  const slot values = attributes(at, {&attribute, 1});
  strings_copied(values, names);
}

void writer::names(slot at, std::initializer_list<std::string_view> names) {
  this->names(at, std::span(names.begin(), names.size()));
}

void writer::keep(std::shared_ptr<const void> owner) { impl_->kept.push_back(std::move(owner)); }

std::uint64_t writer::size() const { return impl_->layout.lay_out(); }

// ---- publishing

region writer::publish(const publish_options& options) {
  if (!options.name.empty()) unwrap(detail::check_name(options.name));
  if (options.where == backing::file && options.path.empty()) wrong("a file needs a path");
  if (options.where != backing::store && (!options.name.empty() || options.keep))
    wrong("only an object in the store can have a name or be kept");
  auto& layout = impl_->layout;
  const std::uint64_t total = layout.lay_out();
  const object_id id = object_id::random();
  format::header head{};
  std::memcpy(head.magic, format::magic, sizeof head.magic);
  head.version_major = format_version_major;
  head.version_minor = format_version_minor;
  head.byte_order = format::byte_order_mark;
  head.header_bytes = sizeof head;
  if (options.writable) head.flags |= format::flag_writable;
  head.region_bytes = total;
  head.nodes_offset = sizeof head;
  head.node_count = layout.node_count();
  std::memcpy(head.id, id.bytes.data(), sizeof head.id);
  head.created = static_cast<std::uint64_t>(os::wall_clock());
  std::memcpy(head.name, options.name.data(), options.name.size());
  return region(unwrap(detail::publish(options, id, total, [&](detail::region_file& file) -> status {
    if (auto written = layout.write(file, head, options.progress); !written) return written;
    // A file lives long and passes through many hands; memory needs no checksum, and computing it takes time.
    if (options.where == backing::file && !options.writable) return file.add_checksum(total);
    return done();
  })));
}

}  // namespace onecopy
