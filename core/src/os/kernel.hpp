// Kernel constants newer than the distribution's headers, and nothing else.
#pragma once

#include <fcntl.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cstdint>

#ifndef MFD_NOEXEC_SEAL  // Linux 6.3
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE  // Linux 5.1
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace onecopy::os {

// PAGEMAP_SCAN, Linux 6.7: ioctl on /proc/self/pagemap. Layout of include/uapi/linux/fs.h.
struct page_region {
  std::uint64_t start, end, categories;
};
struct pm_scan_arg {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  std::uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
inline constexpr unsigned long pagemap_scan = _IOWR('f', 16, pm_scan_arg);
inline constexpr std::uint64_t page_is_file = 1u << 2, page_is_present = 1u << 3, page_is_swapped = 1u << 4;

}  // namespace onecopy::os
