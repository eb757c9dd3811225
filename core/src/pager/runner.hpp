// Sources whose elements are made by another program: pools of runner processes (docs/paging.md, "Runners").
#pragma once

#include <span>
#include <string>

#include "pager/source.hpp"

namespace onecopy::pager {

result<std::unique_ptr<source>> make_program(const lazy_source& description, const source_context& context);
// Ends the runners that had nothing to do for so long; with 0 all that are idle, as when the pager ends. A runner that
// has read lazy vectors is a client of the pager, and holds them: without this neither would ever end. Waits for them.
void end_runners(double idle_seconds = 0);
bool any_idle_runner();
// The process that runs a plugin: the last library; those before it are what it needs. Returns its exit status.
int serve_plugin(std::span<const std::string> libraries);

}  // namespace onecopy::pager
