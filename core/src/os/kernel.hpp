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

// madvise(2). Values of include/uapi/asm-generic/mman-common.h.
inline constexpr int madv_pageout = 21;        // Linux 5.4
inline constexpr int madv_populate_read = 22;  // 5.14

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

// userfaultfd. Names of our own, because the headers of the distributions have some of the originals and not others.
// Values of include/uapi/linux/userfaultfd.h.
inline constexpr int uffd_user_mode_only = 1;                                  // Linux 5.11
inline constexpr std::uint64_t feature_minor_shmem = 1u << 10;                 // 5.14
inline constexpr std::uint64_t feature_wp_shmem = 1u << 12;                    // 5.19
inline constexpr std::uint64_t register_wp = 1u << 1, register_minor = 1u << 2;
inline constexpr std::uint64_t writeprotect_mode_wp = 1u << 0;
inline constexpr std::uint64_t continue_mode_wp = 1u << 1;                     // 6.4
struct uffdio_range_now {
  std::uint64_t start, len;
};
struct uffdio_continue_now {
  uffdio_range_now range;
  std::uint64_t mode;
  std::int64_t mapped;
};
struct uffdio_writeprotect_now {
  uffdio_range_now range;
  std::uint64_t mode;
};
inline constexpr unsigned long uffdio_continue_request = _IOWR(0xAA, 0x07, uffdio_continue_now);
inline constexpr unsigned long uffdio_writeprotect_request = _IOWR(0xAA, 0x06, uffdio_writeprotect_now);
inline constexpr unsigned long userfaultfd_ioc_new = _IO(0xAA, 0x00);          // 6.1, on /dev/userfaultfd

}  // namespace onecopy::os
