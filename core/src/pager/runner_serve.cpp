#include <map>

#include <cstring>

#include "base/result.hpp"
#include "onecopy/lazy.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/socket.hpp"
#include "pager/runner_protocol.hpp"

namespace onecopy {

void lazy_runner::save(const object&, std::uint64_t, std::span<const std::byte>) {
  throw error(error_kind::unsupported, "write a lazy vector back", "its function only fills it",
              "Make it with a function that saves, or without write_back");
}

int lazy_runner::serve() {
  using namespace pager;
  if (!os::kind_of_socket(runner_descriptor))
    throw error(error_kind::invalid_argument, "serve a pager", "this process was not started by one", "");
  std::map<object_id, object> known;
  os::mapping staging;
  for (;;) {
    runner_request what{};
    auto got = os::receive_message(runner_descriptor, std::as_writable_bytes(std::span(&what, 1)),
                                   os::deadline::never(), 1);
    if (!got || got->end) return 0;  // the pager has ended, or has no more use for us
    if (got->size != sizeof what || what.version != 1) return 3;
    object_id id;
    std::memcpy(id.bytes.data(), what.id, sizeof what.id);
    if (what.what == runner_ask::hello && got->descriptors.size() == 1) {
      auto mapped = os::mapping::map(got->descriptors[0].get(), 0, staging_bytes, os::map_mode::shared);
      if (!mapped) return 4;
      staging = *std::move(mapped);
    } else if (what.what == runner_ask::define && got->descriptors.size() == 1) {
      object& made = known[id];
      made.id = id;
      made.type = static_cast<dtype>(what.type);
      made.size = what.count;
      made.payload.resize(what.payload_bytes);
      if (!os::read_at(got->descriptors[0].get(), std::as_writable_bytes(std::span(made.payload)), 0)) return 5;
    } else if (what.what == runner_ask::forget) {
      known.erase(id);
      forget(id);
    } else if (what.what == runner_ask::fill || what.what == runner_ask::save) {
      runner_reply reply{};
      const auto found = known.find(id);
      const std::uint64_t bytes = what.wanted * what.item_bytes;
      if (found == known.end() || staging.data() == nullptr || bytes > staging_bytes) return 6;
      try {
        const std::span<std::byte> elements(staging.data(), static_cast<std::size_t>(bytes));
        if (what.what == runner_ask::fill) fill(found->second, what.first, elements);
        else save(found->second, what.first, elements);
      } catch (const std::exception& e) {
        reply.failed = 1;
        std::strncpy(reply.message, e.what(), sizeof reply.message - 1);
      }
      const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(&reply, 1))};
      if (!os::send_message(runner_descriptor, pieces, {}, os::deadline::in(30))) return 0;
    } else {
      return 7;
    }
  }
}

}  // namespace onecopy
