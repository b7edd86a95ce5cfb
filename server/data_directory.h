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

// The way out of damage: the command after which the node, stopped and started again, begins anew
// and is filled by the other owners, where there are `peers`.
std::string DamageAdvice(const std::string& path, bool peers);

// A DATA_LOSS with that advice; any other status as it is.
absl::Status ExplainDamage(absl::Status status, const std::string& path, bool peers);

}  // namespace gyre

#endif  // GYRE_SERVER_DATA_DIRECTORY_H_
