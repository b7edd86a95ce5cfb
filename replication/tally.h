// Tally: counts the answers of one quorum. Pure, and all that it decides is: met, or no longer
// possible. (After Riak's put_core and get_core: start, add a result, enough?)
//
// One exchange owns it. Each replica counts once, whatever it repeats: a doubled acknowledgement
// must not stand in for a missing one.
//
// While a partition moves, one replica is to be met in two sets: the owners, and the owners with
// the one beside them in the place of another (ring/move.h). Those two count as one replica, that
// has answered once both have: so the smaller count of both sets is what is counted.

#ifndef GYRE_REPLICATION_TALLY_H_
#define GYRE_REPLICATION_TALLY_H_

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "replication/request.h"
#include "ring/ids.h"
#include "ring/move.h"

namespace gyre {

class Tally {
 public:
  // `move`: of the partition whose owners the replicas are, or null. REQUIRES: replicas are
  // distinct; 1 <= needed.
  Tally(absl::Span<const NodeId> replicas, int needed, const Move* move = nullptr);

  // The replica was asked at `now`. Asking again keeps an answer that is there.
  void Ask(NodeId replica, Time now);
  // Takes an answer in; false when it is not news (unknown replica, or counted before). Where
  // another stood in for the replica, its own answer takes that place.
  bool Answer(NodeId replica, Part part, Time now);
  // The same of a node that stands in for the replica, and counts in its place, never beside it.
  bool AnswerFor(NodeId replica, NodeId stand_in, Time now);
  // The replica will not answer: unreachable, or it refused.
  void Fail(NodeId replica, Part part);
  // Marks a replica that had answered as repaired.
  void Repaired(NodeId replica);

  int needed() const { return needed_; }
  int answered() const { return Count(HasAnswered); }
  // Of those, the ones that others stood in for.
  int stand_ins() const;
  bool Met() const { return answered() >= needed_; }
  // Even if everyone who may still answer did, the quorum would not be met.
  bool Impossible() const;
  bool Asked(NodeId replica) const;
  // How long the replica's answer took, or zero where there is none. REQUIRES: it is one of them.
  Duration Took(NodeId replica) const { return Find(replica)->took; }
  // Replicas whose answer does not count yet, in the order given.
  std::vector<NodeId> Unanswered() const;
  // Replicas that have not been asked yet, in the order given.
  std::vector<NodeId> NotAsked() const;

  std::vector<ReplicaPart> Parts() const;

 private:
  struct Slot {
    NodeId node;
    Part part = Part::kNotAsked;
    Time asked;
    Duration took;
    NodeId stand_in = {};
  };
  // How many replicas are so, the two that count as one being so where both are.
  template <typename IsSo>
  int Count(IsSo is_so) const {
    const auto count = std::count_if(slots_.begin(), slots_.end(), is_so);
    // One of two, or both: then one too many.
    const bool one = stood_for_.has_value() && (is_so(slots_[*stood_for_]) || is_so(slots_.back()));
    return static_cast<int>(count) - (one ? 1 : 0);
  }
  Slot* Find(NodeId replica);
  const Slot* Find(NodeId replica) const;
  static bool HasAnswered(const Slot& slot) {
    return slot.part == Part::kCoordinator || slot.part == Part::kAnswered ||
           slot.part == Part::kRepaired || slot.part == Part::kStoodInFor;
  }

  std::vector<Slot> slots_;  // last the one beside the owners, where there is one
  const int needed_;
  std::optional<size_t> stood_for_;  // by the last: counts with it
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_TALLY_H_
