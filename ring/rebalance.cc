#include "ring/rebalance.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/check.h"
#include "ring/voters.h"

namespace gyre {
namespace {

absl::Status NoMember(std::string_view name) {
  return absl::NotFoundError(absl::StrCat("no node '", std::string(name), "'"));
}

Member* Find(Topology* topology, std::string_view name) {
  const Member* const found = FindMember(*topology, name);
  return found == nullptr ? nullptr : &topology->members[found - topology->members.data()];
}

absl::Span<NodeId> OwnersOf(Topology* topology, PartitionId partition) {
  for (Ownership& family : topology->families) {
    if (family.replicas != partition.replicas()) continue;
    const size_t each = static_cast<size_t>(family.effective_replicas());
    return absl::MakeSpan(family.owners.data() + partition.slice() * each, each);
  }
  GYRE_CHECK(false, "a move is of a partition that there is");
  return {};
}

// Too few members to hold N copies of some table.
absl::Status EnoughAreActive(const Topology& topology) {
  const size_t active = ActiveNodes(topology).size();
  for (const Ownership& family : topology.families) {
    if (static_cast<size_t>(family.effective_replicas()) <= active) continue;
    return absl::FailedPreconditionError(absl::StrCat("tables with ", family.replicas,
                                                      " replicas need as many nodes; ", active,
                                                      " would be left"));
  }
  if (active == 0) return absl::FailedPreconditionError("no node would be left");
  return absl::OkStatus();
}

// What is being filled at a node that is to own nothing is taken back at once: it moves nowhere.
void DropMovesTo(Topology* topology, NodeId node) {
  std::erase_if(topology->moves, [&](const Move& move) {
    return move.to == node && move.step == MoveStep::kFilling;
  });
}

// Where a dead node has taken over, the copy that it had is gone, and the one of who gave it is
// not: that one is the owner again. It took every write beside the owners, and none was
// acknowledged without W of them with it in the other's place; so what was acknowledged, W of
// today's owners have. This is the second step of a move the other way: the first, with the same
// owners and the same one beside them, is what there has been since the switch. So coordinators
// under this document and under the one before agree, and it ends as every move from a dead node
// does, once no owner serves under what is older. Where both are dead it goes on as it was.
void SwitchBack(Topology* topology, NodeId dead) {
  for (Move& move : topology->moves) {
    if (move.to != dead || move.step != MoveStep::kSwitched) continue;
    if (FindMember(*topology, move.from)->state == MemberState::kDead) continue;
    const absl::Span<NodeId> owners = OwnersOf(topology, move.partition);
    std::replace(owners.begin(), owners.end(), move.to, move.from);
    move = {move.partition,      move.to,        move.from, move.switched,
            MoveStep::kSwitched, topology->epoch};
  }
}

void DropMember(Topology* topology, NodeId id) {
  std::erase_if(topology->members, [&](const Member& one) { return one.id == id; });
  std::vector<NodeId>& removed = topology->removed;
  removed.insert(std::lower_bound(removed.begin(), removed.end(), id), id);
}

// Whether somebody has one of the addresses who may yet come back to it. Two members of one address
// are met in turn by whoever calls it, and neither can be told from a node that comes and goes. A
// dead one does not come back.
absl::Status AddressesAreFree(const Topology& topology, const Member& comes) {
  for (const Member& member : topology.members) {
    if (member.state == MemberState::kDead) continue;
    for (const std::string* has : {&member.peer_address, &member.client_address}) {
      if (*has != comes.peer_address && *has != comes.client_address) continue;
      return absl::AlreadyExistsError(absl::StrCat(
          "node '", comes.name, "' says that it is at ", *has, ", where node '", member.name,
          "' is; it needs an address of its own, until '", member.name, "' is declared dead"));
    }
  }
  return absl::OkStatus();
}

bool Has(absl::Span<const NodeId> nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

bool Votes(const Topology& topology, NodeId node) {
  const auto is = [&](const Voter& voter) { return voter.node == node; };
  return std::any_of(topology.voters.begin(), topology.voters.end(), is) ||
         std::any_of(topology.voters_before.begin(), topology.voters_before.end(), is);
}

bool MayGo(const Topology& topology, NodeId node) {
  return OwnsNothing(topology, node) && !Votes(topology, node);
}

// Members that are dead and may go. Who leaves may keep hints yet, and says itself when it keeps
// none (Depart). Where no more can be remembered as removed, they stay as they are.
void DropMembers(Topology* topology) {
  for (const Member& member : std::vector<Member>(topology->members)) {
    if (topology->removed.size() >= kMaxRemoved) return;
    const bool goes = member.state == MemberState::kDead && MayGo(*topology, member.id);
    if (goes) DropMember(topology, member.id);
  }
}

absl::StatusOr<Topology> Ended(Topology next) {
  if (absl::Status enough = EnoughAreActive(next); !enough.ok()) return enough;
  DropMembers(&next);
  return next;
}

// The member's next state, where it may have it.
absl::StatusOr<Topology> SetState(const Topology& topology, std::string_view name,
                                  MemberState state, std::initializer_list<MemberState> from) {
  Topology next = NextOf(topology);
  Member* const member = Find(&next, name);
  if (member == nullptr) return NoMember(name);
  if (member->state == state) return topology;
  if (std::find(from.begin(), from.end(), member->state) == from.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("node '", member->name, "' ",
                     member->state == MemberState::kDead ? "was declared dead" : "leaves"));
  }
  member->state = state;
  if (state != MemberState::kActive) DropMovesTo(&next, member->id);
  if (state == MemberState::kDead) SwitchBack(&next, member->id);
  return Ended(std::move(next));
}

// The document's owners as if all that is under way had arrived.
Ownership Arrived(const Topology& topology, const Ownership& family) {
  Ownership arrived = family;
  const size_t each = static_cast<size_t>(family.effective_replicas());
  for (const Move& move : topology.moves) {
    if (move.partition.replicas() != family.replicas) continue;
    const auto begin = arrived.owners.begin() + static_cast<int64_t>(move.partition.slice() * each);
    std::replace(begin, begin + static_cast<int64_t>(each), move.from, move.to);
  }
  return arrived;
}

struct Step {
  NodeId from;
  NodeId to;
};

// The first copy to move of a slice that has several: what a dead node had comes first, and then
// one that stays in its zone, so that no zone has more copies meanwhile than before or after.
std::optional<Step> NextStep(const Topology& topology, absl::Span<const NodeId> owners,
                             absl::Span<const NodeId> target) {
  std::optional<Step> best;
  int best_rank = 3;
  for (const NodeId from : owners) {
    if (Has(target, from)) continue;
    for (const NodeId to : target) {
      if (Has(owners, to)) continue;
      const Member& giver = *FindMember(topology, from);
      const bool dead = giver.state == MemberState::kDead;
      const bool same_zone = giver.zone == FindMember(topology, to)->zone;
      const int rank = (dead ? 0 : 1) + (same_zone ? 0 : 1);
      if (rank >= best_rank) continue;
      best_rank = rank;
      best = Step{from, to};
    }
  }
  return best;
}

const Move* Matching(const Topology& topology, const MoveRef& ref, MoveStep step) {
  const Move* const move = FindMove(topology, ref.partition);
  return move != nullptr && move->since == ref.since && move->step == step ? move : nullptr;
}

}  // namespace

// ------------------------------------------------------------------------------------------
// members

absl::StatusOr<Topology> AddMember(const Topology& topology, Member member, BuildLevel level) {
  if (absl::Status status = ValidateMember(member); !status.ok()) return status;
  if (level < topology.level) {
    return absl::FailedPreconditionError(
        absl::StrCat("node '", member.name, "' ", OutgrownWords(level, topology.level)));
  }
  if (member.key == 0 ||
      (member.state != MemberState::kActive && member.state != MemberState::kWaiting)) {
    return absl::InvalidArgumentError(
        absl::StrCat("node '", member.name, "' joins with a key, active or waiting"));
  }
  member.id = NodeIdFromName(topology.cluster, member.name, member.key);
  if (FindMember(topology, member.id) != nullptr) {
    return SetAddresses(topology, member.id, member.client_address, member.peer_address);
  }
  if (std::binary_search(topology.removed.begin(), topology.removed.end(), member.id)) {
    return absl::FailedPreconditionError(
        absl::StrCat("node '", member.name,
                     "' was removed; to join again it needs an empty data "
                     "directory"));
  }
  if (FindMember(topology, member.name) != nullptr) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is another node '", member.name,
                     "'; one that lost its data "
                     "directory is replaced by a node of another name"));
  }
  if (absl::Status free = AddressesAreFree(topology, member); !free.ok()) return free;
  if (topology.members.size() >= kMaxMembers) {
    return absl::ResourceExhaustedError(absl::StrCat("there are ", kMaxMembers, " nodes already"));
  }
  Topology next = NextOf(topology);
  const auto at =
      std::lower_bound(next.members.begin(), next.members.end(), member.id,
                       [](const Member& one, NodeId wanted) { return one.id < wanted; });
  next.members.insert(at, std::move(member));
  return next;
}

