// PrepareDataDirectory: the directory of a node's data, made where it is absent, and refused where
// it is somebody else's. Nothing is changed in a directory that is refused.
//
//   DIR         made with mode 0700, parents as the umask says; one that was there keeps its mode
//   DIR/store   RocksDB's, made with mode 0700
//   DIR/store.damaged   what an operator moved out of the way; never looked at
//
// The thread that starts the process.

#ifndef GYRE_SERVER_DATA_DIRECTORY_H_
#define GYRE_SERVER_DATA_DIRECTORY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gyre {

// The path of the store in `path`. FAILED_PRECONDITION: `path` is no directory, belongs to another
// user, or holds files but no store of Gyre. A `lost+found`, log files and what is named
// `store.damaged...` do not count.
// UNAVAILABLE: it can be neither made nor read. RESOURCE_EXHAUSTED: its disk has no room for a
// start, which writes out anew what the logs hold.
absl::StatusOr<std::string> PrepareDataDirectory(const std::string& path);

// How a node whose store is lost comes to hold its data again.
enum class Refill {
  kIfOthersJoined,  // the first of its cluster: the others, if any have joined, call it
  kInPlace,         // it is known by its name: it begins anew, and is filled by the other owners
  kByAnother        // it joined, and is known by a key in its store: another node takes its place
};

// The way out of damage of the store in `path`, of node `name`, with the commands.
std::string DamageAdvice(const std::string& path, const std::string& name, Refill refill);

// A DATA_LOSS with that advice; any other status as it is.
absl::Status ExplainDamage(absl::Status status, const std::string& advice);

}  // namespace gyre

#endif  // GYRE_SERVER_DATA_DIRECTORY_H_
