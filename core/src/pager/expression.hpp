// The tree behind a lazy expression, and what computes it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "onecopy/lazy_expression.hpp"

namespace onecopy::detail {

class lazy_node {
 public:
  lazy_operation what{};
  lazy_kind kind{};              // of its elements
  std::uint64_t size = 0;        // scalar: 1, and is_scalar
  bool is_scalar = false;
  lazy_vector vector;            // leaf
  alignas(16) std::byte value[16]{};                       // constant
  std::uint64_t first = 0;                                 // slice
  std::int64_t step = 1;
  std::vector<lazy_node_pointer> children;
  std::uint64_t operations = 1;  // of the whole tree, for its limit
  unsigned depth = 1;
};

inline constexpr std::uint64_t most_operations = 10'000;
inline constexpr unsigned most_depth = 2'000;

std::size_t bytes_of(lazy_kind kind) noexcept;
dtype stored_as(lazy_kind kind) noexcept;
// True if an operation of the list takes operands of this kind and gives elements of that one.
bool is_possible(lazy_operation what, lazy_kind operands, lazy_kind result, std::size_t children) noexcept;

}  // namespace onecopy::detail

namespace onecopy::pager {

using detail::lazy_node;
using detail::lazy_node_pointer;

// As text for the object's source; leaves are replaced by their numbers, and `leaves` gets them.
std::string encode(const lazy_node& node, std::vector<lazy_vector>& leaves);
// With `leaves` empty nothing can be computed: for checking what somebody else has made.
result<lazy_node_pointer> decode(std::string_view bytes, std::span<const lazy_vector> leaves);

// Computes the elements of one tree, again and again. For one thread at a time.
class evaluator {
 public:
  explicit evaluator(const lazy_node& root);
  ~evaluator();
  // Throws what reading a leaf throws.
  void compute(std::uint64_t first, std::uint64_t count, void* out);

  struct part;  // one operation with a buffer of its own

 private:
  std::unique_ptr<part> root_;
};

inline constexpr std::uint64_t block = 2048;  // elements computed together: all buffers of an operation fit the L1 cache

// One operation on one block; `b` is null for one operand, `c` for less than three. Throws std::domain_error with the
// place in the block as its text for an integer divided by zero.
void work(detail::lazy_operation what, detail::lazy_kind operands, detail::lazy_kind result, const void* a,
          const void* b, const void* c, std::uint64_t count, void* out);
void convert(detail::lazy_kind from, detail::lazy_kind to, const void* in, std::uint64_t count, void* out);

// The process that fills lazy vectors made from expressions. Returns its exit status.
int evaluate_for_pager();

}  // namespace onecopy::pager
