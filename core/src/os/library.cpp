#include "os/library.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace onecopy::os {

namespace {

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// A library of its own name in /proc would be resolved elsewhere; those without a file (vdso) have no slash.
const link_map* loaded(const link_map* first, const std::string& name) {
  for (const link_map* one = first; one != nullptr; one = one->l_next)
    if (one->l_name != nullptr && std::strchr(one->l_name, '/') != nullptr && last_part(one->l_name) == last_part(name))
      return one;
  return nullptr;
}

// By the file itself: its name may be a link to another one.
const link_map* loaded_file(const link_map* first, const std::string& path) {
  struct stat wanted {}, seen {};
  if (stat(path.c_str(), &wanted) != 0) return nullptr;
  for (const link_map* one = first; one != nullptr; one = one->l_next)
    if (one->l_name != nullptr && stat(one->l_name, &seen) == 0 && seen.st_dev == wanted.st_dev &&
        seen.st_ino == wanted.st_ino)
      return one;
  return nullptr;
}

void collect(const link_map* first, const link_map* of, std::vector<std::string>& seen, std::vector<std::string>& out) {
  if (std::find(seen.begin(), seen.end(), of->l_name) != seen.end()) return;
  seen.emplace_back(of->l_name);
  const char* strings = nullptr;
  for (const ElfW(Dyn)* entry = of->l_ld; entry != nullptr && entry->d_tag != DT_NULL; ++entry)
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
  if (strings == nullptr) return;
  for (const ElfW(Dyn)* entry = of->l_ld; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag != DT_NEEDED) continue;
    const link_map* needed = loaded(first, strings + entry->d_un.d_val);
    if (needed == nullptr) continue;
    collect(first, needed, seen, out);
    if (std::find(out.begin(), out.end(), needed->l_name) == out.end()) out.emplace_back(needed->l_name);
  }
}

}  // namespace

std::vector<std::string> needed_libraries(const std::string& path) {
  std::vector<std::string> seen, found;
  void* self = dlopen(nullptr, RTLD_LAZY);
  link_map* first = nullptr;
  if (self == nullptr || dlinfo(self, RTLD_DI_LINKMAP, &first) != 0) return found;
  if (const link_map* of = loaded_file(first, path); of != nullptr) collect(first, of, seen, found);
  dlclose(self);
  return found;
}

result<void*> load_library(const std::string& path) {
  if (void* made = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return made;
  const char* why = dlerror();
  return failure{error_kind::not_found, "load " + path, why != nullptr ? why : "unknown", ""};
}

void* find_function(void* library, const char* name) noexcept { return dlsym(library, name); }

}  // namespace onecopy::os
