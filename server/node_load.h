// NodeLoad: how busy this node says that it is, in four steps (ring/rumour.h), from what is
// measured of it all the time: a share of what it can do, in percent. It goes round by gossip, and
// peers ask the loaded after others. So it must not follow each burst, nor go back and forth: once
// others have turned away, a node looks idle, and would have them all back at once.
//
//   NodeLoad load;
//   load.OnShare(80, now);                          // idle still
//   load.OnShare(90, now + Duration::Seconds(1));   // 80 % or more for a second: full
//   load.OnShare(70, now + Duration::Seconds(2));   // full still, and for as long as this lasts
//
//   it rises   to the highest step that the share has not been below for `rise_after`
//   it falls   to the lowest step that the share has not been above for `fall_after`, where
//              `margin_percent` is added to the share: what is about a bound stays above it
//
// Pure; one thread.

#ifndef GYRE_SERVER_NODE_LOAD_H_
#define GYRE_SERVER_NODE_LOAD_H_

#include <algorithm>
#include <optional>

#include "ring/ids.h"
#include "ring/rumour.h"

namespace gyre {

struct NodeLoadOptions {
  // Default 1 s. Shorter, and a burst sends others away that could have been served; longer, and
  // slow answers tell them first (replication/peer_pace.h).
  Duration rise_after = Duration::Seconds(1);
  // Default 5 s: for as long as it takes until all have heard, and then some. Shorter, and a node
  // that others have turned away from calls them back before it is seen how it does without.
  Duration fall_after = Duration::Seconds(5);
  // Default 10. Zero: a share that hovers about a bound goes back and forth. 25 or more: it takes a
  // whole step less.
  int margin_percent = 10;
};

class NodeLoad {
 public:
  explicit NodeLoad(NodeLoadOptions options = {}) : options_(options) {}

  // The share is so much now. What was not told of in between, is taken for what it was before.
  void OnShare(int percent, Time now) {
    const Load above = StepOf(percent);
    const Load below = StepOf(percent + options_.margin_percent);
    if (above <= level_) {
      rise_.reset();
    } else {
      if (!rise_.has_value()) rise_ = Turn{above, now + options_.rise_after};
      rise_->to = std::min(rise_->to, above);
    }
    if (below >= level_) {
      fall_.reset();
    } else {
      if (!fall_.has_value()) fall_ = Turn{below, now + options_.fall_after};
      fall_->to = std::max(fall_->to, below);
    }
    if (rise_.has_value() && now >= rise_->due) {
      Become(rise_->to);
    } else if (fall_.has_value() && now >= fall_->due) {
      Become(fall_->to);
    }
  }
  Load level() const { return level_; }

 private:
  struct Turn {
    Load to;
    Time due;
  };

  static Load StepOf(int percent) { return static_cast<Load>(std::clamp(percent / 25, 0, 3)); }
  void Become(Load level) {
    level_ = level;
    rise_.reset();
    fall_.reset();
  }

  const NodeLoadOptions options_;
  Load level_ = Load::kIdle;
  std::optional<Turn> rise_;  // while the share is above the level, and so is the next below
  std::optional<Turn> fall_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_NODE_LOAD_H_
