#include "server/movement.h"

#include <algorithm>

#include "ring/check.h"
#include "ring/voters.h"

namespace gyre {
namespace {

// What a plan rests on: who is there, in which state and zone. Addresses change nothing.
bool SamePlaces(const std::vector<Member>& a, const std::vector<Member>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Member& x, const Member& y) {
    return x.id == y.id && x.state == y.state && x.zone == y.zone;
  });
}

// Who plans, as this node sees it.
std::optional<NodeId> PlannerOf(const View& view, Movement::ReachableFn reachable) {
  for (const Member& member : view.topology().members) {
    if (member.state != MemberState::kActive) continue;
    if (member.id == view.self() || reachable(member.id)) return member.id;
  }
  return std::nullopt;
}

bool Leaves(const View& view) {
  const Member* const self = view.FindMember(view.self());
  return self != nullptr && self->state == MemberState::kLeaving;
}

bool IsDead(const View& view, NodeId node) {
  const Member* const member = view.FindMember(node);
  return member == nullptr || member->state == MemberState::kDead;
}

// What is due, as one look has it.
struct Steps {
  MovesDue due;
  NodeId self;
  std::optional<uint64_t> life;  // in which this node may vote, where that is another now
  bool plans = false;
  std::map<NodeId, BuildLevel> levels;
  std::optional<Plan> plan;  // only where this node plans
  MoveLimits limits;
  Absent absent;
};

// The register stands still where the voters that it has been given cannot answer: so nobody is
// voted in whom that would take.
Topology Elected(const Topology& topology, const Absent& absent) {
  Topology next = ElectVoters(topology);
  const bool answer = HaveMajorityWithout(next.voters, absent.now) &&
                      HaveMajorityWithout(next.voters_before, absent.now);
  return answer ? next : topology;
}

// Each of the steps is one from the document before to the next, and needs nothing of another one:
// no partition has two moves. So they are made at once, for a document costs every node the same
// whatever is in it.
Topology Taken(const Topology& topology, const Steps& steps) {
  Topology next = topology;
  const auto take = [&](Topology made) {
    next = std::move(made);
    next.epoch = topology.epoch;
  };
  if (!steps.due.ends.empty()) take(EndMoves(next, steps.due.ends));
  if (steps.plan.has_value()) {
    absl::StatusOr<Topology> begun = BeginMoves(next, *steps.plan, steps.limits, steps.absent);
    if (begun.ok()) take(*std::move(begun));  // Aborted: it was planned for another document
  }
  if (!steps.due.filled.empty()) take(SwitchMoves(next, steps.due.filled));
  if (steps.life.has_value()) take(SetLife(next, steps.self, *steps.life));
  if (steps.plans) take(Elected(next, steps.absent));
  if (steps.plans) take(RaiseLevel(next, steps.levels));
  if (next != topology) next.epoch = NextOf(topology).epoch;
  return next;
}

}  // namespace

bool Movement::IsDue(const View& view, Time now) const {
  return !proposing_ && (now >= wake_ || (view.epoch() != seen_ && wake_ > now + options_.busy));
}

Movement::Wish Movement::OnWake(const View& view, const Ready& ready, ServesUnderFn serves_under,
                                ReachableFn reachable, Time now) {
  GYRE_CHECK(!proposing_, "one change at a time");
  const Topology& topology = view.topology();
  const std::optional<NodeId> planner = PlannerOf(view, reachable);
  Steps steps;
  steps.limits = options_.limits;
  steps.self = view.self();
  steps.plans = planner == view.self();
  if (steps.plans) steps.levels = ready.levels;
  steps.due = {ready.filled, MayEnd(view, ready, serves_under, steps.plans)};
  const Member* const self = view.FindMember(view.self());
  const bool may_vote = self != nullptr && self->state != MemberState::kDead;
  if (may_vote && ready.life.has_value() && *ready.life != self->life) steps.life = ready.life;
  Wish wish;
  const bool some = !steps.due.filled.empty() || !steps.due.ends.empty();
  const bool overdue = IsOverdue(topology, steps.due, now);
  if (steps.plans) {
    Gather(topology, now, &steps.due);
    steps.absent = NoteAbsent(view, reachable, now);
    steps.plan = PlanFor(topology);
    wish.plan = !steps.plan.has_value() && !planning_ && !topology.families.empty();
    planning_ = planning_ || wish.plan;
  } else {
    plan_.reset();  // another node's is followed
    told_.clear();
    absent_since_.clear();
    const bool tells = topology.level >= kLevelOfMovesDue && planner.has_value();
    if (some && !overdue && tells) {
      wish.tell = {*planner, std::exchange(steps.due, {})};
    }
  }
  const bool own = steps.plans || steps.life.has_value() || (some && !wish.tell.has_value());
  if (own && Taken(topology, steps).epoch != view.epoch()) {
    wish.change = [steps = std::move(steps)](const Topology& now_is) -> absl::StatusOr<Topology> {
      return Taken(now_is, steps);
    };
  } else if (ready.may_depart && ready.asked_under == view.epoch()) {
    wish.change = DepartFrom(view);
  }
  if (wish.change.has_value()) wish.tell.reset();  // at the next look
  seen_ = view.epoch();
  proposing_ = wish.change.has_value();
  const bool busy = proposing_ || !topology.moves.empty() || Leaves(view);
  wake_ = now + (busy ? options_.busy : options_.idle);
  return wish;
}

