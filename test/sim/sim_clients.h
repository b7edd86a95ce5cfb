// SimClients: runs a workload against a SimCluster as clients do: through any node, with a timeout,
// and with retries of a write under the same idempotency key at other nodes.
//
// One thread.

#ifndef GYRE_TEST_SIM_SIM_CLIENTS_H_
#define GYRE_TEST_SIM_SIM_CLIENTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "ring/random.h"
#include "test/sim/sim_cluster.h"
#include "test/workload/workload.h"

namespace gyre {

struct ClientOptions {
  int clients = 6;
  Duration mean_pause = Duration::Millis(60);  // between two operations of a client
  Duration server_timeout = Duration::Millis(900);
  Duration client_timeout = Duration::Millis(1500);  // then the answer is held to be lost
  int attempts = 3;
};

class SimClients {
 public:
  SimClients(ClientOptions options, SimCluster* cluster, Workload* workload, Random random);

  // Begins, and goes on until `Stop`; what is under way then still ends.
  void Start();
  void Stop() { stopped_ = true; }

  uint64_t operations() const { return operations_; }
  uint64_t succeeded() const { return succeeded_; }

 private:
  // One operation over its attempts.
  struct Call {
    int client = 0;
    Action operation;
    ActionResult result;
    int attempt = 0;
    bool maybe_written = false;  // some attempt may take effect yet
    int answered = 0;            // the newest attempt that was answered, or given up
    int given_up = 0;            // likewise, the latter alone
    Outcome outcome;
  };
  void Next(int client);
  void Try(const std::shared_ptr<Call>& call);
  void OnAttempt(const std::shared_ptr<Call>& call, const Outcome* outcome);
  void End(const std::shared_ptr<Call>& call, ActionResult::Kind kind);
  void NoteContext(const Call& call);

  const ClientOptions options_;
  SimCluster* const cluster_;
  Workload* const workload_;
  Random random_;
  bool stopped_ = false;
  uint64_t next_write_ = 1;
  // Writes that were acknowledged, of each key; and as many as there were when a client was last
  // answered about it.
  using Key = std::pair<std::string, std::string>;  // table, key
  std::map<Key, uint64_t> acknowledged_;
  std::map<std::pair<int, Key>, uint64_t> heard_;
  uint64_t operations_ = 0;
  uint64_t succeeded_ = 0;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_SIM_CLIENTS_H_
