// Suspicion: for how long a member that did not answer is only suspected. It is long at first,
// since whoever suspects may be the one that is slow, and becomes shorter with each other node that
// comes to the same by itself:
//
//   most - (most - least) * log(confirmations + 1) / log(wanted + 1),  not below least
//
//   Suspicion suspicion(Duration::Seconds(12), Duration::Seconds(72), 3);
//   suspicion.Confirm(other);   // 42 s; 25 s with a second one; 12 s with a third one
//
// Source: Lifeguard (see local_health.h), section IV-B: local health aware suspicion.
//
// A value; no thread of its own.

#ifndef GYRE_RING_SUSPICION_H_
#define GYRE_RING_SUSPICION_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "ring/ids.h"

namespace gyre {

class Suspicion {
 public:
  // `wanted`: how many others must confirm it for the shortest time; 0 in clusters so small that
  // nobody can. REQUIRES: least <= most, wanted >= 0.
  Suspicion(NodeId first, Duration least, Duration most, int wanted)
      : least_(least), most_(most), wanted_(wanted), by_{first} {}

  // Another node suspects the member too. False where that is no news: it has said so before, or
  // enough have.
  bool Confirm(NodeId by) {
    if (Confirmations() >= wanted_ || std::find(by_.begin(), by_.end(), by) != by_.end()) {
      return false;
    }
    by_.push_back(by);
    return true;
  }
  int Confirmations() const { return static_cast<int>(by_.size()) - 1; }

  // Of the suspicion as a whole, from its beginning.
  Duration Timeout() const {
    if (wanted_ == 0) return least_;
    const double share = std::log(Confirmations() + 1) / std::log(wanted_ + 1);
    const auto range = static_cast<double>((most_ - least_).micros());
    return std::max(least_, most_ - Duration::Micros(static_cast<int64_t>(range * share)));
  }

 private:
  Duration least_;
  Duration most_;
  int wanted_;
  std::vector<NodeId> by_;  // the first, then those who confirmed
};

}  // namespace gyre

#endif  // GYRE_RING_SUSPICION_H_
