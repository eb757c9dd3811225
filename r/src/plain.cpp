// Ordinary R vectors over shared memory: R writes its header just before the elements, in a page that is private to
// this process, and believes that it allocated the vector itself.
#include "plan.h"

#include <R_ext/Rallocators.h>
#if R_VERSION >= R_Version(4, 6, 0)
#include <dlfcn.h>
#endif

namespace ocr {

namespace {

// R's header and its allocator record take 80 bytes on 64-bit machines; a whole page keeps the elements aligned to
// pages, so that they can be mapped instead of copied.
constexpr std::uint64_t page = 4096;

void* allocate(R_allocator_t* allocator, std::size_t size) {
  auto* block = static_cast<plain_block*>(allocator->data);
  // R rounds the elements up to whole doubles; the rest of what it asks for is its header.
  const std::size_t elements = (block->bytes + 7) / 8 * 8;
  const std::size_t header = size - elements;
  if (block->taken || size < elements || header > static_cast<std::size_t>(block->data - block->pages.data()))
    return nullptr;
  block->taken = true;
  return block->data - header;
}

void release(R_allocator_t* allocator, void*) {
  // The record lies in the memory that goes away: take what is needed from it first.
  delete static_cast<plain_block*>(allocator->data);
}

using vector_maker = SEXP (*)(SEXPTYPE, R_xlen_t, R_allocator_t*);

// R's function that takes an allocator. R 4.6 declares it no longer and counts it as its own business; it is looked up
// there only for users who ask for it (option onecopy.plain_in_place). Null: plain vectors are copied.
vector_maker find_maker() {
#if R_VERSION < R_Version(4, 6, 0)
  return Rf_allocVector3;
#else
  static const auto found = reinterpret_cast<vector_maker>(dlsym(RTLD_DEFAULT, "Rf_allocVector3"));
  SEXP wanted = Rf_GetOption1(Rf_install("onecopy.plain_in_place"));
  return TYPEOF(wanted) == LGLSXP && Rf_asLogical(wanted) == TRUE ? found : nullptr;
#endif
}

}  // namespace

plain_block* new_plain_block(const onecopy::region& region, std::uint64_t offset, std::uint64_t bytes) {
  if (offset < page || find_maker() == nullptr) return nullptr;
  auto block = std::make_unique<plain_block>();
  block->region = region;
  // The page before the elements belongs to another leaf; this process gets a copy of it to overwrite.
  block->pages = region.private_view(offset - page, bytes + page);
  block->data = block->pages.data() + page;
  block->bytes = bytes;
  return block.release();
}

SEXP build_plain_vector(SEXPTYPE type, R_xlen_t length, plain_block* block) {
  R_allocator_t allocator{allocate, release, nullptr, block};
  return find_maker()(type, length, &allocator);
}

}  // namespace ocr