absl::StatusOr<Topology> SetAddresses(const Topology& topology, NodeId id,
                                      std::string_view client_address,
                                      std::string_view peer_address) {
  const Member* const found = FindMember(topology, id);
  if (found == nullptr) return absl::NotFoundError("the node is no member");
  if (found->client_address == client_address && found->peer_address == peer_address) {
    return topology;
  }
  Topology next = NextOf(topology);
  Member& member = next.members[found - topology.members.data()];
  member.client_address = std::string(client_address);
  member.peer_address = std::string(peer_address);
  if (absl::Status status = ValidateMember(member); !status.ok()) return status;
  return next;
}

absl::StatusOr<Topology> ActivateMember(const Topology& topology, std::string_view name) {
  return SetState(topology, name, MemberState::kActive,
                  {MemberState::kWaiting, MemberState::kLeaving});
}

absl::StatusOr<Topology> RetireMember(const Topology& topology, std::string_view name) {
  return SetState(topology, name, MemberState::kWaiting, {MemberState::kActive});
}

absl::StatusOr<Topology> LeaveMember(const Topology& topology, std::string_view name) {
  return SetState(topology, name, MemberState::kLeaving,
                  {MemberState::kActive, MemberState::kWaiting});
}

absl::StatusOr<Topology> Depart(const Topology& topology, NodeId member) {
  const Member* const found = FindMember(topology, member);
  const bool goes = found != nullptr && found->state == MemberState::kLeaving;
  if (!goes || !MayGo(topology, member)) return topology;
  if (topology.removed.size() >= kMaxRemoved) {
    return absl::ResourceExhaustedError("too many nodes have been removed");
  }
  Topology next = NextOf(topology);
  DropMember(&next, member);
  return Ended(std::move(next));
}

