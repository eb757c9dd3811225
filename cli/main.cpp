#include <algorithm>
#include <cstdio>
#include <exception>

#include "onecopy/error.hpp"
#include "onecopy/version.hpp"
#include "verbs.hpp"

namespace {

constexpr const char* about =
    "Look at, read and remove the objects that the processes of this user share.\n";

constexpr const char* more = R"(H, an object, is one of
  a handle       onecopy:1:<host>:<store>:<id>[/<node>], as sharedHandle(x) in R or onecopy.handle(x) in Python print it
  a name         given when it was shared: share(x, name = "prices")
  an id          32 hex digits, or the first 4 or more of them if no other object's id begins so
  a file         a path with a slash in it, or one that ends in .onecopy (info, cat and verify)

The store is the directory $ONECOPY_DIR, or /dev/shm/onecopy-<uid>.

Exit status: 0 done; 1 not found, damaged, or could not be done; 2 the command
line is wrong.

Examples:
  onecopy ls                       what is shared now, who holds it, how long it stays
  onecopy cat prices --head 5      the first rows of a table, as CSV
  onecopy info prices --json       everything about it, for programs
  onecopy top                      what lazy objects hold in memory, live
  onecopy doctor                   what this machine allows, and the remedy for what it does not

`onecopy VERB --help` tells more.)";

bool has_verb(const CLI::App& app, const char* word) {
  const auto verbs = app.get_subcommands({});
  return std::any_of(verbs.begin(), verbs.end(), [&](const CLI::App* verb) { return verb->get_name() == word; });
}

int unknown_verb(const CLI::App& app, const char* word) {
  std::string verbs;
  for (const auto* verb : app.get_subcommands({})) verbs += (verbs.empty() ? "" : ", ") + verb->get_name();
  std::fprintf(stderr, "onecopy: there is no verb %s. There are %s; `onecopy --help` tells what they do.\n", word,
               verbs.c_str());
  return onecopy::cli::exit_usage;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace onecopy::cli;
  CLI::App app{about, "onecopy"};
  app.set_version_flag("--version", ONECOPY_VERSION, "Print the version and exit");
  app.footer(more);
  app.require_subcommand(1);
  app.get_formatter()->column_width(28);
  action chosen;
  add_ls(app, chosen);
  add_info(app, chosen);
  add_cat(app, chosen);
  add_rm(app, chosen);
  add_gc(app, chosen);
  add_verify(app, chosen);
  add_top(app, chosen);
  add_doctor(app, chosen);
  if (argc > 1 && argv[1][0] != '-' && !has_verb(app, argv[1])) return unknown_verb(app, argv[1]);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    // CLI11 counts its own exit codes from 100 on; --help and --version are 0.
    return app.exit(problem) == 0 ? exit_ok : exit_usage;
  }
  try {
    const int code = chosen();
    if (std::fflush(stdout) != 0) throw std::runtime_error("can't write the output");
    return code;
  } catch (const std::exception& problem) {
    std::fflush(stdout);
    std::fprintf(stderr, "onecopy: %s\n", problem.what());
    return exit_failed;
  }
}
