#include "onecopy/error.hpp"

#include <cstring>

#include "base/result.hpp"

namespace onecopy {

namespace {

std::string paragraph(const std::string& tried, const std::string& happened, const std::string& remedy) {
  std::string text = "can't " + tried + ": " + happened;
  if (!remedy.empty()) text += ". " + remedy;
  if (text.back() != '.') text += '.';
  return text;
}

error_kind kind_of(int os_error) noexcept {
  switch (os_error) {
    case ENOENT: return error_kind::not_found;
    case EEXIST: return error_kind::exists;
    case ENOSPC: case EDQUOT: case EFBIG: return error_kind::no_space;
    case ENOMEM: return error_kind::no_memory;
    case EACCES: case EPERM: case EROFS: case ELOOP: return error_kind::permission;
    case EAGAIN: case EBUSY: return error_kind::busy;
    case ETIMEDOUT: return error_kind::timeout;
    case EINTR: return error_kind::interrupted;
    case EPIPE: case ECONNRESET: case ECONNREFUSED: return error_kind::peer_closed;
    case ENOSYS: case EOPNOTSUPP: return error_kind::unsupported;
    case EINVAL: case ENAMETOOLONG: case ENOTDIR: case EISDIR: return error_kind::invalid_argument;
    default: return error_kind::system;
  }
}

const char* usual_remedy(int os_error) noexcept {
  switch (os_error) {
    case EMFILE: return "This process has too many open files: close some or raise `ulimit -n`";
    case ENFILE: return "The machine has too many open files: raise fs.file-max";
    case ENOSPC: return "Free objects (`onecopy ls`, `onecopy gc`) or enlarge the file system";
    case ENOMEM:
      return "Free memory, or raise vm.max_map_count if this process has many objects attached (`onecopy doctor`)";
    default: return "";
  }
}

}  // namespace

const char* name_of(error_kind kind) noexcept {
  switch (kind) {
    case error_kind::invalid_argument: return "invalid_argument";
    case error_kind::not_found: return "not_found";
    case error_kind::exists: return "exists";
    case error_kind::corrupt: return "corrupt";
    case error_kind::unsupported: return "unsupported";
    case error_kind::no_space: return "no_space";
    case error_kind::no_memory: return "no_memory";
    case error_kind::permission: return "permission";
    case error_kind::wrong_host: return "wrong_host";
    case error_kind::wrong_type: return "wrong_type";
    case error_kind::busy: return "busy";
    case error_kind::timeout: return "timeout";
    case error_kind::owner_died: return "owner_died";
    case error_kind::peer_closed: return "peer_closed";
    case error_kind::interrupted: return "interrupted";
    case error_kind::system: return "system";
  }
  return "system";
}

error::error(error_kind kind, const std::string& tried, const std::string& happened, const std::string& remedy,
             int os_error)
    : std::runtime_error(paragraph(tried, happened, remedy)),
      kind_(kind), tried_(tried), happened_(happened), remedy_(remedy), os_error_(os_error) {}

failure failure::from_errno(std::string tried, int saved_errno, std::string remedy) {
  if (remedy.empty()) remedy = usual_remedy(saved_errno);
  return {kind_of(saved_errno), std::move(tried), std::strerror(saved_errno), std::move(remedy), saved_errno};
}

void raise(const failure& reason) {
  throw error(reason.kind, reason.tried, reason.happened, reason.remedy, reason.os_error);
}

}  // namespace onecopy
