// What this machine allows, and the remedy for what it does not.
#include <fcntl.h>

#include <cstdio>

#include "base/arithmetic.hpp"
#include "onecopy/store.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "os/probe.hpp"
#include "os/system.hpp"
#include "region/directory.hpp"

namespace onecopy::store {
namespace {

using level = check::level;

std::string in_units(std::uint64_t bytes) {
  const char* units[] = {"bytes", "KB", "MB", "GB", "TB"};
  double number = static_cast<double>(bytes);
  int unit = 0;
  for (; number >= 1024 && unit < 4; ++unit) number /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", number, units[unit]);
  return text;
}

check store_check() {
  auto store = detail::store_directory::current();
  if (!store) return {"store", level::error, store.reason().happened, store.reason().remedy};
  return {"store", level::ok, (*store)->path(), ""};
}

check space_check() {
  auto store = detail::store_directory::current();
  if (!store) return {"room in the store", level::error, "there is no store", "See above"};
  auto space = os::space_of((*store)->path());
  if (!space) return {"room in the store", level::warning, space.reason().happened, ""};
  check made{"room in the store", level::ok,
             in_units(space->available) + " of " + in_units(space->total) + (space->is_tmpfs ? " in memory" : " on disk"),
             ""};
  if (!space->is_tmpfs) {
    made.state = level::warning;
    made.remedy = "Objects are written to a disk: set ONECOPY_DIR to a directory on a tmpfs, like /dev/shm";
  } else if (space->total < (std::uint64_t{1} << 30)) {
    made.state = level::warning;
    made.remedy = "Larger objects go to anonymous memory, whose handles work as long as a holder lives. Enlarge it: "
                  "`mount -o remount,size=50% /dev/shm`, or in a container --shm-size=8g or an emptyDir of medium Memory";
  }
  return made;
}

check memfd_check() {
  auto memfd = os::make_memfd("onecopy-doctor");
  if (!memfd) return {"anonymous shared memory", level::error, memfd.reason().happened,
                      "Objects can't be sent as descriptors: allow memfd_create in this container's seccomp profile"};
  if (auto sealed = os::seal(memfd->get()); !sealed)
    return {"anonymous shared memory", level::warning, "it can't be sealed: " + sealed.reason().happened,
            "Receivers in other users' processes will refuse it"};
  return {"anonymous shared memory", level::ok, "memfd with seals", ""};
}

check mapping_check() {
  const auto limit = os::mapping_limit();
  check made{"mappings a process may have", level::ok, std::to_string(limit), ""};
  if (limit < 65000) {
    made.state = level::warning;
    made.remedy = "One object takes one mapping: `sysctl vm.max_map_count=262144`";
  }
  return made;
}

check descriptor_check() {
  return {"files a process may open", level::ok, std::to_string(os::descriptor_limit()) + " (objects need none)", ""};
}

check overcommit_check() {
  auto mode = os::read_whole("/proc/sys/vm/overcommit_memory");
  if (!mode) return {"memory overcommit", level::warning, "unknown: /proc/sys is not there", ""};
  if (mode->front() == '2')
    return {"memory overcommit", level::warning, "strict (vm.overcommit_memory = 2)",
            "Code that asks for a writable pointer to a large object may be refused: set it to 0 or 1 where you can"};
  return {"memory overcommit", level::ok, "allowed", ""};
}

check divergence_check() {
  char here = 0;
  const auto page = round_down(reinterpret_cast<std::uintptr_t>(&here), page_size);
  if (auto known = os::private_bytes(reinterpret_cast<void*>(page), page_size); !known)
    return {"page map", level::warning, known.reason().happened,
            "Objects that something wrote to are compared byte by byte before they are sent: slower, not wrong"};
  return {"page map", level::ok, "readable", ""};
}

check userfault_check() {
  const auto found = os::probe_userfaultfd();
  if (found.empty()) return {"lazy objects (userfaultfd)", level::ok, "available", ""};
  return {"lazy objects (userfaultfd)", level::warning, found,
          "Allow userfaultfd in this container's seccomp profile; everything else works without it"};
}

}  // namespace

std::vector<check> doctor() {
  return {store_check(),      space_check(),      memfd_check(),      mapping_check(),
          descriptor_check(), overcommit_check(), divergence_check(), userfault_check()};
}

}  // namespace onecopy::store
