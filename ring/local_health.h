// LocalHealth: how far this node trusts its own judgement of others. Who fails to hear from several
// others at once is likelier to be slow itself than to be among the dead; so it waits longer before
// it says anything of anybody.
//
//   LocalHealth health;
//   health.Worsen(1);                                 // a probe was not answered
//   timeout = health.Stretch(Duration::Millis(500));  // 1 s now
//
// Source: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure
// Detection" (DSN-W 2018), section IV-A: the local health multiplier, a saturating counter.
//
// A value; no thread of its own.

#ifndef GYRE_RING_LOCAL_HEALTH_H_
#define GYRE_RING_LOCAL_HEALTH_H_

#include <algorithm>

#include "ring/ids.h"

namespace gyre {

class LocalHealth {
 public:
  // The paper's S. At the worst, a node probes and waits nine times as long as in health.
  static constexpr int kWorst = 8;

  void Worsen(int by) { score_ = std::min(score_ + by, kWorst); }
  void Improve() { score_ = std::max(score_ - 1, 0); }
  // 0: healthy.
  int score() const { return score_; }
  Duration Stretch(Duration duration) const {
    return Duration::Micros(duration.micros() * (score_ + 1));
  }

 private:
  int score_ = 0;
};

}  // namespace gyre

#endif  // GYRE_RING_LOCAL_HEALTH_H_
