// onecopy gc: collect what dead processes left.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "onecopy/store.hpp"
#include "text.hpp"
#include "verbs.hpp"

namespace onecopy::cli {

void add_gc(CLI::App& app, action& chosen) {
  auto* verb = app.add_subcommand("gc", "Remove objects that nobody holds and no lease keeps");
  auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "Print {\"objects\": N, \"bytes\": N}");
  verb->footer(R"(
An object goes when its last holder lets go. A process that was killed can't see
to that: what it left is collected when a package loads, when space runs out,
and by this verb. Objects in use, leased (a handle is on its way) or kept are
never touched, so it is always safe to run.)");
  verb->callback([&chosen, json] {
    chosen = [=] {
      const auto freed = store::collect();
      if (*json)
        std::puts(nlohmann::ordered_json{{"objects", freed.objects}, {"bytes", freed.bytes}}.dump().c_str());
      else
        fmt::print("removed {} {}, {}\n", grouped(freed.objects), freed.objects == 1 ? "object" : "objects",
                   human_bytes(freed.bytes));
      return exit_ok;
    };
  });
}

}  // namespace onecopy::cli
