#include "os/memfd.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>

#include "os/kernel.hpp"

namespace onecopy::os {

namespace {
constexpr int fixed_size = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr int frozen = fixed_size | F_SEAL_WRITE;
bool has_seals(int descriptor, int wanted) noexcept {
  const int seals = fcntl(descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & wanted) == wanted;
}
status add_seals(int descriptor, int seals) {
  if (fcntl(descriptor, F_ADD_SEALS, seals) != 0) return failure::from_errno("seal a memfd");
  return done();
}
}  // namespace

result<fd> make_memfd(const char* label) {
  int number = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (number < 0 && errno == EINVAL)  // before Linux 6.3
    number = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (number < 0) return failure::from_errno("make anonymous shared memory (memfd_create)");
  return fd(number);
}

status seal(int descriptor) { return add_seals(descriptor, frozen | F_SEAL_SEAL); }
status seal_size(int descriptor) { return add_seals(descriptor, fixed_size | F_SEAL_SEAL); }
bool is_sealed(int descriptor) noexcept { return has_seals(descriptor, frozen); }
bool can_be_sealed(int descriptor) noexcept {
  const int seals = fcntl(descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SEAL) == 0;
}
bool is_size_sealed(int descriptor) noexcept { return has_seals(descriptor, fixed_size); }

}  // namespace onecopy::os
