// CopyPace: how much a shard copies of whole partitions, taken and given, by how its clients fare
// meanwhile. The signal is the 99th percentile of how long their requests take: one request in a
// hundred may take longer than a bound, which is a multiple of that percentile in times without
// copies. The pace falls with each that does and rises with a hundred that do not, so that it comes
// to rest where one in a hundred does (stochastic approximation of a quantile: Robbins and Monro,
// "A Stochastic Approximation Method", 1951).
//
// The pace is in bytes a second: after each page copies rest until it is kept. They never stand
// still, for a cluster that is too small gets slower by waiting. Both ends of a copy have a pace,
// so the slower one of the two counts.
//
// Pure; one thread.

#ifndef GYRE_SERVER_COPY_PACE_H_
#define GYRE_SERVER_COPY_PACE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ring/ids.h"

namespace gyre {

// A rest that is shorter than this is made up for by the next one: timers cost as well.
inline constexpr Duration kLeastRest = Duration::Millis(5);

struct CopyPaceOptions {
  // Copies under way at once, taken and given each. Default 2. Each holds a snapshot of the giver's
  // store, which keeps what is deleted meanwhile on its disk.
  size_t at_once = 2;
  // Bytes a second, at first, at least and at most. Defaults 256 KiB, 128 KiB and 256 MiB.
  double first = 256 << 10;
  double least = 128 << 10;
  double most = 256 << 20;
  // The pace changes once in so long: at most to a half, and by a fifth upwards. Default 250 ms.
  // Shorter, and one slow moment of a disk ends all copies; longer, and clients wait until the pace
  // follows.
  Duration interval = Duration::Millis(250);
  // Of so many requests without copies one percentile is taken, or of those in so long. Defaults
  // 200 and 5 s; fewer than 20 tell nothing.
  size_t requests = 200;
  Duration usual_interval = Duration::Seconds(5);
  // The bound: times the percentile without copies, and what is quick enough in any case. Defaults
  // 1.5 and 5 ms. What clients see is more by what they wait for beside: of three times the
  // percentile, as test/elastic.sh asks for, 2 takes all.
  double most_times = 1.5;
  Duration quick = Duration::Millis(5);
  // What that percentile is taken for as long as it is not known, as at a node that has just
  // started. Default 10 ms.
  Duration unknown = Duration::Millis(10);
  // Of a rest. Default 2 s.
  Duration longest_rest = Duration::Seconds(2);
};

class CopyPace {
 public:
  explicit CopyPace(CopyPaceOptions options) : options_(options), pace_(options.first) {}

  // A client's request has ended. `moving`: copies were under way somewhere, of which it may have
  // been slower.
  void OnRequest(Duration took, bool moving, Time now);
  size_t copies() const { return options_.at_once; }
  uint64_t pace() const { return static_cast<uint64_t>(pace_); }  // bytes a second
  // After a page of so many bytes: before the next one.
  Duration RestAfter(size_t bytes, Time now);

 private:
  void Follow(Time now);
  void EndUsual(Time now);

  const CopyPaceOptions options_;
  double pace_;  // bytes a second
  Time follows_at_;
  size_t served_ = 0;              // while copies were under way, since the pace last changed
  size_t slow_ = 0;                // of those
  std::optional<Duration> usual_;  // the percentile without copies, the last ones count most
  std::vector<Duration> took_;     // without copies, since then
  Time usual_ends_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_COPY_PACE_H_
