// MovePace: how long a node takes for one copy of a partition that it is given, as the documents of
// the topology show it; and what that makes of a plan. While a node is given partitions, the time
// that passes is spent on them; the copies that went over meanwhile are what it was spent on. So
// the pace is of this cluster, its data, its disks and its load, and it is an estimate.
//
// Any thread.

#ifndef GYRE_SERVER_MOVE_PACE_H_
#define GYRE_SERVER_MOVE_PACE_H_

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "ring/ids.h"
#include "ring/move.h"
#include "ring/rebalance.h"
#include "ring/topology.h"

namespace gyre {

class MovePace {
 public:
  // The node serves under this document from now on.
  void OnView(const Topology& topology, Time now);
  // Of one node, over the copies that ended last. Nothing: none was seen to end.
  std::optional<Duration> EachCopy() const;

 private:
  // The older half of what was seen counts less and less.
  static constexpr int64_t kMostCopies = 512;

  mutable std::mutex mutex_;
  std::vector<Move> filling_;  // guarded by mutex_, and so are the rest
  Time seen_;
  int64_t copies_ = 0;
  Duration spent_;
};

// Of all copies that are yet to be made.
struct MoveOutlook {
  uint64_t copies = 0;
  uint64_t bytes = 0;
  // Until the node that is given most has all of it. Nodes that are given partitions take them at
  // the same time.
  uint64_t seconds = 0;
  bool measured = false;  // else it is by a pace that is assumed
};
// `bytes_each`: of a partition. `each`: as EachCopy; where it is nothing, a node is taken to be
// given 16 MiB/s, and no more than 10 partitions a second.
MoveOutlook OutlookOf(absl::Span<const Flow> flows, uint64_t bytes_each,
                      std::optional<Duration> each);

}  // namespace gyre

#endif  // GYRE_SERVER_MOVE_PACE_H_
