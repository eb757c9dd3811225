#include "sync/participant.hpp"

#include <fcntl.h>

#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/system.hpp"

namespace onecopy {

namespace {

using file_key = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

// Under os::fork_mutex(). Never destroyed: handles may outlive static objects.
std::map<file_key, std::weak_ptr<participant>>& known() {
  static auto* map = new std::map<file_key, std::weak_ptr<participant>>;
  return *map;
}

std::uint64_t draw_number() {
  for (;;) {
    std::array<std::uint8_t, 8> random;
    os::random_bytes(random);
    std::uint64_t number;
    std::memcpy(&number, random.data(), sizeof number);
    number %= os::presence_number_limit;
    if (number != 0) return number;
  }
}

}  // namespace

participant::participant(os::fd watch) : watch_(std::move(watch)) { enter_locked(); }

participant::~participant() {
  std::lock_guard guard(os::fork_mutex());
  if (epoch_.load() != os::fork_epoch()) presence_.forget();
}

void participant::enter() {
  std::lock_guard guard(os::fork_mutex());
  enter_locked();
}

void participant::enter_locked() {
  os::fork_epoch_begin();
  if (epoch_.load() == os::fork_epoch()) return;  // another thread was faster
  presence_.forget();
  std::uint64_t number = draw_number();
  while (lives(number)) number = draw_number();
  presence_ = unwrap(os::presence::enter(watch_.get(), number));
  number_.store(number, std::memory_order_relaxed);
  epoch_.store(os::fork_epoch(), std::memory_order_release);
}

std::shared_ptr<participant> take_part(int descriptor) {
  const auto info = unwrap(os::status_of(descriptor, "the file of a lock"));
  const file_key key{info.st_dev, info.st_ino};
  // Declared before the guard, so that a participant that turns out to be the last of its kind ends without it.
  std::shared_ptr<participant> found;
  std::lock_guard guard(os::fork_mutex());
  auto& map = known();
  if (auto entry = map.find(key); entry != map.end()) {
    found = entry->second.lock();
    if (found) return found;
  }
  std::erase_if(map, [](const auto& entry) { return entry.second.expired(); });
  found = std::make_shared<participant>(unwrap(os::reopen(descriptor, O_RDONLY)));
  map.emplace(key, found);
  return found;
}

std::uint64_t participant_number(participant& who) { return who.number(); }
bool participant_lives(const participant& who, std::uint64_t number) noexcept { return who.lives(number); }

}  // namespace onecopy
