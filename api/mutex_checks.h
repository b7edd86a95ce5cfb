// What gyred, gyre and the benchmarks do first. Thread rule: before any other thread is made.

#ifndef GYRE_API_MUTEX_CHECKS_H_
#define GYRE_API_MUTEX_CHECKS_H_

#include "absl/synchronization/mutex.h"

namespace gyre {

// Debian builds Abseil with its search for lock cycles on: each lock that gRPC takes goes through
// one process-wide graph. That is for those who debug gRPC; without it a put costs 3 to 7 % less.
inline void TurnOffMutexChecks() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace gyre

#endif  // GYRE_API_MUTEX_CHECKS_H_
