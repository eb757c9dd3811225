#include "region/lease.hpp"

#include <fcntl.h>

#include <cstddef>

#include "format/layout.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"

namespace onecopy::detail {
namespace {

constexpr std::uint64_t place = offsetof(format::header, lease_end);

bool is_mutable(const struct stat& info) noexcept { return (info.st_mode & S_IWUSR) != 0; }

}  // namespace

double lease_end(int descriptor, const struct stat& info) noexcept {
  double end = static_cast<double>(info.st_mtim.tv_sec) + static_cast<double>(info.st_mtim.tv_nsec) * 1e-9;
  if (!is_mutable(info)) return end;
  end = 0;
  if (!os::read_at(descriptor, std::as_writable_bytes(std::span(&end, 1)), place)) return 0;
  return end;
}

result<double> lease_end(const store_directory& store, const std::string& entry) {
  auto named = os::status_at(store.fd(), entry);
  if (!named) return named.reason();
  if (!*named) return failure{error_kind::not_found, "read the lease of " + entry, "it is gone", ""};
  if (!is_mutable(**named)) return lease_end(-1, **named);
  auto file = os::open_at(store.fd(), entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return file.reason();
  auto info = os::status_of(file->get(), entry);
  if (!info) return info.reason();
  return lease_end(file->get(), *info);
}

status set_lease_end(const store_directory& store, const std::string& entry, double end) {
  auto info = os::status_at(store.fd(), entry);
  if (!info) return info.reason();
  if (!*info || !is_mutable(**info)) return os::set_modified_at(store.fd(), entry, end);
  auto file = os::open_at(store.fd(), entry, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return file.reason();
  return os::write_at(file->get(), std::as_bytes(std::span(&end, 1)), place);
}

}  // namespace onecopy::detail
