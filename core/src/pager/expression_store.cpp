// Expressions as objects: a source of kind "expression", and the process that fills it.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "onecopy/store.hpp"
#include "pager/expression.hpp"

namespace onecopy {

namespace {

// Runners wait for those that fill their leaves, so each depth of nesting has runners of its own. Bindings write the
// depth of what they make into the note, and so do we.
int depth_of(const lazy_vector& leaf) {
  const auto at = leaf.note().find("depth=");
  return at == std::string::npos ? 0 : std::atoi(leaf.note().c_str() + at + 6);
}

}  // namespace

lazy_vector detail::store(const lazy_node_pointer& node, dtype type, const lazy_options& options) {
  std::vector<lazy_vector> leaves;
  lazy_source source{"expression", {{"tree", pager::encode(*node, leaves)}}};
  int depth = 1;
  std::string ids;
  for (const lazy_vector& one : leaves) {
    ids += one.id().text();
    depth = std::max(depth, depth_of(one) + 1);
  }
  source.fields["leaves"] = ids;
  source.fields["depth"] = std::to_string(depth);
  lazy_options with_depth = options;
  if (!options.note.empty()) with_depth.note += ' ';
  with_depth.note.append("depth=").append(std::to_string(depth));
  return make_lazy(type, node->size, source, with_depth);
}

namespace pager {

namespace {

class expression_runner final : public lazy_runner {
 public:
  void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
    const auto& made = known(which);
    evaluator(*made).compute(first, out.size() / onecopy::size_of(which.type), out.data());
  }
  void forget(const object_id& id) override { trees_.erase(id); }

 private:
  // The payload is the ids of the leaves, one for each 32 characters, a line feed, and the tree.
  const lazy_node_pointer& known(const object& which) {
    if (const auto found = trees_.find(which.id); found != trees_.end()) return found->second;
    const auto end = which.payload.find('\n');
    if (end == std::string::npos || end % 32 != 0) raise({error_kind::corrupt, "read a lazy expression", "", ""});
    std::vector<lazy_vector> leaves;
    handle where{.host = store::host_id(), .store = store::store_id()};
    for (std::size_t at = 0; at < end; at += 32) {
      where.id = object_id::parse(which.payload.substr(at, 32));
      leaves.push_back(attach_lazy(where));
    }
    auto tree = unwrap(decode(std::string_view(which.payload).substr(end + 1), leaves));
    return trees_.emplace(which.id, std::move(tree)).first->second;
  }

  std::map<object_id, lazy_node_pointer> trees_;
};

}  // namespace

int evaluate_for_pager() { return expression_runner().serve(); }

}  // namespace pager
}  // namespace onecopy
