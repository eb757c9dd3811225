#include <atomic>

#include "onecopy/coordination.hpp"
#include "sync/patience.hpp"

namespace onecopy {

namespace {
constexpr std::uint32_t set_bit = 1;
}

void event::set() noexcept {
  std::atomic_ref word(state_->word);
  std::uint32_t seen = word.load();
  do {
    if ((seen & set_bit) != 0) return;
  } while (!word.compare_exchange_weak(seen, (seen + 2) | set_bit));
  os::futex_wake(&state_->word, os::everyone);
}

void event::clear() noexcept { std::atomic_ref(state_->word).fetch_and(~set_bit); }
bool event::is_set() const noexcept { return (std::atomic_ref(state_->word).load() & set_bit) != 0; }

wait_result event::wait(const waiting& how_long) {
  std::atomic_ref word(state_->word);
  const std::uint32_t before = word.load();
  if ((before & set_bit) != 0) return wait_result::done;
  sync::patience wait(how_long);
  // It was clear, so any change means that it was set, if only for a moment.
  while (word.load() == before)
    if (const auto over = wait.sleep(&state_->word, before)) return *over;
  return wait_result::done;
}

}  // namespace onecopy
