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
// one of them acknowledged the other reads. Two epochs apart they need not; so a step is taken
// only when no replica that could answer serves under the epoch before the last one (EndMoves).
//
// Source: joint quorums as in Ongaro, "Consensus: Bridging Theory and Practice" (2014), section
// 4.3, here of a quorum system without a log. That a third step is needed was found by
// test/explorer; with one epoch that flips both, a coordinator of the epoch before reads from the
// old owners what one of the epoch behind acknowledged with the new ones.
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

}  // namespace gyre

#endif  // GYRE_RING_MOVE_H_
