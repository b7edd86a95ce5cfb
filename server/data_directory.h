// PrepareDataDirectory: the directory of a node's data, made where it is absent, and refused where
// it is somebody else's. Nothing is changed in a directory that is refused.
//
//   DIR         made with mode 0700, parents as the umask says; one that was there keeps its mode
//   DIR/store   RocksDB's, made with mode 0700
//
// The thread that starts the process.

#ifndef GYRE_SERVER_DATA_DIRECTORY_H_
#define GYRE_SERVER_DATA_DIRECTORY_H_

#include <string>

#include "absl/status/statusor.h"

namespace gyre {

// The path of the store in `path`. FAILED_PRECONDITION: `path` is no directory, belongs to another
// user, or holds files but no store of Gyre. A `lost+found` and log files do not count.
// UNAVAILABLE: it can be neither made nor read.
absl::StatusOr<std::string> PrepareDataDirectory(const std::string& path);

}  // namespace gyre

#endif  // GYRE_SERVER_DATA_DIRECTORY_H_
