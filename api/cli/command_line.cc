#include "api/cli/command_line.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "api/cli/commands.h"
#include "api/cli/completion.h"
#include "api/cli/invocation.h"

namespace gyre {
namespace {

constexpr char kVersion[] = "gyre 0.1.0";

constexpr char kFooter[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  no such key, or no such table\n"
    "  2  a wrong command line, or an argument that the server refuses\n"
    "  3  no server can be reached, or the request failed\n"
    "  4  get: the key has several values (siblings); all of them are printed\n"
    "  5  load: some records were not written, or read back different\n"
    "\n"
    "Examples:\n"
    "  gyre table create carts --replicas 3\n"
    "  gyre put carts ada '{\"items\":[\"tea\"]}'\n"
    "  gyre get carts ada --explain\n"
    "  gyre load Packages --table catalogue --format debian --verify\n"
    "  gyre ring";

void AddGlobalOptions(CLI::App& app, Invocation& invocation) {
  app.add_option("--connect", invocation.connect,
                 "Nodes to ask first: host:port, or several with commas between")
      ->envname("GYRE_CONNECT")
      ->capture_default_str();
  app.add_flag("--json", invocation.json, "Print JSON, one object a line, for scripts");
  app.add_option("--timeout-ms", invocation.timeout_ms, "Time for a request, retries included")
      ->check(CLI::Range(1, 60'000))
      ->capture_default_str();
  app.set_version_flag("--version", kVersion);
}

}  // namespace

void AddCompletionCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* completion =
      app.add_subcommand("completion", "Print a script that completes gyre's words in a shell");
  completion->require_subcommand(1);
  completion->add_subcommand("bash", "For bash: source <(gyre completion bash)")
      ->callback([&app, &invocation] {
        invocation.run = [&app, &invocation] {
          *invocation.out << BashCompletion(app);
          return Exit::kOk;
        };
      });
  completion->add_subcommand("zsh", "For zsh: source <(gyre completion zsh)")
      ->callback([&app, &invocation] {
        invocation.run = [&app, &invocation] {
          *invocation.out << ZshCompletion(app);
          return Exit::kOk;
        };
      });
}

int RunCommandLine(const std::vector<std::string>& words, std::istream* in, std::ostream* out,
                   std::ostream* err, const Terminal& terminal) {
  Invocation invocation;
  invocation.in = in;
  invocation.out = out;
  invocation.err = err;
  invocation.terminal = terminal;

  CLI::App app("Gyre from the command line: items, tables and the state of a cluster.", "gyre");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();  // options of every command may stand after the command too
  AddGlobalOptions(app, invocation);
  AddItemCommands(app, invocation);
  AddTableCommands(app, invocation);
  AddClusterCommands(app, invocation);
  AddLoadCommand(app, invocation);
  AddScanCommands(app, invocation);
  AddCompletionCommand(app, invocation);

  // CLI11 reports by throwing; it goes no further than here. It wants the words in reverse.
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    const bool asked_for_help = app.exit(error, *out, *err) == 0;
    return static_cast<int>(asked_for_help ? Exit::kOk : Exit::kBadUsage);
  }
  const Exit exit = invocation.run();
  out->flush();
  return static_cast<int>(exit);
}

}  // namespace gyre
