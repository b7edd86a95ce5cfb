#include "api/cli/command_line.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/str_cat.h"
#include "api/cli/command_help.h"
#include "api/cli/commands.h"
#include "api/cli/completion.h"
#include "api/cli/invocation.h"

namespace gyre {
namespace {

constexpr char kVersion[] = "gyre 0.1.0";

void AddGlobalOptions(CLI::App& app, Invocation& invocation) {
  app.add_option("--connect", invocation.connect,
                 "Nodes to ask first: host:port, or several with commas between")
      ->envname("GYRE_CONNECT")
      ->capture_default_str();
  app.add_flag("--json", invocation.json, "Print JSON, one object a line, for scripts");
  app.add_option("--timeout-ms", invocation.timeout_ms,
                 "Time for a request, retries included; default: 2000, to change tables 10000, for "
                 "load 30000")
      ->check(CLI::Range(1, 60'000));
  app.set_version_flag("--version", kVersion);
}

// A command that there is not, among words that did not fit; "" where something else is wrong.
std::string UnknownCommand(const CLI::App& app) {
  const CLI::App* named = &app;
  while (!named->get_subcommands().empty()) named = named->get_subcommands().front();
  if (named->get_require_subcommand_min() == 0) return "";
  const std::vector<std::string> left = app.remaining(/*recurse=*/true);
  return left.empty() ? "" : left.front();
}

Exit TellUsageError(const CLI::App& app, const CLI::ParseError& error,
                    const Invocation& invocation) {
  const std::string unknown = UnknownCommand(app);
  const std::string why =
      unknown.empty() ? error.what() : absl::StrCat("there is no command \"", unknown, "\"");
  if (invocation.json) return invocation.BadUsage(why);
  *invocation.err << "gyre: " << why << "\nRun with --help for more information.\n";
  return Exit::kBadUsage;
}

Exit ParseAndRun(CLI::App& app, const std::vector<std::string>& words, Invocation& invocation) {
  // CLI11 reports by throwing; it goes no further than here. It wants the words in reverse.
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::Success& asked_for_help) {
    app.exit(asked_for_help, *invocation.out, *invocation.err);
    return Exit::kOk;
  } catch (const CLI::ParseError& error) {
    // An error may come before the option is reached, or taken over.
    const auto end_of_options = std::find(words.begin(), words.end(), "--");
    invocation.json = std::find(words.begin(), end_of_options, "--json") != end_of_options;
    return TellUsageError(app, error, invocation);
  }
  return invocation.run();
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
  app.require_subcommand(1);
  app.fallthrough();  // options of every command may stand after the command too
  AddGlobalOptions(app, invocation);
  AddItemCommands(app, invocation);
  AddTableCommands(app, invocation);
  AddClusterCommands(app, invocation);
  AddNodeCommands(app, invocation);
  AddLoadCommand(app, invocation);
  AddScanCommands(app, invocation);
  AddCompletionCommand(app, invocation);
  AddCommandHelp(app);
  const Exit exit = ParseAndRun(app, words, invocation);
  out->flush();
  if (out->good()) return static_cast<int>(exit);
  *err << "gyre: standard output cannot be written\n";
  return static_cast<int>(Exit::kFailed);
}

}  // namespace gyre
