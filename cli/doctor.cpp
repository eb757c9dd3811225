// onecopy doctor: what this machine allows, and what to do about what it does not.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "onecopy/store.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

namespace {

const char* word(store::check::level state) {
  switch (state) {
    case store::check::level::ok: return "ok";
    case store::check::level::warning: return "warning";
    case store::check::level::error: return "error";
  }
  return "error";
}

}  // namespace

void add_doctor(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("doctor", "Say what this machine allows, with a remedy for what it does not");
  auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "Print a JSON array, one object for each check");
  verb->footer(R"(
Changes nothing. A warning means that something works in a lesser way; an error,
that something can't work. The exit status is 1 if there is an error.)");
  verb->callback([&chosen, json] {
    chosen = [=] {
      auto list = nlohmann::ordered_json::array();
      bool failed = false;
      for (const auto& check : store::doctor()) {
        failed |= check.state == store::check::level::error;
        if (*json) {
          list.push_back({{"check", check.what},
                          {"state", word(check.state)},
                          {"found", check.found},
                          {"remedy", check.remedy}});
          continue;
        }
        fmt::print("{:<8} {}: {}\n", word(check.state), check.what, check.found);
        if (!check.remedy.empty()) fmt::print("         -> {}\n", check.remedy);
      }
      if (*json) std::puts(list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      return failed ? exit_failed : exit_ok;
    };
  });
}

}  // namespace onecopy::cli
