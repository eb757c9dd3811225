#include "region/names.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"
#include "region/hold.hpp"

namespace onecopy::detail {
namespace {

constexpr std::string_view link_prefix = "n-";

bool stands_for_itself(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || (static_cast<unsigned char>(c) >= 0x80);
}

}  // namespace

status check_name(std::string_view name) {
  const char* wrong = nullptr;
  if (name.empty()) wrong = "it is empty";
  if (name.size() > 120 || link_of(name).size() > 255) wrong = "it is too long";
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }))
    wrong = "it has control characters";
  if (wrong == nullptr) return done();
  return failure{error_kind::invalid_argument, "use a name for a shared object", wrong,
                 "Take 1 to 120 bytes of text on one line"};
}

// As in URLs: what could mean something to a file system becomes % and two hex digits.
std::string link_of(std::string_view name) {
  std::string link(link_prefix);
  for (const char c : name) {
    if (stands_for_itself(c)) {
      link += c;
    } else {
      const auto byte = static_cast<std::uint8_t>(c);
      link += '%' + to_hex({&byte, 1});
    }
  }
  return link;
}

std::optional<std::string> name_of_link(std::string_view entry) {
  if (entry.substr(0, link_prefix.size()) != link_prefix) return std::nullopt;
  std::string name;
  for (std::size_t i = link_prefix.size(); i < entry.size(); ++i) {
    std::uint8_t byte = static_cast<std::uint8_t>(entry[i]);
    if (entry[i] == '%') {
      if (i + 2 >= entry.size() || !from_hex(entry.substr(i + 1, 2), {&byte, 1})) return std::nullopt;
      i += 2;
    }
    name += static_cast<char>(byte);
  }
  return name;
}

result<std::optional<object_id>> look_up_name(const store_directory& store, std::string_view name) {
  if (auto good = check_name(name); !good) return good.reason();
  auto target = os::read_link(store.fd(), link_of(name));
  if (!target) return target.reason();
  object_id id;
  if (!*target || !from_hex(**target, id.bytes)) return std::optional<object_id>{};
  return std::optional(id);
}

failure name_is_taken(std::string_view name) {
  return {error_kind::exists, "share an object as \"" + std::string(name) + "\"", "another object has that name",
          "Choose another name, free that object, or ask to replace it"};
}

status bind_name(const store_directory& store, std::string_view name, const object_id& id, bool replace) {
  const std::string link = link_of(name);
  auto guard = store.lock();
  if (!guard) return guard.reason();
  auto earlier = look_up_name(store, name);
  if (!earlier) return earlier.reason();
  if (*earlier && !replace && is_there(store, **earlier))
    return name_is_taken(name);
  // Renaming a new link over the old one leaves no moment without the name.
  const std::string fresh = ".new-" + random_id().text();
  if (auto made = os::make_link(id.text(), store.fd(), fresh); !made) return made;
  auto placed = os::rename_at(store.fd(), fresh, link);
  if (!placed) (void)os::remove_at(store.fd(), fresh);
  return placed;
}

void unbind_name(const store_directory& store, std::string_view name, const object_id& id) {
  auto guard = store.lock();
  if (!guard) return;
  auto now = look_up_name(store, name);
  if (now && *now && **now == id) (void)os::remove_at(store.fd(), link_of(name));
}

}  // namespace onecopy::detail
