// The regions that are mapped in this process, so that each is mapped once.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>

#include "onecopy/handle.hpp"

namespace onecopy::detail {

class region_state;

namespace registry {

// A region of the store is known by its id; a file by what fstat says of it, since its id may have been copied.
using key = std::array<std::uint8_t, 16>;

// One lock for all state of the process. It is taken around fork, so that it is never held in a child.
std::unique_lock<std::mutex> lock();

std::shared_ptr<region_state> find(const key& which);
// The region now known under that key: `made`, or the one that another thread was quicker with.
std::shared_ptr<region_state> keep(const key& which, const std::shared_ptr<region_state>& made);
void forget(const key& which);

}  // namespace registry
}  // namespace onecopy::detail
