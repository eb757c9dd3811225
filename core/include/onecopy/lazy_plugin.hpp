// Sources of lazy vectors written in C or C++, in a shared library: of your program, or of an R package that has
// `LinkingTo: onecopy`.
//
//     class squares : public onecopy::lazy_runner {
//      public:
//       void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
//         auto* items = reinterpret_cast<double*>(out.data());
//         for (std::size_t i = 0; i < out.size() / sizeof(double); ++i) items[i] = double(first + i) * double(first + i);
//       }
//     };
//     ONECOPY_LAZY_PLUGIN(squares)
//
//     auto x = onecopy::lazy<double>(1'000'000'000, onecopy::lazy_source::plugin(onecopy::this_library(), "", "squares"));
//
// The library is loaded by processes that the pager starts (at most four for each library), never by the pager and not
// for this purpose by the processes that use the vector: a crash in it is an error of the touch. Its functions are
// called by one thread of each of those processes. They find what they need in the object's payload; what the process
// that made the vector has in memory is not there.
//
// In C: define onecopy_lazy_plugin_1 yourself, as ONECOPY_LAZY_PLUGIN does.
#pragma once

#include <cstdint>

#ifdef __cplusplus
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "onecopy/lazy.hpp"

extern "C" {
#endif

// One lazy vector, as the functions of a plugin see it. All of it belongs to the caller, but for `own`.
struct onecopy_lazy_object {
  std::uint8_t id[16];
  std::uint32_t type;         // a onecopy::dtype
  std::uint32_t item_bytes;
  std::uint64_t size;         // elements
  const void* payload;        // as given to lazy_source::plugin
  std::uint64_t payload_bytes;
  void* own;                  // null at first; kept between calls for the same object
};

struct onecopy_lazy_plugin {
  std::uint32_t version;      // 1
  std::uint32_t reserved;     // 0
  // Elements [first, first + count) into `out`. 0, or anything else with the reason as text in `message`, which has
  // `room` bytes: it becomes the error of the touch.
  int (*fill)(struct onecopy_lazy_object* which, std::uint64_t first, std::uint64_t count, void* out, char* message,
              std::uint64_t room);
  // Changed elements to where they came from; null if that is not possible.
  int (*save)(struct onecopy_lazy_object* which, std::uint64_t first, std::uint64_t count, const void* changed,
              char* message, std::uint64_t room);
  // The object is gone: free what `own` points to. May be null.
  void (*destroy)(struct onecopy_lazy_object* which);
};

// What the library must have. Called once in each process.
typedef const struct onecopy_lazy_plugin* (*onecopy_lazy_plugin_function)(void);

#ifdef __cplusplus
}  // extern "C"

namespace onecopy {

// The path of the shared library (or program) that this is called from.
std::string library_of(const void* function);
static inline std::string this_library() { return library_of(reinterpret_cast<const void*>(&this_library)); }

namespace detail {

template <class Runner>
struct plugin_for {
  static Runner& runner() {
    static auto* only = new Runner;
    return *only;
  }
  static const lazy_runner::object& known(onecopy_lazy_object* which) {
    if (which->own == nullptr) {
      auto made = std::make_unique<lazy_runner::object>();
      std::memcpy(made->id.bytes.data(), which->id, sizeof which->id);
      made->type = static_cast<dtype>(which->type);
      made->size = which->size;
      made->payload.assign(static_cast<const char*>(which->payload), static_cast<std::size_t>(which->payload_bytes));
      which->own = made.release();
    }
    return *static_cast<const lazy_runner::object*>(which->own);
  }
  template <class F>
  static int guarded(char* message, std::uint64_t room, F&& work) {
    const char* text = "an exception that is no std::exception";
    try {
      work();
      return 0;
    } catch (const std::exception& e) {
      std::strncpy(message, e.what(), room - 1);
    } catch (...) {
      std::strncpy(message, text, room - 1);
    }
    message[room - 1] = 0;
    return 1;
  }
  static int fill(onecopy_lazy_object* which, std::uint64_t first, std::uint64_t count, void* out, char* message,
                  std::uint64_t room) {
    return guarded(message, room, [&] {
      runner().fill(known(which), first, {static_cast<std::byte*>(out), static_cast<std::size_t>(count * which->item_bytes)});
    });
  }
  static int save(onecopy_lazy_object* which, std::uint64_t first, std::uint64_t count, const void* changed,
                  char* message, std::uint64_t room) {
    return guarded(message, room, [&] {
      runner().save(known(which), first,
                    {static_cast<const std::byte*>(changed), static_cast<std::size_t>(count * which->item_bytes)});
    });
  }
  static void destroy(onecopy_lazy_object* which) {
    const std::unique_ptr<const lazy_runner::object> own(static_cast<const lazy_runner::object*>(which->own));
    if (own) runner().forget(own->id);
    which->own = nullptr;
  }
  static const onecopy_lazy_plugin* table() {
    static const onecopy_lazy_plugin made{1, 0, fill, save, destroy};
    return &made;
  }
};

}  // namespace detail
}  // namespace onecopy

// Once in a library, outside of all namespaces, with a class derived from onecopy::lazy_runner.
#define ONECOPY_LAZY_PLUGIN(runner)                                                                        \
  extern "C" __attribute__((visibility("default"))) const onecopy_lazy_plugin* onecopy_lazy_plugin_1(void) { \
    return onecopy::detail::plugin_for<runner>::table();                                                   \
  }
#endif
