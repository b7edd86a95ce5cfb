// Invocation: one run of `gyre`: the options that hold for every command, the streams it talks to,
// and the command that was named.

#ifndef GYRE_API_CLI_INVOCATION_H_
#define GYRE_API_CLI_INVOCATION_H_

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/cli/terminal.h"
#include "api/client/client.h"

namespace gyre {

// Told in `gyre --help`; scripts rely on them.
enum class Exit : int {
  kOk = 0,
  kNotFound = 1,       // no such key, or no such table
  kBadUsage = 2,       // a wrong command line, or an argument that the server refuses
  kFailed = 3,         // no server can be reached, it failed, or the output cannot be written
  kSiblings = 4,       // get: the key has several values; all of them are printed
  kDataErrors = 5,     // load: some records were not written, or read back different
  kInterrupted = 130,  // load, rebalance: ended by Ctrl-C; as a shell tells it
};

struct Invocation {
  std::istream* in = nullptr;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  Terminal terminal;

  // Options of every command.
  std::string connect = "127.0.0.1:7100";  // host:port[,host:port...]
  bool json = false;
  std::optional<uint32_t> timeout_ms;

  // Set by the command that was named.
  std::function<Exit()> run;

  std::vector<std::string> Seeds() const;
  // What a request may take where --timeout-ms does not say.
  absl::Duration TimeoutOr(absl::Duration otherwise) const {
    return timeout_ms.has_value() ? absl::Milliseconds(*timeout_ms) : otherwise;
  }
  absl::StatusOr<std::unique_ptr<Client>> Connect() const;

  // Says what went wrong: on standard error for people, as an object on standard output with
  // --json.
  Exit Fail(const absl::Status& status) const;
  Exit BadUsage(const std::string& why) const;
};

}  // namespace gyre

#endif  // GYRE_API_CLI_INVOCATION_H_
