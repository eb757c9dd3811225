// onecopy ls: what is in the store.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "find.hpp"
#include "onecopy/lazy.hpp"
#include "text.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

namespace {

std::string stays(const store::entry& entry) {
  if (std::isinf(entry.lease_seconds)) return "until removed";
  if (entry.lease_seconds > 0) return human_seconds(entry.lease_seconds);
  return "-";
}

std::string notes(const store::entry& entry) {
  std::string text;
  if (entry.writable) text = "writable";
  if (entry.in_memfd) text += text.empty() ? "memfd" : ", memfd";
  return text.empty() ? "-" : text;
}

std::vector<std::size_t> holders_of(const std::vector<store::entry>& entries) {
  std::vector<object_id> ids;
  for (const auto& entry : entries) ids.push_back(entry.id);
  return store::holders(ids);
}

// Largest or by id; lazy objects don't know when they were made.
std::vector<pager::entry> lazy_objects(bool by_size) {
  auto found = pager::list();
  std::sort(found.begin(), found.end(), [&](const pager::entry& a, const pager::entry& b) {
    return by_size && a.bytes != b.bytes ? a.bytes > b.bytes : a.id < b.id;
  });
  return found;
}

int print_json(const std::vector<store::entry>& entries, const std::vector<pager::entry>& lazy) {
  const auto holders = holders_of(entries);
  auto list = nlohmann::ordered_json::array();
  for (const auto& entry : entries) {
    const bool kept = std::isinf(entry.lease_seconds);
    list.push_back({{"id", entry.id.text()},
                    {"name", entry.name.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(entry.name)},
                    {"handle", handle_text(entry.id)},
                    {"bytes", entry.bytes},
                    {"holders", holders[list.size()]},
                    {"created", utc(entry.created)},
                    {"lease_seconds", kept ? nlohmann::ordered_json() : nlohmann::ordered_json(entry.lease_seconds)},
                    {"kept", kept},
                    {"writable", entry.writable},
                    {"in_memfd", entry.in_memfd}});
  }
  for (const auto& one : lazy)
    list.push_back({{"id", one.id.text()},
                    {"handle", handle_text(one.id)},
                    {"bytes", one.bytes},
                    {"lazy", {{"type", name_of(one.type)},
                              {"elements", one.size},
                              {"source", one.source},
                              {"in_place", one.in_place},
                              {"resident", one.counters.resident_bytes},
                              {"spilled", one.counters.spilled_bytes},
                              {"fills", one.counters.fills},
                              {"evictions", one.counters.evictions},
                              {"failures", one.counters.failures}}}});
  std::puts(list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return exit_ok;
}

void print_lazy(const std::vector<pager::entry>& lazy) {
  std::vector<std::vector<std::string>> rows{
      {"LAZY ID", "TYPE", "ELEMENTS", "SIZE", "IN MEMORY", "FILLS", "EVICTIONS", "SOURCE"}};
  std::uint64_t resident = 0;
  for (const auto& one : lazy) {
    resident += one.counters.resident_bytes;
    rows.push_back({one.id.text().substr(0, 12), name_of(one.type), grouped(one.size), human_bytes(one.bytes),
                    human_bytes(one.counters.resident_bytes), grouped(one.counters.fills),
                    grouped(one.counters.evictions), one.source + (one.in_place ? ", in place" : "")});
  }
  fmt::print("\n{}{} lazy {}, {} in memory\n", table(rows, {2, 3, 4, 5, 6}), grouped(lazy.size()),
             lazy.size() == 1 ? "object" : "objects", human_bytes(resident));
}

int print_table(const std::vector<store::entry>& entries, const std::vector<pager::entry>& lazy) {
  const auto now = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  std::vector<std::vector<std::string>> rows{{"ID", "SIZE", "HOLDERS", "AGE", "LEASE", "NOTES", "NAME"}};
  const auto holders = holders_of(entries);
  std::uint64_t bytes = 0;
  for (const auto& entry : entries) {
    bytes += entry.bytes;
    rows.push_back({entry.id.text().substr(0, 12), human_bytes(entry.bytes), grouped(holders[rows.size() - 1]),
                    human_seconds(now > entry.created ? static_cast<double>(now - entry.created) : 0), stays(entry),
                    notes(entry), entry.name.empty() ? "-" : entry.name});
  }
  fmt::print("{}{} {}, {}, in {}\n", table(rows, {1, 2, 3}), grouped(entries.size()),
             entries.size() == 1 ? "object" : "objects", human_bytes(bytes), store::directory());
  if (!lazy.empty()) print_lazy(lazy);
  return exit_ok;
}

}  // namespace

void add_ls(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("ls", "List the shared objects of this user");
  auto json = std::make_shared<bool>(false);
  auto by_size = std::make_shared<bool>(false);
  auto ids = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "Print a JSON array, one object for each");
  verb->add_flag("-s,--size", *by_size, "Largest first (else newest first)");
  verb->add_flag("-q,--quiet", *ids, "Print nothing but the full ids, one a line");
  verb->footer(R"(
Columns:
  ID       the first 12 digits; `onecopy info` shows all
  SIZE     bytes of the region, in whole pages
  HOLDERS  mappings that keep it, by the kernel's count; 0: only its lease does, or it is a leftover
  LEASE    how long it stays after its last holder lets go; "until removed": made to be kept
  NOTES    writable: every process may change it; memfd: the store's file system was too small for it

Lazy objects follow in a table of their own (with --json: rows with "lazy" instead of holders and lease; with -q:
not at all, for they can't be removed while they are used). `onecopy top` watches them.

Examples:
  onecopy ls
  onecopy ls --json | jq '.[] | select(.holders == 0)'
  onecopy ls -q | xargs -r onecopy rm        remove everything)");
  verb->callback([&chosen, json, by_size, ids] {
    chosen = [=] {
      auto entries = store::list();
      std::sort(entries.begin(), entries.end(), [&](const store::entry& a, const store::entry& b) {
        if (*by_size && a.bytes != b.bytes) return a.bytes > b.bytes;
        if (a.created != b.created) return a.created > b.created;
        return a.id < b.id;
      });
      if (*json) return print_json(entries, lazy_objects(*by_size));
      if (!*ids) return print_table(entries, lazy_objects(*by_size));
      for (const auto& entry : entries) std::puts(entry.id.text().c_str());
      return exit_ok;
    };
  });
}

}  // namespace onecopy::cli
