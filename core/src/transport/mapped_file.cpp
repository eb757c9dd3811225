#include "onecopy/mapped_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "transport/file_region.hpp"

namespace onecopy {
namespace {

error refuse(const std::string& path, const std::string& happened, const std::string& remedy) {
  return error(error_kind::invalid_argument, "map " + path, happened, remedy);
}

struct extent {
  std::uint64_t count = 0, bytes = 0;
};

extent extent_of(const std::string& path, const map_options& options, std::uint64_t file_bytes) {
  const std::uint64_t width = size_of(options.type);
  if (width == 0)
    throw refuse(path, "files can't be seen as elements of that type", "Map it as raw bytes, and view them");
  if (options.offset % format::buffer_alignment != 0)
    throw refuse(path, "the offset " + std::to_string(options.offset) + " is not a multiple of 64",
                 "Map from an earlier multiple of 64, as raw bytes, and view a part");
  if (options.offset > file_bytes)
    throw refuse(path, "the offset lies beyond the end: the file has " + std::to_string(file_bytes) + " bytes",
                 "Check the offset");
  const std::uint64_t there = file_bytes - options.offset;
  if (!options.count && there % width != 0)
    throw refuse(path, std::to_string(there) + " bytes are no whole number of " + name_of(options.type),
                 "Say how many elements there are, or choose another type");
  const std::uint64_t count = options.count.value_or(there / width);
  const auto bytes = checked_mul(count, width);
  if (!bytes || *bytes > there)
    throw refuse(path, "it has room for " + std::to_string(there / width) + " elements, not " + std::to_string(count),
                 "Check the count and the type");
  return {count, *bytes};
}

std::vector<std::uint64_t> shape_of(const std::string& path, const map_options& options, std::uint64_t count) {
  if (options.shape.size() > 256) throw refuse(path, "it has too many dimensions", "Use at most 256");
  std::uint64_t product = 1;
  for (const std::uint64_t extent : options.shape) {
    const auto next = checked_mul(product, extent);
    if (!next) throw refuse(path, "its shape is larger than memory", "Check the shape");
    product = *next;
  }
  if (!options.shape.empty() && product != count)
    throw refuse(path, "its shape has " + std::to_string(product) + " elements, the file " + std::to_string(count),
                 "Check the shape");
  return options.shape;
}

}  // namespace

value map_file(const std::string& path, const map_options& options) {
  const os::fd file = unwrap(os::open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));  // a FIFO must not make us wait
  const auto info = unwrap(os::status_of(file.get(), path));
  if (!S_ISREG(info.st_mode)) throw refuse(path, "it is not an ordinary file", "Name a file");
  const auto [count, bytes] = extent_of(path, options, static_cast<std::uint64_t>(info.st_size));
  const auto shape = shape_of(path, options, count);

  format::node_record node{};
  node.kind = node_kind::array;
  node.type = static_cast<std::uint8_t>(options.type);
  if (options.order == memory_order::row_major) node.flags |= format::node_row_major;
  node.length = count;
  node.data_bytes = bytes;
  const std::uint64_t begin = round_down(options.offset, page_size);
  const std::uint64_t skip = options.offset - begin;
  const auto front = transport::make_front(node, shape, skip, skip + bytes);
  return value(region(unwrap(transport::hold_mapped_file(file.get(), path, {{begin, skip + bytes}, front}))));
}

mapped_file::mapped_file(const std::string& path, const map_options& options) : node_(map_file(path, options)) {}

mapped_file::mapped_file(value received) : node_(std::move(received)) {
  if (!node_ || node_.region().where() != backing::mapped_file || node_.kind() != node_kind::array)
    throw error(error_kind::wrong_type, "use an object as a mapped file", "its bytes do not lie in one",
                "Only what map_file made, here or where it was sent from, is one");
}

void mapped_file::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (!within(offset, out.size(), size()))
    throw error(error_kind::invalid_argument, "read bytes " + std::to_string(offset) + " to " +
                                                  std::to_string(offset + out.size()) + " of " + path(),
                "it has " + std::to_string(size()));
  if (!out.empty()) std::memcpy(out.data(), bytes().data() + offset, out.size());
  check();
}

void mapped_file::check() const { node_.region().check_intact(); }
bool mapped_file::intact() const noexcept { return node_.region().intact(); }

}  // namespace onecopy
