// Lazy vectors: larger than memory, filled when touched, one copy for all processes.
//
//     auto x = onecopy::lazy<double>(1'000'000'000, onecopy::lazy_source::sequence(0, 0.5));
//     x[123'456'789];          // fills 64 KB, for every process that uses x
//
// A lazy vector is plain memory at data(): touching a part that is not there waits until the pager has filled it, and
// what was not used for some time is given back under one budget. The pager is a process of its own, started when it is
// needed and gone when it is idle (docs/paging.md).
//
// Threads: all const members may be called from any thread at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "onecopy/array.hpp"
#include "onecopy/error.hpp"
#include "onecopy/handle.hpp"
#include "onecopy/types.hpp"

namespace onecopy {

namespace detail {
class lazy_attachment;
}

// What fills a vector: a kind and its fields, as text, because it is stored with the object and outlives its maker.
struct lazy_source {
  std::string kind;
  std::map<std::string, std::string> fields;

  // Element i (from 0) is from + i * by. For integer vectors both must be whole numbers, and no element may leave the
  // range of the type: invalid_argument when the vector is made.
  static lazy_source sequence(double from, double by);
  static lazy_source sequence(std::int64_t from, std::int64_t by);
  // Element i lies at byte offset + i * stride of the file (stride 0: the size of an element). swap: the bytes of each
  // number are in the other order than this machine's. The path is made absolute. Nothing is read before it is touched;
  // a file that is missing, too short or unreadable then is an error of the touch. See lazy_options::in_place.
  static lazy_source binary_file(const std::string& path, std::uint64_t offset = 0, std::uint64_t stride = 0,
                                 bool swap = false);
  // A program that the pager starts, and that answers requests for elements (docs/paging.md, "Runners"). `payload` is
  // handed to it before its first request for this object: the populate function, serialized. `description` is for
  // messages.
  static lazy_source program(const std::vector<std::string>& command, std::string payload, std::string description);
  // Functions in a shared library, which a process of the pager's loads (onecopy/lazy_plugin.hpp). `library` is an
  // absolute path: this_library(). Payload and description as above.
  static lazy_source plugin(const std::string& library, std::string payload, std::string description);
};

struct lazy_options {
  // Filled and given back in pieces of this many bytes: a power of two, 4 KiB to 4 MiB.
  std::uint64_t chunk_bytes = 64 * 1024;
  // Filling one chunk may take this many seconds; then it has failed.
  double deadline_seconds = 30;
  // Every process may write, and every process sees the writes. Written chunks are kept on disk when memory is needed
  // (ONECOPY_SPILL, default /var/tmp). Otherwise writes are private to the process that makes them.
  bool writable = false;
  // With writable: changed chunks are written to the source (binary_file, or a program that can save) instead.
  bool write_back = false;
  // A binary_file without stride and swap, at an offset that suits the type, is mapped where it lies: the kernel's page
  // cache is the one copy, no pager is involved, and the memory does not count against the budget, because the kernel
  // takes it back when it is needed. Changes that other programs make to the file show, and a file that is replaced or
  // removed stays what it was. Not done, as if this were false, when the vector is writable, or when the file is not
  // there, too short, or on a network file system.
  bool in_place = false;
  // For bindings: kept with the object, given back by note().
  std::string note;
};

class lazy_vector {
 public:
  lazy_vector() = default;  // empty: only operator bool and the assignments may be used
  explicit operator bool() const noexcept { return state_ != nullptr; }

  dtype type() const noexcept;
  std::uint64_t size() const noexcept;        // elements
  std::uint64_t bytes() const noexcept;
  std::uint64_t chunk_bytes() const noexcept;
  bool writable() const noexcept;
  bool in_place() const noexcept;             // see lazy_options::in_place
  const std::string& note() const noexcept;
  const object_id& id() const noexcept;

  // The elements. Touching them fills them. If filling fails, the touch does not wait for ever: this process sees bytes
  // of 0xff (NaN; -1) in that chunk, and take_error() tells why. To have the error first, call ensure() first.
  // Writes: see lazy_options::writable; in a vector that isn't, they are private copies of the pages written.
  // System calls (read, write, send) on parts that are not filled fail with EFAULT: call ensure() first.
  std::byte* data() const noexcept;

