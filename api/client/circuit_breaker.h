// CircuitBreaker: whether a node is worth asking, from how it has answered so far, so that a dead
// node costs its clients one request at a time and not all of them (Nygard, "Release It!", 2007).
//
//   closed     the node is asked; `failures_to_open` failures in a row open it, a trip opens it at
//   once open       the node is not asked, for `open_min` the first time and twice as long each
//   next time,
//              up to `open_max`
//   half-open  the time is over: one request may try the node; its success closes, its failure
//   opens
//
//   closed --failures/trip--> open --time--> half-open --success--> closed
//                               ^--------failure--------'
//
// A failure is silence or a lost connection. An answer of any kind, an error too, is a success: the
// node is there. Pure: time is a parameter. Not thread-safe; the owner's lock guards it.

#ifndef GYRE_API_CLIENT_CIRCUIT_BREAKER_H_
#define GYRE_API_CLIENT_CIRCUIT_BREAKER_H_

#include "absl/time/time.h"

namespace gyre {
inline namespace sdk {

struct CircuitBreakerOptions {
  // Failures without an answer between them that open it. Default 5. 1: a single slow request
  // sends all others elsewhere.
  int failures_to_open = 5;
  // Default 100 ms. Shorter finds a restarted node sooner, and asks a dead one more often.
  absl::Duration open_min = absl::Milliseconds(100);
  // Default 3 s: the longest that a node which is back goes unused.
  absl::Duration open_max = absl::Seconds(3);
};

class CircuitBreaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };

  explicit CircuitBreaker(const CircuitBreakerOptions& options = {});

  // Whether TryAcquire would grant a request, and whether that one would be a probe.
  [[nodiscard]] bool WouldGrant(absl::Time now) const;
  [[nodiscard]] bool WouldProbe(absl::Time now) const;
  // Asks for one request to the node; in half-open only one is granted at a time. A probe whose
  // outcome is never told is given up after `open_max`.
  [[nodiscard]] bool TryAcquire(absl::Time now);

  void Success();
  void Failure(absl::Time now);
  // The connection is gone, or the node says that it is leaving: opens at once.
  void Trip(absl::Time now);

  State state() const { return state_; }

 private:
  void Open(absl::Time now);

  const CircuitBreakerOptions options_;
  State state_ = State::kClosed;
  int failures_ = 0;                         // in a row, while closed
  absl::Duration open_for_;                  // how long the next opening lasts
  absl::Time until_ = absl::InfinitePast();  // open: its end; half-open: when the probe is given up
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_CIRCUIT_BREAKER_H_
