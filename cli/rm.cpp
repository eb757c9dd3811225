// onecopy rm: remove objects from the store.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "find.hpp"
#include "text.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

namespace {

struct outcome {
  std::string what;
  std::string id;
  std::size_t holders = 0;
  std::string problem;  // "" when it was removed
};

outcome remove_one(const std::string& what) {
  outcome result{.what = what, .id = {}, .problem = {}};
  try {
    const object_id id = find_id(what);
    result.id = id.text();
    result.holders = store::holders(id);
    if (!store::remove(id))
      result.problem = "can't remove " + what + ": there is no such object. `onecopy ls` lists what is there.";
  } catch (const error& problem) {
    result.problem = problem.what();
  }
  return result;
}

}  // namespace

void add_rm(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("rm", "Remove objects from the store, and their names");
  auto json = std::make_shared<bool>(false);
  auto whats = std::make_shared<std::vector<std::string>>();
  verb->add_option("H", *whats, "Handles, names or ids")->required();
  verb->add_flag("--json", *json, "Print a JSON array with what happened to each");
  verb->footer(R"(
Nobody can attach to a removed object any more. Processes that hold it keep it
and its bytes, unharmed, until they let go. All that can be removed are removed;
the exit status is 1 if any could not.

Examples:
  onecopy rm prices
  onecopy rm 0c53 9fe1)");
  verb->callback([&chosen, json, whats] {
    chosen = [=] {
      auto list = nlohmann::ordered_json::array();
      bool failed = false;
      for (const auto& what : *whats) {
        const outcome result = remove_one(what);
        failed |= !result.problem.empty();
        if (*json)
          list.push_back({{"object", what},
                          {"id", result.id},
                          {"removed", result.problem.empty()},
                          {"holders", result.holders},
                          {"problem", result.problem}});
        else if (!result.problem.empty())
          fmt::print(stderr, "onecopy: {}\n", result.problem);
        else if (result.holders > 0)
          fmt::print("removed {}; {} keep{} it until they let go\n", result.id,
                     result.holders == 1 ? "1 holder" : grouped(result.holders) + " holders",
                     result.holders == 1 ? "s" : "");
        else
          fmt::print("removed {}\n", result.id);
      }
      if (*json) std::puts(list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      return failed ? exit_failed : exit_ok;
    };
  });
}

}  // namespace onecopy::cli
