#include "transport/sealed_twin.hpp"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "os/system.hpp"
#include "region/state.hpp"
#include "transport/copies.hpp"

namespace onecopy::transport {
namespace {

// Kept by the region it copies, so both end together.
struct twin {
  explicit twin(os::fd sealed) : memory(std::move(sealed)) { ++alive; }
  ~twin() { --alive; }
  os::fd memory;
  static inline std::atomic<std::uint64_t> alive{0};
};

// What was published: from the mapping, unless this process may have written to its private pages.
status copy_into(int memory, const detail::region_state& original) {
  const std::span<const std::byte> bytes(original.checked().base, static_cast<std::size_t>(original.checked().bytes));
  if (auto room = os::reserve(memory, 0, bytes.size()); !room) return room;
  if (!original.from().original.empty()) return os::write_at(memory, original.from().original, 0);
  bool changed_here = false;
  if (original.handed_out_writable()) {
    auto copied = os::private_bytes(bytes.data(), bytes.size());
    changed_here = !copied || *copied > 0;
  }
  if (!changed_here) {
    if (auto written = os::write_at(memory, bytes, 0); !written) return written;
    if (original.intact()) return done();
    return failure{error_kind::corrupt, "copy a file into sealed memory", "it was cut short since it was mapped",
                   "Map the file again, as it is now"};
  }
  auto source = original.open_again();
  if (!source)
    return failure{error_kind::unsupported, "send an object",
                   "it was changed in this process, and what it was before can't be read any more",
                   "Share a copy of it, and send that"};
  std::vector<std::byte> block(std::min<std::size_t>(bytes.size(), 1 << 20));
  for (std::uint64_t copied = 0; copied < bytes.size();) {
    const std::span<std::byte> part(block.data(), std::min<std::uint64_t>(block.size(), bytes.size() - copied));
    if (auto got = os::read_at(source->get(), part, copied); !got) return got;
    if (auto put = os::write_at(memory, part, copied); !put) return put;
    copied += part.size();
  }
  return done();
}

}  // namespace

result<os::fd> sealed_memory(const std::shared_ptr<detail::region_state>& original, const code_place& from) {
  const os::fd& own = original->from().descriptor;
  if (own.valid() && os::is_sealed(own.get())) return os::reopen(own.get(), O_RDONLY);
  static std::mutex guard;
  const std::lock_guard held(guard);
  if (auto known = std::static_pointer_cast<twin>(original->companion()))
    return os::reopen(known->memory.get(), O_RDONLY);
  auto memory = os::make_memfd("onecopy-twin");
  if (!memory) return memory;
  if (auto copied = copy_into(memory->get(), *original); !copied) return copied.reason();
  if (auto sealed = os::seal(memory->get()); !sealed) return sealed.reason();
  note_copy(original->checked().bytes, "into sealed memory, for a receiver that can't attach to the object itself",
            from);
  auto given = os::reopen(memory->get(), O_RDONLY);
  // A program has only so many descriptors: beyond a part of them a twin is made anew each time.
  if (given && twin::alive < os::descriptor_limit() / 8)
    original->keep_companion(std::make_shared<twin>(std::move(*memory)));
  return given;
}

}  // namespace onecopy::transport
