// What shareCluster() is made of: which regions an object's serialized form names, their bytes in pieces, and the other
// end, where pieces that arrive one call after the other become a region of that store.
#include <condition_variable>
#include <csignal>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "api.h"
#include "view.h"

using namespace ocr;
namespace store = onecopy::store;

namespace {

// store::import asks for bytes; here they come when the other process sends them. So it runs in a thread of its own,
// which calls nothing of R, and waits for pieces.
class importer {
 public:
  importer(const onecopy::object_id& id, std::uint64_t bytes)
      : bytes_(bytes), thread_([this, id, bytes] {
          // R's handlers of signals must run in R's own thread.
          sigset_t all;
          sigfillset(&all);
          pthread_sigmask(SIG_SETMASK, &all, nullptr);
          run(id, bytes);
        }) {}

  ~importer() {
    {
      std::lock_guard lock(mutex_);
      given_up_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // Until the memory is reserved. Throws what store::import threw.
  void wait_until_ready() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return asking_ || ended_; });
    if (failure_) std::rethrow_exception(failure_);
  }

  // Returns when the piece is used. Throws what store::import threw.
  void write(std::span<const std::byte> piece) {
    std::unique_lock lock(mutex_);
    if (given_ + piece.size() > bytes_)
      throw onecopy::error(onecopy::error_kind::corrupt, "receive a shared object", "more bytes came than it has");
    given_ += piece.size();
    piece_ = piece;
    changed_.notify_all();
    changed_.wait(lock, [this] { return piece_.empty() || ended_; });
    piece_ = {};
    if (failure_) std::rethrow_exception(failure_);
  }

  onecopy::region finish() {
    std::unique_lock lock(mutex_);
    if (!ended_ && given_ < bytes_)
      throw onecopy::error(onecopy::error_kind::corrupt, "receive a shared object",
                           std::to_string(given_) + " of " + std::to_string(bytes_) + " bytes came");
    changed_.wait(lock, [this] { return ended_; });
    if (failure_) std::rethrow_exception(failure_);
    return made_;
  }

 private:
  void run(const onecopy::object_id& id, std::uint64_t bytes) {
    std::exception_ptr failure;
    onecopy::region made;
    try {
      made = store::import(id, bytes, [this](std::uint64_t offset, std::span<std::byte> out) { fill(offset, out); });
    } catch (...) {
      failure = std::current_exception();
    }
    std::lock_guard lock(mutex_);
    made_ = std::move(made);
    failure_ = failure;
    ended_ = true;
    changed_.notify_all();
  }

  void fill(std::uint64_t offset, std::span<std::byte> out) {
    std::unique_lock lock(mutex_);
    if (offset != used_)
      throw onecopy::error(onecopy::error_kind::no_space, "receive a shared object", "the store has no room for it");
    asking_ = true;
    changed_.notify_all();
    while (!out.empty()) {
      changed_.wait(lock, [this] { return !piece_.empty() || given_up_; });
      if (given_up_)
        throw onecopy::error(onecopy::error_kind::interrupted, "receive a shared object", "the sender gave up");
      const std::size_t size = std::min(out.size(), piece_.size());
      std::memcpy(out.data(), piece_.data(), size);
      out = out.subspan(size);
      piece_ = piece_.subspan(size);
      used_ += size;
      if (piece_.empty()) changed_.notify_all();
    }
  }

  const std::uint64_t bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::span<const std::byte> piece_;     // what is left of it; its owner waits in write()
  std::uint64_t given_ = 0, used_ = 0;
  bool asking_ = false, ended_ = false, given_up_ = false;
  onecopy::region made_;
  std::exception_ptr failure_;
  std::thread thread_;                   // last: it uses all of the above
};

void drop_importer(SEXP pointer) {
  delete static_cast<importer*>(R_ExternalPtrAddr(pointer));
  R_ClearExternalPtr(pointer);
}

importer& importer_of(SEXP pointer) {
  if (TYPEOF(pointer) != EXTPTRSXP || R_ExternalPtrTag(pointer) != Rf_install("onecopy_import") ||
      !R_ExternalPtrAddr(pointer))
    throw onecopy::error(onecopy::error_kind::invalid_argument, "receive a shared object", "nothing is being received");
  return *static_cast<importer*>(R_ExternalPtrAddr(pointer));
}

onecopy::region region_in(SEXP pointer) {
  if (TYPEOF(pointer) != EXTPTRSXP || R_ExternalPtrTag(pointer) != Rf_install("onecopy_region") ||
      !R_ExternalPtrAddr(pointer))
    bad_argument("region", "it is not a region of this process");
  return ref_of(pointer)->region;
}

onecopy::object_id id_argument(SEXP id) { return onecopy::object_id::parse(text_argument(id, "id")); }

}  // namespace

// Begins to note what serialize() sends as handles.
SEXP oc_travel_begin() {
  return entry([&] {
    note_travellers(true);
    return R_NilValue;
  });
}

