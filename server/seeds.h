// Seeds: how a node that is no member yet finds the cluster. It asks one after another of the
// addresses that it was configured with, over and over, until one of them answers; each name is
// looked up afresh at each try, so that one of many nodes, as a headless service has, will do.
//
// Thread rule: for the thread that starts the node; the call waits.

#ifndef GYRE_SERVER_SEEDS_H_
#define GYRE_SERVER_SEEDS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/proto/peer.pb.h"
#include "ring/ids.h"
#include "ring/topology.h"

namespace gyre {

struct SeedOptions {
  std::vector<std::string> seeds = {};  // host:port of peers' ports, at least one
  // For one answer: a change of the document goes over a majority of its voters, and waits a second
  // for those that do not answer. Default 10 s.
  Duration patience = Duration::Seconds(10);
  // After each round of all seeds. Default 500 ms.
  Duration pause = Duration::Millis(500);
  // Asked all the while; true ends the wait. Null: never.
  std::function<bool()> give_up = {};
  // How often all are asked; 0, the default: until one answers.
  int rounds = 0;
};

// The document that the first seed answers with which can. CANCELLED: given up. UNAVAILABLE: none
// did in so many rounds. Otherwise why the
// cluster will not have the node, as Peer.Join (api/proto/peer.proto) says it; DATA_LOSS: what came
// is no document.
absl::StatusOr<Topology> AskSeeds(const SeedOptions& options, const peer::JoinRequest& request);

}  // namespace gyre

#endif  // GYRE_SERVER_SEEDS_H_
