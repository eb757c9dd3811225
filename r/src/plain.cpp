// Ordinary R vectors over shared memory: R writes its header just before the elements, in a page that is private to
// this process, and believes that it allocated the vector itself.
#include "plan.h"

#include <R_ext/Rallocators.h>

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

}  // namespace

plain_block* new_plain_block(const onecopy::region& region, std::uint64_t offset, std::uint64_t bytes) {
  if (offset < page) return nullptr;
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
  return Rf_allocVector3(type, length, &allocator);
}

}  // namespace ocr
