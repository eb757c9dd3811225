#include "pager/start.hpp"

#include <mutex>

#include "onecopy/lazy.hpp"
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/system.hpp"
#include "pager/protocol.hpp"

namespace onecopy::pager {

namespace {

std::mutex program_mutex;
std::string& chosen_program() {
  static auto* path = new std::string;
  return *path;
}

std::string find_program() {
  {
    std::lock_guard hold(program_mutex);
    if (!chosen_program().empty()) return chosen_program();
  }
  if (const std::string named = os::environment("ONECOPY_PAGER"); !named.empty()) return named;
  const std::string library = os::file_of_code(reinterpret_cast<const void*>(&find_program));
  if (const auto slash = library.rfind('/'); slash != std::string::npos) {
    const std::string folder = library.substr(0, slash);
    for (const char* place : {"/onecopy-pager", "/../bin/onecopy-pager", "/../libexec/onecopy/onecopy-pager",
                              "/../pager/onecopy-pager",
                              // An R package that links to the core statically: libs/ of its neighbour.
                              "/../../onecopy/libs/onecopy-pager"})
      if (os::is_executable(folder + place)) return folder + place;
  }
  // Such a package may be in another library of R than its neighbour, which it has loaded.
  for (const std::string& loaded : os::loaded_libraries()) {
    const std::string beside = loaded.substr(0, loaded.rfind('/')) + "/onecopy-pager";
    if (os::is_executable(beside)) return beside;
  }
  std::string path = os::environment("PATH");
  while (!path.empty()) {
    const auto colon = path.find(':');
    const std::string candidate = path.substr(0, colon) + "/onecopy-pager";
    if (os::is_executable(candidate)) return candidate;
    path = colon == std::string::npos ? "" : path.substr(colon + 1);
  }
  return "";
}

}  // namespace

void set_program(const std::string& path) {
  std::lock_guard hold(program_mutex);
  chosen_program() = path;
}

result<os::fd> connect(const std::string& directory, const os::deadline& until) {
  const std::string path = socket_path(directory);
  double pause = 0.001;
  os::deadline start_again = os::deadline::in(0);
  for (;;) {
    auto socket = os::connect_to(path, os::deadline::in(2));
    if (socket) return socket;
    const auto kind = socket.reason().kind;
    if (kind != error_kind::not_found && kind != error_kind::peer_closed && kind != error_kind::timeout)
      return socket.reason();
    if (start_again.passed()) {
      const std::string program = find_program();
      if (program.empty() || !os::is_executable(program))
        return failure{error_kind::not_found, "start the pager of lazy objects",
                       program.empty() ? "the program onecopy-pager was not found" : program + " can't be executed",
                       "Install it, or set ONECOPY_PAGER to its path"};
      auto child = os::start_program({program, "--background", directory});
      if (!child) return child.reason();
      // It goes to the background, so this one ends at once.
      if (!os::reap_by(*child, os::deadline::in(5))) os::kill_child(*child);
      start_again = os::deadline::in(0.25);
    }
    if (until.passed())
      return failure{error_kind::timeout, "start the pager of lazy objects", "it doesn't answer at " + path,
                     "Set ONECOPY_PAGER_LOG to a file, try again, and look at what it says there"};
    os::nap(pause);
    pause = std::min(pause * 1.5, 0.02);
  }
}

}  // namespace onecopy::pager
