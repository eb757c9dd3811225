#include "os/directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>

#include "os/file.hpp"

namespace onecopy::os {
namespace {

status check(int answer, const char* doing, const std::string& what) {
  if (answer == 0) return done();
  return failure::from_errno(std::string(doing) + ' ' + what);
}

result<bool> remove(int directory, const std::string& name, int flags) {
  if (unlinkat(directory, name.c_str(), flags) == 0) return true;
  if (errno == ENOENT) return false;
  return failure::from_errno("remove " + name);
}

std::string proc_path(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

struct times {
  timespec access_and_modified[2];
  explicit times(double seconds) {
    const double whole = std::floor(seconds);
    access_and_modified[0] = {0, UTIME_OMIT};
    access_and_modified[1] = {static_cast<time_t>(whole), static_cast<long>((seconds - whole) * 1e9)};
  }
};

}  // namespace

status make_directory(const std::string& path, unsigned mode) { return make_directory_at(AT_FDCWD, path, mode); }

status make_directory_at(int directory, const std::string& name, unsigned mode) {
  return check(mkdirat(directory, name.c_str(), mode), "make the directory", name);
}

status make_link(const std::string& target, int directory, const std::string& name) {
  return check(symlinkat(target.c_str(), directory, name.c_str()), "make the link", name);
}

status rename_at(int directory, const std::string& from, const std::string& to) {
  return check(renameat(directory, from.c_str(), directory, to.c_str()), "put in place", to);
}

result<bool> remove_at(int directory, const std::string& name) { return remove(directory, name, 0); }
result<bool> remove_directory_at(int directory, const std::string& name) {
  return remove(directory, name, AT_REMOVEDIR);
}

result<fd> open_unnamed(int directory, unsigned mode) {
  // Without /proc only a privileged process could give the file its name later.
  if (access("/proc/self/fd", X_OK) != 0)
    return failure{error_kind::unsupported, "make a file without a name", "/proc is not mounted", ""};
  const int number = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (number >= 0) return fd(number);
  // What kernels and file systems without O_TMPFILE say: they see O_DIRECTORY with write access.
  if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT || errno == ENOSYS)
    return failure{error_kind::unsupported, "make a file without a name", "the file system has none", "", errno};
  return failure::from_errno("make a file in the store");
}

status link_unnamed(int descriptor, int directory, const std::string& name) {
  return check(linkat(AT_FDCWD, proc_path(descriptor).c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW),
               "give a region its name", name);
}

status hard_link(int directory, const std::string& from, const std::string& to) {
  return check(linkat(directory, from.c_str(), directory, to.c_str(), 0), "put in place", to);
}

status set_mode(int descriptor, unsigned mode) { return check(fchmod(descriptor, mode), "protect", "a region"); }

status set_modified(int descriptor, double seconds) {
  return check(futimens(descriptor, times(seconds).access_and_modified), "set the lease of", "a region");
}

status set_modified_at(int directory, const std::string& name, double seconds) {
  return check(utimensat(directory, name.c_str(), times(seconds).access_and_modified, AT_SYMLINK_NOFOLLOW),
               "set the lease of", name);
}

status sync_file(int descriptor) { return check(fsync(descriptor), "write to disk", "a region"); }

result<fd> reopen(int descriptor, int flags) { return open_file(proc_path(descriptor), flags); }

}  // namespace onecopy::os
