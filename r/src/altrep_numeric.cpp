// Views in place: logical, integer, double, complex and raw vectors whose elements are the region's own bytes.
#include <atomic>
#include <cstring>
#include <ctime>

#include "altrep_classes.h"
#include "subset.h"
#include "view.h"

namespace ocr {

namespace {

// Below this a copy is cheaper than a mapping of its own, and R can free it sooner.
constexpr std::uint64_t mapped_copy_bytes = 64 * 1024;

number_classes classes;

constexpr const char* cut_short = "onecopy: the file behind this vector was cut short since it was mapped";

// Where the elements of one view lie. R's loops ask one view for one element after the other, and to find its state takes
// longer than to read the element. Forgotten whenever a view is made, so that it never stands for a vector that was
// collected and whose address another one has now. Packages ask from threads of their own, though R forbids it: an answer
// is that of `x` or none.
class last_place {
 public:
  std::byte* of(SEXP x) const noexcept {
    if (view_.load(std::memory_order_acquire) != x) return nullptr;
    std::byte* data = data_.load(std::memory_order_acquire);
    return view_.load(std::memory_order_relaxed) == x ? data : nullptr;
  }
  void note(SEXP x, std::byte* data) noexcept {
    if (busy_.test_and_set(std::memory_order_acquire)) return;
    view_.store(nullptr, std::memory_order_relaxed);
    data_.store(data, std::memory_order_release);
    view_.store(x, std::memory_order_release);
    busy_.clear(std::memory_order_release);
  }
  void forget() noexcept { view_.store(nullptr, std::memory_order_release); }

