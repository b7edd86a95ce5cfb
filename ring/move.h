// Move: one partition's copy on its way from one node to another, part of the topology document.
//
// A partition moves one copy at a time, in steps that are epochs of the document:
//
//   kFilling    the owners are as before; `to` takes every write beside them, and is filled
//   kSwitched   `to` is an owner in the place of `from`, which takes every write beside them
//   (no move)   `from` has nothing to do with the partition any more
//
// In both steps a write needs W of the owners, and W of them with the one beside in the place of
// the one that it replaces, or is replaced by; reads need R of the owners. So who still serves
// under the epoch before one of these, and who already serves under the one behind it, agree: what
// one of them acknowledged the other reads. Two epochs apart they need not: who is that far behind
// reads `from`, whom the others write to no more. So the last step waits until `from` refuses what
// is older than the second (EndMoves). A quorum without it is one of the new owners as well.
//
// Source: joint quorums as in Ongaro, "Consensus: Bridging Theory and Practice" (2014), section
// 4.3, for one replica at a time and without a log. test/explorer tries it in all orders.
//
// Plain values. Any thread.

#ifndef GYRE_RING_MOVE_H_
#define GYRE_RING_MOVE_H_

#include <cstdint>

#include "ring/ids.h"

namespace gyre {

enum class MoveStep : uint8_t { kFilling = 0, kSwitched = 1 };

struct Move {
  PartitionId partition;
  NodeId from;
  NodeId to;
  Epoch
      since;  // of the document in which it began: tells it from an earlier one that was cancelled
  MoveStep step = MoveStep::kFilling;
  Epoch switched = {};  // of the document in which it was; 0 before

  // Takes writes beside the owners,
  NodeId beside() const { return step == MoveStep::kFilling ? to : from; }
  // in the place of this owner.
  NodeId stands_for() const { return step == MoveStep::kFilling ? from : to; }

  friend bool operator==(const Move&, const Move&) = default;
};

// Which move is meant.
struct MoveRef {
  PartitionId partition;
  Epoch since;  // as the move's
  friend bool operator==(const MoveRef&, const MoveRef&) = default;
};

}  // namespace gyre

#endif  // GYRE_RING_MOVE_H_
