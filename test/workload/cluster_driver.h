// ClusterDriver: runs a workload through the SDK against a real cluster: real time, real sockets,
// many clients in one process. The counterpart of test/sim/sim_clients.h.
//
//   ClusterDriver driver(options, client, workload);
//   driver.Run();
//   ... whatever the cluster needs to settle ...
//   driver.Check();
//   driver.report()
//
// Run and Check block and call the workload from the calling thread alone.

#ifndef GYRE_TEST_WORKLOAD_CLUSTER_DRIVER_H_
#define GYRE_TEST_WORKLOAD_CLUSTER_DRIVER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "api/client/client.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "test/workload/workload.h"

namespace gyre {

struct DriverOptions {
  int clients = 32;          // each with one action under way
  double rate_per_s = 2000;  // of all clients together; 0: as fast as they can
  std::chrono::milliseconds length{10'000};
  uint64_t seed = 1;
};

struct DriverReport {
  uint64_t requests = 0;
  uint64_t failed = 0;        // after the SDK's retries
  uint64_t acknowledged = 0;  // writes
  std::vector<std::string> violations;
  std::vector<std::string> failures;   // the first few, in words
  std::vector<uint32_t> latencies_us;  // of what succeeded, unsorted
};

class ClusterDriver {
 public:
  ClusterDriver(DriverOptions options, Client* client, Workload* workload);

  // Creates the workload's tables and runs it.
  void Run();
  // Reads everything back and judges it. After Run, once.
  void Check();

  const DriverReport& report() const { return report_; }

 private:
  struct Ended {
    int client;
    Action action;
    ActionResult result;
    std::string failure;  // empty: it succeeded
  };
  using Clock = std::chrono::steady_clock;

  Time Now() const;
  void Issue(int client);
  void OnEnded(int client, Action action, const absl::Status& status, ActionResult result);
  void Take(Ended ended);

  const DriverOptions options_;
  Client* const client_;
  Workload* const workload_;
  const Clock::time_point origin_ = Clock::now();
  Random random_;
  DriverReport report_;
  int under_way_ = 0;

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Ended> ended_;  // guarded by mutex_
};

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_CLUSTER_DRIVER_H_
