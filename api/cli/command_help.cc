#include "api/cli/command_help.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/cli/invocation.h"
#include "ring/check.h"

namespace gyre {
namespace {

struct CommandHelp {
  std::string command;
  std::vector<std::pair<Exit, std::string>> exits;
  std::vector<std::string> examples;
};

const std::pair<Exit, std::string> kDone = {Exit::kOk, "done"};
const std::pair<Exit, std::string> kNoTable = {Exit::kNotFound, "no such table"};
const std::pair<Exit, std::string> kUsage = {
    Exit::kBadUsage, "a wrong command line, or an argument that the server refuses"};
const std::pair<Exit, std::string> kFailure = {
    Exit::kFailed, "no server can be reached, the request failed, or the output cannot be written"};

std::vector<CommandHelp> Items() {
  return {
      {"gyre put",
       {kDone, kNoTable, kUsage, kFailure},
       {"gyre put carts ada '{\"items\":[\"tea\"]}'", "gyre put photos cat --file cat.jpg",
        "gyre put carts ada merged --context CONTEXT_OF_A_GET"}},
      {"gyre get",
       {{Exit::kOk, "the key has one value"},
        {Exit::kNotFound, "no such key, or no such table"},
        kUsage,
        kFailure,
        {Exit::kSiblings, "the key has several values (siblings); all of them are printed"}},
       {"gyre get carts ada", "gyre get carts ada --explain", "gyre get carts ada --r 3 --json"}},
      {"gyre delete",
       {kDone, kNoTable, kUsage, kFailure},
       {"gyre delete carts ada", "gyre delete carts ada --context CONTEXT_OF_A_GET"}},
      {"gyre scan-partition",
       {kDone, kNoTable, kUsage, kFailure},
       {"gyre scan-partition carts 17 --keys-only", "gyre scan-partition carts 17 --node n2"}},
      {"gyre dump",
       {kDone, kNoTable, kUsage, kFailure},
       {"gyre dump carts --output carts.jsonl", "gyre dump carts | gzip > carts.jsonl.gz"}},
      {"gyre load",
       {{Exit::kOk, "every record was written, and read back the same with --verify"},
        kNoTable,
        {Exit::kBadUsage, "a wrong command line, or a file that cannot be read"},
        kFailure,
        {Exit::kDataErrors, "some records were not written, or read back different"},
        {Exit::kInterrupted, "ended by Ctrl-C; it says how many records were written"}},
       {"gyre load carts.jsonl --table carts",
        "gyre load Packages --table catalogue --format debian --verify"}},
  };
}

std::vector<CommandHelp> TablesAndCluster() {
  return {
      {"gyre table",
       {kDone, kNoTable, kUsage, kFailure},
       {"gyre table create carts --replicas 3", "gyre table list"}},
      {"gyre table create",
       {{Exit::kOk, "the table is there"}, kUsage, kFailure},
       {"gyre table create carts --replicas 3",
        "gyre table create sessions --last-write-wins --durability periodic",
        "gyre table create ledger --strict"}},
      {"gyre table list", {kDone, kUsage, kFailure}, {"gyre table list --json"}},
      {"gyre table describe", {kDone, kNoTable, kUsage, kFailure}, {"gyre table describe carts"}},
      {"gyre table drop", {kDone, kNoTable, kUsage, kFailure}, {"gyre table drop carts"}},
      {"gyre status",
       {{Exit::kOk, "every member serves"},
        kUsage,
        {Exit::kFailed, "a member does not serve, or no server can be reached"}},
       {"gyre status", "gyre status --json"}},
      {"gyre hints",
       {{Exit::kOk, "every member answered"},
        kUsage,
        {Exit::kFailed, "a member does not answer, or no server can be reached"}},
       {"gyre hints", "gyre hints --json"}},
      {"gyre ring",
       {kDone, {Exit::kNotFound, "no table has so many replicas"}, kUsage, kFailure},
       {"gyre ring", "gyre ring --replicas 3"}},
      {"gyre completion", {kDone, kUsage}, {"source <(gyre completion bash)"}},
      {"gyre completion bash", {kDone, kUsage}, {"source <(gyre completion bash)"}},
      {"gyre completion zsh", {kDone, kUsage}, {"source <(gyre completion zsh)"}},
  };
}

std::vector<CommandHelp> Nodes() {
  const std::pair<Exit, std::string> done = {
      Exit::kOk, "it is so from now on; what follows from it moves in the background"};
  const std::pair<Exit, std::string> no_node = {Exit::kNotFound, "no such node"};
  const std::pair<Exit, std::string> failure = {
      Exit::kFailed, "no server can be reached, or that cannot be done; it says why"};
  return {
      {"gyre node",
       {done, no_node, kUsage, failure},
       {"gyre node join n4 --plan", "gyre node leave n1", "gyre node replace n2 n5"}},
      {"gyre node join", {done, no_node, kUsage, failure}, {"gyre node join n4"}},
      {"gyre node leave", {done, no_node, kUsage, failure}, {"gyre node leave n1 --plan"}},
      {"gyre node remove", {done, no_node, kUsage, failure}, {"gyre node remove n2"}},
      {"gyre node replace", {done, no_node, kUsage, failure}, {"gyre node replace n2 n5"}},
      {"gyre zone", {done, no_node, kUsage, failure}, {"gyre zone n1 rack-7 --plan"}},
      {"gyre cancel",
       {done, no_node, kUsage, failure},
       {"gyre cancel n4", "gyre cancel n4 --join --plan"}},
      {"gyre rebalance",
       {{Exit::kOk, "nothing is to move any more"},
        kUsage,
        {Exit::kFailed, "something is still to move: it says what, and for whom it waits"},
        {Exit::kInterrupted, "ended by Ctrl-C; what moves goes on"}},
       {"gyre rebalance", "gyre rebalance --plan", "gyre rebalance --seconds 600"}},
      {"gyre transfers", {kDone, kUsage, kFailure}, {"gyre transfers", "gyre transfers --json"}},
  };
}

CommandHelp Whole() {
  return {"gyre",
          {kDone,
           {Exit::kNotFound, "no such key, or no such table"},
           kUsage,
           kFailure,
           {Exit::kSiblings, "get: the key has several values (siblings); all of them are printed"},
           {Exit::kDataErrors, "load: some records were not written, or read back different"},
           {Exit::kInterrupted, "load, rebalance: ended by Ctrl-C"}},
          {"gyre table create carts --replicas 3", "gyre put carts ada '{\"items\":[\"tea\"]}'",
           "gyre get carts ada --explain",
           "gyre load Packages --table catalogue --format debian --verify", "gyre ring"}};
}

std::string Footer(const CommandHelp& help) {
  std::string text = "Exit codes:\n";
  for (const auto& [exit, meaning] : help.exits) {
    absl::StrAppendFormat(&text, "%3d  %s\n", static_cast<int>(exit), meaning);
  }
  absl::StrAppend(&text, "\nExamples:");
  for (const std::string& example : help.examples) absl::StrAppend(&text, "\n  ", example);
  return text;
}

void AddTo(CLI::App& app, const std::string& command, const std::vector<CommandHelp>& all) {
  const auto help = std::find_if(all.begin(), all.end(),
                                 [&](const CommandHelp& one) { return one.command == command; });
  GYRE_CHECK(help != all.end(), "every command has its help");
  app.footer(Footer(*help));
  for (CLI::App* sub : app.get_subcommands(nullptr)) {
    AddTo(*sub, command + " " + sub->get_name(), all);
  }
}

}  // namespace

void AddCommandHelp(CLI::App& app) {
  std::vector<CommandHelp> all = Items();
  for (std::vector<CommandHelp> more : {TablesAndCluster(), Nodes()}) {
    std::move(more.begin(), more.end(), std::back_inserter(all));
  }
  all.push_back(Whole());
  AddTo(app, app.get_name(), all);
}

}  // namespace gyre