Absent Movement::NoteAbsent(const View& view, ReachableFn reachable, Time now) {
  Absent absent;
  std::map<NodeId, Time> since;
  for (const Member& member : view.topology().members) {
    if (member.id == view.self() || reachable(member.id)) continue;
    const auto known = absent_since_.find(member.id);
    const Time first = known == absent_since_.end() ? now : known->second;
    since[member.id] = first;
    absent.now.insert(member.id);
    if (first + options_.absence <= now) absent.for_long.insert(member.id);
  }
  absent_since_ = std::move(since);
  return absent;
}

void Movement::Gather(const Topology& topology, Time now, MovesDue* due) {
  for (auto told = told_.begin(); told != told_.end();) {
    const auto take = [&](const std::vector<MoveRef>& refs, MoveStep step,
                          std::vector<MoveRef>* into) {
      bool some = false;
      for (const MoveRef& ref : refs) {
        const Move* const move = FindMove(topology, ref.partition);
        const bool is_so = move != nullptr && move->to == told->first && move->since == ref.since &&
                           move->step == step;
        if (is_so) into->push_back(ref);
        some = some || is_so;
      }
      return some;
    };
    const auto& [said, when] = told->second;
    const bool counts = when + options_.patience > now;
    const bool filled = counts && take(said.filled, MoveStep::kFilling, &due->filled);
    const bool ends = counts && take(said.ends, MoveStep::kSwitched, &due->ends);
    told = filled || ends ? std::next(told) : told_.erase(told);
  }
}

bool Movement::IsOverdue(const Topology& topology, const MovesDue& due, Time now) {
  std::map<std::pair<PartitionId, MoveStep>, Time> since;
  Time first = now;
  const auto note = [&](const std::vector<MoveRef>& refs, MoveStep step) {
    for (const MoveRef& ref : refs) {
      const auto known = due_since_.find({ref.partition, step});
      const Time when = known == due_since_.end() ? now : known->second;
      since[{ref.partition, step}] = when;
      first = std::min(first, when);
    }
  };
  note(due.filled, MoveStep::kFilling);
  note(due.ends, MoveStep::kSwitched);
  due_since_ = std::move(since);
  const auto members = static_cast<int64_t>(topology.members.size());
  return first + options_.patience + options_.patience_per_member * members <= now;
}

// Who still serves under the epoch before the switch reads the former owner, whom those behind the
// end write to no more. That owner refuses it once it knows of the switch; and it does, where it
// has told the new owner of its clock since. Of a dead one nobody knows what it does: then all
// others are to refuse, for none of them alone makes up its quorum with it.
std::vector<MoveRef> Movement::MayEnd(const View& view, const Ready& ready,
                                      ServesUnderFn serves_under, bool plans) {
  std::vector<MoveRef> ends;
  unsaid_.clear();
  if (ready.switched.empty() && !plans) return ends;
  for (const Move& move : view.topology().moves) {
    if (move.step != MoveStep::kSwitched) continue;
    const bool here =
        std::any_of(ready.switched.begin(), ready.switched.end(), [&](const MoveRef& ref) {
          return ref.partition == move.partition && ref.since == move.since;
        });
    // Where both are dead (else it has gone back) nobody can say what is there; the other owners
    // have what is left.
    if (!here && !(plans && IsDead(view, move.to))) continue;
    View::Nodes refuse = {move.from};
    if (IsDead(view, move.from)) {
      const absl::Span<const NodeId> owners = view.Owners(move.partition);
      refuse.assign(owners.begin(), owners.end());
    } else if (here) {
      refuse.clear();
    }
    bool all_refuse = true;
    for (NodeId node : refuse) {
      const bool knows = serves_under(node) >= move.switched;
      if (node == view.self() || IsDead(view, node) || knows) continue;
      all_refuse = false;
      unsaid_.insert(node);
    }
    if (all_refuse) ends.push_back({move.partition, move.since});
  }
  return ends;
}

std::optional<Plan> Movement::PlanFor(const Topology& topology) const {
  if (!plan_.has_value() || plan_->targets.size() != topology.families.size() ||
      !SamePlaces(planned_for_, topology.members)) {
    return std::nullopt;
  }
  std::optional<Plan> plan = plan_;
  plan->epoch = topology.epoch;
  return plan;
}

void Movement::OnPlan(const Topology& made_for, Plan plan, Time now) {
  planning_ = false;
  plan_ = std::move(plan);
  planned_for_ = made_for.members;
  wake_ = std::min(wake_, now);
}

// What the shards said they said of this view: who was to stay meanwhile may keep something again.
std::optional<Control::Change> Movement::DepartFrom(const View& view) {
  const absl::StatusOr<Topology> next = Depart(view.topology(), view.self());
  if (!next.ok() || *next == view.topology()) return std::nullopt;
  return [self = view.self(),
          epoch = view.epoch()](const Topology& topology) -> absl::StatusOr<Topology> {
    if (topology.epoch != epoch) return absl::AbortedError("another document came first");
    return Depart(topology, self);
  };
}

void Movement::OnProposed(const absl::Status& status, Time now) {
  proposing_ = false;
  // Somebody else's change came first: the next look sees it.
  if (status.ok() || absl::IsAborted(status)) return;
  wake_ = std::max(wake_, now + options_.pause);
}

}  // namespace gyre
