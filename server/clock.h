// The clocks of the machine, read in one place. Pure code gets what they say as a parameter.
//
// Any thread.

#ifndef GYRE_SERVER_CLOCK_H_
#define GYRE_SERVER_CLOCK_H_

#include <chrono>

#include "ring/ids.h"

namespace gyre {

inline Time MonotonicNow() {
  return Time::FromMicros(std::chrono::duration_cast<std::chrono::microseconds>(
                              std::chrono::steady_clock::now().time_since_epoch())
                              .count());
}

inline Instant InstantNow() {
  return {MonotonicNow(),
          static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::system_clock::now().time_since_epoch())
                                    .count())};
}

inline std::chrono::steady_clock::time_point ToTimePoint(Time time) {
  return std::chrono::steady_clock::time_point(std::chrono::microseconds(time.micros()));
}

}  // namespace gyre

#endif  // GYRE_SERVER_CLOCK_H_
