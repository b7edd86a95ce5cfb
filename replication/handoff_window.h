// HandoffWindow: how many hints may be under way to one owner at once, by what that owner says. One
// more for each that it took, until it was overloaded once, and then one more for each windowful;
// half as many when it is overloaded, and then none for a while: the rule of TCP (Jacobson,
// "Congestion Avoidance and Control", SIGCOMM 1988), so that an owner that has just come back is
// not run over by all who stood in for it.
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
    if (size_ < enough_ || ++taken_ >= size_) {
      size_ = std::min(kMost, size_ + 1);
      taken_ = 0;
    }
    pause_ = kShortestPause;
  }
  void OnOverloaded(Time now) {
    if (now < open_at_) return;  // one of those that were under way: it says nothing new
    size_ = std::max<size_t>(1, size_ / 2);
    enough_ = size_;
    taken_ = 0;
    open_at_ = now + pause_;
    pause_ = std::min(kLongestPause, pause_ + pause_);
  }

 private:
  size_t size_ = kFirst;
  size_t enough_ = kMost;  // what it was overloaded with last, halved
  size_t taken_ = 0;       // since it grew, from there on
  Duration pause_ = kShortestPause;
  Time open_at_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_HANDOFF_WINDOW_H_
