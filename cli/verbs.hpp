// The verbs of the tool: one file each. add_VERB declares the verb's arguments and, when the user asked for it, sets
// `chosen` to what does it. Nothing runs before the whole command line was understood.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace onecopy::cli {

// Returns the exit code; errors are thrown as onecopy::error.
using action = std::function<int()>;

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;  // what was asked for was not found or could not be done
inline constexpr int exit_usage = 2;   // the command line makes no sense

void add_ls(CLI::App& app, action& chosen);
void add_info(CLI::App& app, action& chosen);
void add_cat(CLI::App& app, action& chosen);
void add_rm(CLI::App& app, action& chosen);
void add_gc(CLI::App& app, action& chosen);
void add_verify(CLI::App& app, action& chosen);
void add_top(CLI::App& app, action& chosen);
void add_doctor(CLI::App& app, action& chosen);

}  // namespace onecopy::cli
