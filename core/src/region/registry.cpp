#include "region/registry.hpp"

#include <pthread.h>

#include <cstring>
#include <unordered_map>

namespace onecopy::detail::registry {
namespace {

struct hash {
  std::size_t operator()(const key& which) const noexcept {
    std::size_t start;  // ids are random, so any part of them is a hash
    std::memcpy(&start, which.data(), sizeof start);
    return start;
  }
};

struct process_state {
  std::mutex mutex;
  std::unordered_map<key, std::weak_ptr<region_state>, hash> regions;

  process_state();
};

// Never destroyed: interpreters let go of regions after static destructors have begun.
process_state& state() {
  static auto* all = new process_state;
  return *all;
}

process_state::process_state() {
  pthread_atfork([] { state().mutex.lock(); }, [] { state().mutex.unlock(); }, [] { state().mutex.unlock(); });
}

}  // namespace

std::unique_lock<std::mutex> lock() { return std::unique_lock(state().mutex); }

std::shared_ptr<region_state> find(const key& which) {
  const auto guard = lock();
  const auto at = state().regions.find(which);
  return at == state().regions.end() ? nullptr : at->second.lock();
}

std::shared_ptr<region_state> keep(const key& which, const std::shared_ptr<region_state>& made) {
  const auto guard = lock();
  auto& known = state().regions[which];
  if (auto earlier = known.lock()) return earlier;
  known = made;
  return made;
}

void forget(const key& which) {
  const auto guard = lock();
  const auto at = state().regions.find(which);
  // It may be there again already, attached anew by another thread.
  if (at != state().regions.end() && at->second.expired()) state().regions.erase(at);
}

}  // namespace onecopy::detail::registry
