// Named stories of members that come and go while clients write (ring/rebalance.h).

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ring/rebalance.h"
#include "test/sim/moving_cluster.h"

namespace gyre {
namespace {

constexpr int kLast = 4;  // of five nodes, the one that waits

TEST(MoveStory, ANodeThatJoinsTakesItsShareWhileClientsWrite) {
  MovingCluster moving(1);
  moving.Serve(Duration::Seconds(3));
  ASSERT_TRUE(moving.Activate(kLast).ok());
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(moving.Judge(), "");
  EXPECT_GT(moving.acknowledged(), 60u);
  EXPECT_FALSE(OwnsNothing(moving.topology(), FindMember(moving.topology(), "node-4")->id));
}

TEST(MoveStory, ANodeThatLeavesTakesNothingAlongAndIsAMemberNoMore) {
  MovingCluster moving(2);
  moving.Serve(Duration::Seconds(3));
  ASSERT_TRUE(moving.Activate(kLast).ok());
  EXPECT_TRUE(moving.Rest());
  ASSERT_TRUE(moving.Change(1, [](const Topology& t) { return LeaveMember(t, "node-2"); }).ok());
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(FindMember(moving.topology(), "node-2"), nullptr);
  EXPECT_EQ(moving.Judge(), "");
}

TEST(MoveStory, ADeadNodesShareIsFilledFromTheOthers) {
  MovingCluster moving(3);
  moving.Serve(Duration::Seconds(3));
  moving.cluster().Crash(2);
  moving.Serve(Duration::Seconds(1));
  ASSERT_TRUE(
      moving.Change(1, [](const Topology& t) { return ReplaceMember(t, "node-2", "node-4"); })
          .ok());
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(FindMember(moving.topology(), "node-2"), nullptr);
  EXPECT_EQ(moving.Judge(), "");
}

// What it had taken over goes back, and none of it is lost, though there be one copy of each.
TEST(MoveStory, ATakerThatDiesForGoodTakesNothingAlong) {
  for (const int replicas : {1, 3}) {
    MovingCluster moving(8, replicas);
    moving.Serve(Duration::Seconds(3));
    moving.cluster().Propose(
        0, [](const Topology& t) { return ActivateMember(t, "node-4"); },
        [](const absl::StatusOr<Topology>& made) { EXPECT_TRUE(made.ok()) << made.status(); });
    const auto has_taken_over = [&] {
      const std::vector<Move>& moves = moving.topology().moves;
      return std::any_of(moves.begin(), moves.end(),
                         [](const Move& move) { return move.step == MoveStep::kSwitched; });
    };
    for (int i = 0; i < 1000 && !has_taken_over(); ++i) {
      moving.cluster().RunFor(Duration::Millis(10));
    }
    ASSERT_TRUE(has_taken_over());
    moving.cluster().Crash(kLast);
    moving.Serve(Duration::Millis(500));
    ASSERT_TRUE(moving.Change(1, [](const Topology& t) { return BuryMember(t, "node-4"); }).ok());
    ASSERT_TRUE(moving.Rest()) << replicas << " replicas";
    EXPECT_EQ(FindMember(moving.topology(), "node-4"), nullptr);
    EXPECT_EQ(moving.Judge(), "") << replicas << " replicas";
  }
}

// It owns nothing, and stands in for one that is away.
TEST(MoveStory, ANodeThatLeavesStaysUntilItKeepsNothingForOthers) {
  MovingCluster moving(9);
  TableSpec carts;
  carts.name = "carts";
  moving.AddTable(carts);
  SimCluster& cluster = moving.cluster();
  cluster.Crash(1);
  cluster.Crash(3);
  moving.Serve(Duration::Seconds(3));
  for (uint64_t number = 1; number <= 16; ++number) {
    WriteIntent intent;
    intent.value = std::to_string(number);
    intent.attempt = kFirstAttempt;
    intent.write = {number, 2};
    cluster.Write(0, 0, "carts", "key-" + std::to_string(number), intent, Duration::Seconds(2),
                  [](const Outcome& outcome) { EXPECT_EQ(outcome.code, Outcome::Code::kOk); });
    cluster.RunFor(Duration::Millis(300));
  }
  cluster.Restart(3);
  moving.Serve(Duration::Seconds(2));
  ASSERT_TRUE(moving.Change(0, [](const Topology& t) { return LeaveMember(t, "node-4"); }).ok());
  moving.Serve(Duration::Seconds(20));
  EXPECT_NE(FindMember(moving.topology(), "node-4"), nullptr) << "what it keeps is nowhere else";
  cluster.Restart(1);
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(FindMember(moving.topology(), "node-4"), nullptr);
  cluster.JudgeHandedOver();
  EXPECT_EQ(moving.Judge(), "");
}

// It is told that it is dead, and takes part no more.
TEST(MoveStory, ANodeThatWasBuriedAliveServesNobodyAnyMore) {
  MovingCluster moving(4);
  moving.Serve(Duration::Seconds(3));
  ASSERT_TRUE(moving.Activate(kLast).ok());
  moving.Serve(Duration::Millis(500));
  ASSERT_TRUE(moving.Change(1, [](const Topology& t) { return BuryMember(t, "node-2"); }).ok());
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(moving.Judge(), "");
}

// Its partitions go back to who has them, and take writes again without a word of an operator.
TEST(MoveStory, ATakerThatStaysAwayCostsNobodyAWriteForLong) {
  MovingCluster moving(12, /*replicas=*/1);
  moving.Serve(Duration::Seconds(2));
  ASSERT_TRUE(moving.Activate(kLast).ok());
  for (int i = 0; i < 1000 && moving.topology().moves.empty(); ++i) {
    moving.cluster().RunFor(Duration::Millis(1));
  }
  ASSERT_FALSE(moving.topology().moves.empty());
  moving.cluster().Crash(kLast);
  moving.Serve(Duration::Seconds(45));
  EXPECT_TRUE(moving.topology().moves.empty());
  const uint64_t before = moving.acknowledged();
  moving.Serve(Duration::Seconds(5));
  EXPECT_GE(moving.acknowledged() - before, 90u) << "of a hundred";
  moving.cluster().Restart(kLast);
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(moving.Judge(), "");
}

// The voters that there would be then are mostly those who are away, and who could not answer.
TEST(MoveStory, ANodeThatLeavesWhileOthersAreAwayDoesNotEndAllChanges) {
  MovingCluster moving(13, /*replicas=*/1, /*nodes=*/5, /*waiting=*/0);
  const std::vector<std::pair<std::string, std::string>> zones = {
      {"node-0", "z3"}, {"node-1", "z3"}, {"node-2", "z1"}, {"node-3", "z1"}, {"node-4", "z2"}};
  for (const auto& [name, zone] : zones) {
    ASSERT_TRUE(moving.Change(0, [&](const Topology& t) { return SetZone(t, name, zone); }).ok());
  }
  ASSERT_TRUE(moving.Rest());
  ASSERT_EQ(moving.topology().voters.size(), 5u);
  moving.cluster().Crash(3);
  moving.cluster().Crash(4);
  moving.Serve(Duration::Seconds(2));
  ASSERT_TRUE(moving.Change(0, [](const Topology& t) { return LeaveMember(t, "node-2"); }).ok());
  moving.Serve(Duration::Seconds(30));
  for (const int node : {3, 4}) {
    const std::string name = MovingCluster::Name(node);
    const absl::Status made =
        moving.Change(1, [&](const Topology& t) { return BuryMember(t, name); });
    ASSERT_TRUE(made.ok()) << made;
  }
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(FindMember(moving.topology(), "node-2"), nullptr);
}

TEST(MoveStory, AJoinThatIsTakenBackHalfWayLeavesNothing) {
  MovingCluster moving(5);
  moving.Serve(Duration::Seconds(3));
  for (int ms = 0; ms < 3000; ms += 300) {
    ASSERT_TRUE(moving.Activate(kLast).ok());
    moving.Serve(Duration::Millis(ms));
    ASSERT_TRUE(moving.Change(1, [](const Topology& t) { return RetireMember(t, "node-4"); }).ok());
  }
  EXPECT_TRUE(moving.Rest());
  EXPECT_EQ(moving.Judge(), "");
  EXPECT_TRUE(OwnsNothing(moving.topology(), FindMember(moving.topology(), "node-4")->id));
}

// Every party, at every twentieth of a second of the move.
TEST(MoveStory, WhoeverCrashesWheneverTheMoveComesToItsEnd) {
  for (int party = 0; party < 5; ++party) {
    for (int ms = 50; ms <= 2000; ms += 50) {
      MovingCluster moving(6);
      moving.Serve(Duration::Seconds(1));
      ASSERT_TRUE(moving.Activate(kLast).ok());
      moving.Serve(Duration::Millis(ms));
      moving.cluster().Crash(party);
      moving.Serve(Duration::Seconds(1));
      moving.cluster().Restart(party);
      ASSERT_TRUE(moving.Rest()) << "node " << party << " after " << ms << " ms";
      ASSERT_EQ(moving.Judge(), "") << "node " << party << " after " << ms << " ms";
    }
  }
}

// The taker's, a giver's, or another owner's; and it is empty, or as it was before the move.
TEST(MoveStory, WhoeverLosesItsDiskWheneverTheMoveComesToItsEnd) {
  uint64_t takers = 0;
  uint64_t givers = 0;
  for (const bool put_back : {false, true}) {
    for (int party = 0; party < 5; ++party) {
      for (int ms = 20; ms <= 1500; ms += 290) {
        const std::string which = "node " + std::to_string(party) + " after " + std::to_string(ms) +
                                  (put_back ? " ms, put back" : " ms");
        MovingCluster moving(24);
        SimCluster& cluster = moving.cluster();
        moving.Serve(Duration::Seconds(1));
        cluster.Keep(party);
        moving.Serve(Duration::Seconds(1));
        const auto made = [&](const absl::StatusOr<Topology>& t) { EXPECT_TRUE(t.ok()) << which; };
        cluster.Propose(
            0, [](const Topology& t) { return ActivateMember(t, "node-4"); }, made);
        moving.Serve(Duration::Millis(ms));
        if (put_back) {
          cluster.PutBack(party);
        } else {
          cluster.Wipe(party);
        }
        takers += cluster.Faults().Of(FaultKind::kCrashOfMoveTaker);
        givers += cluster.Faults().Of(FaultKind::kCrashOfMoveGiver);
        moving.Serve(Duration::Seconds(1));
        cluster.Restart(party);
        ASSERT_TRUE(moving.Rest()) << which << ": " << cluster.violation().value_or("");
        ASSERT_EQ(moving.Judge(), "") << which;
      }
    }
  }
  EXPECT_GT(takers, 0u);
  EXPECT_GT(givers, 0u);
}

// Who coordinates under a document of long ago is told so, whatever was under way there.
TEST(MoveStory, WhoStoodStillThroughAWholeMoveServesByNothingOlder) {
  for (int ms = 50; ms <= 1000; ms += 190) {
    MovingCluster moving(21);
    moving.Serve(Duration::Seconds(1));
    ASSERT_TRUE(moving.Activate(kLast).ok());
    moving.Serve(Duration::Millis(ms));
    moving.cluster().Pause(1);
    moving.Serve(Duration::Seconds(20));
    moving.cluster().Resume(1);
    ASSERT_TRUE(moving.Rest()) << "after " << ms << " ms";
    ASSERT_EQ(moving.Judge(), "") << "after " << ms << " ms";
  }
}

// Each side goes on as far as it can, and they go on together after that.
TEST(MoveStory, TheNetworkIsCutInTheMiddleOfAMove) {
  const std::vector<std::set<int>> sides = {{kLast}, {0, 1}, {0, kLast}, {1, 2, kLast}};
  for (const std::set<int>& side : sides) {
    for (int ms = 100; ms <= 2000; ms += 190) {
      MovingCluster moving(22);
      moving.Serve(Duration::Seconds(1));
      ASSERT_TRUE(moving.Activate(kLast).ok());
      moving.Serve(Duration::Millis(ms));
      for (int one = 0; one < 5; ++one) {
        for (int other = 0; other < 5; ++other) {
          if (side.contains(one) != side.contains(other)) moving.cluster().Cut(one, other);
        }
      }
      moving.Serve(Duration::Seconds(5));
      moving.cluster().HealNetwork();
      ASSERT_TRUE(moving.Rest()) << "after " << ms
                                 << " ms: " << moving.cluster().violation().value_or("");
      ASSERT_EQ(moving.Judge(), "") << "after " << ms << " ms";
    }
  }
}

// What has begun stands still, and no change is made, until they are back.
TEST(MoveStory, MostVotersAreLostInTheMiddleOfAMove) {
  for (int ms = 100; ms <= 2000; ms += 380) {
    MovingCluster moving(23);
    ASSERT_TRUE(moving.Rest());
    ASSERT_TRUE(moving.Activate(kLast).ok());
    moving.Serve(Duration::Millis(ms));
    const std::vector<Voter> voters = moving.topology().voters;
    std::vector<int> lost;
    int left = kLast;
    for (int node = 0; node < 5; ++node) {
      const NodeId id = FindMember(moving.topology(), MovingCluster::Name(node))->id;
      const bool votes = std::ranges::count(voters, id, &Voter::node) > 0;
      if (votes && lost.size() <= voters.size() / 2) {
        lost.push_back(node);
      } else {
        left = node;
      }
    }
    for (const int node : lost) moving.cluster().Crash(node);
    const absl::Status alone =
        moving.Change(left, [](const Topology& t) { return SetZone(t, "node-0", "elsewhere"); });
    EXPECT_EQ(alone.code(), absl::StatusCode::kUnavailable) << alone;
    for (const int node : lost) moving.cluster().Restart(node);
    moving.Serve(Duration::Seconds(5));
    const absl::Status made =
        moving.Change(left, [](const Topology& t) { return SetZone(t, "node-0", "there"); });
    EXPECT_TRUE(made.ok()) << made;
    ASSERT_TRUE(moving.Rest()) << "after " << ms << " ms";
    EXPECT_EQ(FindMember(moving.topology(), "node-0")->zone, "there");
    ASSERT_EQ(moving.Judge(), "") << "after " << ms << " ms";
  }
}

// So that none of those that voted at first is left.
TEST(MoveStory, AllFirstMembersAreReplacedWhileTablesAreMade) {
  MovingCluster moving(8, 3, 6, 3);
  ASSERT_TRUE(moving.Rest());
  EXPECT_EQ(moving.topology().voters.size(), 3u);
  for (int dead = 0; dead < 3; ++dead) {
    moving.Serve(Duration::Seconds(1));
    moving.cluster().Crash(dead);
    const std::string heir = MovingCluster::Name(dead + 3);
    ASSERT_TRUE(moving
                    .Change(5,
                            [&](const Topology& t) {
                              return ReplaceMember(t, MovingCluster::Name(dead), heir);
                            })
                    .ok());
    TableSpec table;
    table.name = "made-" + std::to_string(dead);
    ASSERT_TRUE(moving.cluster().CreateTable(dead + 3, table).ok()) << dead;
    ASSERT_TRUE(moving.Rest()) << dead;
    EXPECT_EQ(FindMember(*moving.TopologyAt(5), MovingCluster::Name(dead)), nullptr);
  }
  const Topology& last = *moving.TopologyAt(5);
  for (const Member& member : last.members) {
    EXPECT_TRUE(std::ranges::count(last.voters, Voter{member.id}) == 1) << member.name;
  }
  EXPECT_EQ(last.voters.size(), 3u);
  EXPECT_EQ(last.tables.size(), 4u);
  EXPECT_EQ(moving.Judge(), "");
}

// Each of the three that vote loses its disk, or gets an older one back, and is voted in again.
TEST(MoveStory, AllVotersLoseTheirDisksOneAfterTheOtherWhileTablesAreMade) {
  for (const bool put_back : {false, true}) {
    MovingCluster moving(10, 3, 3, 0);
    SimCluster& cluster = moving.cluster();
    for (int round = 0; round < 6; ++round) {
      const int node = round % 3;
      cluster.Keep(node);
      moving.Serve(Duration::Seconds(1));
      TableSpec table;
      table.name = "before-" + std::to_string(round);
      ASSERT_TRUE(cluster.CreateTable((node + 1) % 3, table).ok()) << round;
      if (put_back) {
        cluster.PutBack(node);
      } else {
        cluster.Wipe(node);
      }
      table.name = "without-" + std::to_string(round);
      ASSERT_TRUE(cluster.CreateTable((node + 2) % 3, table).ok()) << round;
      cluster.Restart(node);
      table.name = "as-it-comes-back-" + std::to_string(round);
      ASSERT_TRUE(cluster.CreateTable(node, table).ok()) << round;
      moving.Serve(Duration::Seconds(1));
      for (int i = 0; i < 600 && !cluster.HasRecovered(); ++i) moving.Serve(Duration::Millis(200));
      ASSERT_TRUE(moving.Rest()) << round;
      const Topology& topology = *moving.TopologyAt(node);
      EXPECT_EQ(topology.tables.size(), 1u + 3 * (round + 1)) << "none is lost";
      std::set<uint64_t> lives;
      for (const Voter& voter : topology.voters) lives.insert(voter.life);
      EXPECT_EQ(lives.size(), std::min<size_t>(round + 2, 3)) << round;
      EXPECT_EQ(lives.contains(0), round < 2) << round;
    }
    EXPECT_EQ(moving.Judge(), "");
  }
}

// Two of three voters have made a table, and one of those loses its disk: the other one of them is
// needed, whoever else is there.
TEST(MoveStory, AVoterThatLostItsDiskMakesNoMajorityWithOneThatWasAway) {
  MovingCluster moving(11, 3, 3, 0);
  SimCluster& cluster = moving.cluster();
  TableSpec table;
  cluster.Crash(0);
  table.name = "cats";
  ASSERT_TRUE(cluster.CreateTable(1, table).ok());
  cluster.Wipe(1);
  cluster.Crash(2);
  cluster.Restart(0);
  cluster.Restart(1);
  cluster.RunFor(Duration::Seconds(1));
  table.name = "dogs";
  EXPECT_TRUE(absl::IsUnavailable(cluster.CreateTable(0, table).status()));
  cluster.Restart(2);
  ASSERT_TRUE(moving.Rest());
  ASSERT_TRUE(cluster.CreateTable(0, table).ok());
  for (int node = 0; node < 3; ++node) {
    EXPECT_EQ(moving.TopologyAt(node)->tables.size(), 3u) << node;
  }
  EXPECT_EQ(moving.Judge(), "");
}

// Both are made, in some order, or one of them is refused with a reason; never a mix.
TEST(MoveStory, TwoChangesAtOnceAreMadeOneAfterTheOther) {
  using Deed = std::function<absl::StatusOr<Topology>(const Topology&)>;
  constexpr int kNew = 5;  // that is no member yet
  const std::vector<std::pair<std::string, Deed>> deeds = {
      {"join", nullptr},  // of a process that is new: see below
      {"own", [](const Topology& t) { return ActivateMember(t, "node-4"); }},
      {"leave", [](const Topology& t) { return LeaveMember(t, "node-3"); }},
      {"leave another", [](const Topology& t) { return LeaveMember(t, "node-2"); }},
      {"retire", [](const Topology& t) { return RetireMember(t, "node-2"); }},
      {"replace", [](const Topology& t) { return ReplaceMember(t, "node-3", "node-4"); }},
      {"remove", [](const Topology& t) { return BuryMember(t, "node-3"); }},
      {"stay", [](const Topology& t) { return ActivateMember(t, "node-3"); }},
      {"addresses",
       [](const Topology& t) {
         return SetAddresses(t, FindMember(t, "node-2")->id, "client", "peer");
       }},
      {"drop", [](const Topology& t) { return DropTable(t, "spare"); }},
      {"zone", [](const Topology& t) { return SetZone(t, "node-2", "elsewhere"); }},
      {"table",
       [](const Topology& t) {
         TableSpec pairs;
         pairs.name = "pairs";
         pairs.replicas = pairs.read_quorum = pairs.write_quorum = 2;
         return CreateTable(t, pairs);
       }},
  };
  for (size_t a = 0; a < deeds.size(); ++a) {
    for (size_t b = a; b < deeds.size(); ++b) {
      const std::string both = deeds[a].first + " and " + deeds[b].first;
      MovingCluster moving(7, 3, 6, 1, kBuildLevel, /*strangers=*/1);
      TableSpec spare;
      spare.name = "spare";
      moving.AddTable(spare);
      moving.Serve(Duration::Seconds(1));
      std::vector<absl::Status> ends;
      const auto note = [&](const absl::StatusOr<Topology>& made) {
        ends.push_back(made.status());
      };
      const auto propose = [&](int through, const Deed& deed) {
        if (deed != nullptr) return moving.cluster().Propose(through, deed, note);
        moving.cluster().Join(kNew, through, MemberState::kActive, note);
      };
      propose(0, deeds[a].second);
      propose(1, deeds[b].second);
      moving.Serve(Duration::Seconds(3));
      ASSERT_EQ(ends.size(), 2u) << both;
      for (const absl::Status& end : ends) {
        EXPECT_TRUE(end.ok() || absl::IsFailedPrecondition(end) || absl::IsNotFound(end))
            << both << ": " << end;
      }
      EXPECT_TRUE(ends[0].ok() || ends[1].ok()) << both;
      ASSERT_TRUE(moving.Rest()) << both;
      ASSERT_EQ(moving.Judge(), "") << both;
      const bool joins = deeds[a].second == nullptr;
      EXPECT_EQ(moving.cluster().StateOf(kNew).has_value(), joins) << both;
    }
  }
}

}  // namespace
}  // namespace gyre
