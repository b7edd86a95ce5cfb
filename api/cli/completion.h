// Completion: scripts that complete the words of a command line, made from the command tree itself,
// so that they cannot lag behind it. Pure.

#ifndef GYRE_API_CLI_COMPLETION_H_
#define GYRE_API_CLI_COMPLETION_H_

#include <string>

#include "CLI/App.hpp"

namespace gyre {

[[nodiscard]] std::string BashCompletion(const CLI::App& app);
[[nodiscard]] std::string ZshCompletion(const CLI::App& app);

}  // namespace gyre

#endif  // GYRE_API_CLI_COMPLETION_H_
