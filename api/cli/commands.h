// The commands of `gyre`, one function for each group, which adds them to the command line. A
// command sets Invocation::run when it is named; nothing runs while the line is parsed.

#ifndef GYRE_API_CLI_COMMANDS_H_
#define GYRE_API_CLI_COMMANDS_H_

#include "CLI/App.hpp"
#include "api/cli/invocation.h"

namespace gyre {

void AddItemCommands(CLI::App& app, Invocation& invocation);     // put, get, delete
void AddScanCommands(CLI::App& app, Invocation& invocation);     // scan-partition, dump
void AddTableCommands(CLI::App& app, Invocation& invocation);    // table create, list, ...
void AddClusterCommands(CLI::App& app, Invocation& invocation);  // status, hints, ring
// node join, leave, remove, replace; zone, cancel, transfers
void AddNodeCommands(CLI::App& app, Invocation& invocation);
void AddLoadCommand(CLI::App& app, Invocation& invocation);      // load
void AddCompletionCommand(CLI::App& app, Invocation& invocation);

}  // namespace gyre

#endif  // GYRE_API_CLI_COMMANDS_H_
