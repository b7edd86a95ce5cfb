// AddCommandHelp: the end of what `--help` prints: which exit codes a command has and what they
// mean there, and examples of it. The whole program's help tells all codes.
//
// The thread that builds the command line.

#ifndef GYRE_API_CLI_COMMAND_HELP_H_
#define GYRE_API_CLI_COMMAND_HELP_H_

#include "CLI/App.hpp"

namespace gyre {

// REQUIRES: every command of `app` is there, and each is known here.
void AddCommandHelp(CLI::App& app);

}  // namespace gyre

#endif  // GYRE_API_CLI_COMMAND_HELP_H_
