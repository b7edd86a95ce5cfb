// HandoffWindow: how many hints may be under way to one owner at once, by what that owner says. One
// more for each that it took, half as many when it is overloaded, and then none for a while: the
// rule of TCP (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
// Avoidance", 1989), so that an owner that has just come back is not run over by all who stood in
// for it.
//
// Pure; one thread.

#ifndef GYRE_REPLICATION_HANDOFF_WINDOW_H_
#define GYRE_REPLICATION_HANDOFF_WINDOW_H_

#include <algorithm>
#include <cstddef>

#include "ring/ids.h"

namespace gyre {

class HandoffWindow {
 public:
  static constexpr size_t kFirst = 4;
  static constexpr size_t kMost = 64;
  static constexpr Duration kShortestPause = Duration::Millis(50);
  static constexpr Duration kLongestPause = Duration::Seconds(2);

  size_t size() const { return size_; }
  Time open_at() const { return open_at_; }

  void OnTaken() {
    size_ = std::min(kMost, size_ + 1);
    pause_ = kShortestPause;
  }
  void OnOverloaded(Time now) {
    if (now < open_at_) return;  // one of those that were under way: it says nothing new
    size_ = std::max<size_t>(1, size_ / 2);
    open_at_ = now + pause_;
    pause_ = std::min(kLongestPause, pause_ + pause_);
  }

 private:
  size_t size_ = kFirst;
  Duration pause_ = kShortestPause;
  Time open_at_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_HANDOFF_WINDOW_H_
