// Computing a tree: block by block, each operation into a buffer of its own that stays in the processor's cache.
#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>

#include "pager/expression.hpp"

namespace onecopy::pager {

using detail::lazy_kind;
using detail::lazy_operation;

struct evaluator::part {
  const lazy_node* node = nullptr;
  lazy_kind operands{};
  std::size_t item = 0;
  std::vector<std::unique_ptr<part>> children;
  std::vector<std::uint64_t> starts;  // of the parts of a concatenation
  std::unique_ptr<std::byte[]> buffer;

  explicit part(const lazy_node& of) : node(&of), item(detail::bytes_of(of.kind)) {
    std::uint64_t start = 0;
    for (const auto& child : of.children) {
      children.push_back(std::make_unique<part>(*child));
      starts.push_back(start);
      start += child->size;
    }
    if (!of.children.empty()) operands = of.children.back()->kind;
    if (of.what == lazy_operation::leaf) return;
    buffer = std::make_unique<std::byte[]>(block * item);
    if (of.is_scalar) fill_scalar();
  }

  // Of scalars every element is the same: computed once.
  void fill_scalar() {
    if (node->what == lazy_operation::constant) {
      std::memcpy(buffer.get(), node->value, item);
    } else {
      compute(0, 1);
    }
    for (std::uint64_t i = 1; i < block; ++i) std::memcpy(buffer.get() + i * item, buffer.get(), item);
    ready = true;
  }
  bool ready = false;

  // Fills what will be read, a large part at once: the pager then reads ahead, and errors come before computing.
  void prepare(std::uint64_t first, std::uint64_t count) {
    if (count == 0 || node->is_scalar) return;
    switch (node->what) {
      case lazy_operation::leaf: node->vector.ensure(first * item, count * item); return;
      case lazy_operation::slice: {
        const auto at = [&](std::uint64_t i) {
          return static_cast<std::uint64_t>(static_cast<std::int64_t>(node->first) +
                                            static_cast<std::int64_t>(i) * node->step);
        };
        const std::uint64_t a = at(first), b = at(first + count - 1);
        // Elements far apart are fetched one by one.
        if (node->step > 16 || node->step < -16) return;
        return children[0]->prepare(std::min(a, b), std::max(a, b) - std::min(a, b) + 1);
      }
      case lazy_operation::concatenate:
        return each_part(first, count, [](part& child, std::uint64_t from, std::uint64_t some, std::uint64_t) {
          child.prepare(from, some);
        });
      default:
        for (const auto& child : children) child->prepare(first, count);
    }
  }

  template <class F>
  void each_part(std::uint64_t first, std::uint64_t count, F&& each) {
    std::uint64_t done = 0;
    auto i = static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), first) - starts.begin()) - 1;
    for (; done < count; ++i) {
      const std::uint64_t from = first + done - starts[i];
      const std::uint64_t some = std::min(count - done, children[i]->node->size - from);
      if (some > 0) each(*children[i], from, some, done);
      done += some;
    }
  }

  // The elements [first, first + count), count <= block; good until the next call.
  const std::byte* compute(std::uint64_t first, std::uint64_t count) {
    if (ready) return buffer.get();
    switch (node->what) {
      case lazy_operation::leaf: return node->vector.data() + first * item;
      case lazy_operation::slice: return compute_slice(first, count);
      case lazy_operation::concatenate:
        each_part(first, count, [&](part& child, std::uint64_t from, std::uint64_t some, std::uint64_t at) {
          std::memcpy(buffer.get() + at * item, child.compute(from, some), some * item);
        });
        return buffer.get();
      case lazy_operation::convert:
        convert(operands, node->kind, children[0]->compute(first, count), count, buffer.get());
        return buffer.get();
      default: break;
    }
    const std::byte* on[3] = {};
    for (std::size_t i = 0; i < children.size(); ++i) on[i] = children[i]->compute(first, count);
    try {
      work(node->what, operands, node->kind, on[0], on[1], on[2], count, buffer.get());
    } catch (const std::domain_error& e) {
      throw error(error_kind::invalid_argument, "compute element " + std::to_string(first + std::stoull(e.what())),
                  "an integer was divided by zero", "Use select to leave such elements out, or divide as double");
    }
    return buffer.get();
  }

  const std::byte* compute_slice(std::uint64_t first, std::uint64_t count) {
    part& child = *children[0];
    if (node->step == 1) return child.compute(node->first + first, count);
    if (node->step == -1) {
      const std::byte* from = child.compute(node->first - first - (count - 1), count);
      for (std::uint64_t i = 0; i < count; ++i)
        std::memcpy(buffer.get() + i * item, from + (count - 1 - i) * item, item);
      return buffer.get();
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::uint64_t>(static_cast<std::int64_t>(node->first) +
                                                 static_cast<std::int64_t>(first + i) * node->step);
      std::memcpy(buffer.get() + i * item, child.compute(at, 1), item);
    }
    return buffer.get();
  }

  void for_each_leaf(const std::function<void(const lazy_vector&)>& visit) const {
    if (node->what == lazy_operation::leaf) return visit(node->vector);
    for (const auto& child : children) child->for_each_leaf(visit);
  }
};

evaluator::evaluator(const lazy_node& root) : root_(std::make_unique<part>(root)) {}
evaluator::~evaluator() = default;

void evaluator::compute(std::uint64_t first, std::uint64_t count, void* out) {
  constexpr std::uint64_t prepared = 32 * block;
  auto* to = static_cast<std::byte*>(out);
  while (count > 0) {
    const std::uint64_t some = std::min(count, prepared);
    if (count >= 64) root_->prepare(first, some);
    for (std::uint64_t at = 0; at < some; at += block) {
      const std::uint64_t few = std::min(block, some - at);
      std::memcpy(to, root_->compute(first + at, few), few * root_->item);
      to += few * root_->item;
    }
    // What could not be had has left bytes of 0xff in the result.
    root_->for_each_leaf([](const lazy_vector& leaf) {
      if (!leaf.failed()) return;
      if (auto why = leaf.take_error()) throw error(*why);
    });
    first += some;
    count -= some;
  }
}

}  // namespace onecopy::pager