 private:
  std::atomic<SEXP> view_{nullptr};
  std::atomic<std::byte*> data_{nullptr};
  std::atomic_flag busy_;
};

last_place last_read;     // for reading
last_place last_pointer;  // for reading and writing, and nothing has to be looked at before

bool may_be_cut(const onecopy::region& region) {
  return region.where() == onecopy::backing::file || region.where() == onecopy::backing::mapped_file;
}

// Asks the file at most once in a tick of the kernel's clock (4 ms or less): R's c(), rep(), unlist() and others ask for
// the pointer anew for each element, and to look at the file takes a hundred times as long as the element does.
void check_file(SEXP x, const onecopy::region& region) {
  static std::atomic<SEXP> last{nullptr};
  static std::atomic<std::int64_t> then{0};
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  const std::int64_t now = static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  if (last == x && then == now) return;
  if (!region.intact()) raise("corrupt", cut_short);
  last = x;
  then = now;
}

// Kept out of `data_pointer`, whose short way would pay for its registers at every call.
[[gnu::noinline]] void* find_data(SEXP x, Rboolean writable) {
  view_state* s = state_of(x);
  bool same_next_time = true;
  if (s->ref) {
    const onecopy::region& region = s->ref->region;
    if (may_be_cut(region)) {
      check_file(x, region);
      same_next_time = false;
    }
    // Who will write does not show in what is asked for: R's own code asks for writable pointers to read, and Rcpp (from
    // 1.1 on) for read-only ones to write. What is written stays in this process, page by page.
    if (!region.writable()) {
      entry([&] {
        try {
          s->data = region.writable_bytes() + s->offset;
        } catch (const onecopy::error&) {
          if (writable) throw;
          same_next_time = false;  // strict overcommit: it may only be read
        }
        return R_NilValue;
      });
    }
  }
  if (same_next_time) last_pointer.note(x, s->data);
  return s->data;
}

void* data_pointer(SEXP x, Rboolean writable) {
  if (std::byte* known = last_pointer.of(x)) return known;
  return find_data(x, writable);
}

// None, for R to ask get_region() instead, which says what is wrong.
const void* data_pointer_or_null(SEXP x) {
  const view_state* s = state_of(x);
  return s->ref && !s->ref->region.intact() ? nullptr : s->data;
}

[[gnu::noinline]] std::byte* find_elements(SEXP x) {
  std::byte* data = state_of(x)->data;
  last_read.note(x, data);
  return data;
}

// A copy of the view's bytes in a region of its own, which this process may write in place until it travels.
SEXP shared_duplicate(const view_state& from) {
  onecopy::writer w;
  const auto node = onecopy::value(from.ref->region, from.node);
  onecopy::array_spec spec{.type = node.type(), .count = static_cast<std::uint64_t>(from.length)};
  spec.semantic = node.semantic();
  spec.unit = node.unit();
  w.array(w.root(), spec, from.data);
  onecopy::publish_options options;
  options.writable = true;
  keep pointer(new_region_pointer(w.publish(options), true));
  region_ref* ref = ref_of(pointer);
  view_state s = from;
  const onecopy::value root(ref->region);
  s.ref = ref;
  s.node = 0;
  s.offset = root.data_offset();
  s.data = ref->region.writable_bytes() + s.offset;
  s.flags = static_cast<std::uint8_t>(from.flags | exclusive);
  SEXP held = pointer;
  return r_call([=] { return build_numeric_view(s, held); });
}

SEXP duplicate(SEXP x, Rboolean deep) {
  return entry([&]() -> SEXP {
    const view_state s = *state_of(x);
    if (s.flags & private_pages) return nullptr;
    SEXP pointer = region_pointer_of(x);
    if (!(s.flags & copy_on_write)) {
      // Assignment duplicates shallowly and means to write to the shared bytes; arithmetic (`-x`) and everything
      // else duplicates deeply and means a copy.
      if (deep) {
        report_copy(x, "a writable vector is copied before it is computed with");
        return nullptr;
      }
      return r_call([=] { return build_numeric_view(s, pointer); });
    }
    if (s.flags & shared_copy) {
      try {
        return shared_duplicate(s);
      } catch (const onecopy::error&) {
        return nullptr;  // no room to share it: an ordinary copy serves as well
      }
    }
    if (s.bytes < mapped_copy_bytes || s.ref->region.writable() || diverged(x)) {
      report_copy(x, "the memory of a writable or changed vector can't be copied by the page");
      return nullptr;
    }
    keep pages(new_private_pointer(s.ref->region.private_view(s.offset, s.bytes)));
    view_state copy = s;
    copy.ref = nullptr;
    copy.data = static_cast<private_ref*>(R_ExternalPtrAddr(pages))->pages.data();
    copy.flags = private_pages | copy_on_write;
    SEXP held = pages;
    return r_call([=] { return build_numeric_view(copy, held); });
  });
}

struct methods {
  template <class T>
  static T element(SEXP x, R_xlen_t i) {
    const std::byte* data = last_read.of(x);
    if (!data) data = find_elements(x);
    T item;
    std::memcpy(&item, data + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
    return item;
  }

  template <class T>
  static R_xlen_t get_region(SEXP x, R_xlen_t start, R_xlen_t n, T* out) {
    const view_state* s = state_of(x);
    const R_xlen_t count = std::min(n, s->length - start);
    if (count <= 0) return 0;
    std::memcpy(out, s->data + static_cast<std::size_t>(start) * sizeof(T), static_cast<std::size_t>(count) * sizeof(T));
    if (s->ref && !s->ref->region.intact()) raise("corrupt", cut_short);
    return count;
  }

  template <class T, SEXPTYPE type>
  static SEXP extract_subset(SEXP x, SEXP index, SEXP) {
    return entry([&]() -> SEXP {
      const view_state s = *state_of(x);
      keep picked(r_call([=] {
        return pick<T>(index, s.length, type, [=](R_xlen_t i) {
          T item;
          std::memcpy(&item, s.data + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
          return item;
        });
      }));
      if (Rf_isNull(picked)) return nullptr;
      if (s.ref) s.ref->region.check_intact();
      if (s.flags & shared_subset) return share_subset(picked, s.flags);
      return picked;
    });
  }

  template <class T, SEXPTYPE type>
  static void common(R_altrep_class_t c) {
    set_common_view_methods(c);
    R_set_altrep_Duplicate_method(c, duplicate);
    R_set_altvec_Dataptr_method(c, data_pointer);
    R_set_altvec_Dataptr_or_null_method(c, data_pointer_or_null);
    R_set_altvec_Extract_subset_method(c, extract_subset<T, type>);
  }
};

}  // namespace

bool is_numeric_view(SEXP x) { return classes.have(x); }

SEXP build_numeric_view(const view_state& state, SEXP pointer) {
  SEXP raw = PROTECT(Rf_allocVector(RAWSXP, sizeof state));
  std::memcpy(RAW(raw), &state, sizeof state);
  SEXP view = R_new_altrep(classes.of(state.type), raw, pointer);
  last_read.forget();
  last_pointer.forget();
  UNPROTECT(1);
  return view;
}

void register_numeric_classes(DllInfo* dll) { classes = make_number_classes<methods>("", dll); }

}  // namespace ocr
