// The layout of a region that is to be written: its nodes, and the buffers that they point to.
//
// A plan is made once, while the tree is described. It is both what is counted and what is written, so the two can't
// disagree.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "format/layout.hpp"
#include "onecopy/writer.hpp"

namespace onecopy::detail {

class region_file;

class plan {
 public:
  using slot = writer::slot;
  struct zeros {};
  struct streamed {  // strings: the bytes of one after the other
    const string_source* source;
    std::vector<std::uint64_t> only;  // these elements, in this order; empty: all that are not missing
  };
  // Borrowed bytes, owned bytes, a producer, strings, or nothing but zeros.
  using content = std::variant<const void*, std::vector<std::byte>, writer::producer, streamed, zeros>;
  enum class field { data, aux, validity };

  plan();

  format::node_record& node(slot at) { return nodes_[at]; }
  std::uint64_t node_count() const noexcept { return nodes_.size(); }
  // Throws invalid_argument for a slot that isn't there or has a node already.
  format::node_record& fill(slot at, node_kind kind);
  // New slots, all null for now. Throws invalid_argument when they would be more than a region can have.
  slot reserve(std::uint64_t count);
  // `size` bytes for a field of a node. Small data of an array goes into the node itself.
  void buffer(slot at, field which, std::uint64_t size, content bytes);
  void inline_data(slot at, std::span<const std::byte> bytes);

  // The size of the region; offsets of buffers are final until the next buffer is added.
  std::uint64_t lay_out();
  // Writes everything below the file's end; `head` goes in front.
  status write(region_file& file, const format::header& head,
               const std::function<void(std::uint64_t, std::uint64_t)>& progress);

 private:
  struct segment {
    slot owner;
    field which;
    std::uint64_t size;
    std::uint64_t offset;
    content bytes;
  };

  std::vector<format::node_record> nodes_;
  std::vector<bool> filled_;
  std::vector<segment> segments_;
  std::uint64_t total_ = 0;
};

}  // namespace onecopy::detail
