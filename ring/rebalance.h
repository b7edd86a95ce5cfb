// Rebalance: how members come and go, and how partitions follow them. Pure functions from one
// topology document to the next, each of epoch + 1 unless it changes nothing.
//
// An operator's word changes the state of a member, and moves nothing by itself. What follows from
// the states is a Plan: where every partition should be, with the fewest moves (ring/claim.h). It
// may take a second of computing for a large cluster, so it is made beside the document, and
// BeginMoves enters as much of it as may be under way at once. Each move then takes its two steps
// (ring/move.h) as the nodes that are concerned say that they are ready. A plan that is made again
// half-way, or by another node, comes to the same number of moves in all: what has moved, or is on
// its way, counts as done.
//
// Any thread.

#ifndef GYRE_RING_REBALANCE_H_
#define GYRE_RING_REBALANCE_H_

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ring/claim.h"
#include "ring/ids.h"
#include "ring/move.h"
#include "ring/topology.h"

namespace gyre {

// ---- members. NotFound: there is no member of that name.

// A node that joins, active or waiting. `member.id` is ignored. The same member again, by its key,
// returns the document unchanged, but for addresses that are new. InvalidArgument: name, zone or
// addresses; no key; or kLeaving or kDead. AlreadyExists: another member has the name, or one that
// is not dead has one of its addresses. FailedPrecondition: it was removed, or `level`, of its
// build, is below the cluster's. ResourceExhausted: too many members.
absl::StatusOr<Topology> AddMember(const Topology& topology, Member member,
                                   BuildLevel level = kBuildLevel);
// Where it serves now. InvalidArgument: too long.
absl::StatusOr<Topology> SetAddresses(const Topology& topology, NodeId id,
                                      std::string_view client_address,
                                      std::string_view peer_address);
// It is to own its share: one that waits, or leaves and stays after all. FailedPrecondition: dead.
absl::StatusOr<Topology> ActivateMember(const Topology& topology, std::string_view name);
// It is to own nothing, and to stay a member: a join that is taken back. FailedPrecondition: too
// few would be left for some table's N, or it leaves or is dead.
absl::StatusOr<Topology> RetireMember(const Topology& topology, std::string_view name);
// It is to own nothing, and then to be no member (Depart). FailedPrecondition: too few would be
// left, or it is dead.
absl::StatusOr<Topology> LeaveMember(const Topology& topology, std::string_view name);
// Who leaves and owns nothing is no member any more; else nothing changes. ResourceExhausted: too
// many were removed. REQUIRES: it serves under the document in which it leaves, and so takes in no
// hint any more, and keeps none.
absl::StatusOr<Topology> Depart(const Topology& topology, NodeId member);
// It is gone for good, by the word of an operator who knows: a partition is filled without it, and
// what only it had is lost. What moves to it goes back to who gives it, and where that one is to
// own nothing, moves again. FailedPrecondition: too few would be left.
absl::StatusOr<Topology> BuryMember(const Topology& topology, std::string_view name);
// The same, and in the same step another one takes its place: what the dead one owned is all that
// moves. FailedPrecondition: `with` is neither waiting nor active.
absl::StatusOr<Topology> ReplaceMember(const Topology& topology, std::string_view dead,
                                       std::string_view with);
absl::StatusOr<Topology> SetZone(const Topology& topology, std::string_view name,
                                 std::string_view zone);

// ---- moves

struct Plan {
  Epoch epoch;                     // of the document that it is for
  std::vector<Ownership> targets;  // by family, as the document has them
  // Copies that are yet to be made, those under way included: the fewest that come to the targets.
  uint64_t moves = 0;
};
Plan MakePlan(const Topology& topology);

// Copies that go from one node to another, for people to look at.
struct Flow {
  NodeId from;
  NodeId to;
  uint64_t waiting = 0;   // of the plan, and not begun
  uint64_t filling = 0;   // kFilling
  uint64_t switched = 0;  // kSwitched
};
// In the order of their ids. REQUIRES: the plan is for `topology`.
std::vector<Flow> FlowsOf(const Topology& topology, const Plan& plan);

struct MoveLimits {
  // Under way to one node at once, and from one. Defaults 16 and 32. Each takes writes twice while
  // it lasts, and costs the document 22 bytes; few, and a move waits for the next epoch more often.
  size_t most_to = 16;
  size_t most_from = 32;
};
// Who cannot be reached, as the node that plans sees it: now, and for so long that what is being
// filled there is taken back.
struct Absent {
  std::set<NodeId> now = {};
  std::set<NodeId> for_long = {};  // of these
};
// Takes back what is being filled and is not wanted any more, or whose taker is absent, and begins
// what there is room for: a partition on its way to who takes no writes needs one owner more for
// each write. Where nothing is left to move, the owners take the preference order of the plan.
// Aborted: the plan is for another epoch.
// The same where it was made before there was a table of some N.
absl::StatusOr<Topology> BeginMoves(const Topology& topology, const Plan& plan, MoveLimits limits,
                                    const Absent& absent = {});

// `to` becomes an owner. Of a move that is not as it was when it began, or is gone, nothing
// changes. REQUIRES: `to` holds all that `from` had acknowledged before it served under `since`;
// or, where `from` is dead, all that each of the other owners had (design 3, rule 7).
Topology SwitchMoves(const Topology& topology, absl::Span<const MoveRef> ready);
// `from` has nothing to do with the partition any more, and where it is dead and has nothing left,
// it is no member any more. REQUIRES: `from` serves under the epoch of the switch or a later one,
// or, where it is dead, every other owner does; and `to` has all that `from` minted.
Topology EndMoves(const Topology& topology, absl::Span<const MoveRef> done);

// Whether a member owns no partition, and none is on its way to or from it. Once that is so, and
// it does not vote, who is dead is a member no more, and who leaves may be none.
bool OwnsNothing(const Topology& topology, NodeId member);

// ---- voters

// A member's acceptor has begun another life: in that it may be voted in. No change where it is no
// member. The voters stay as they are, with the life that has ended among them, until ElectVoters.
Topology SetLife(const Topology& topology, NodeId id, uint64_t life);

// The voters are those that should vote (ring/voters.h). That takes a document which the voters
// before agree to as well, and then one without them, so that they may go. No change where all of
// that is done.
Topology ElectVoters(const Topology& topology);

}  // namespace gyre

#endif  // GYRE_RING_REBALANCE_H_
