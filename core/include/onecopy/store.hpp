// The store: the directory through which the processes of one user find each other's objects.
//
// It is $ONECOPY_DIR, or /dev/shm/onecopy-<uid>. It is made on first use with mode 0700, and refused (permission) when
// it belongs to somebody else, is a link, or is open to others. All functions here may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "onecopy/region.hpp"

namespace onecopy::store {

// The region that a handle names: the object of that id in this store, whether it was shared here or is a copy that
// import() made. Throws not_found (gone), wrong_host (shared on another machine or in another store, and there is no copy
// here; the message says which), corrupt, unsupported, permission, no_memory, busy. Nothing is left behind by a failure.
region attach(const handle& where);
// The region that a user-chosen name points to. Throws not_found, and the others above.
region attach_name(std::string_view name);
// True if `attach` would find it now. Never throws for a well-formed handle.
bool exists(const handle& where);

// A region file made by writer::publish with backing::file, mapped, header and structure checked.
// Throws not_found, corrupt, unsupported, permission.
region open_file(const std::string& path);

// A copy, under the same id, of a region that lies on another host: writes `bytes` bytes as `produce` gives them (see
// writer::array), checks them and maps them. If the object is here by the time it is complete, that one is returned.
// Throws corrupt when what came is not that region, no_space, permission, and what `produce` throws.
region import(const object_id& id, std::uint64_t bytes,
              const std::function<void(std::uint64_t offset, std::span<std::byte> out)>& produce);

// What two ends compare that send a region in pieces: XXH64 of the bytes. About 10 GB/s.
std::uint64_t checksum(std::span<const std::byte> bytes) noexcept;

// A region received as a descriptor. It must be sealed against shrinking, growing and writing, or (trusted = true) come
// from this user. The descriptor stays the caller's and may be closed afterwards. Throws corrupt, permission.
region from_descriptor(int fd, bool trusted = false);

struct entry {
  object_id id;
  std::string name;              // chosen by the user, or ""
  std::uint64_t bytes = 0;       // of the region, rounded up to pages
  std::uint64_t created = 0;     // seconds since 1970
  double lease_seconds = 0;      // left; 0: none; infinite: kept until freed
  bool writable = false;
  bool in_memfd = false;         // the store's file system was too small for it
};

// Every object in the store, in no order. Objects that end meanwhile may or may not be listed.
std::vector<entry> list();
// How many mappings hold this object; 0: none, a leftover or a lease.
std::size_t holders(const object_id& id);
// The same for many objects, in their order: the kernel's list of locks is read once.
std::vector<std::size_t> holders(std::span<const object_id> ids);

struct collected {
  std::size_t objects = 0;
  std::uint64_t bytes = 0;
};
// Removes what nobody holds and no lease keeps. Runs by itself when a package is loaded and when space runs out.
collected collect();

// Removes the object from the store whoever holds it, and its name. Holders keep their mapping; nobody can attach any
// more. Returns false if there was none.
bool remove(const object_id& id);
bool remove_name(std::string_view name);
// The id that a name points to, if there is such an object.
std::optional<object_id> find_name(std::string_view name);

// Keeps the object for this many seconds after its last holder has let go; infinity: until removed.
void lease(const object_id& id, double seconds);

// This machine's and this store's part of a handle.
std::string host_id();
std::string store_id();
// The directory, made and checked.
std::string directory();

struct check {
  std::string what;    // "shared memory size", ...
  enum class level { ok, warning, error } state = level::ok;
  std::string found;   // what this machine has
  std::string remedy;  // "" when there is nothing to do
};
// What this machine allows and what it does not, with the remedy: the `doctor` of the command line.
std::vector<check> doctor();

}  // namespace onecopy::store
