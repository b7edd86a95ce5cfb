// The bare echo as targets: each request carries its value, or its key if it has none, and gets it
// back.

#ifndef GYRE_TEST_BENCH_ECHO_ECHO_TARGET_H_
#define GYRE_TEST_BENCH_ECHO_ECHO_TARGET_H_

#include <memory>
#include <string>

#include "test/bench/target.h"

namespace gyre {

// A call for each request; the callback API, whose callbacks run on gRPC's threads. REQUIRES: at
// least one connection.
[[nodiscard]] std::unique_ptr<Target> EchoByCallback(const std::string& address, int connections);

// A call for each request; one completion queue and one thread.
[[nodiscard]] std::unique_ptr<Target> EchoByQueue(const std::string& address);

// One stream. What is ready while a frame is being written goes into the next one, up to 32
// requests a frame.
[[nodiscard]] std::unique_ptr<Target> EchoByStream(const std::string& address);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_ECHO_ECHO_TARGET_H_
