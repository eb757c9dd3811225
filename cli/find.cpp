#include "find.hpp"

#include <algorithm>

namespace onecopy::cli {

namespace {

constexpr std::size_t shortest_prefix = 4;

bool is_hex(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::optional<object_id> find_by_prefix(const std::string& what) {
  if (!is_hex(what) || what.size() < shortest_prefix || what.size() > 32) return std::nullopt;
  if (what.size() == 32) return object_id::parse(lower(what));
  const std::string prefix = lower(what);
  std::vector<object_id> matches;
  for (const auto& entry : store::list())
    if (entry.id.text().starts_with(prefix)) matches.push_back(entry.id);
  if (matches.empty()) return std::nullopt;
  if (matches.size() > 1)
    throw error(error_kind::invalid_argument, "find the object " + what,
                std::to_string(matches.size()) + " objects have ids that begin so, among them " + matches[0].text() +
                    " and " + matches[1].text(),
                "Give more digits");
  return matches.front();
}

}  // namespace

bool is_path(const std::string& what) {
  return !handle::looks_like(what) && (what.find('/') != std::string::npos || what.ends_with(".onecopy"));
}

object_id find_id(const std::string& what) {
  if (handle::looks_like(what)) {
    const handle parsed = handle::parse(what);
    if (parsed.host != store::host_id() || parsed.store != store::store_id())
      throw error(error_kind::wrong_host, "find " + what, "it belongs to another machine or another store",
                  "Run the tool there, or set ONECOPY_DIR to that store's directory");
    return parsed.id;
  }
  if (const auto named = store::find_name(what)) return *named;
  if (const auto found = find_by_prefix(what)) return *found;
  throw error(error_kind::not_found, "find " + what, "no object has this name or an id that begins so",
              "`onecopy ls` lists what is there");
}

value find(const std::string& what) {
  // attach() itself explains a handle of another machine best.
  if (handle::looks_like(what)) return attach(what);
  if (is_path(what)) return open(what);
  const handle here{.host = store::host_id(), .store = store::store_id(), .id = find_id(what)};
  return attach(here);
}

std::string handle_text(const object_id& id) {
  return handle{.host = store::host_id(), .store = store::store_id(), .id = id}.text();
}

}  // namespace onecopy::cli
