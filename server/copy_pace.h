// CopyPace: how many whole copies of partitions a shard takes at once, and gives at once, by how
// its clients fare meanwhile. The signal is the 99th percentile of how long their requests took,
// against that of times without copies: additive increase while it is near, and multiplicative
// decrease where it is not (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms",
// 1989). One copy always goes on, for a cluster that is too small gets slower by waiting. Both ends
// of a copy have a pace, so the slower one of the two counts.
//
// Pure; one thread.

#ifndef GYRE_SERVER_COPY_PACE_H_
#define GYRE_SERVER_COPY_PACE_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "ring/ids.h"

namespace gyre {

struct CopyPaceOptions {
  // At first, and at most. Defaults 2 and 8. Each holds a snapshot of the giver's store, which
  // keeps what is deleted meanwhile on its disk.
  size_t first = 2;
  size_t most = 8;
  // Of so many requests one percentile is taken, or of those in so long. Defaults 200 and 5 s.
  // Fewer, and it is one slow request; more, and clients wait until the pace follows.
  size_t requests = 200;
  Duration interval = Duration::Seconds(5);
  // Fewer than these tell nothing: hardly anybody is served, and so nobody is slowed down. Default
  // 20.
  size_t least_requests = 20;
  // Times the percentile without copies, and what is quick enough in any case. Defaults 2 and 5 ms.
  int64_t most_times = 2;
  Duration quick = Duration::Millis(5);
};

class CopyPace {
 public:
  explicit CopyPace(CopyPaceOptions options)
      : options_(options), copies_(std::min(options.first, options.most)) {}

  // A client's request has ended. `copying`: copies are under way, in either direction.
  void OnRequest(Duration took, bool copying, Time now);
  // How many may be under way now.
  size_t copies(Time now);

 private:
  void EndInterval(Time now);
  Duration Percentile();

  const CopyPaceOptions options_;
  size_t copies_;
  std::vector<Duration> took_;  // in this interval
  bool copied_ = false;         // for some of it
  Time ends_at_;
  std::optional<Duration> usual_;  // percentile of intervals without copies, the last ones most
};

}  // namespace gyre

#endif  // GYRE_SERVER_COPY_PACE_H_
