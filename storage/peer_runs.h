// PeerRuns: which run of which data directory each peer was last met as, so that a peer on an older
// copy of its directory is known for one before it mints a dot twice (design 3, rule 1).
//
//   peer runs := version(1)=1 count(4) (node(8) instance(8) boots(8) run(8))*   key 'n' "peer_runs"
//
// All integers big endian; in family kMeta.
//
// A directory counts its opens (storage/identity.h), and each process draws a random `run`. So the
// same count with another run, or a smaller one, is a directory that has been put back to an
// earlier state, or a second copy of it. A copy of a directory that was in use when it was copied
// has a greater count than it was met with, as after any unclean stop: that one the clocks of its
// peers tell (Shard::Confirmed).
//
// Thread rule: a plain value.

#ifndef GYRE_STORAGE_PEER_RUNS_H_
#define GYRE_STORAGE_PEER_RUNS_H_

#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "storage/engine.h"

namespace gyre {

struct PeerRun {
  uint64_t instance = 0;
  uint64_t boots = 0;
  uint64_t run = 0;  // random, of a process
};

class PeerRuns {
 public:
  // DATA_LOSS when what is stored is damaged.
  static absl::StatusOr<PeerRuns> Load(const Engine& engine);

  enum class Verdict : uint8_t {
    kKnown,      // met before
    kLater,      // a later run than any that was met: to be remembered
    kForgetful,  // the directory has been met in a later state than it had when this run began
  };
  Verdict Judge(NodeId peer, const PeerRun& run) const;

  // Whether another directory than this run's has been met under the peer's name.
  bool MetAnother(NodeId peer, const PeerRun& run) const;

  // REQUIRES: Judge says kLater. The batch makes it durable.
  WriteBatch Remember(NodeId peer, const PeerRun& run);

 private:
  struct Newest {
    uint64_t boots = 0;
    uint64_t run = 0;
  };
  std::map<std::pair<NodeId, uint64_t>, Newest> newest_;  // by node and instance
};

}  // namespace gyre

#endif  // GYRE_STORAGE_PEER_RUNS_H_
