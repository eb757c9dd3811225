// Whether this machine has sealed memfds; tests/oldkernel runs tests where it hasn't.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace test {

inline bool has_sealed_memfd() {
  const int file = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  const bool sealed = file >= 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
  if (file >= 0) close(file);
  return sealed;
}

// For the start of a test, or SetUp.
#define NEEDS_SEALED_MEMFD() \
  if (!test::has_sealed_memfd()) GTEST_SKIP() << "this kernel has no sealed memfd"

}  // namespace test