absl::StatusOr<Topology> BuryMember(const Topology& topology, std::string_view name) {
  return SetState(topology, name, MemberState::kDead,
                  {MemberState::kActive, MemberState::kWaiting, MemberState::kLeaving});
}

absl::StatusOr<Topology> ReplaceMember(const Topology& topology, std::string_view dead,
                                       std::string_view with) {
  const absl::StatusOr<Topology> activated =
      SetState(topology, with, MemberState::kActive, {MemberState::kWaiting});
  if (!activated.ok()) return activated;
  absl::StatusOr<Topology> next = BuryMember(*activated, dead);
  // One step, whichever of the two it was that changed anything.
  if (next.ok() && next->epoch != topology.epoch) next->epoch = NextOf(topology).epoch;
  return next;
}

absl::StatusOr<Topology> SetZone(const Topology& topology, std::string_view name,
                                 std::string_view zone) {
  Topology next = NextOf(topology);
  Member* const member = Find(&next, name);
  if (member == nullptr) return NoMember(name);
  if (member->zone == zone) return topology;
  member->zone = std::string(zone);
  if (absl::Status status = ValidateMember(*member); !status.ok()) return status;
  return next;
}

bool OwnsNothing(const Topology& topology, NodeId member) {
  for (const Ownership& family : topology.families) {
    if (Has(family.owners, member)) return false;
  }
  return std::none_of(topology.moves.begin(), topology.moves.end(),
                      [&](const Move& move) { return move.from == member || move.to == member; });
}

// --------------------------------------------------------------------------------------------
// moves

Plan MakePlan(const Topology& topology) {
  Plan plan;
  plan.epoch = topology.epoch;
  const std::vector<ClaimNode> nodes = ActiveNodes(topology);
  for (const Ownership& family : topology.families) {
    // Best is to go on with what is under way, unless less has to move where that is taken back.
    const Ownership arrived = Arrived(topology, family);
    Ownership target = Claim(nodes, family.replicas, family.slices, &arrived);
    if (!topology.moves.empty()) {
      Ownership back = Claim(nodes, family.replicas, family.slices, &family);
      if (MovesBetween(family, back) < MovesBetween(family, target)) target = std::move(back);
    }
    plan.moves += MovesBetween(family, target);
    plan.targets.push_back(std::move(target));
  }
  return plan;
}

std::vector<Flow> FlowsOf(const Topology& topology, const Plan& plan) {
  std::map<std::pair<NodeId, NodeId>, Flow> flows;
  const auto flow = [&](NodeId from, NodeId to) -> Flow& {
    return flows.try_emplace({from, to}, Flow{from, to}).first->second;
  };
  for (const Move& move : topology.moves) {
    Flow& one = flow(move.from, move.to);
    ++(move.step == MoveStep::kFilling ? one.filling : one.switched);
  }
  for (const Ownership& target : plan.targets) {
    const Ownership arrived = Arrived(topology, *FindFamily(topology, target.replicas));
    for (uint32_t slice = 0; slice < target.slices; ++slice) {
      const absl::Span<const NodeId> now = arrived.OwnersOf(slice);
      std::vector<NodeId> owners(now.begin(), now.end());
      while (const auto step = NextStep(topology, owners, target.OwnersOf(slice))) {
        ++flow(step->from, step->to).waiting;
        std::replace(owners.begin(), owners.end(), step->from, step->to);
      }
    }
  }
  std::vector<Flow> all;
  for (const auto& [ends, one] : flows) all.push_back(one);
  return all;
}

