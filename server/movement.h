// Movement: this node's part in what moves (ring/rebalance.h). It says when a move to this node may
// take its next step, and, where this node leaves, when it has nothing left; and one node of the
// cluster, the first active one that can be reached, plans.
// The same one sees to it that the voters are those who should vote; each node, that the document
// says in which life it may. What is due is proposed at
// once, in one change of the document, and the next one only when that has ended; what comes of it
// is seen in the view; so any node may do any of this at any time, twice or not at all, and only
// time is lost.
//
// Pure, stepped like Control and on its thread: the performer asks every shard what may step
// (Shard::MovesToStep, Shard::MayDepart), has OnWake say what to propose to Control, and tells
// OnProposed how that ended.
//
// Thread rule: one thread.

#ifndef GYRE_SERVER_MOVEMENT_H_
#define GYRE_SERVER_MOVEMENT_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
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
  // After a change that could not be made. Default 1 s.
  Duration pause = Duration::Seconds(1);
};

class Movement {
 public:
  explicit Movement(MovementOptions options) : options_(options) {}

  // Of all shards of this node.
  struct Ready {
    std::vector<MoveRef> filled = {};    // kFilling
    std::vector<MoveRef> switched = {};  // kSwitched
    bool may_depart = false;             // Shard::MayDepart, of every one
    std::optional<uint64_t> life = {};   // Control::life
  };
  // What an other node is known to serve under; whether one can be reached.
  using ServesUnderFn = absl::FunctionRef<Epoch(NodeId)>;
  using ReachableFn = absl::FunctionRef<bool(NodeId)>;

  // Whether the shards are to be asked now, and then OnWake.
  bool IsDue(const View& view, Time now) const;
  Time wake() const { return proposing_ ? Time::Never() : wake_; }
  // What to propose, if anything. REQUIRES: nothing is proposed already.
  std::optional<Control::Change> OnWake(const View& view, const Ready& ready,
                                        ServesUnderFn serves_under, ReachableFn reachable,
                                        Time now);
  // Whose word, of what it serves under, a move was last seen to wait for.
  const std::set<NodeId>& unsaid() const { return unsaid_; }
  // How it ended.
  void OnProposed(const absl::Status& status, Time now);

 private:
  std::vector<MoveRef> MayEnd(const View& view, const Ready& ready, ServesUnderFn serves_under,
                              bool plans);
  std::optional<Plan> PlanFor(const Topology& topology);
  static std::optional<Control::Change> DepartFrom(const View& view);

  const MovementOptions options_;
  bool proposing_ = false;
  Time wake_;
  Epoch seen_;  // the view of the last look
  std::set<NodeId> unsaid_;
  // The plan that is being followed, as long as what it rests on stays and no other node plans: it
  // need not be made again for every step.
  std::optional<Plan> plan_;
  std::vector<Member> planned_for_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_MOVEMENT_H_
