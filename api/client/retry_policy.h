// RetryPolicy: what to do about an attempt that failed, and how long to wait before the next one.
// Two pure functions; any thread.
//
// Every write carries an idempotency key that stays the same over its attempts, so a retry of one
// whose outcome is unknown has one effect, and reads and writes are retried alike.
//
// The wait is exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015): uniform in [0, min(cap, base * 2^(retry - 1))).

#ifndef GYRE_API_CLIENT_RETRY_POLICY_H_
#define GYRE_API_CLIENT_RETRY_POLICY_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/proto/gyre.pb.h"

namespace gyre {
inline namespace sdk {

enum class Remedy {
  kNone,      // tell the caller; another attempt would end the same
  kBackOff,   // wait, then ask the next owner; draws on the retry budget
  kFailOver,  // this node is leaving: ask the next owner, the first time at once and for free
  kRefresh,   // fetch the topology, then ask again by the new one
};

// What is known about a failed attempt: what the server said, and what this client knows.
struct FailedAttempt {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  v1::ErrorDetail::Reason reason = v1::ErrorDetail::REASON_UNSPECIFIED;
  // The topology that the request was routed by has its table. Then UNKNOWN_TABLE only says that
  // the node has not heard of it yet.
  bool table_known = false;
};

[[nodiscard]] Remedy RemedyFor(const FailedAttempt& failed);

struct BackOffOptions {
  // Bound of the first wait. Default 10 ms, a few times a healthy request. Far less floods a node
  // that asked for relief; far more makes a single hiccup visible to users.
  absl::Duration base = absl::Milliseconds(10);
  // Bound of any wait that the server did not ask for. Default 500 ms.
  absl::Duration cap = absl::Milliseconds(500);
};

// The wait before retry number `retry` (1, 2, ...), from `unit`, a random number in [0, 1). At
// least `retry_after_ms`, which an overloaded server asks for; the jitter comes on top of it, or
// all clients that were refused would be back in the same millisecond.
[[nodiscard]] absl::Duration BackOffDelay(const BackOffOptions& options, int retry,
                                          uint32_t retry_after_ms, double unit);

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_RETRY_POLICY_H_
