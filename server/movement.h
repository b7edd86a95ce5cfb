// Movement: this node's part in what moves (ring/rebalance.h). One node of the cluster plans: the
// first active one that can be reached. It begins moves, and sees to it that the voters are those
// who should vote. Each node finds out when a move to it may take its next step, and tells the one
// that plans (MovesDue), which takes all that is due in one change of the document: so changes do
// not grow with the nodes that are filled. Each proposes itself what only it can know: in which
// life it may vote, and, where it leaves, that it has nothing left; and also its moves' steps,
// where the one that plans has been told for a while and takes none of them, or the cluster is not
// of kLevelOfMovesDue yet. Who plans raises the cluster's level, too (ring/build_level.h).
//
// One change is proposed at a time, and the next one only when that has ended; what comes of it is
// seen in the view; so any node may do any of this at any time, twice or not at all, and only time
// is lost.
//
// Pure, stepped like Control and on its thread: the performer asks every shard what may step
// (Shard::MovesToStep, Shard::MayDepart), has OnWake say what to propose to Control or to tell
// another node, and tells OnProposed how that ended. A plan takes long where there are many nodes,
// and so is made elsewhere: OnWake says that it is wanted, and OnPlan brings it.
//
// Thread rule: one thread.

#ifndef GYRE_SERVER_MOVEMENT_H_
#define GYRE_SERVER_MOVEMENT_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "replication/message.h"
#include "ring/build_level.h"
#include "ring/ids.h"
#include "ring/rebalance.h"
#include "ring/topology.h"
#include "ring/view.h"
#include "server/control.h"

namespace gyre {

struct MovementOptions {
  MoveLimits limits;
  // Between two looks while something moves or is to, and else. Defaults 500 ms and 5 s. Each step
  // of all that is ready is one change of the document, so shorter makes more of them.
  Duration busy = Duration::Millis(500);
  Duration idle = Duration::Seconds(5);
  // What a node told the one that plans, it proposes itself after so long. Default 5 s, and 20 ms
  // for each member: less, and many of them at once spoil each other's changes; more, and what is
  // filled waits, where the one that plans does not hear or does not know of MovesDue.
  Duration patience = Duration::Seconds(5);
  Duration patience_per_member = Duration::Millis(20);
  // After a change that could not be made. Default 1 s.
  Duration pause = Duration::Seconds(1);
  // What is being filled at a node that cannot be reached for so long is taken back: until then its
  // partitions need one owner more for each write. Default 30 s, in which a process restarts.
  Duration absence = Duration::Seconds(30);
};

class Movement {
 public:
  explicit Movement(MovementOptions options) : options_(options) {}

  // Of all shards of this node.
  struct Ready {
    std::vector<MoveRef> filled = {};          // kFilling
    std::vector<MoveRef> switched = {};        // kSwitched
    bool may_depart = false;                   // Shard::MayDepart, of every one, under
    Epoch asked_under = {};                    // this document
    std::optional<uint64_t> life = {};         // Control::life
    std::map<NodeId, BuildLevel> levels = {};  // Control::levels
  };
  // What an other node is known to serve under; whether one can be reached.
  using ServesUnderFn = absl::FunctionRef<Epoch(NodeId)>;
  using ReachableFn = absl::FunctionRef<bool(NodeId)>;

  // Whether the shards are to be asked now, and then OnWake.
  bool IsDue(const View& view, Time now) const;
  Time wake() const { return proposing_ ? Time::Never() : wake_; }
  // At most one of the first two.
  struct Wish {
    std::optional<Control::Change> change = {};            // to propose
    std::optional<std::pair<NodeId, MovesDue>> tell = {};  // who plans
    bool plan = false;  // beside them: MakePlan of the view, on whatever thread, and then OnPlan
  };
  // REQUIRES: nothing is proposed already.
  Wish OnWake(const View& view, const Ready& ready, ServesUnderFn serves_under,
              ReachableFn reachable, Time now);
  // What OnWake has wanted. `made_for`: the document.
  void OnPlan(const Topology& made_for, Plan plan, Time now);
  // A peer has connected, and said its level: it may be what the cluster's level waited for.
  void OnPeer(const View& view, Time now) {
    if (view.topology().level < kBuildLevel) wake_ = std::min(wake_, now + options_.busy);
  }
  // Another node takes this one for the one that plans. What it says counts for moves to that node,
  // until it says something else, or for `patience`: it says it at each of its looks.
  void OnDue(NodeId from, MovesDue due, Time now) { told_[from] = {std::move(due), now}; }
  // Whose word, of what it serves under, a move was last seen to wait for.
  const std::set<NodeId>& unsaid() const { return unsaid_; }
  // How it ended.
  void OnProposed(const absl::Status& status, Time now);

 private:
  // Adds to `due` what others have said of moves as they are now, and forgets the rest.
  void Gather(const Topology& topology, Time now, MovesDue* due);
  Absent NoteAbsent(const View& view, ReachableFn reachable, Time now);
  // Whether some of it has been due for longer than the one that plans is waited for.
  bool IsOverdue(const Topology& topology, const MovesDue& due, Time now);
  std::vector<MoveRef> MayEnd(const View& view, const Ready& ready, ServesUnderFn serves_under,
                              bool plans);
  // The plan that is followed, where it is one for these members.
  std::optional<Plan> PlanFor(const Topology& topology) const;
  static std::optional<Control::Change> DepartFrom(const View& view);

  const MovementOptions options_;
  bool proposing_ = false;
  Time wake_;
  Epoch seen_;  // the view of the last look
  std::set<NodeId> unsaid_;
  std::map<NodeId, Time> absent_since_;               // where this node plans
  std::map<NodeId, std::pair<MovesDue, Time>> told_;  // by whom: the last that each said, and when
  // Of the moves to this node that are due at this step: since when.
  std::map<std::pair<PartitionId, MoveStep>, Time> due_since_;
  // The plan that is being followed, as long as what it rests on stays and no other node plans: it
  // need not be made again for every step.
  std::optional<Plan> plan_;
  bool planning_ = false;  // one is being made
  std::vector<Member> planned_for_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_MOVEMENT_H_
