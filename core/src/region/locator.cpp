#include "region/locator.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <vector>

#include "format/layout.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"
#include "os/system.hpp"

namespace onecopy::detail {
namespace {

std::string directory_of(const object_id& id) { return id.text() + std::string(locator_suffix); }

// True if the failure is this process's own, and says nothing about what it looked for.
bool is_ours(const failure& reason) noexcept {
  switch (reason.os_error) {
    case EMFILE: case ENFILE: case ENOMEM: case EACCES: case EPERM: return true;
    default: return false;
  }
}

// Links that this process can judge begin with this.
std::string own_prefix() { return os::process_namespace() + '-'; }

// The memfd behind a link, if it is that object; an invalid fd if the link leads nowhere; a failure if this process
// can't tell. The number may long be another descriptor of another process, so anything but a region with that id is as
// good as nothing.
result<os::fd> follow(const std::string& target, const object_id& id) {
  if (target.rfind("/proc/", 0) != 0) return os::fd();
  auto memfd = os::open_file(target, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!memfd && is_ours(memfd.reason())) return memfd;
  if (!memfd || !os::is_size_sealed(memfd->get())) return os::fd();
  format::header head{};
  auto got = os::read_at(memfd->get(), std::as_writable_bytes(std::span(&head, 1)), 0);
  if (!got || !std::equal(std::begin(head.id), std::end(head.id), id.bytes.begin())) return os::fd();
  if ((head.flags & format::flag_writable) == 0) return memfd;
  auto again = os::open_file(target, O_RDWR | O_NONBLOCK | O_NOCTTY);
  if (!again && !is_ours(again.reason())) return os::fd();
  return again;
}

result<std::vector<std::string>> links_of(const store_directory& store, const object_id& id) {
  std::vector<std::string> links;
  const std::string prefix = own_prefix();
  auto directory = os::open_at(store.fd(), directory_of(id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) {
    if (directory.reason().kind == error_kind::not_found) return links;
    return directory.reason();
  }
  auto read = os::for_each_entry(directory->get(), [&](const char* name) {
    if (std::string_view(name).starts_with(prefix)) links.push_back(directory_of(id) + '/' + name);
    return true;
  });
  if (!read) return read.reason();
  return links;
}

}  // namespace

result<std::string> add_locator(const store_directory& store, const object_id& id, int memfd) {
  const std::string target = "/proc/" + os::process_name() + "/fd/" + std::to_string(memfd);
  for (int attempt = 0;; ++attempt) {
    auto made = os::make_directory_at(store.fd(), directory_of(id), 0700);
    if (!made && made.reason().kind != error_kind::exists) return made.reason();
    std::string link = directory_of(id) + '/' + own_prefix() + random_id().text();
    auto linked = os::make_link(target, store.fd(), link);
    if (linked) return link;
    // The last holder may have removed the directory between the two steps.
    if (linked.reason().kind != error_kind::not_found || attempt == 100) return linked.reason();
  }
}

void remove_locator(const store_directory& store, const std::string& locator) noexcept {
  (void)os::remove_at(store.fd(), locator);
  (void)os::remove_directory_at(store.fd(), locator.substr(0, locator.find('/')));  // fails unless empty
}

result<os::fd> find_located(const store_directory& store, const object_id& id) {
  auto links = links_of(store, id);
  if (!links) return links.reason();
  result<os::fd> found = os::fd();
  for (const auto& link : *links) {
    auto target = os::read_link(store.fd(), link);
    if (!target || !*target) continue;
    auto memfd = follow(**target, id);
    if (memfd && memfd->valid()) return memfd;
    if (!memfd) found = std::move(memfd);
  }
  return found;
}

bool collect_locators(const store_directory& store, const object_id& id) {
  auto links = links_of(store, id);
  if (!links) return false;
  for (const auto& link : *links) {
    auto target = os::read_link(store.fd(), link);
    if (!target || !*target) continue;
    if (auto memfd = follow(**target, id); memfd && !memfd->valid()) (void)os::remove_at(store.fd(), link);
  }
  auto removed = os::remove_directory_at(store.fd(), directory_of(id));
  return removed && *removed;
}

}  // namespace onecopy::detail
