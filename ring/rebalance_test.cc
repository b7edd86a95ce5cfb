#include "ring/rebalance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "ring/random.h"
#include "ring/view.h"

namespace gyre {
namespace {

Member NodeOf(int number, MemberState state = MemberState::kActive, uint64_t key = 0) {
  const std::string n = std::to_string(number);
  return {{}, "n" + n, "z", "c" + n, "p" + n, state, key};
}

// Nodes n0, n1, ... in one zone, and tables of the given N.
Topology Cluster(int nodes, uint32_t slices = 64, const std::vector<int>& tables = {3}) {
  std::vector<Member> members;
  for (int i = 0; i < nodes; ++i) members.push_back(NodeOf(i));
  absl::StatusOr<Topology> topology = InitialTopology("test", slices, members);
  for (const int replicas : tables) {
    TableSpec spec;
    spec.name = "table-" + std::to_string(replicas);
    spec.replicas = replicas;
    spec.read_quorum = spec.write_quorum = replicas / 2 + 1;
    if (topology.ok()) topology = CreateTable(*topology, spec);
  }
  GYRE_CHECK(topology.ok(), "a good configuration");
  return *std::move(topology);
}

Topology Ok(absl::StatusOr<Topology> topology) {
  EXPECT_TRUE(topology.ok()) << topology.status();
  GYRE_CHECK(topology.ok(), "a change that may be made");
  EXPECT_TRUE(ValidateTopology(*topology).ok()) << ValidateTopology(*topology);
  return *std::move(topology);
}

Topology WithNew(const Topology& topology, int number, MemberState state = MemberState::kActive) {
  return Ok(AddMember(topology, NodeOf(number, state, uint64_t{1000} + number)));
}

NodeId Id(const Topology& topology, const std::string& name) {
  return FindMember(topology, name)->id;
}

absl::StatusCode CodeOf(const absl::StatusOr<Topology>& topology) {
  return topology.status().code();
}

std::vector<MoveRef> RefsOf(const Topology& topology, MoveStep step) {
  std::vector<MoveRef> refs;
  for (const Move& move : topology.moves) {
    if (move.step == step) refs.push_back({move.partition, move.since});
  }
  return refs;
}

uint64_t MovesLeft(const Topology& topology) { return MakePlan(topology).moves; }

Topology Begun(const Topology& topology, MoveLimits limits = {}) {
  return Ok(BeginMoves(topology, MakePlan(topology), limits));
}

// Who leaves and owns nothing keeps no hints, either.
Topology Departed(Topology topology) {
  for (const Member& member : std::vector<Member>(topology.members)) {
    topology = Ok(Depart(topology, member.id));
  }
  return topology;
}

// Goes on until nothing is left to move; counts the moves that were made.
Topology Settled(Topology topology, uint64_t* moves = nullptr) {
  for (int rounds = 0; rounds < 10'000; ++rounds) {
    const Epoch before = topology.epoch;
    topology = Begun(ElectVoters(topology));
    const std::vector<MoveRef> ready = RefsOf(topology, MoveStep::kFilling);
    if (moves != nullptr) *moves += ready.size();
    topology = Ok(SwitchMoves(topology, ready));
    topology = Ok(EndMoves(topology, RefsOf(topology, MoveStep::kSwitched)));
    if (topology.epoch == before) return Departed(std::move(topology));
  }
  ADD_FAILURE() << "it never ends";
  return topology;
}

std::map<NodeId, uint64_t> Loads(const Topology& topology) {
  std::map<NodeId, uint64_t> loads;
  for (const Ownership& family : topology.families) {
    for (const NodeId owner : family.owners) ++loads[owner];
  }
  return loads;
}

// ---- members

// One operator has removed it, and another one says what is to take its place.
TEST(Rebalance, WhoWasDeclaredDeadBeforeIsReplacedInOneStep) {
  Topology topology = Settled(Cluster(4, 64));
  topology = Ok(AddMember(topology, {{}, "n4", "z", "n4", "n4", MemberState::kWaiting, 5}));
  const Topology removed = Ok(BuryMember(topology, "n1"));
  const Topology replaced = Ok(ReplaceMember(removed, "n1", "n4"));
  EXPECT_EQ(replaced.epoch, NextOf(removed).epoch);
  EXPECT_EQ(FindMember(replaced, "n4")->state, MemberState::kActive);
  EXPECT_EQ(Ok(ReplaceMember(replaced, "n1", "n4")), replaced) << "said twice";
}

TEST(Rebalance, NothingIsBegunToWhoIsAbsentAndWhatWasIsTakenBackInTheEnd) {
  Topology topology = WithNew(Cluster(3, 64), 3);
  const NodeId taker = Id(topology, "n3");
  const Plan plan = MakePlan(topology);
  EXPECT_EQ(Ok(BeginMoves(topology, plan, {}, {.now = {taker}})), topology);
  topology = Ok(BeginMoves(topology, plan, {}));
  ASSERT_FALSE(topology.moves.empty());
  EXPECT_EQ(Ok(BeginMoves(topology, MakePlan(topology), {}, {.now = {taker}})), topology);
  const Topology back =
      Ok(BeginMoves(topology, MakePlan(topology), {}, {.now = {taker}, .for_long = {taker}}));
  EXPECT_TRUE(back.moves.empty());
  EXPECT_EQ(back.families, topology.families);
}

TEST(Rebalance, WhereNoMoreCanBeRememberedAsRemovedTheDeadStayAndNothingElseDoes) {
  Topology topology = Settled(Cluster(4, 64));
  for (uint64_t id = 1; topology.removed.size() < kMaxRemoved; ++id) {
    topology.removed.push_back(NodeId(id));
  }
  topology = Settled(Ok(BuryMember(topology, "n1")));
  EXPECT_TRUE(ValidateTopology(topology).ok());
  EXPECT_TRUE(topology.moves.empty());
  ASSERT_NE(FindMember(topology, "n1"), nullptr);
  EXPECT_TRUE(OwnsNothing(topology, Id(topology, "n1")));
}

TEST(Rebalance, ANodeThatJoinsTakesItsShareWithTheFewestMoves) {
  Topology topology = Cluster(3, 256);
  topology = WithNew(topology, 3);
  EXPECT_EQ(topology.moves.size(), 0u) << "a state moves nothing by itself";
  uint64_t moves = 0;
  topology = Settled(topology, &moves);
  EXPECT_EQ(moves, 256u * 3 / 4) << "its share, and nothing among the others";
  for (const auto& [node, load] : Loads(topology)) EXPECT_EQ(load, 192u);
  EXPECT_EQ(MovesLeft(topology), 0u);
}

TEST(Rebalance, WhoWaitsOwnsNothingUntilItIsActivated) {
  Topology topology = WithNew(Cluster(3), 3, MemberState::kWaiting);
  EXPECT_EQ(Settled(topology), topology);
  topology = Settled(Ok(ActivateMember(topology, "n3")));
  EXPECT_EQ(Loads(topology)[Id(topology, "n3")], 48u);
}

TEST(Rebalance, JoiningAgainChangesAddressesOnly) {
  const Topology topology = WithNew(Cluster(3), 3);
  EXPECT_EQ(WithNew(topology, 3), topology);
  Member moved = NodeOf(3, MemberState::kActive, 1003);
  moved.peer_address = "elsewhere";
  const Topology next = Ok(AddMember(topology, moved));
  EXPECT_EQ(next.epoch.value(), topology.epoch.value() + 1);
  EXPECT_EQ(FindMember(next, "n3")->peer_address, "elsewhere");
  EXPECT_EQ(Id(next, "n3"), Id(topology, "n3"));
}

TEST(Rebalance, RefusesWhoMayNotJoin) {
  Topology topology = Cluster(4);
  EXPECT_EQ(CodeOf(AddMember(topology, NodeOf(5))), absl::StatusCode::kInvalidArgument) << "no key";
  EXPECT_EQ(CodeOf(AddMember(topology, NodeOf(5, MemberState::kDead, 1))),
            absl::StatusCode::kInvalidArgument);
  Member unnamed = NodeOf(5, MemberState::kActive, 1);
  unnamed.name = "two words";
  EXPECT_EQ(CodeOf(AddMember(topology, unnamed)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(AddMember(topology, NodeOf(2, MemberState::kActive, 1))),
            absl::StatusCode::kAlreadyExists);
  topology = Settled(WithNew(topology, 5));
  topology = Settled(Ok(LeaveMember(topology, "n5")));
  EXPECT_EQ(FindMember(topology, "n5"), nullptr);
  EXPECT_EQ(CodeOf(AddMember(topology, NodeOf(5, MemberState::kActive, 1005))),
            absl::StatusCode::kFailedPrecondition)
      << "under its old identity";
  const Topology again = Ok(AddMember(topology, NodeOf(5, MemberState::kActive, 1)));
  EXPECT_NE(FindMember(again, "n5"), nullptr) << "under a new one";
  while (topology.members.size() < kMaxMembers) {
    Member filler = NodeOf(0);
    filler.name = "filler-" + std::to_string(topology.members.size());
    filler.id = NodeIdFromName(topology.cluster, filler.name);
    topology.members.push_back(filler);
  }
  std::sort(topology.members.begin(), topology.members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  EXPECT_EQ(CodeOf(AddMember(topology, NodeOf(9, MemberState::kActive, 1))),
            absl::StatusCode::kResourceExhausted);
}

// Whoever calls there would meet now one of them and now the other.
TEST(Rebalance, RefusesAnAddressWhereAMemberIsThatMayComeBack) {
  const Topology topology = Cluster(4);
  const auto joining = [](const std::string& to_clients, const std::string& to_peers) {
    return Member{{}, "n5", "z", to_clients, to_peers, MemberState::kWaiting, 1};
  };
  for (const auto& [to_clients, to_peers] : {std::pair("c5", "p3"), std::pair("c3", "p5"),
                                             std::pair("c5", "c3"), std::pair("p3", "p5")}) {
    const absl::StatusOr<Topology> refused = AddMember(topology, joining(to_clients, to_peers));
    EXPECT_EQ(CodeOf(refused), absl::StatusCode::kAlreadyExists) << to_clients << " " << to_peers;
    EXPECT_NE(refused.status().message().find("'n3'"), std::string::npos) << refused.status();
  }
  const Topology buried = Ok(BuryMember(topology, "n3"));
  ASSERT_NE(FindMember(buried, "n3"), nullptr) << "what it owned has not moved yet";
  const Topology next = Ok(AddMember(buried, joining("c3", "p3")));
  // One that is a member says where it is, and others may not have said yet that they have left.
  Ok(SetAddresses(next, Id(next, "n2"), "c1", "p1"));
}

TEST(Rebalance, ANodeThatLeavesIsAMemberUntilItOwnsNothing) {
  Topology topology = Ok(LeaveMember(Cluster(4), "n1"));
  const NodeId leaver = Id(topology, "n1");
  EXPECT_EQ(Ok(Depart(topology, leaver)), topology);
  const Topology begun = Begun(topology);
  EXPECT_EQ(Ok(Depart(begun, leaver)), begun);
  EXPECT_EQ(topology.moves.size(), 0u);
  uint64_t moves = 0;
  const uint64_t had = Loads(topology)[leaver];
  topology = Settled(topology, &moves);
  EXPECT_EQ(moves, had) << "what it had, and nothing else";
  EXPECT_EQ(FindMember(topology, "n1"), nullptr);
  EXPECT_EQ(topology.removed, std::vector<NodeId>{leaver});
}

TEST(Rebalance, WhoLeavesAndOwnsNothingIsAMemberUntilItSaysThatItKeepsNothing) {
  Topology topology = WithNew(Cluster(3), 3, MemberState::kWaiting);
  const NodeId leaver = Id(topology, "n3");
  EXPECT_EQ(Ok(Depart(topology, leaver)), topology) << "it does not leave";
  topology = Ok(LeaveMember(topology, "n3"));
  EXPECT_EQ(Begun(topology), topology);
  EXPECT_NE(FindMember(topology, leaver), nullptr) << "it may keep hints";
  topology = Ok(Depart(topology, leaver));
  EXPECT_EQ(FindMember(topology, leaver), nullptr);
  EXPECT_EQ(topology.removed, std::vector<NodeId>{leaver});
  EXPECT_EQ(Ok(Depart(topology, leaver)), topology);
}

TEST(Rebalance, NobodyLeavesWhereTooFewWouldBeLeft) {
  const Topology topology = Cluster(3, 64, {2, 3});
  EXPECT_EQ(CodeOf(LeaveMember(topology, "n0")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(BuryMember(topology, "n0")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(RetireMember(topology, "n0")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(LeaveMember(topology, "n9")), absl::StatusCode::kNotFound);
  const Topology alone = Cluster(1, 8, {});
  EXPECT_EQ(CodeOf(LeaveMember(alone, "n0")), absl::StatusCode::kFailedPrecondition);
}

TEST(Rebalance, WhoLeavesMayStayAfterAll) {
  const Topology before = Cluster(4);
  Topology topology = Begun(Ok(LeaveMember(before, "n1")), {.most_to = 1});
  ASSERT_GT(topology.moves.size(), 0u);
  topology = Ok(ActivateMember(topology, "n1"));
  topology = Begun(topology);
  EXPECT_EQ(topology.moves.size(), 0u) << "what had not been switched is taken back";
  EXPECT_EQ(topology.families, before.families);
  EXPECT_EQ(CodeOf(ActivateMember(Ok(BuryMember(topology, "n1")), "n1")),
            absl::StatusCode::kFailedPrecondition)
      << "the dead do not come back";
}

TEST(Rebalance, AJoinThatIsTakenBackGivesBackWhatItGot) {
  const Topology before = Cluster(4);
  Topology topology = Begun(WithNew(before, 4), {.most_to = 4});
  topology = SwitchMoves(topology, {{{topology.moves[0].partition, topology.moves[0].since}}});
  topology = Ok(RetireMember(topology, "n4"));
  EXPECT_EQ(topology.moves.size(), 1u) << "what was being filled is filled no more";
  topology = Settled(topology);
  EXPECT_TRUE(OwnsNothing(topology, Id(topology, "n4")));
  EXPECT_EQ(FindMember(topology, "n4")->state, MemberState::kWaiting);
}

TEST(Rebalance, WhoTakesADeadNodesPlaceTakesWhatItHadAndNothingElseMoves) {
  Topology topology = WithNew(Cluster(4, 256), 4, MemberState::kWaiting);
  const NodeId dead = Id(topology, "n1");
  const NodeId heir = Id(topology, "n4");
  const Epoch before = topology.epoch;
  const uint64_t had = Loads(topology)[dead];
  topology = Ok(ReplaceMember(topology, "n1", "n4"));
  EXPECT_EQ(topology.epoch.value(), before.value() + 1) << "in one step";
  topology = Begun(topology);
  for (const Move& move : topology.moves) {
    EXPECT_EQ(move.from, dead);
    EXPECT_EQ(move.to, heir);
  }
  uint64_t moves = 0;
  topology = Settled(topology, &moves);
  EXPECT_EQ(moves, had);
  EXPECT_EQ(FindMember(topology, "n1"), nullptr);
  Topology leaves = Ok(LeaveMember(topology, "n4"));
  EXPECT_EQ(CodeOf(ReplaceMember(leaves, "n0", "n4")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(ReplaceMember(topology, "n0", "n9")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(ReplaceMember(topology, "n9", "n4")), absl::StatusCode::kNotFound);
}

// Some of what n5 is to have has become its own.
Topology HalfMovedToNew(MoveLimits limits = {.most_to = 8}) {
  Topology topology = Begun(WithNew(Cluster(5), 5), limits);
  std::vector<MoveRef> ready = RefsOf(topology, MoveStep::kFilling);
  ready.resize(ready.size() / 2);
  return Ok(SwitchMoves(topology, ready));
}

TEST(Rebalance, WhatADeadNodeHasTakenOverGoesBackToWhoGaveIt) {
  const Topology before = HalfMovedToNew();
  const NodeId dead = Id(before, "n5");
  Topology topology = Ok(BuryMember(before, "n5"));
  EXPECT_EQ(topology.moves.size(), 4u) << "what was being filled is filled no more";
  for (const Move& was : before.moves) {
    if (was.step != MoveStep::kSwitched) continue;
    const auto view = View::Create(topology, was.from);
    EXPECT_TRUE(view->IsOwner(was.partition, was.from));
    EXPECT_FALSE(view->IsOwner(was.partition, dead));
    const Move* const back = FindMove(topology, was.partition);
    ASSERT_NE(back, nullptr) << "who serves under the document before reads there";
    EXPECT_EQ(*back, (Move{was.partition, dead, was.from, was.switched, MoveStep::kSwitched,
                           topology.epoch}));
  }
  EXPECT_EQ(EndMoves(topology, RefsOf(before, MoveStep::kSwitched)), topology)
      << "the end of the move as it was";
  topology = Ok(EndMoves(topology, RefsOf(topology, MoveStep::kSwitched)));
  EXPECT_EQ(FindMember(topology, "n5"), nullptr);
  EXPECT_EQ(Settled(topology).families, Cluster(5).families);
}

TEST(Rebalance, WhoIsToOwnNothingAndGetsItBackGivesItToAnother) {
  Topology topology = Begun(Ok(LeaveMember(Cluster(5), "n1")), {.most_to = 4});
  topology = Ok(SwitchMoves(topology, RefsOf(topology, MoveStep::kFilling)));
  const NodeId leaver = Id(topology, "n1");
  const std::string taker = FindMember(topology, topology.moves[0].to)->name;
  const PartitionId partition = topology.moves[0].partition;
  topology = Ok(BuryMember(topology, taker));
  EXPECT_TRUE(View::Create(topology, leaver)->IsOwner(partition, leaver));
  topology = Settled(topology);
  EXPECT_TRUE(OwnsNothing(topology, leaver));
}

TEST(Rebalance, WhatMovesBetweenTwoDeadNodesGoesBackToNeither) {
  Topology topology = HalfMovedToNew();
  const Move move = topology.moves[0];
  ASSERT_EQ(move.step, MoveStep::kSwitched);
  topology = Ok(BuryMember(topology, FindMember(topology, move.from)->name));
  EXPECT_EQ(*FindMove(topology, move.partition), move) << "its taker has it";
  topology = Ok(BuryMember(topology, "n5"));
  EXPECT_EQ(*FindMove(topology, move.partition), move);
  topology = Settled(topology);
  for (const NodeId owner : topology.families[0].owners) {
    EXPECT_NE(FindMember(topology, owner), nullptr);
  }
}

// ---- moves

TEST(Rebalance, NoMoreIsUnderWayThanTheLimits) {
  Topology topology = WithNew(Cluster(3, 256), 3);
  topology = Begun(topology, {.most_to = 10, .most_from = 4});
  EXPECT_EQ(topology.moves.size(), 10u);
  std::map<NodeId, int> from;
  for (const Move& move : topology.moves) EXPECT_LE(++from[move.from], 4);
  EXPECT_EQ(Begun(topology, {.most_to = 10, .most_from = 4}), topology) << "there is no more room";
}

TEST(Rebalance, APlanForAnotherEpochIsNotEntered) {
  const Topology topology = WithNew(Cluster(3), 3);
  const Plan plan = MakePlan(topology);
  const Topology next = Ok(BeginMoves(topology, plan, {}));
  EXPECT_EQ(CodeOf(BeginMoves(next, plan, {})), absl::StatusCode::kAborted);
}

TEST(Rebalance, APlanThatIsMadeAgainHalfWayKeepsWhatIsUnderWay) {
  Topology topology = Begun(WithNew(Cluster(3, 256), 3), {.most_to = 16});
  const uint64_t all = MovesLeft(topology);
  topology = SwitchMoves(topology, RefsOf(Begun(topology), MoveStep::kFilling));
  topology = Begun(topology, {.most_to = 32});
  const std::vector<Move> under_way = topology.moves;
  topology = Begun(WithNew(topology, 4), {.most_to = 32});
  size_t kept = 0;
  for (const Move& move : under_way)
    kept += std::count(topology.moves.begin(), topology.moves.end(), move);
  EXPECT_EQ(kept, under_way.size()) << "another node joins, and nothing is begun anew";
  EXPECT_EQ(all, 192u);
}

TEST(Rebalance, AStepIsTakenOnlyByTheMoveThatItIsSaidOf) {
  Topology topology = Begun(WithNew(Cluster(3), 3), {.most_to = 2});
  const Move move = topology.moves[0];
  const std::vector<MoveRef> ref = {{move.partition, move.since}};
  EXPECT_EQ(EndMoves(topology, ref), topology) << "it is not switched";
  EXPECT_EQ(SwitchMoves(topology, {{{move.partition, Epoch(1)}}}), topology)
      << "an earlier move of it was cancelled";
  EXPECT_EQ(SwitchMoves(topology, {{{PartitionId(3, 63), move.since}}}).moves.size(), 2u);
  topology = Ok(SwitchMoves(topology, ref));
  EXPECT_EQ(topology.moves[0].switched, topology.epoch);
  EXPECT_EQ(SwitchMoves(topology, ref), topology) << "once";
  const auto view = View::Create(topology, move.to);
  EXPECT_TRUE(view->IsOwner(move.partition, move.to));
  EXPECT_FALSE(view->IsOwner(move.partition, move.from));
  EXPECT_TRUE(view->IsReplica(move.partition, move.from)) << "it takes writes still";
  topology = Ok(EndMoves(topology, ref));
  EXPECT_FALSE(View::Create(topology, move.to)->IsReplica(move.partition, move.from));
}

TEST(Rebalance, WhileItMovesAPartitionHasOneReplicaMore) {
  const Topology topology = Begun(WithNew(Cluster(3), 3), {.most_to = 1});
  const Move move = topology.moves[0];
  const auto view = View::Create(topology, move.to);
  EXPECT_EQ(view->Replicas(move.partition).size(), 4u);
  EXPECT_EQ(view->Replicas(move.partition).back(), move.to);
  EXPECT_EQ(view->KeptBy(move.to), std::vector<PartitionId>{move.partition});
  EXPECT_TRUE(view->OwnedBy(move.to).empty());
  const auto anybody = [](NodeId) { return true; };
  EXPECT_TRUE(view->StandIns(move.partition, 9, anybody).empty());
}

// Of values of 100 to 4,096 bytes, as nodes join and one leaves.
TEST(Rebalance, BytesAreWithinFivePercentOfEvenAsPartitionsAre) {
  Topology topology = Cluster(3, 256);
  for (int nodes = 3; nodes <= 6; ++nodes) {
    if (nodes > 3) topology = Settled(WithNew(topology, nodes));
    if (nodes == 6) topology = Settled(Ok(LeaveMember(topology, "n1")));
    const auto view = View::Create(topology, topology.members.front().id);
    const TableSpec& table = topology.tables.front();
    Random random(3);
    std::map<NodeId, double> bytes;
    double all = 0;
    for (int i = 0; i < 200'000; ++i) {
      const auto size = static_cast<double>(random.Between(100, 4096));
      for (const NodeId owner : view->Owners(view->Locate(table, "user:" + std::to_string(i)))) {
        bytes[owner] += size;
        all += size;
      }
    }
    const double even = all / static_cast<double>(ActiveNodes(topology).size());
    EXPECT_EQ(bytes.size(), ActiveNodes(topology).size());
    for (const auto& [node, its] : bytes) {
      EXPECT_NEAR(its / even, 1, 0.05) << nodes;
      EXPECT_NEAR(static_cast<double>(view->OwnedBy(node).size()) / (256 * 3.0) *
                      static_cast<double>(bytes.size()),
                  1, 0.05)
          << nodes;
    }
  }
}

// Every document on the way is sound; zones are kept to; the moves are the fewest, and what comes
// of them is even.
TEST(Rebalance, WhateverComesAndGoesIsEvenInTheEnd) {
  Random random(7);
  for (int round = 0; round < 40; ++round) {
    Topology topology = Cluster(4 + static_cast<int>(random.Below(5)), 64, {1, 3});
    int next_node = 100;
    for (int change = 0; change < 6; ++change) {
      std::vector<std::string> active;
      for (const Member& member : topology.members) {
        if (member.state == MemberState::kActive) active.push_back(member.name);
      }
      const std::string& name = active[random.Below(active.size())];
      absl::StatusOr<Topology> changed = topology;
      switch (random.Below(5)) {
        case 0:
        case 1:
          changed = AddMember(topology, NodeOf(next_node, MemberState::kActive, 1));
          ++next_node;
          break;
        case 2:
          changed = LeaveMember(topology, name);
          break;
        case 3:
          changed = BuryMember(topology, name);
          break;
        default:
          changed = SetZone(topology, name, "z" + std::to_string(random.Below(3)));
      }
      if (!changed.ok()) continue;
      topology = Ok(std::move(changed));
      // Some of it happens before the next change.
      for (uint64_t steps = random.Below(4); steps > 0; --steps) {
        topology = Begun(topology, {.most_to = 3, .most_from = 5});
        std::vector<MoveRef> ready = RefsOf(topology, MoveStep::kFilling);
        std::erase_if(ready, [&](const MoveRef&) { return random.Chance(1, 2); });
        topology = Ok(SwitchMoves(topology, ready));
        std::vector<MoveRef> done = RefsOf(topology, MoveStep::kSwitched);
        std::erase_if(done, [&](const MoveRef&) { return random.Chance(1, 2); });
        topology = Ok(EndMoves(topology, done));
      }
    }
    topology = Ok(EndMoves(topology, RefsOf(topology, MoveStep::kSwitched)));
    const uint64_t planned = MovesLeft(topology);
    uint64_t moves = 0;
    topology = Settled(topology, &moves);
    // What does not divide evenly may come to rest elsewhere than the first plan had it.
    EXPECT_LE(moves * 100, planned * 105) << "round " << round;
    EXPECT_EQ(MovesLeft(topology), 0u);
    for (const Member& member : topology.members) EXPECT_EQ(member.state, MemberState::kActive);
    for (size_t i = 0; i < topology.families.size(); ++i) {
      const Ownership& family = topology.families[i];
      EXPECT_EQ(family, Claim(ActiveNodes(topology), family.replicas, family.slices, &family));
    }
  }
}

}  // namespace
}  // namespace gyre
