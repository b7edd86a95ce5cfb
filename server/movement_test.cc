#include "server/movement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "ring/voters.h"

namespace gyre {
namespace {

// The movements of a cluster of four, of which the last has joined just now.
class Mover {
 public:
  explicit Mover(BuildLevel level = kBuildLevel) {
    std::vector<Member> members;
    for (const char* name : {"n0", "n1", "n2"}) members.push_back({{}, name, "z", name, name});
    TableSpec table;
    table.name = "table";
    topology_ = *CreateTable(*InitialTopology("test", 16, members), table);
    topology_.level = level;
    Change(AddMember(topology_, {{}, "n3", "z", "n3", "n3", MemberState::kActive, 5}));
  }

  NodeId Id(const std::string& name) const { return FindMember(topology_, name)->id; }
  void Change(absl::StatusOr<Topology> next) {
    GYRE_CHECK(next.ok(), "a good change");
    topology_ = *std::move(next);
  }
  // What `self` wants now, if it is its time.
  Movement::Wish Look(const std::string& self, Movement::Ready ready = {}) {
    now_ = now_ + after_;
    const auto view = View::Create(topology_, Id(self));
    if (!movement(self).IsDue(*view, now_)) return {};
    ready.asked_under = topology_.epoch;
    const auto look = [&] {
      return movement(self).OnWake(
          *view, ready, [&](NodeId node) { return serves_[node]; },
          [&](NodeId node) { return !unreachable_.contains(node); }, now_);
    };
    Movement::Wish wish = look();
    if (wish.plan && plans_at_once_) {
      movement(self).OnPlan(topology_, MakePlan(topology_), now_);
      if (!wish.change.has_value()) return look();
    }
    return wish;
  }
  // What `self` proposes now, if anything, or has the one that plans propose; it is made.
  bool Step(const std::string& self, Movement::Ready ready = {}) {
    Movement::Wish wish = Look(self, std::move(ready));
    if (wish.tell.has_value()) {
      const std::string planner = FindMember(topology_, wish.tell->first)->name;
      movement(planner).OnDue(Id(self), wish.tell->second, now_ + after_);
      return Step(planner);
    }
    return Make(self, wish);
  }
  // Makes the change that `self` has proposed, if any.
  bool Make(const std::string& self, const Movement::Wish& wish) {
    if (!wish.change.has_value()) return false;
    const auto view = View::Create(topology_, Id(self));
    EXPECT_FALSE(movement(self).IsDue(*view, now_ + Duration::Seconds(100))) << "one at a time";
    Change((*wish.change)(topology_));
    movement(self).OnProposed(absl::OkStatus(), now_);
    return true;
  }
  // All moves, as ready for what is next.
  Movement::Ready AllReady() const {
    Movement::Ready ready;
    for (const Move& move : topology_.moves) {
      (move.step == MoveStep::kFilling ? ready.filled : ready.switched)
          .push_back({move.partition, move.since});
    }
    return ready;
  }
  void AllServe() {
    for (const Member& member : topology_.members) serves_[member.id] = topology_.epoch;
  }

  // The first by id, which plans; and another.
  std::string First() const { return topology_.members[0].name; }
  std::string Other() const { return topology_.members[1].name; }

  const Topology& topology() const { return topology_; }
  std::map<NodeId, Epoch>& serves() { return serves_; }
  std::set<NodeId>& unreachable() { return unreachable_; }
  Movement& movement(const std::string& name) {
    return movements_.try_emplace(name, MovementOptions()).first->second;
  }
  Time now() const { return now_; }
  void set_after(Duration after) { after_ = after; }
  void set_plans_at_once(bool at_once) { plans_at_once_ = at_once; }

