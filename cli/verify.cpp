// onecopy verify: check every byte that readers rely on.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "find.hpp"
#include "text.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

void add_verify(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("verify", "Check that files or objects are whole");
  auto json = std::make_shared<bool>(false);
  auto whats = std::make_shared<std::vector<std::string>>();
  verb->add_option("FILE", *whats, "Files made by save(), or handles, names, ids")->required();
  verb->add_flag("--json", *json, "Print a JSON array with what was found in each");
  verb->footer(R"(
Checks the structure, all string offsets, all codes, and the checksum where the
region has one, and names the first node that is wrong. The exit status is 1 if
any is missing or damaged.

A word that is no path (no slash, doesn't end in .onecopy) but names an existing
file is taken as a file.

Examples:
  onecopy verify prices.onecopy
  onecopy verify backups/*.onecopy && echo all whole)");
  verb->callback([&chosen, json, whats] {
    chosen = [=] {
      auto list = nlohmann::ordered_json::array();
      bool failed = false;
      for (const auto& what : *whats) {
        std::string problem, kind;
        std::uint64_t bytes = 0;
        try {
          const bool file = !handle::looks_like(what) && CLI::ExistingFile(what).empty();
          const value root = file ? open(what) : find(what);
          bytes = root.region().bytes().size();
          verify(root.region());
        } catch (const error& found) {
          problem = found.what();
          kind = name_of(found.kind());
        }
        failed |= !problem.empty();
        if (*json)
          list.push_back(
              {{"object", what}, {"ok", problem.empty()}, {"bytes", bytes}, {"kind", kind}, {"problem", problem}});
        else if (problem.empty())
          fmt::print("{}: whole, {}\n", what, human_bytes(bytes));
        else
          fmt::print(stderr, "onecopy: {}: {}\n", what, problem);
      }
      if (*json) std::puts(list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      return failed ? exit_failed : exit_ok;
    };
  });
}

}  // namespace onecopy::cli