  // Fills bytes [offset, offset + size) now, and retries what had failed. Throws what went wrong: the source's error,
  // timeout, invalid_argument when out of range, no_memory when the range is larger than the budget allows at once.
  // Later, the pager may take chunks back at any time; they are filled again when touched.
  void ensure(std::uint64_t offset, std::uint64_t size) const;
  // Begins filling, and returns at once.
  void prefetch(std::uint64_t offset, std::uint64_t size) const;
  // Gives the memory back now, for all processes. Chunks that lie only partly in the range stay. Nothing is lost. In
  // place, it is the kernel's to decide: what other processes have mapped stays.
  void release(std::uint64_t offset, std::uint64_t size) const;
  // Writes changed chunks back to where they are kept. Throws when that fails; they then stay in memory.
  void flush(std::uint64_t offset, std::uint64_t size) const;
  // Fills the range and keeps it in memory, until unpin or the end of this process. In place, the limit on locked memory
  // (RLIMIT_MEMLOCK) holds for it.
  void pin(std::uint64_t offset, std::uint64_t size) const;
  void unpin(std::uint64_t offset, std::uint64_t size) const;
  // True if these bytes are in memory now. In place, false also where the kernel doesn't tell this user, because the
  // file is somebody else's and not his to write to; count().resident_bytes is 0 then.
  bool resident(std::uint64_t offset, std::uint64_t size) const noexcept;

  // True if take_error() would tell of one. Costs no more than a look at a number. For who has just read: what he read
  // is data if this is false.
  bool failed() const noexcept;
  // The first failure of a touch since the last call, if any; the chunks concerned are tried again when touched again.
  std::optional<error> take_error() const;

  // A handle for other processes; the object lives `lease_seconds` longer (negative: 10 minutes, or ONECOPY_LEASE).
  onecopy::handle handle(double lease_seconds = -1) const;
  // The same object, mapped once more: private writes to one are not seen by the other.
  lazy_vector another_view() const;
  // The same, and what was written privately to this view is copied to that one: pages that were written to, no others.
  // Throws what ensure() throws, and the error of a touch of this view that nobody has taken yet; then there is no view.
  lazy_vector another_view_with_writes() const;
  // True if this view has private copies of pages, because it was written to or because a touch could not be filled.
  // True also where the kernel doesn't tell. False for writable vectors: everybody sees what is written to them.
  bool has_private_writes() const;

  struct counters {
    std::uint64_t fills = 0;            // chunks filled, since the object was made; 0 in place
    std::uint64_t evictions = 0;        // chunks given back
    std::uint64_t failures = 0;
    std::uint64_t resident_bytes = 0;   // now
    std::uint64_t spilled_bytes = 0;    // on disk
  };
  counters count() const noexcept;

  explicit lazy_vector(std::shared_ptr<detail::lazy_attachment> state) noexcept : state_(std::move(state)) {}

 private:
  std::shared_ptr<detail::lazy_attachment> state_;
};

// Makes a lazy vector of `count` elements of a number type. Throws invalid_argument (options, source), unsupported
// (no userfaultfd here, or a store that isn't on tmpfs), no_memory, no_space, permission, timeout (the pager doesn't
// start). Leaves nothing behind when it throws.
lazy_vector make_lazy(dtype type, std::uint64_t count, const lazy_source& source, const lazy_options& options = {});
// Throws not_found, wrong_host, corrupt, and what make_lazy throws.
lazy_vector attach_lazy(const handle& where);
// True if the handle's id is that of a lazy object that exists. Never throws for a well-formed handle.
bool is_lazy(const handle& where);

// The typed face.
template <class T>
class lazy_array {
  static_assert(dtype_of<T> != dtype::none, "onecopy::lazy_array holds bool, integers, floats, complex and std::byte");

