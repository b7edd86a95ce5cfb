// AdmissionLimit: how many clients' requests a lane may have in flight at once, by how long those
// that come wait before they are begun.
//
// A queue that empties now and then does its work: it takes up bursts. One that stands adds its
// length to every request and serves nobody sooner. The two are told apart as CoDel does (Nichols
// and Jacobson, "Controlling Queue Delay", ACM Queue 2012): by the shortest wait of an interval. If
// even that was above the target, the queue stands. Waiting is what is looked at, not answering,
// since an answer also takes what peers and the disk take (DAGOR: Zhou et al., "Overload Control
// for Scaling WeChat Microservices", SoCC 2018, section 4.1).
//
// What follows from it is a bound on the requests in flight, for waits are as long as those are
// many (Little's law), and not a share of the arrivals to be refused: a bound is the same however
// far above capacity the load is, and is not met any more the moment that the load goes. It falls
// with how far the wait is off the target, at most by a quarter, and rises by an eighth (cf.
// Breakwater: Cho et al., "Overload Control for us-scale RPCs with Breakwater", OSDI 2020,
// section 4.2).
//
// Pure; one thread.

#ifndef GYRE_SERVER_ADMISSION_LIMIT_H_
#define GYRE_SERVER_ADMISSION_LIMIT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "ring/ids.h"

namespace gyre {

struct AdmissionOptions {
  // The shortest wait of an interval that is not too long. Default 10 ms. Shorter than a stall of
  // the machine lasts, and requests are refused that it could serve; longer, and overload is first
  // felt as slow answers.
  Duration target = Duration::Millis(10);
  // Default 100 ms. A burst may wait for so long and is served all the same. Formula: several
  // rounds of a busy lane. Longer, and overload stands for longer before it is seen.
  Duration interval = Duration::Millis(100);
  // The limit never falls below. Default 256: what keeps commits and frames well filled, and what a
  // few clients ask at once. Smaller, and a node that peers or others of its machine keep busy
  // serves no clients of its own; larger, and there is little to refuse.
  size_t least = 256;
  // Nor rises above. Default 10,000, which is the door's bound.
  size_t most = 10'000;
};

class AdmissionLimit {
 public:
  // Where requests wait: to be taken in by the lane, and for a thread that reads from the disk.
  enum class Stage : uint8_t { kLane, kDisk };

  explicit AdmissionLimit(AdmissionOptions options) : options_(options), limit_(options.most) {}

  // What was just begun had waited for so long.
  void OnWait(Stage stage, Duration waited) {
    Waits& waits = waits_.at(static_cast<size_t>(stage));
    waits.shortest = waits.count++ == 0 ? waited : std::min(waits.shortest, waited);
  }
  // The lane went round: so many requests are in flight, and so many were answered in this round.
  void OnRound(size_t in_flight, size_t answered, Time now);

  size_t limit() const { return limit_; }
  // A queue stood in the last interval.
  bool standing() const { return standing_; }
  // How busy the lane was in the last interval, in percent of what it can do, 0 to 100: by the
  // shortest wait of its target, or by the most requests in flight of the limit, whichever is more.
  int load_percent() const { return load_percent_; }
  // When to come again: by then as many requests have been answered as are in flight, at the pace
  // of the last interval. 10 ms to 1 s.
  Duration retry_after() const { return retry_after_; }

 private:
  struct Waits {
    size_t count = 0;
    Duration shortest;
  };
  // The longer of the stages' shortest waits, of those that are no moment.
  Duration Waiting() const;

  const AdmissionOptions options_;
  size_t limit_;
  bool standing_ = false;
  int load_percent_ = 0;
  Duration retry_after_ = Duration::Millis(10);

  // Of the interval that runs.
  Time began_;
  std::array<Waits, 2> waits_;
  size_t most_in_flight_ = 0;
  size_t answered_ = 0;
};

}  // namespace gyre

#endif  // GYRE_SERVER_ADMISSION_LIMIT_H_
