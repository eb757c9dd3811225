#include "object/plan.hpp"

#include <algorithm>
#include <cstring>

#include "base/arithmetic.hpp"
#include "object/output.hpp"

namespace onecopy::detail {

using format::node_record;

plan::plan() { reserve(1); }

node_record& plan::fill(slot at, node_kind kind) {
  if (at >= nodes_.size() || filled_[at])
    raise({error_kind::invalid_argument, "describe a node of a shared object",
           at >= nodes_.size() ? "there is no slot " + std::to_string(at)
                               : "slot " + std::to_string(at) + " has a node already",
           "Fill each slot once"});
  filled_[at] = true;
  nodes_[at].kind = kind;
  return nodes_[at];
}

plan::slot plan::reserve(std::uint64_t count) {
  if (count > UINT32_MAX - nodes_.size())
    raise({error_kind::invalid_argument, "share an object", "it has more than 4294967295 parts",
           "Share it as several objects"});
  const auto first = static_cast<slot>(nodes_.size());
  nodes_.resize(nodes_.size() + count);
  filled_.resize(nodes_.size());
  return first;
}

void plan::buffer(slot at, field which, std::uint64_t size, content bytes) {
  if (size == 0 && which != field::data) return;
  total_ = 0;
  segments_.push_back({at, which, size, 0, std::move(bytes)});
}

void plan::inline_data(slot at, std::span<const std::byte> bytes) {
  node_record& node = nodes_[at];
  node.flags |= format::node_inline;
  node.data_bytes = bytes.size();
  if (!bytes.empty()) std::memcpy(&node.aux_offset, bytes.data(), bytes.size());
}

std::uint64_t plan::lay_out() {
  if (total_ != 0) return total_;
  std::uint64_t end = sizeof(format::header) + nodes_.size() * sizeof(node_record);
  const auto place = [&](segment& one, std::uint64_t alignment) {
    const auto start = checked_add(end, alignment - 1);
    const auto stop = start ? checked_add(round_down(*start, alignment), one.size) : std::nullopt;
    // The kernel's own limit: sizes of files are signed.
    if (!stop || *stop > static_cast<std::uint64_t>(INT64_MAX) - page_size)
      raise({error_kind::invalid_argument, "share an object", "it is larger than a file can be", ""});
    one.offset = round_down(*start, alignment);
    end = *stop;
  };
  // Small buffers first, close to the nodes: reading a tree of small things touches few pages.
  for (auto& one : segments_)
    if (one.size < format::large_buffer) place(one, format::buffer_alignment);
  for (auto& one : segments_)
    if (one.size >= format::large_buffer) place(one, page_size);
  for (slot at = 0; at < nodes_.size(); ++at)
    if (nodes_[at].has(format::node_inline))
      nodes_[at].data_offset = sizeof(format::header) + at * sizeof(node_record) + offsetof(node_record, aux_offset);
  for (const auto& one : segments_) {
    node_record& node = nodes_[one.owner];
    switch (one.which) {
      case field::data: node.data_offset = one.offset, node.data_bytes = one.size; break;
      case field::aux: node.aux_offset = one.offset, node.aux_bytes = one.size; break;
      case field::validity: node.validity_offset = one.offset; break;
    }
  }
  total_ = round_up(end, format::buffer_alignment);
  return total_;
}

status plan::write(region_file& file, const format::header& head,
                   const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  output out(file, lay_out(), progress);
  if (auto written = out.bytes(0, std::as_bytes(std::span(&head, 1))); !written) return written;
  if (auto written = out.bytes(sizeof head, std::as_bytes(std::span(nodes_))); !written) return written;
  std::vector<const segment*> in_order;
  in_order.reserve(segments_.size());
  // An empty buffer begins where the next one does: written after it, it would cut it off again.
  for (const auto& one : segments_)
    if (one.size > 0) in_order.push_back(&one);
  std::sort(in_order.begin(), in_order.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  for (const auto* one : in_order) {
    const status written = std::visit(
        [&](const auto& from) -> status {
          using kind = std::decay_t<decltype(from)>;
          if constexpr (std::is_same_v<kind, const void*>)
            return out.bytes(one->offset, {static_cast<const std::byte*>(from), static_cast<std::size_t>(one->size)});
          else if constexpr (std::is_same_v<kind, std::vector<std::byte>>)
            return out.bytes(one->offset, from);
          else if constexpr (std::is_same_v<kind, writer::producer>)
            return out.produced(one->offset, one->size, from);
          else if constexpr (std::is_same_v<kind, streamed>)
            return out.strings(one->offset, one->size, *from.source, from.only);
          else
            return done();  // a file begins as zeros
        },
        one->bytes);
    if (!written) return written;
  }
  return out.finish();
}

}  // namespace onecopy::detail
