// ClientStats: what a client has done since it was made. ClientCounters is the live form, counted
// by any thread without a lock; a snapshot of it need not be of one instant.

#ifndef GYRE_API_CLIENT_CLIENT_STATS_H_
#define GYRE_API_CLIENT_CLIENT_STATS_H_

#include <atomic>
#include <cstdint>

namespace gyre {
inline namespace sdk {

struct ClientStats {
  uint64_t requests = 0;  // accepted from the caller, each item of a multi request
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  uint64_t refused = 0;         // over max_outstanding or max_outstanding_bytes: never accepted
  uint64_t throttled = 0;       // attempts not sent, for the node refuses most of what it gets
  uint64_t frames_sent = 0;     // requests / frames_sent: how well they coalesce
  uint64_t attempts = 0;        // requests in those frames
  uint64_t retries = 0;         // after a wait, paid for by the retry budget
  uint64_t retries_denied = 0;  // the budget was empty
  uint64_t failovers = 0;       // to another owner at once, the first of a request
  uint64_t topologies = 0;      // fetched and newer than the one before
};

struct ClientCounters {
  std::atomic<uint64_t> requests{0}, succeeded{0}, failed{0}, refused{0}, throttled{0},
      frames_sent{0}, attempts{0}, retries{0}, retries_denied{0}, failovers{0}, topologies{0};

  ClientStats Snapshot() const {
    const auto read = [](const std::atomic<uint64_t>& counter) {
      return counter.load(std::memory_order_relaxed);
    };
    return {.requests = read(requests),
            .succeeded = read(succeeded),
            .failed = read(failed),
            .refused = read(refused),
            .throttled = read(throttled),
            .frames_sent = read(frames_sent),
            .attempts = read(attempts),
            .retries = read(retries),
            .retries_denied = read(retries_denied),
            .failovers = read(failovers),
            .topologies = read(topologies)};
  }
};

inline void Count(std::atomic<uint64_t>& counter, uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_CLIENT_STATS_H_
