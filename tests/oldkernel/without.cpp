// onecopy_without <feature>[,<feature>...] <program> [argument...]
//
// Runs a program, and all it starts, as on a kernel or in a container that lacks the features. Each is taken away by a
// seccomp filter that answers with the errno such a kernel answers with. Exit status 77: this machine can't do that.
#include <fcntl.h>
#include <linux/memfd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>

namespace {

constexpr int cannot = 77;

scmp_filter_ctx filter;

void require(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "can't %s here: %s\n", what, std::strerror(errno));
  std::exit(cannot);
}

void deny(int error, int call) {
  require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call, 0) == 0, "forbid a call");
}
void deny_if(int error, int call, scmp_arg_cmp argument) {
  require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call, 1, argument) == 0,
          "forbid a call");
}
scmp_arg_cmp has_bits(unsigned which, scmp_datum_t bits) { return {which, SCMP_CMP_MASKED_EQ, bits, bits}; }
scmp_arg_cmp is(unsigned which, scmp_datum_t value) { return {which, SCMP_CMP_EQ, value, 0}; }

// A mount namespace of our own; as an ordinary user inside a user namespace.
bool own_mounts() {
  const auto user = geteuid(), group = getegid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << user << ' ' << user << " 1";
    std::ofstream("/proc/self/gid_map") << group << ' ' << group << " 1";
  }
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

const std::map<std::string, std::function<void()>> features = {
    // Linux before 3.17; or a profile that forbids it
    {"memfd", [] { deny(ENOSYS, SCMP_SYS(memfd_create)); }},
    {"memfd-permission", [] { deny(EPERM, SCMP_SYS(memfd_create)); }},
    // Linux before 6.3 does not know MFD_NOEXEC_SEAL
    {"noexec-seal", [] { deny_if(EINVAL, SCMP_SYS(memfd_create), has_bits(1, 0x0008)); }},
    {"sealing", [] { deny_if(EINVAL, SCMP_SYS(fcntl), is(1, F_ADD_SEALS)); }},
    // File systems without it
    {"tmpfile",
     [] {
       deny_if(EOPNOTSUPP, SCMP_SYS(openat), has_bits(2, O_TMPFILE));
       deny_if(EOPNOTSUPP, SCMP_SYS(open), has_bits(1, O_TMPFILE));
     }},
    {"fallocate", [] { deny(EOPNOTSUPP, SCMP_SYS(fallocate)); }},
    // Linux before 6.7
    {"pagemap-scan", [] { deny_if(ENOTTY, SCMP_SYS(ioctl), is(1, _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, 96))); }},
    {"newer-calls",
     [] {
       for (const int call : {SCMP_SYS(openat2), SCMP_SYS(close_range), SCMP_SYS(statx), SCMP_SYS(renameat2),
                              SCMP_SYS(pidfd_open), SCMP_SYS(faccessat2), SCMP_SYS(userfaultfd),
                              SCMP_SYS(io_uring_setup)})
         deny(ENOSYS, call);
     }},
    {"proc-locks",
     [] {
       require(own_mounts(), "make a mount namespace");
       require(mount("/dev/null", "/proc/locks", nullptr, MS_BIND, nullptr) == 0, "hide /proc/locks");
     }},
    {"proc",
     [] {
       require(own_mounts(), "make a mount namespace");
       require(mount("tmpfs", "/proc", "tmpfs", 0, "size=64k") == 0, "hide /proc");
     }},
};

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "usage: onecopy_without <feature>[,<feature>...] <program> [argument...]\nfeatures:");
    for (const auto& [name, take] : features) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  filter = seccomp_init(SCMP_ACT_ALLOW);
  require(filter != nullptr, "make a seccomp filter");
  std::istringstream list(words[1]);
  for (std::string name; std::getline(list, name, ',');) {
    const auto found = features.find(name);
    if (found == features.end()) {
      std::fprintf(stderr, "no such feature: %s\n", name.c_str());
      return 2;
    }
    found->second();
  }
  require(seccomp_load(filter) == 0, "load a seccomp filter");
  seccomp_release(filter);
  execvp(words[2], words + 2);
  std::fprintf(stderr, "can't run %s: %s\n", words[2], std::strerror(errno));
  return 127;
}
