// AdmissionLimit: how many clients' requests a lane may have in flight at once, by how long those
// that come wait before they are begun.
//
// A queue that empties now and then does its work: it takes up bursts. One that stands adds its
// length to every request and serves nobody sooner. The two are told apart by an interval, as CoDel
// does (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 2012), but not by its shortest
// wait: a round takes in all that has come, so that the queue of a lane is empty once in a round
// however long the rounds are, and one short round among them hides the others. What is looked at
// is how long most had waited: where more than half of what was begun in an interval waited for
// longer than the target, and of the interval before as well, the queue stands. Waiting, and not
// answering, since an answer also takes what peers and the disk take (DAGOR: Zhou et al., "Overload
// Control for Scaling WeChat Microservices", SoCC 2018, section 4.1).
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
  // What most may wait. Default 15 ms. Shorter than a stall of the machine lasts, and requests are
  // refused that it could serve, and what is in flight is too little for commits and frames to be
  // well filled; longer, and overload is first felt as slow answers.
  Duration target = Duration::Millis(15);
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

  // So many as were just begun at once had waited for so long.
  void OnWait(Stage stage, Duration waited, size_t begun);
  // The lane went round: so many requests are in flight, and so many were answered in this round.
  void OnRound(size_t in_flight, size_t answered, Time now);

  size_t limit() const { return limit_; }
  // A queue stood in the last two intervals.
  bool standing() const { return standing_; }
  // How busy the lane was in the last interval, in percent of what it can do, 0 to 100: by the
  // usual wait of two intervals, the shorter one, of its target, or by the most requests in flight
  // of the limit, whichever is more.
  int load_percent() const { return load_percent_; }
  // Of that, by the wait alone: what is in flight may be many for want of others' answers.
  int wait_percent() const { return wait_percent_; }
  // When to come again: by then as many requests have been answered as are in flight, at the pace
  // of the last interval. 10 ms to 1 s.
  Duration retry_after() const { return retry_after_; }

 private:
  struct Waits {
    size_t times = 0;
    size_t begun = 0;
    size_t late = 0;  // of those begun: for longer than the target
    Duration sum;     // of all those begun
    bool MostLate() const { return late * 2 > begun; }
  };
  // What was usual at the stage where it was longest, of those that saw more than a moment: the
  // mean, which counts as above the target if most were, and else as no more than it.
  Duration Usual() const;

  const AdmissionOptions options_;
  size_t limit_;
  bool standing_ = false;
  Duration usual_before_;  // of the interval before
  int load_percent_ = 0;
  int wait_percent_ = 0;
  Duration retry_after_ = Duration::Millis(10);

  // Of the interval that runs.
  Time began_;
  std::array<Waits, 2> waits_;
  size_t most_in_flight_ = 0;
  size_t answered_ = 0;
};

}  // namespace gyre

#endif  // GYRE_SERVER_ADMISSION_LIMIT_H_
