// A C struct that processes share and change: backed by a file that stays, by a name, or by a handle only.
//
//     auto state = onecopy::record<Foo>::open("state.foo");       // or ::shared("such_foo"), or ::make()
//     state->bar = 31337;                                         // every process sees it at once
//     { auto held = state.locked(); held->bar++; held->baz--; }  // both or neither, for all who lock or use snapshots
//     Foo both = state.snapshot();
//
// The file or object says what it holds. If name, size or a field is not what this program means, opening it throws
// wrong_type and says what differs; a file that is short, damaged or something else throws corrupt.
//
// Threads: all functions may be called from any thread. A plain write to a member is a plain write: two writers at once
// need the lock, or std::atomic_ref.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "onecopy/error.hpp"
#include "onecopy/lock.hpp"
#include "onecopy/record_type.hpp"
#include "onecopy/region.hpp"

namespace onecopy {

// 64 bytes beside each record: the lock of the whole, and a number that is odd while its owner changes the record.
struct record_sync {
  alignas(64) mutex_state lock;
  std::uint64_t sequence = 0;
  std::uint64_t reserved[6] = {};
};
static_assert(sizeof(record_sync) == 64);

// Whether to make what is not there.
enum class missing { make, refuse };

// A record whose struct is known at run time only; what bindings build on.
class raw_record {
 public:
  raw_record() = default;
  explicit operator bool() const noexcept { return static_cast<bool>(region_); }

  // `first`: type.size bytes that a new record begins as; null: zeros.
  // A file. Two processes that make it at once both get the same one. Throws not_found (with missing::refuse), corrupt,
  // wrong_type, permission, no_space, unsupported (a file system without the locks that locks need).
  static raw_record open(const std::string& path, const record_type& type, const void* first = nullptr,
                         missing what = missing::make);
  // By name in the store; it ends with its last holder, unless `keep`. Throws as open does.
  static raw_record shared(std::string_view name, const record_type& type, const void* first = nullptr,
                           missing what = missing::make, bool keep = false);
  // Without a name: others attach by its handle (store), or get its descriptor (memfd).
  static raw_record make(const record_type& type, const void* first = nullptr, backing where = backing::store);
  // A record that somebody made. Throws wrong_type if it is none, or not `expected`; permission if it is immutable.
  static raw_record from(const onecopy::region& whole, const record_type* expected = nullptr);
  static raw_record attach(std::string_view handle_text, const record_type* expected = nullptr);

  // The struct, shared with all; aligned to 64 bytes.
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return type_->size; }
  const record_type& type() const noexcept { return *type_; }
  const onecopy::region& region() const noexcept { return region_; }
  onecopy::handle handle() const { return region_.handle(); }
  const std::shared_ptr<participant>& who() const noexcept { return who_; }

  // The lock of the whole. Whoever takes it with begin_writing() is also seen by snapshot().
  onecopy::mutex lock() const noexcept { return {sync_->lock, who_, region_.state()}; }
  // Locks, and marks the record as being changed. done or owner_died: end_writing() must follow. owner_died: somebody
  // was killed while changing it; call lock().repaired() when it is whole.
  wait_result begin_writing(const waiting& how_long = {}) const;
  // False, changing nothing, if this process is not writing.
  bool end_writing() const noexcept;
  // Copies the whole into `out` (size() bytes) as it stood between two writings, without keeping writers out while it
  // copies. done; owner_died: the copy is what a killed writer left; timed_out or interrupted: nothing was copied.
  wait_result snapshot(std::span<std::byte> out, const waiting& how_long = {}) const;

 private:
  onecopy::region region_;
  std::shared_ptr<const record_type> type_;
  std::shared_ptr<participant> who_;
  std::byte* data_ = nullptr;
  record_sync* sync_ = nullptr;
};

template <class T>
class record;

// Locked until the end of the scope.
template <class T>
class [[nodiscard]] locked_record {
 public:
  locked_record(const raw_record& of, wait_result how) : of_(of), how_(how) {}
  locked_record(locked_record&& other) noexcept : of_(other.of_), how_(other.how_) {
    other.how_ = wait_result::timed_out;
  }
  locked_record& operator=(locked_record&&) = delete;
  ~locked_record() {
    if (held()) of_.end_writing();
  }
  bool held() const noexcept { return how_ == wait_result::done || how_ == wait_result::owner_died; }
  explicit operator bool() const noexcept { return held(); }
  bool owner_died() const noexcept { return how_ == wait_result::owner_died; }
  wait_result result() const noexcept { return how_; }
  // The record is whole again.
  void repaired() const { of_.lock().repaired(); }
  T* operator->() const noexcept { return reinterpret_cast<T*>(of_.data()); }
  T& operator*() const noexcept { return *reinterpret_cast<T*>(of_.data()); }

 private:
  raw_record of_;
  wait_result how_;
};

template <class T>
class record {
 public:
  record() = default;
  // See raw_record for what these throw.
  static record open(const std::string& path, const T& first = T(), missing what = missing::make) {
    return record(raw_record::open(path, type(), &first, what));
  }
  static record shared(std::string_view name, const T& first = T(), missing what = missing::make, bool keep = false) {
    return record(raw_record::shared(name, type(), &first, what, keep));
  }
  static record make(const T& first = T(), backing where = backing::store) {
    return record(raw_record::make(type(), &first, where));
  }
  static record attach(std::string_view handle_text) { return record(raw_record::attach(handle_text, &type())); }
  static record from(const onecopy::region& whole) { return record(raw_record::from(whole, &type())); }

  explicit operator bool() const noexcept { return static_cast<bool>(raw_); }
  T* operator->() const noexcept { return reinterpret_cast<T*>(raw_.data()); }
  T& operator*() const noexcept { return *reinterpret_cast<T*>(raw_.data()); }

  locked_record<T> locked(const waiting& how_long = {}) const { return {raw_, raw_.begin_writing(how_long)}; }
  // A consistent copy. Throws timeout or interrupted. What a killed writer left is returned as it is; `died` tells.
  T snapshot(const waiting& how_long = {}, bool* died = nullptr) const {
    T copy;
    const wait_result how = raw_.snapshot(std::as_writable_bytes(std::span(&copy, 1)), how_long);
    if (died != nullptr) *died = how == wait_result::owner_died;
    if (how == wait_result::timed_out || how == wait_result::interrupted)
      throw error(how == wait_result::timed_out ? error_kind::timeout : error_kind::interrupted,
                  "read the record " + raw_.type().name, "somebody kept writing to it", "Give it more time");
    return copy;
  }
  // A handle for a state that is a member: `onecopy::mutex door = state.use<onecopy::mutex>(state->door);`
  template <class Primitive>
  Primitive use(typename Primitive::state_type& member) const {
    return Primitive(member, raw_.who(), raw_.region().state());
  }

  const raw_record& raw() const noexcept { return raw_; }
  const onecopy::region& region() const noexcept { return raw_.region(); }
  onecopy::handle handle() const { return raw_.handle(); }
  static const record_type& type() {
    static const record_type made = record_type_of<T>();
    return made;
  }

 private:
  explicit record(raw_record raw) : raw_(std::move(raw)) {}
  raw_record raw_;
};

}  // namespace onecopy
