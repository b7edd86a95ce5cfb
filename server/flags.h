// Flags: the command line of gyred, and how it overrides the configuration.
//
// Of the thread that starts the process.

#ifndef GYRE_SERVER_FLAGS_H_
#define GYRE_SERVER_FLAGS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/config.h"

namespace gyre {

struct Flags {
  Config config;
  std::string log_file;  // empty: standard error
  bool dev = false;
};

// What the process is to do: run with flags, or end with a code (after --help, --version, or an
// error that has been printed).
struct FlagsOutcome {
  std::optional<Flags> run;
  int exit_code = 0;
};

FlagsOutcome ParseFlags(int argc, const char* const* argv);

}  // namespace gyre

#endif  // GYRE_SERVER_FLAGS_H_
