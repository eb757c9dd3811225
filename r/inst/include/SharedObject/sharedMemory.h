// The C++ functions that packages built on SharedObject call, over onecopy: same names, same meaning.
//
// Differences: ids are texts (32 hex digits, or the name that was chosen); memory is private to the user, not open to
// everybody; there is no counter to initialize, so getLastIndex, initialPkgData and releasePkgData do nothing.
// New code is better off with "onecopy/onecopy.hpp".
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

#include "onecopy/onecopy.hpp"

namespace onecopy_sharedobject {

struct mapping {
  onecopy::region region;
  void* first = nullptr;
};

struct state {
  std::mutex lock;
  std::map<std::string, mapping> mapped;
  std::map<std::string, bool> release;
  ~state() {
    for (const auto& [id, wanted] : release) {
      if (!wanted) continue;
      try {
        onecopy::store::remove(onecopy::object_id::parse(id));
      } catch (...) {
      }
    }
  }
};

inline state& of_this_library() {
  static state all;
  return all;
}

inline onecopy::object_id find(const std::string& id) {
  if (id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string::npos)
    return onecopy::object_id::parse(id);
  if (const auto found = onecopy::store::find_name(id)) return *found;
  throw onecopy::error(onecopy::error_kind::not_found, "find the shared memory '" + id + "'", "there is none");
}

inline onecopy::handle handle_of(const std::string& id) {
  return {onecopy::store::host_id(), onecopy::store::store_id(), find(id), 0};
}

}  // namespace onecopy_sharedobject

// Allocates `size` bytes that stay until freeSharedMemory. `id`: a name of your choice, or "" for a new id.
// Returns the id. Throws onecopy::error (a std::runtime_error).
inline std::string allocateSharedMemory(std::uint64_t size, const std::string& id = "") {
  onecopy::writer w;
  w.array(w.root(), {.type = onecopy::dtype::raw, .count = size}, nullptr);
  onecopy::publish_options options;
  options.name = id;
  options.writable = true;
  options.keep = true;
  const onecopy::region made = w.publish(options);
  return id.empty() ? made.id().text() : id;
}

// The first byte; valid until unmapSharedMemory. Mapping twice gives the same pointer.
inline void* mapSharedMemory(const std::string& id) {
  auto& all = onecopy_sharedobject::of_this_library();
  const std::lock_guard hold(all.lock);
  auto& entry = all.mapped[id];
  if (!entry.first) {
    try {
      const onecopy::value root(onecopy::store::attach(onecopy_sharedobject::handle_of(id)));
      entry.region = root.region();
      entry.first = entry.region.writable_bytes() + root.data_offset();
    } catch (...) {
      all.mapped.erase(id);
      throw;
    }
  }
  return entry.first;
}

inline void unmapSharedMemory(const std::string& id) {
  auto& all = onecopy_sharedobject::of_this_library();
  const std::lock_guard hold(all.lock);
  all.mapped.erase(id);
}

inline bool isSharedMemoryMapped(const std::string& id) {
  auto& all = onecopy_sharedobject::of_this_library();
  const std::lock_guard hold(all.lock);
  return all.mapped.count(id) != 0;
}

// Nobody can map it any more; who has it mapped keeps it. Freeing what is not there does nothing.
inline void freeSharedMemory(const std::string& id) {
  try {
    onecopy::store::remove(onecopy_sharedobject::find(id));
  } catch (const onecopy::error& e) {
    if (e.kind() != onecopy::error_kind::not_found) throw;
  }
}

inline bool hasSharedMemory(const std::string& id) {
  try {
    return onecopy::store::exists(onecopy_sharedobject::handle_of(id));
  } catch (const onecopy::error&) {
    return false;
  }
}

inline double getSharedMemorySize(const std::string& id) {
  return static_cast<double>(onecopy::value(onecopy::store::attach(onecopy_sharedobject::handle_of(id))).data_bytes());
}

// Whether the memory is freed when the library that asks for it is unloaded.
inline void autoReleaseAfterUse(const std::string& id, bool release) {
  auto& all = onecopy_sharedobject::of_this_library();
  const std::string text = onecopy_sharedobject::find(id).text();
  const std::lock_guard hold(all.lock);
  all.release[text] = release;
}
inline bool autoReleaseAfterUse(const std::string& id) {
  auto& all = onecopy_sharedobject::of_this_library();
  const std::string text = onecopy_sharedobject::find(id).text();
  const std::lock_guard hold(all.lock);
  const auto found = all.release.find(text);
  return found != all.release.end() && found->second;
}

inline std::uint64_t getLastIndex() { return 0; }
inline void initialPkgData() {}
inline void releasePkgData() {}