// list(regions, ids, sizes, other): the regions noted since oc_travel_begin(), each once; whether anything else was
// sent that leads to this host: a file or a lazy object.
SEXP oc_travel_end() {
  return entry([&]() -> SEXP {
    SEXP noted = travellers();
    const bool other = travellers_elsewhere();
    keep held(noted);
    note_travellers(false);
    std::vector<std::string> ids;
    std::vector<double> sizes;
    for (SEXP at = held; at != R_NilValue; at = CDR(at)) {
      const onecopy::region& region = ref_of(CAR(at))->region;
      ids.push_back(region.id().text());
      sizes.push_back(static_cast<double>(region.bytes().size()));
    }
    const auto* id_texts = &ids;
    const auto* byte_counts = &sizes;
    SEXP regions = held;
    return r_call([=] {
      const char* names[] = {"regions", "ids", "sizes", "other", ""};
      SEXP out = PROTECT(Rf_mkNamed(VECSXP, names));
      const auto n = static_cast<R_xlen_t>(id_texts->size());
      SET_VECTOR_ELT(out, 0, Rf_allocVector(VECSXP, n));
      SET_VECTOR_ELT(out, 1, Rf_allocVector(STRSXP, n));
      SET_VECTOR_ELT(out, 2, Rf_allocVector(REALSXP, n));
      SET_VECTOR_ELT(out, 3, Rf_ScalarLogical(other));
      SEXP at = regions;
      for (R_xlen_t i = 0; i < n; ++i, at = CDR(at)) {
        SET_VECTOR_ELT(VECTOR_ELT(out, 0), i, CAR(at));
        SET_STRING_ELT(VECTOR_ELT(out, 1), i, Rf_mkChar((*id_texts)[static_cast<std::size_t>(i)].c_str()));
        REAL(VECTOR_ELT(out, 2))[i] = (*byte_counts)[static_cast<std::size_t>(i)];
      }
      UNPROTECT(1);
      return out;
    });
  });
}

SEXP oc_region_writable(SEXP region) {
  return entry([&] { return Rf_ScalarLogical(region_in(region).writable()); });
}

// Bytes [offset, offset + size) of a region, fewer at its end.
SEXP oc_region_piece(SEXP region, SEXP offset, SEXP size) {
  return entry([&]() -> SEXP {
    const onecopy::region from = region_in(region);
    const double first = number_argument(offset, "offset"), wanted = number_argument(size, "size");
    const auto all = from.bytes();
    if (!(first >= 0) || !(first <= static_cast<double>(all.size())) || !(wanted >= 0) || !(wanted < 2147483648.0))
      bad_argument("offset", "it is outside of the region");
    const auto piece = all.subspan(static_cast<std::size_t>(first));
    const std::size_t bytes = std::min(piece.size(), static_cast<std::size_t>(wanted));
    SEXP out = r_call([=] { return Rf_allocVector(RAWSXP, static_cast<R_xlen_t>(bytes)); });
    std::memcpy(RAW(out), piece.data(), bytes);
    return out;
  });
}

// What both ends of a transfer compare, as text: R has no integer of 64 bits.
SEXP oc_checksum(SEXP piece) {
  return entry([&]() -> SEXP {
    if (TYPEOF(piece) != RAWSXP) bad_argument("piece", "it is not a raw vector");
    const auto* bytes = reinterpret_cast<const std::byte*>(RAW(piece));
    const std::string text = std::to_string(store::checksum({bytes, static_cast<std::size_t>(XLENGTH(piece))}));
    const char* characters = text.c_str();
    return r_call([=] { return Rf_mkString(characters); });
  });
}

// The region of that id in this process's store, held as long as the pointer lives; NULL when it is not here.
SEXP oc_hold(SEXP id) {
  return entry([&]() -> SEXP {
    const onecopy::handle where{store::host_id(), store::store_id(), id_argument(id), 0};
    try {
      return new_region_pointer(store::attach(where), false);
    } catch (const onecopy::error& e) {
      if (e.kind() == onecopy::error_kind::not_found) return R_NilValue;
      throw;
    }
  });
}

SEXP oc_place() {
  return entry([&] {
    const std::string place = store::host_id() + ":" + store::store_id();
    const char* text = place.c_str();
    return r_call([=] { return Rf_mkString(text); });
  });
}

SEXP oc_import_begin(SEXP id, SEXP bytes) {
  return entry([&]() -> SEXP {
    const double size = number_argument(bytes, "bytes");
    if (!(size > 0) || size > 9e15 || size != std::floor(size)) bad_argument("bytes", "it is not a number of bytes");
    const auto which = id_argument(id);
    keep pointer(r_call([=] {
      SEXP made = PROTECT(R_MakeExternalPtr(nullptr, Rf_install("onecopy_import"), R_NilValue));
      R_RegisterCFinalizerEx(made, drop_importer, TRUE);
      UNPROTECT(1);
      return made;
    }));
    auto made = std::make_unique<importer>(which, static_cast<std::uint64_t>(size));
    made->wait_until_ready();
    R_SetExternalPtrAddr(pointer, made.release());
    return pointer;
  });
}

SEXP oc_import_write(SEXP pointer, SEXP piece) {
  return entry([&]() -> SEXP {
    if (TYPEOF(piece) != RAWSXP) bad_argument("piece", "it is not a raw vector");
    const auto* bytes = reinterpret_cast<const std::byte*>(RAW(piece));
    importer_of(pointer).write({bytes, static_cast<std::size_t>(XLENGTH(piece))});
    return R_NilValue;
  });
}

// The region, held as long as the pointer lives.
SEXP oc_import_end(SEXP pointer) {
  return entry([&]() -> SEXP {
    SEXP held = new_region_pointer(importer_of(pointer).finish(), false);
    drop_importer(pointer);
    return held;
  });
}

// Ends a transfer that will not be completed. Nothing is left of it.
SEXP oc_import_abort(SEXP pointer) {
  return entry([&]() -> SEXP {
    const bool ours = TYPEOF(pointer) == EXTPTRSXP && R_ExternalPtrTag(pointer) == Rf_install("onecopy_import");
    if (ours) drop_importer(pointer);
    return R_NilValue;
  });
}