absl::StatusOr<Topology> BeginMoves(const Topology& topology, const Plan& plan, MoveLimits limits,
                                    const Absent& absent) {
  if (plan.epoch != topology.epoch) {
    return absl::AbortedError(
        absl::StrCat("planned for epoch ", plan.epoch.value(), ", not ", topology.epoch.value()));
  }
  if (plan.targets.size() != topology.families.size()) {
    return absl::AbortedError("planned before there was a table of some N");
  }
  Topology next = NextOf(topology);
  const auto target_of = [&](PartitionId partition) {
    for (const Ownership& target : plan.targets) {
      if (target.replicas == partition.replicas()) return target.OwnersOf(partition.slice());
    }
    return absl::Span<const NodeId>();
  };
  std::erase_if(next.moves, [&](const Move& move) {
    const absl::Span<const NodeId> target = target_of(move.partition);
    return move.step == MoveStep::kFilling &&
           (Has(target, move.from) || !Has(target, move.to) || absent.for_long.contains(move.to));
  });
  std::map<NodeId, size_t> to;
  std::map<NodeId, size_t> from;
  std::set<PartitionId> moving;
  for (const Move& move : next.moves) {
    ++to[move.to];
    ++from[move.from];
    moving.insert(move.partition);
  }
  bool all_there = next.moves.empty();
  for (const Ownership& target : plan.targets) {
    const Ownership& family = *FindFamily(topology, target.replicas);
    GYRE_CHECK(family.effective_replicas() == target.effective_replicas(),
               "enough members are active for every family");
    for (uint32_t slice = 0; slice < target.slices; ++slice) {
      const PartitionId partition(target.replicas, slice);
      const std::optional<Step> step =
          NextStep(topology, family.OwnersOf(slice), target.OwnersOf(slice));
      if (!step.has_value()) continue;
      all_there = false;
      if (moving.contains(partition)) continue;
      const bool dead = FindMember(topology, step->from)->state == MemberState::kDead;
      if (absent.now.contains(step->to) || to[step->to] >= limits.most_to ||
          (!dead && from[step->from] >= limits.most_from)) {
        continue;
      }
      ++to[step->to];
      ++from[step->from];
      next.moves.push_back({partition, step->from, step->to, next.epoch});
    }
  }
  std::sort(next.moves.begin(), next.moves.end(),
            [](const Move& a, const Move& b) { return a.partition < b.partition; });
  if (all_there) next.families = plan.targets;
  DropMembers(&next);
  if (next.moves == topology.moves && next.families == topology.families &&
      next.members == topology.members) {
    return topology;
  }
  return next;
}

Topology SwitchMoves(const Topology& topology, absl::Span<const MoveRef> ready) {
  Topology next = NextOf(topology);
  bool changed = false;
  for (const MoveRef& ref : ready) {
    const Move* const found = Matching(next, ref, MoveStep::kFilling);
    if (found == nullptr) continue;
    Move& move = next.moves[found - next.moves.data()];
    const absl::Span<NodeId> owners = OwnersOf(&next, move.partition);
    std::replace(owners.begin(), owners.end(), move.from, move.to);
    move.step = MoveStep::kSwitched;
    move.switched = next.epoch;
    changed = true;
  }
  return changed ? next : topology;
}

Topology EndMoves(const Topology& topology, absl::Span<const MoveRef> done) {
  Topology next = NextOf(topology);
  for (const MoveRef& ref : done) {
    const Move* const found = Matching(next, ref, MoveStep::kSwitched);
    if (found != nullptr) next.moves.erase(next.moves.begin() + (found - next.moves.data()));
  }
  if (next.moves.size() == topology.moves.size()) return topology;
  DropMembers(&next);
  return next;
}

// --------------------------------------------------------------------------------------------
// voters

Topology SetLife(const Topology& topology, NodeId id, uint64_t life) {
  const Member* const found = FindMember(topology, id);
  if (found == nullptr || found->life == life) return topology;
  Topology next = NextOf(topology);
  next.members[found - topology.members.data()].life = life;
  return next;
}

Topology ElectVoters(const Topology& topology) {
  Topology next = NextOf(topology);
  next.voters = ChooseVoters(topology);
  if (next.voters != topology.voters) {
    next.voters_before = topology.voters;
    return next;
  }
  DropMembers(&next);
  const bool changes = !topology.voters_before.empty() || next.members != topology.members;
  return changes ? next : topology;
}

}  // namespace gyre
