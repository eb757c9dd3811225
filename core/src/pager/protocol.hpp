// What clients and the pager say to each other, over a packet socket: one struct a message. Both run on one machine as
// one user, from one or two versions of this library; the version is checked in the first message.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "base/result.hpp"
#include "onecopy/handle.hpp"
#include "onecopy/lazy.hpp"

namespace onecopy::pager {

inline constexpr std::uint32_t protocol_version = 1;

enum class ask : std::uint32_t {
  hello = 1,    // with the userfaultfd, unless the client attaches nothing
  attach,       // id, base: a mapping of all data, registered already
  detach,       // id, base
  ensure,       // id, base, offset, size
  prefetch,
  release,
  flush,
  pin,
  unpin,
  set_budget,   // size
  statistics,
  ping,         // anything that comes back is a sign of life
};

struct request {
  std::uint32_t version = protocol_version;
  ask what{};
  std::uint64_t sequence = 0;  // the reply carries it
  std::uint8_t id[16]{};
  std::uint64_t base = 0, offset = 0, size = 0;
};

struct reply {
  std::uint32_t version = protocol_version;
  std::uint32_t notice = 0;    // 1: not a reply, but news: the touch of `base + offset` has failed
  std::uint64_t sequence = 0;
  std::int32_t kind = -1;      // an error_kind, or -1: all went well
  std::int32_t os_error = 0;
  std::uint8_t id[16]{};
  std::uint64_t base = 0, offset = 0, size = 0;
  statistics numbers{};
  char tried[256]{}, happened[1024]{}, remedy[256]{};

  void refuse(const failure& why) {
    kind = static_cast<std::int32_t>(why.kind);
    os_error = why.os_error;
    copy(tried, sizeof tried, why.tried);
    copy(happened, sizeof happened, why.happened);
    copy(remedy, sizeof remedy, why.remedy);
  }
  status outcome() const {
    if (kind < 0) return done();
    return failure{static_cast<error_kind>(kind), tried, happened, remedy, os_error};
  }

 private:
  static void copy(char* to, std::size_t room, const std::string& text) {
    const std::size_t size = std::min(room - 1, text.size());
    std::memcpy(to, text.data(), size);
    to[size] = 0;
  }
};

inline std::string socket_path(const std::string& directory) { return directory + "/pager.socket"; }
inline std::string lock_path(const std::string& directory) { return directory + "/pager.lock"; }

}  // namespace onecopy::pager
