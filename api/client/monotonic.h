// MonotonicNow: the one clock of the SDK. A point on the monotonic line of this process, as an
// absl::Time so that durations and deadlines read well; it has no relation to the calendar, and a
// step of the wall clock does not move it. Everything that decides by time takes `now` as a
// parameter and is tested with times of the test's making.

#ifndef GYRE_API_CLIENT_MONOTONIC_H_
#define GYRE_API_CLIENT_MONOTONIC_H_

#include <chrono>

#include "absl/time/time.h"

namespace gyre {
inline namespace sdk {

inline absl::Time MonotonicNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_MONOTONIC_H_