 public:
  using value_type = T;
  using const_iterator = const T*;
  lazy_array() = default;  // empty: it has no elements, and no vector()
  // Throws wrong_type unless the vector's elements are T.
  explicit lazy_array(lazy_vector from) : vector_(std::move(from)) {
    if (vector_.type() != dtype_of<T>)
      throw error(error_kind::wrong_type, "use a lazy vector",
                  std::string("its elements are ") + name_of(vector_.type()) + ", not " + name_of(dtype_of<T>));
  }
  const T* data() const noexcept { return vector_ ? reinterpret_cast<const T*>(vector_.data()) : nullptr; }
  std::size_t size() const noexcept { return vector_ ? vector_.size() : 0; }
  bool empty() const noexcept { return size() == 0; }
  const T* begin() const noexcept { return data(); }
  const T* end() const noexcept { return data() + size(); }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  // Throws invalid_argument when i >= size(), and what ensure() throws.
  const T& at(std::size_t i) const {
    vector_.ensure(i * sizeof(T), sizeof(T));
    return data()[i];
  }
  // Throws permission unless the object was made writable.
  T* writable_data() const {
    if (!vector_.writable())
      throw error(error_kind::permission, "write to a lazy array", "it was made as immutable",
                  "make it with lazy_options::writable");
    return reinterpret_cast<T*>(vector_.data());
  }
  onecopy::handle handle() const { return vector_.handle(); }
  const lazy_vector& vector() const noexcept { return vector_; }

 private:
  lazy_vector vector_;
};

template <class T>
lazy_array<T> lazy(std::uint64_t count, const lazy_source& source, const lazy_options& options = {}) {
  return lazy_array<T>(make_lazy(dtype_of<T>, count, source, options));
}
template <class T>
lazy_array<T> attach_lazy(const handle& where) {
  return lazy_array<T>(attach_lazy(where));
}

// The other side of lazy_source::program: a process that the pager has started, and that runs users' functions. The
// pager starts several of them as needed, ends one that takes longer than the deadline, and starts a new one.
class lazy_runner {
 public:
  virtual ~lazy_runner() = default;
  struct object {
    object_id id;
    dtype type = dtype::none;
    std::uint64_t size = 0;     // elements
    std::string payload;        // as given to lazy_source::program
  };
  // Elements [first, first + out.size() / size_of(type)) into `out`, which is zeros before. What it throws
  // (std::exception) becomes the error of the touch.
  virtual void fill(const object& which, std::uint64_t first, std::span<std::byte> out) = 0;
  // With lazy_options::write_back: changed elements, beginning with `first`, to where they came from. They stay in
  // memory if it throws, and are saved again later. Unless it is overridden, it throws.
  virtual void save(const object& which, std::uint64_t first, std::span<const std::byte> changed);
  // The object is gone: forget what was kept for it.
  virtual void forget(const object_id&) {}
  // Answers requests until the pager ends it. Returns the process's exit status. Only in a process that the pager has
  // started (its descriptor 3 is the connection); anywhere else it throws invalid_argument.
  int serve();
};

namespace pager {

struct statistics {
  std::uint64_t budget = 0, resident = 0, peak_resident = 0, pinned = 0;  // bytes
  std::uint64_t fills = 0, evictions = 0, failures = 0;                   // chunks, since the pager started
  std::uint64_t clients = 0, objects = 0;
  std::int64_t process = 0;
};
// Starts the pager if none runs.
statistics look();
// How many bytes all lazy objects of this store may hold in memory at once. Returns when they hold no more than that.
// Throws invalid_argument (less than 4 MiB, or more than the store's file system has), busy when what is pinned stands
// in the way; the new budget holds all the same.
void set_budget(std::uint64_t bytes);

struct entry {
  object_id id;
  dtype type = dtype::none;
  std::uint64_t size = 0, bytes = 0;
  std::string source;   // its kind
  bool in_place = false;
  lazy_vector::counters counters;
};
// Every lazy object of the store; starts nothing.
std::vector<entry> list();

// The program to start as pager; bindings say where they ship it. Default: ONECOPY_PAGER, or `onecopy-pager` beside the
// library, in ../bin, ../libexec/onecopy, or in PATH.
void set_program(const std::string& path);
// Called from a thread of the library when a touch in this process has failed; must only take note, and must not throw.
void on_error(std::function<void(const lazy_vector&)> notice);
// The pager itself: what the program `onecopy-pager` runs. Returns its exit status.
int run(int argc, const char* const* argv);

}  // namespace pager
}  // namespace onecopy
