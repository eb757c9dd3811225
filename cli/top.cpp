// onecopy top: what the lazy objects of this user hold in memory, and what the pager does.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "onecopy/lazy.hpp"
#include "onecopy/store.hpp"
#include "text.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

namespace {

using clock = std::chrono::steady_clock;

struct picture {
  clock::time_point when = clock::now();
  std::vector<pager::entry> lazy;
  std::optional<pager::statistics> pager;  // not there when no lazy object is: looking would start one
  std::size_t objects = 0;
  std::uint64_t shared_bytes = 0, saved_bytes = 0;
};

picture look_now() {
  picture now;
  const auto entries = store::list();
  std::vector<object_id> ids;
  for (const auto& entry : entries) ids.push_back(entry.id);
  const auto holders = store::holders(ids);
  now.objects = entries.size();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    now.shared_bytes += entries[i].bytes;
    if (holders[i] > 1) now.saved_bytes += entries[i].bytes * (holders[i] - 1);
  }
  now.lazy = pager::list();
  if (!now.lazy.empty()) now.pager = pager::look();
  std::sort(now.lazy.begin(), now.lazy.end(), [](const auto& a, const auto& b) {
    if (a.counters.resident_bytes != b.counters.resident_bytes)
      return a.counters.resident_bytes > b.counters.resident_bytes;
    return a.id < b.id;
  });
  return now;
}

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void print_json(const picture& now) {
  nlohmann::ordered_json out;
  out["store"] = store::directory();
  out["shared"] = {{"objects", now.objects}, {"bytes", now.shared_bytes}, {"saved_bytes", now.saved_bytes}};
  out["pager"] = nullptr;
  if (const auto& p = now.pager)
    out["pager"] = {{"process", p->process},     {"budget", p->budget},       {"resident", p->resident},
                    {"peak_resident", p->peak_resident}, {"pinned", p->pinned}, {"fills", p->fills},
                    {"evictions", p->evictions}, {"failures", p->failures},   {"clients", p->clients}};
  out["lazy"] = nlohmann::ordered_json::array();
  for (const auto& one : now.lazy)
    out["lazy"].push_back({{"id", one.id.text()},
                           {"type", name_of(one.type)},
                           {"elements", one.size},
                           {"bytes", one.bytes},
                           {"source", one.source},
                           {"in_place", one.in_place},
                           {"resident", one.counters.resident_bytes},
                           {"spilled", one.counters.spilled_bytes},
                           {"fills", one.counters.fills},
                           {"evictions", one.counters.evictions},
                           {"failures", one.counters.failures}});
  std::puts(out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

// "1,234" and, when there was an earlier look, how many of them each second: "1,234 (20/s)".
std::string counted(std::uint64_t total, const std::uint64_t* before, double seconds) {
  std::string text = grouped(total);
  // A pager that was started again counts from 0.
  if (before != nullptr && total >= *before && seconds > 0)
    text += fmt::format(" ({:.0f}/s)", static_cast<double>(total - *before) / seconds);
  return text;
}

std::string as_text(const picture& now, const picture* before) {
  const double seconds = before ? std::chrono::duration<double>(now.when - before->when).count() : 0;
  std::string out = fmt::format("{} shared {}, {}, saving {}; in {}\n", grouped(now.objects),
                                now.objects == 1 ? "object" : "objects", human_bytes(now.shared_bytes),
                                human_bytes(now.saved_bytes), store::directory());
  if (!now.pager) return out + "no lazy objects\n";
  const auto& p = *now.pager;
  const pager::statistics* earlier = before && before->pager ? &*before->pager : nullptr;
  out += fmt::format("lazy: {} of the budget of {} in memory ({:.0f} %), peak {}, pinned {}\n", human_bytes(p.resident),
                     human_bytes(p.budget), share_of(p.resident, p.budget), human_bytes(p.peak_resident),
                     human_bytes(p.pinned));
  out += fmt::format("pager {}: {} fills, {} evictions, {} failures, {} {}\n\n", p.process,
                     counted(p.fills, earlier ? &earlier->fills : nullptr, seconds),
                     counted(p.evictions, earlier ? &earlier->evictions : nullptr, seconds), grouped(p.failures),
                     grouped(p.clients), p.clients == 1 ? "client" : "clients");
  std::map<object_id, lazy_vector::counters> old;
  if (before)
    for (const auto& one : before->lazy) old[one.id] = one.counters;
  std::vector<std::vector<std::string>> rows{
      {"ID", "TYPE", "ELEMENTS", "SIZE", "IN MEMORY", "%", "SPILLED", "FILLS", "EVICTIONS", "FAILURES", "SOURCE"}};
  for (const auto& one : now.lazy) {
    const auto found = old.find(one.id);
    const auto* was = found == old.end() ? nullptr : &found->second;
    rows.push_back({one.id.text().substr(0, 12), name_of(one.type), grouped(one.size), human_bytes(one.bytes),
                    human_bytes(one.counters.resident_bytes),
                    fmt::format("{:.0f}", share_of(one.counters.resident_bytes, one.bytes)),
                    human_bytes(one.counters.spilled_bytes),
                    counted(one.counters.fills, was ? &was->fills : nullptr, seconds),
                    counted(one.counters.evictions, was ? &was->evictions : nullptr, seconds),
                    grouped(one.counters.failures), one.source + (one.in_place ? ", in place" : "")});
  }
  return out + table(rows, {2, 3, 4, 5, 6, 7, 8, 9});
}

int watch(double interval, int times) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  std::optional<picture> before;
  for (int i = 0; times == 0 || i < times; ++i) {
    if (i > 0) std::this_thread::sleep_for(std::chrono::duration<double>(interval));
    picture now = look_now();
    const std::string text = as_text(now, before ? &*before : nullptr);
    // Home, the text, and then clear what was below: clearing first would flicker.
    if (terminal) fmt::print("\033[H\033[2J{}", text);
    else fmt::print("{}{}", i > 0 ? "\n" : "", text);
    // Nobody reads any more: `onecopy top | head`.
    if (std::fflush(stdout) != 0) return exit_failed;
    before = std::move(now);
  }
  return exit_ok;
}

}  // namespace

