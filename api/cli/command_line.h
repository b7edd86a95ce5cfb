// RunCommandLine: `gyre` as a function, from its words and streams to its exit code. main calls it
// with those of the process, tests with theirs.

#ifndef GYRE_API_CLI_COMMAND_LINE_H_
#define GYRE_API_CLI_COMMAND_LINE_H_

#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "api/cli/terminal.h"

namespace gyre {

// `words` without the program's name. GYRE_CONNECT of the environment counts.
int RunCommandLine(const std::vector<std::string>& words, std::istream* in, std::ostream* out,
                   std::ostream* err, const Terminal& terminal);

}  // namespace gyre

#endif  // GYRE_API_CLI_COMMAND_LINE_H_
