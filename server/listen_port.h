// ClaimPort: whether an address can be listened on, with an error that says why not, before
// anything is started on it; and which port, where any would do.
//
// Any thread.

#ifndef GYRE_SERVER_LISTEN_PORT_H_
#define GYRE_SERVER_LISTEN_PORT_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config.h"

namespace gyre {

// The port that `address` gives, or a free one where it gives 0. UNAVAILABLE, naming `field`: the
// port is in use; INVALID_ARGUMENT: no such host here. The port is free again when this returns.
absl::StatusOr<int> ClaimPort(std::string_view field, const Address& address);

// The error of a listener that could not be opened on `address`: asks the system once more for the
// reason, since the libraries that listen keep it to themselves.
absl::Status CannotListen(std::string_view field, const Address& address);

}  // namespace gyre

#endif  // GYRE_SERVER_LISTEN_PORT_H_