 private:
  Topology topology_;
  std::map<std::string, Movement> movements_;
  std::map<NodeId, Epoch> serves_;
  std::set<NodeId> unreachable_;
  Time now_;
  Duration after_ = Duration::Seconds(10);  // between two looks
  bool plans_at_once_ = true;
};

TEST(Movement, TheFirstActiveNodeThatCanBeReachedPlans) {
  Mover mover;
  EXPECT_FALSE(mover.Step(mover.Other()));
  EXPECT_TRUE(mover.topology().moves.empty());
  mover.unreachable().insert(mover.topology().members[0].id);
  EXPECT_TRUE(mover.Step(mover.Other()));
  EXPECT_EQ(mover.topology().moves.size(), 12u);
  EXPECT_FALSE(mover.Step(mover.Other())) << "all of it is under way";
}

TEST(Movement, WhoPlansAgainAfterAnotherOneMakesAnotherPlan) {
  Mover mover;
  const NodeId first = mover.topology().members[0].id;
  mover.unreachable().insert(first);
  ASSERT_TRUE(mover.Step(mover.Other()));
  mover.unreachable().erase(first);
  EXPECT_FALSE(mover.Step(mover.Other()));
  // The other one's plan has it that two nodes have each other's share.
  Topology moved = NextOf(mover.topology());
  moved.moves.clear();
  moved.families = MakePlan(mover.topology()).targets;
  for (NodeId& owner : moved.families[0].owners) {
    const NodeId was = owner;
    if (was == mover.Id("n1")) owner = mover.Id("n3");
    if (was == mover.Id("n3")) owner = mover.Id("n1");
  }
  mover.Change(moved);
  mover.unreachable().insert(first);
  EXPECT_FALSE(mover.Step(mover.Other())) << "nothing is left to move";
}

// On another thread, which takes its time.
TEST(Movement, OnePlanIsWantedAtATimeAndAnotherOneWhereItCameTooLate) {
  Mover mover;
  mover.set_plans_at_once(false);
  Movement& movement = mover.movement(mover.First());
  const Topology early = mover.topology();
  EXPECT_TRUE(mover.Look(mover.First()).plan);
  mover.Change(AddMember(mover.topology(), {{}, "n4", "z", "n4", "n4", MemberState::kActive, 6}));
  for (int looks = 0; looks < 4; ++looks) {  // it has n4 vote meanwhile
    const Movement::Wish wish = mover.Look(mover.First());
    EXPECT_FALSE(wish.plan) << "one is being made";
    mover.Make(mover.First(), wish);
  }
  movement.OnPlan(early, MakePlan(early), mover.now());
  const Movement::Wish late = mover.Look(mover.First());
  EXPECT_TRUE(late.plan) << "that was without n4";
  EXPECT_FALSE(late.change.has_value());
  movement.OnPlan(mover.topology(), MakePlan(mover.topology()), mover.now());
  EXPECT_TRUE(movement.IsDue(*View::Create(mover.topology(), mover.Id(mover.First())), mover.now()))
      << "at once";
  const Movement::Wish wish = mover.Look(mover.First());
  EXPECT_FALSE(wish.plan);
  EXPECT_TRUE(mover.Make(mover.First(), wish));
  EXPECT_FALSE(mover.topology().moves.empty());
}

TEST(Movement, AllStepsBringTheClusterToRest) {
  Mover mover;
  int rounds = 0;
  while (rounds < 20 && mover.Step(mover.First(), mover.AllReady())) {
    mover.AllServe();
    ++rounds;
  }
  EXPECT_LE(rounds, 4) << "begin, switch, end, and the order of preference";
  EXPECT_TRUE(mover.topology().moves.empty());
  EXPECT_EQ(MakePlan(mover.topology()).moves, 0u);
  EXPECT_FALSE(OwnsNothing(mover.topology(), mover.Id("n3")));
}

TEST(Movement, WhatIsNotFilledIsNotSwitched) {
  Mover mover;
  mover.Step(mover.First());
  const Move move = mover.topology().moves[3];
  mover.Step("n3", {.filled = {{move.partition, move.since}}});
  for (const Move& one : mover.topology().moves) {
    EXPECT_EQ(one.step == MoveStep::kSwitched, one.partition == move.partition);
  }
}

TEST(Movement, AMoveEndsOnceTheFormerOwnerHasToldAllThoughOthersAreAway) {
  Mover mover;
  mover.Step(mover.First());
  mover.Step("n3", mover.AllReady());
  const Movement::Ready all = mover.AllReady();
  EXPECT_FALSE(mover.Step("n3", {{}, {}})) << "which it has not";
  EXPECT_TRUE(mover.Step("n3", all));
  EXPECT_TRUE(mover.topology().moves.empty());
}

// Whoever says so may be wrong, and it serves on somewhere.
TEST(Movement, WhereTheFormerOwnerIsDeadAllOthersAreToRefuseWhatIsOlder) {
  for (const char* late : {"n0", "n1", "n2"}) {
    Mover mover;
    mover.Step(mover.First());
    mover.Step("n3", mover.AllReady());
    const Move move = mover.topology().moves[0];
    const std::string dead = FindMember(mover.topology(), move.from)->name;
    if (dead == late) continue;
    mover.Change(BuryMember(mover.topology(), dead));
    const auto view = View::Create(mover.topology(), mover.Id("n3"));
    mover.AllServe();
    mover.serves()[move.from] = Epoch();
    mover.serves()[mover.Id(late)] = move.since;
    const Movement::Ready all = mover.AllReady();
    mover.Step("n3", all);
    EXPECT_EQ(FindMove(mover.topology(), move.partition) != nullptr,
              view->IsOwner(move.partition, mover.Id(late)));
    if (!view->IsOwner(move.partition, mover.Id(late))) continue;
    EXPECT_TRUE(mover.movement("n3").unsaid().contains(mover.Id(late)));
    mover.AllServe();
    mover.Step("n3", mover.AllReady());
    EXPECT_EQ(FindMove(mover.topology(), move.partition), nullptr);
  }
}

// It has gone back to them (BuryMember).
TEST(Movement, WhatADeadNodeHadTakenOverIsEndedByThoseWhoGaveIt) {
  Mover mover;
  mover.Step(mover.First());
  mover.Step("n3", mover.AllReady());
  mover.Change(BuryMember(mover.topology(), "n3"));
  mover.unreachable().insert(mover.Id("n3"));
  const Move move = mover.topology().moves[0];
  const std::string giver = FindMember(mover.topology(), move.to)->name;
  mover.Step(giver, {.switched = {{move.partition, move.since}}});
  EXPECT_NE(FindMove(mover.topology(), move.partition), nullptr) << "others read the dead one yet";
  mover.AllServe();
  mover.Step(giver, {.switched = {{move.partition, move.since}}});
  EXPECT_EQ(FindMove(mover.topology(), move.partition), nullptr);
}

TEST(Movement, WhatMovesBetweenTwoDeadNodesIsEndedByWhoPlans) {
  Mover mover;
  mover.Change(AddMember(mover.topology(), {{}, "n4", "z", "n4", "n4", MemberState::kActive, 6}));
  mover.Step(mover.First());
  for (int i = 0; i < 9; ++i) mover.Step(mover.First(), {mover.AllReady().filled, {}});
  const Move move = mover.topology().moves[0];
  ASSERT_EQ(move.step, MoveStep::kSwitched);
  for (const NodeId dead : {move.from, move.to}) {
    mover.unreachable().insert(dead);
    mover.Change(BuryMember(mover.topology(), FindMember(mover.topology(), dead)->name));
  }
  mover.AllServe();
  std::string planner;
  for (const Member& member : mover.topology().members) {
    if (planner.empty() && member.state == MemberState::kActive) planner = member.name;
  }
  ASSERT_TRUE(mover.Step(planner));
  const Move* const next = FindMove(mover.topology(), move.partition);
  EXPECT_TRUE(next == nullptr || next->since == mover.topology().epoch) << "one that has begun";
}

// A document costs all nodes the same, whatever is in it.
TEST(Movement, AllThatIsDueIsOneChange) {
  Mover mover;
  ASSERT_TRUE(mover.Step(mover.First()));
  mover.AllServe();
  const Movement::Ready all = mover.AllReady();
  ASSERT_EQ(all.filled.size(), 12u);
  ASSERT_TRUE(mover.Step("n3", {.filled = {all.filled[0], all.filled[1]}}));
  mover.AllServe();
  const Movement::Ready ready = {.filled = {all.filled[2]},
                                 .switched = {all.filled[0], all.filled[1]}};
  const Epoch before = mover.topology().epoch;
  ASSERT_TRUE(mover.Step("n3", ready));
  EXPECT_EQ(mover.topology().epoch, Epoch(before.value() + 1));
  EXPECT_EQ(mover.topology().moves.size(), 10u);
  EXPECT_EQ(FindMove(mover.topology(), all.filled[2].partition)->step, MoveStep::kSwitched);
}

// So that changes do not grow with the nodes that are filled.
TEST(Movement, WhatIsDueAtSeveralNodesIsOneChangeOfTheOneThatPlans) {
  Mover mover;
  mover.Change(AddMember(mover.topology(), {{}, "n4", "z", "n4", "n4", MemberState::kActive, 6}));
  while (mover.topology().moves.empty()) ASSERT_TRUE(mover.Step(mover.First()));
  mover.set_after(Duration::Seconds(1));
  const Movement::Ready all = mover.AllReady();
  for (const char* taker : {"n3", "n4"}) {
    Movement::Ready ready;
    for (const MoveRef& ref : all.filled) {
      if (FindMove(mover.topology(), ref.partition)->to == mover.Id(taker)) {
        ready.filled.push_back(ref);
      }
    }
    ASSERT_FALSE(ready.filled.empty());
    const Movement::Wish wish = mover.Look(taker, ready);
    EXPECT_FALSE(wish.change.has_value());
    ASSERT_TRUE(wish.tell.has_value());
    EXPECT_EQ(wish.tell->first, mover.Id(mover.First()));
    EXPECT_EQ(wish.tell->second.filled, ready.filled);
    mover.movement(mover.First()).OnDue(mover.Id(taker), wish.tell->second, mover.now());
  }
  ASSERT_TRUE(mover.Step(mover.First()));
  for (const Move& move : mover.topology().moves) EXPECT_EQ(move.step, MoveStep::kSwitched);
}

TEST(Movement, ByTheWordOfAnotherNodeThanTheOneItMovesToNothingIsTaken) {
  Mover mover;
  ASSERT_TRUE(mover.Step(mover.First()));
  mover.set_after(Duration::Seconds(1));
  const Movement::Ready all = mover.AllReady();
  const std::vector<Move> moves = mover.topology().moves;
  const auto hear = [&](const std::string& from, MovesDue due) {
    mover.movement(mover.First()).OnDue(mover.Id(from), std::move(due), mover.now());
  };
  hear(mover.First() == "n0" ? "n1" : "n0", {.filled = all.filled});
  mover.Step(mover.First());
  EXPECT_TRUE(mover.topology().moves == moves);
  // Nor by what was said of an earlier move of it, or of the step before.
  MoveRef earlier = all.filled[0];
  earlier.since = Epoch(earlier.since.value() - 1);
  hear("n3", {{earlier}, {all.filled[1]}});
  mover.Step(mover.First());
  EXPECT_TRUE(mover.topology().moves == moves);
  // Nor by what was said long ago: its data may have been lost since.
  hear("n3", {.filled = all.filled});
  mover.set_after(Duration::Seconds(6));
  mover.Step(mover.First());
  EXPECT_TRUE(mover.topology().moves == moves);
  hear("n3", {.filled = all.filled});
  mover.set_after(Duration::Seconds(1));
  EXPECT_TRUE(mover.Step(mover.First()));
  EXPECT_FALSE(mover.topology().moves == moves);
}

// It may be of a build that does not know what it is told, or nobody reaches it but this node.
TEST(Movement, WhatTheOneThatPlansDoesNotTakeItsNodeProposesAfterAWhile) {
  Mover mover;
  mover.set_after(Duration::Millis(600));
  ASSERT_TRUE(mover.Step(mover.First()));
  const Movement::Ready all = mover.AllReady();
  int told = 0;
  Movement::Wish wish = mover.Look("n3", all);
  for (; wish.tell.has_value(); wish = mover.Look("n3", all)) ++told;
  ASSERT_TRUE(wish.change.has_value());
  EXPECT_GE(told, 8);
  EXPECT_LE(told, 10) << "5 s and a little";
  mover.Change((*wish.change)(mover.topology()));
  for (const Move& move : mover.topology().moves) EXPECT_EQ(move.step, MoveStep::kSwitched);
}

// Every write to what is on its way to it would need one owner more.
TEST(Movement, NothingMovesToWhoCannotBeReached) {
  Mover mover;
  mover.unreachable().insert(mover.Id("n3"));
  EXPECT_FALSE(mover.Step(mover.First()));
  mover.unreachable().clear();
  ASSERT_TRUE(mover.Step(mover.First()));
  EXPECT_EQ(mover.topology().moves.size(), 12u);
  mover.unreachable().insert(mover.Id("n3"));
  for (int s = 0; s < 30; s += 10) EXPECT_FALSE(mover.Step(mover.First())) << "it may restart";
  EXPECT_TRUE(mover.Step(mover.First()));
  EXPECT_TRUE(mover.topology().moves.empty());
  mover.unreachable().clear();
  EXPECT_TRUE(mover.Step(mover.First())) << "and once it is back";
}

// Three of five are there, and may change the document. The voters that should vote once one of
// the three leaves are two who are away, and one.
TEST(Movement, NobodyIsVotedInWithWhomTheVotersCouldNotAnswer) {
  std::vector<Member> members;
  for (const auto& [name, zone] : std::vector<std::pair<std::string, std::string>>{
           {"a", "z3"}, {"b", "z3"}, {"c", "z1"}, {"d", "z1"}, {"e", "z2"}}) {
    members.push_back({{}, name, zone, name, name});
  }
  Topology topology = *InitialTopology("test", 16, members);
  topology.level = kBuildLevel;
  topology.voters = ChooseVoters(topology);
  ASSERT_EQ(topology.voters.size(), 5u);
  const std::vector<Voter> all = topology.voters;
  const auto id = [&](const char* name) { return FindMember(topology, name)->id; };
  const NodeId d = id("d"), e = id("e");
  std::set<NodeId> away = {d, e};
  topology = *LeaveMember(topology, "c");
  Movement movement{MovementOptions()};
  Time now;
  const auto look = [&] {
    now = now + Duration::Seconds(10);
    const auto planner =
        std::find_if(topology.members.begin(), topology.members.end(), [&](const Member& member) {
          return member.state == MemberState::kActive && !away.contains(member.id);
        });
    const auto view = View::Create(topology, planner->id);
    Movement::Wish wish = movement.OnWake(
        *view, {}, [](NodeId) { return Epoch(); },
        [&](NodeId node) { return !away.contains(node); }, now);
    if (!wish.change.has_value()) return;
    topology = *(*wish.change)(topology);
    movement.OnProposed(absl::OkStatus(), now);
  };
  look();
  EXPECT_EQ(topology.voters, all);
  away = {d};
  look();
  EXPECT_EQ(topology.voters.size(), 3u) << "two of them are there";
}

TEST(Movement, WhoLeavesDepartsOnceItOwnsAndKeepsNothing) {
  Mover mover;
  mover.Change(LeaveMember(mover.topology(), "n3"));
  EXPECT_FALSE(mover.Step("n3")) << "it keeps hints";
  const auto view = View::Create(mover.topology(), mover.Id("n3"));
  EXPECT_FALSE(mover.movement("n3")
                   .OnWake(
                       *view, {.may_depart = true, .asked_under = Epoch(1)},
                       [](NodeId) { return Epoch(); }, [](NodeId) { return true; }, mover.now())
                   .change.has_value())
      << "it kept none under an older document";
  EXPECT_TRUE(mover.Step("n3", {.may_depart = true}));
  EXPECT_EQ(FindMember(mover.topology(), "n3"), nullptr);

  Mover owner;
  while (owner.Step(owner.First(), owner.AllReady())) owner.AllServe();
  owner.Change(LeaveMember(owner.topology(), "n3"));
  EXPECT_FALSE(owner.Step("n3", {.may_depart = true})) << "it owns its share";
  for (const Member& member : owner.topology().members) {
    if (member.name == owner.First() || member.name == "n3") continue;
    EXPECT_FALSE(owner.Step(member.name, {.may_depart = true})) << "it does not leave";
  }
}

// Or it may keep hints again by then.
TEST(Movement, WhoWasToStayMeanwhileDepartsByNoOlderWord) {
  Mover mover;
  mover.Change(LeaveMember(mover.topology(), "n3"));
  const auto view = View::Create(mover.topology(), mover.Id("n3"));
  const Movement::Wish wish = mover.movement("n3").OnWake(
      *view, {.may_depart = true, .asked_under = view->epoch()}, [](NodeId) { return Epoch(); },
      [](NodeId) { return true; }, mover.now());
  ASSERT_TRUE(wish.change.has_value());
  mover.Change(ActivateMember(mover.topology(), "n3"));
  mover.Change(LeaveMember(mover.topology(), "n3"));
  EXPECT_TRUE(absl::IsAborted((*wish.change)(mover.topology()).status()));
}

TEST(Movement, WhoPlansHasAVoterReplacedThatIsGone) {
  Mover mover;
  while (mover.Step(mover.First(), mover.AllReady())) mover.AllServe();
  const NodeId gone = mover.Id("n1");
  ASSERT_TRUE(std::ranges::count(mover.topology().voters, gone, &Voter::node) > 0);
  mover.Change(LeaveMember(mover.topology(), "n1"));
  std::string planner;
  for (const Member& member : mover.topology().members) {
    if (planner.empty() && member.id != gone) planner = member.name;
  }
  int rounds = 0;
  while (rounds < 20 && mover.Step(planner, mover.AllReady())) {
    mover.AllServe();
    ++rounds;
  }
  EXPECT_LT(rounds, 20);
  EXPECT_FALSE(std::ranges::count(mover.topology().voters, gone, &Voter::node) > 0);
  EXPECT_EQ(mover.topology().voters.size(), 3u);
  EXPECT_TRUE(mover.topology().voters_before.empty());
  EXPECT_TRUE(mover.Step("n1", {.may_depart = true}));
  EXPECT_EQ(FindMember(mover.topology(), "n1"), nullptr);
}

TEST(Movement, ANodeThatForgotSaysInWhichLifeItMayVoteAndIsVotedInByWhoPlans) {
  Mover mover;
  while (mover.Step(mover.First(), mover.AllReady())) mover.AllServe();
  const NodeId forgot = mover.topology().voters.back().node;
  const std::string name = FindMember(mover.topology(), forgot)->name;
  ASSERT_NE(name, mover.First());
  EXPECT_FALSE(mover.Step(name, {.life = std::nullopt})) << "it does not know yet";
  EXPECT_FALSE(mover.Step(name, {.life = 0}));
  EXPECT_TRUE(mover.Step(name, {.life = 7}));
  EXPECT_EQ(FindMember(mover.topology(), forgot)->life, 7u);
  EXPECT_FALSE(mover.Step(name, {.life = 7}));
  const auto votes = [&] {
    return std::ranges::count(mover.topology().voters, Voter{forgot, 7}) > 0;
  };
  EXPECT_FALSE(votes());
  EXPECT_TRUE(mover.Step(mover.First()));
  EXPECT_TRUE(votes());
  EXPECT_TRUE(mover.Step(mover.First()));
  EXPECT_FALSE(mover.Step(mover.First()));
  EXPECT_TRUE(mover.topology().voters_before.empty());
}

TEST(Movement, WhoPlansRaisesTheLevelOnceEveryOneHasSaidTheNext) {
  Mover mover(kFirstLevel);
  while (mover.Step(mover.First(), mover.AllReady())) mover.AllServe();
  std::map<NodeId, BuildLevel> levels;
  for (const Member& member : mover.topology().members) levels[member.id] = kBuildLevel;
  EXPECT_FALSE(mover.Step(mover.Other(), {.levels = levels})) << "it does not plan";
  levels[mover.Id("n3")] = kFirstLevel;
  EXPECT_FALSE(mover.Step(mover.First(), {.levels = levels}));
  levels.erase(mover.Id("n3"));
  EXPECT_FALSE(mover.Step(mover.First(), {.levels = levels}));
  levels[mover.Id("n3")] = kBuildLevel;
  EXPECT_TRUE(mover.Step(mover.First(), {.levels = levels}));
  EXPECT_EQ(mover.topology().level, kBuildLevel);
  EXPECT_FALSE(mover.Step(mover.First(), {.levels = levels}));
}

// It was asked about when the change was wished for, and the change is made later.
TEST(Movement, TheLevelIsNotRaisedOverOneThatHasJoinedMeanwhile) {
  Mover mover(kFirstLevel);
  while (mover.Step(mover.First(), mover.AllReady())) mover.AllServe();
  std::map<NodeId, BuildLevel> levels;
  for (const Member& member : mover.topology().members) levels[member.id] = kBuildLevel;
  const Movement::Wish wish = mover.Look(mover.First(), {.levels = levels});
  ASSERT_TRUE(wish.change.has_value());
  mover.Change(AddMember(mover.topology(), {{}, "n4", "z", "n4", "n4", MemberState::kActive, 6},
                         kFirstLevel));
  EXPECT_EQ((*wish.change)(mover.topology())->level, kFirstLevel);
}

// Who plans may be a build that knows no MovesDue.
TEST(Movement, InAClusterOfTheFirstLevelEachNodeProposesItsOwnSteps) {
  Mover mover(kFirstLevel);
  ASSERT_TRUE(mover.Step(mover.First()));
  ASSERT_NE(mover.First(), "n3");
  const Movement::Wish wish = mover.Look("n3", mover.AllReady());
  EXPECT_FALSE(wish.tell.has_value());
  ASSERT_TRUE(wish.change.has_value());
  const Topology next = *(*wish.change)(mover.topology());
  EXPECT_TRUE(std::ranges::all_of(
      next.moves, [](const Move& move) { return move.step == MoveStep::kSwitched; }));
}

TEST(Movement, AfterAChangeThatCouldNotBeMadeItRests) {
  Mover mover;
  const auto view = View::Create(mover.topology(), mover.Id(mover.First()));
  const auto serves = [](NodeId) { return Epoch(); };
  const auto reachable = [](NodeId) { return true; };
  Movement& movement = mover.movement(mover.First());
  movement.OnPlan(mover.topology(), MakePlan(mover.topology()), mover.now());
  ASSERT_TRUE(movement.OnWake(*view, {}, serves, reachable, mover.now()).change.has_value());
  movement.OnProposed(absl::UnavailableError("no majority"), mover.now());
  EXPECT_FALSE(movement.IsDue(*view, mover.now() + Duration::Millis(900)));
  EXPECT_TRUE(movement.IsDue(*view, mover.now() + Duration::Millis(1100)));
}

TEST(Movement, LooksSoonAfterANewView) {
  Mover mover;
  while (mover.Step(mover.First(), mover.AllReady())) mover.AllServe();
  const auto view = View::Create(mover.topology(), mover.Id(mover.First()));
  Movement& movement = mover.movement(mover.First());
  EXPECT_FALSE(movement.IsDue(*view, mover.now() + Duration::Seconds(1))) << "nothing to do";
  mover.Change(LeaveMember(mover.topology(), "n1"));
  const auto next = View::Create(mover.topology(), view->self());
  EXPECT_TRUE(movement.IsDue(*next, mover.now() + Duration::Seconds(1)));
}

}  // namespace
}  // namespace gyre