void add_top(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("top", "Watch lazy objects: what is in memory, fills, evictions, the budget");
  auto json = std::make_shared<bool>(false);
  auto once = std::make_shared<bool>(false);
  auto interval = std::make_shared<double>(1);
  auto times = std::make_shared<int>(0);
  verb->add_flag("--json", *json, "Print one JSON object and end");
  verb->add_flag("-1,--once", *once, "Print once and end");
  verb->add_option("-i,--interval", *interval, "Seconds between two looks")->check(CLI::Range(0.05, 86400.0));
  verb->add_option("-n,--times", *times, "End after so many looks (0: never)")->check(CLI::Range(0, 1000000000));
  verb->footer(R"(
First the shared objects, and how many bytes copies in every holder would take
beyond the one that there is; then the budget of lazy objects and what of it is
used; then each lazy object, the one with most memory first:
  SIZE       what it would take as a whole
  IN MEMORY  what it takes now; % of SIZE
  SPILLED    changed elements that were put on disk (ONECOPY_SPILL)
  FILLS      chunks filled since it was made; EVICTIONS: given back; FAILURES
  SOURCE     what fills it: sequence, file, or program (a function of a user)

Ends with Ctrl-C. Changes nothing, but starts the pager if lazy objects are
there and no pager is.

Examples:
  onecopy top
  onecopy top -i 0.2 -n 50 > residency.txt
  onecopy top --json | jq .pager.resident)");
  verb->callback([&chosen, json, once, interval, times] {
    chosen = [=] {
      if (!*json) return watch(*interval, *once ? 1 : *times);
      print_json(look_now());
      return exit_ok;
    };
  });
}

}  // namespace onecopy::cli
