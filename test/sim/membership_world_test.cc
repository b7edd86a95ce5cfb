// What is promised of failure detection, among as many nodes as a unit test has time for. The same
// for 1,000 nodes and an hour: gyre-membership (membership_main.cc).

#include "test/sim/membership_world.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace gyre {
namespace {

MembershipWorld::Options Hostile(int nodes, uint64_t seed) {
  MembershipWorld::Options options;
  options.nodes = nodes;
  options.seed = seed;
  options.network.loss_per_mille = 50;
  options.paused_per_mille = 10;
  return options;
}

// Nothing is lost, and nobody stands still.
MembershipWorld::Options Calm(int nodes, uint64_t seed) {
  MembershipWorld::Options options;
  options.nodes = nodes;
  options.seed = seed;
  options.network.loss_per_mille = 0;
  return options;
}

class MembershipOfMany : public testing::TestWithParam<int> {};

TEST_P(MembershipOfMany, SuspectsTheDeadWithinTenSecondsAndThenTakesThemForDead) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    MembershipWorld world(Hostile(GetParam(), seed));
    world.RunFor(Duration::Seconds(20));
    world.Kill(0);
    const int wanted = (world.live() * 99 + 99) / 100;
    EXPECT_TRUE(
        world.RunUntil(Duration::Seconds(10),
                       [&] { return world.live() - world.Count(0, Liveness::kAlive) >= wanted; }))
        << "seed " << seed;
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(60),
                               [&] { return world.Count(0, Liveness::kDead) == world.live(); }))
        << "seed " << seed;
  }
}

TEST_P(MembershipOfMany, TakesNobodyForDeadWhoOnlyPauses) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld world(Hostile(GetParam(), seed));
    world.RunFor(Duration::Seconds(300 + 12'000 / GetParam()));
    EXPECT_GT(world.figures().pauses, 10u);
    EXPECT_GT(world.figures().suspicions, 0u) << "seed " << seed;
    EXPECT_EQ(world.figures().false_dead, 0u) << "seed " << seed;
  }
}

// A word that gossip does not bring to somebody is seldom; here it is less so, and there are hours.
TEST(Membership, TakesNobodyForDeadForWantOfAWordThatWasLost) {
  for (const int nodes : {5, 9, 30}) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      MembershipWorld::Options options = Hostile(nodes, seed);
      options.network.loss_per_mille = 150;
      MembershipWorld world(options);
      world.RunFor(Duration::Seconds(nodes > 10 ? 1800 : 3600));
      EXPECT_EQ(world.figures().false_dead, 0u) << nodes << " nodes, seed " << seed;
    }
  }
}

TEST_P(MembershipOfMany, FindsANodeThatIsBackAsAnotherProcess) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    MembershipWorld world(Hostile(GetParam(), seed));
    world.RunFor(Duration::Seconds(5));
    world.Kill(1);
    ASSERT_TRUE(world.RunUntil(Duration::Seconds(80),
                               [&] { return world.Count(1, Liveness::kDead) == world.live(); }))
        << "seed " << seed;
    world.Restart(1);
    EXPECT_TRUE(
        world.RunUntil(Duration::Seconds(30),
                       [&] { return world.Count(1, Liveness::kAlive) == world.live() - 1; }))
        << "seed " << seed;
  }
}

TEST_P(MembershipOfMany, FindsTheOtherHalfAgainWhenAPartitionEnds) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld::Options options = Hostile(GetParam(), seed);
    options.paused_per_mille = 0;
    MembershipWorld world(options);
    const int half = GetParam() / 2;
    world.Split(half);
    ASSERT_TRUE(world.RunUntil(Duration::Seconds(300),
                               [&] {
                                 return world.Count(0, Liveness::kDead) == world.live() - half &&
                                        world.Count(half, Liveness::kDead) == half;
                               }))
        << "seed " << seed;
    world.Heal();
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(120), [&] { return world.Agrees(); }))
        << "seed " << seed;
  }
}

TEST_P(MembershipOfMany, HearsTheLoadOfANodeThatWasBackBeforeItWasMissed) {
  MembershipWorld world(Hostile(GetParam(), 11));
  const auto everybody_knows = [&](Load load) {
    return world.RunUntil(Duration::Seconds(30), [&] {
      for (int node = 1; node < GetParam(); ++node) {
        if (world.at(node).LoadOf(NodeId(1)) != load) return false;
      }
      return true;
    });
  };
  for (const Load load : {Load::kBusy, Load::kIdle, Load::kFull}) {
    world.SetLoad(0, load);
    ASSERT_TRUE(everybody_knows(load));
  }
  world.Kill(0);
  world.Restart(0);
  EXPECT_TRUE(everybody_knows(Load::kIdle));
}

TEST_P(MembershipOfMany, HasEverybodyHearOfALoad) {
  MembershipWorld world(Hostile(GetParam(), 7));
  world.RunFor(Duration::Seconds(5));
  world.SetLoad(0, Load::kFull);
  EXPECT_TRUE(world.RunUntil(Duration::Seconds(20), [&] {
    for (int node = 1; node < GetParam(); ++node) {
      if (world.at(node).LoadOf(NodeId(1)) != Load::kFull) return false;
    }
    return true;
  }));
}

TEST_P(MembershipOfMany, BringsWhoJoinsAndWhoLeavesToEverybody) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld world(Hostile(GetParam(), seed));
    world.RunFor(Duration::Seconds(10));
    const int joined = world.Join(0);
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(20), [&] { return world.AllKnowTheNewest(); }))
        << "seed " << seed;
    EXPECT_TRUE(
        world.RunUntil(Duration::Seconds(20),
                       [&] { return world.Count(joined, Liveness::kAlive) == world.live() - 1; }))
        << "seed " << seed;
    world.Leave(1, joined);
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(20), [&] { return world.AllKnowTheNewest(); }))
        << "seed " << seed;
    EXPECT_FALSE(world.alive(1)) << "who leaves has heard of it";
    EXPECT_EQ(world.live(), GetParam());
    EXPECT_EQ(world.figures().false_dead, 0u) << "seed " << seed;
  }
}

TEST_P(MembershipOfMany, TakesNobodyForDeadWhileMembersJoinAndLeave) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld world(Hostile(GetParam(), seed));
    Random random(seed);
    for (int change = 0; change < 20; ++change) {
      world.RunFor(Duration::Millis(random.Between(100, 12'000)));
      const std::vector<int> members(world.members().begin(), world.members().end());
      const int at = members[random.Below(members.size())];
      const int other = members[random.Below(members.size())];
      if (!world.alive(at)) continue;
      if (at == other || members.size() < 3) {
        world.Join(at);
      } else if (random.Chance(1, 2)) {
        world.Join(other);
      } else {
        world.Leave(other, at);
      }
    }
    EXPECT_GT(world.figures().joins, 3u);
    EXPECT_GT(world.figures().leaves, 1u);
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(60), [&] { return world.AllKnowTheNewest(); }))
        << "seed " << seed;
    EXPECT_EQ(world.figures().false_dead, 0u) << "seed " << seed;
  }
}

TEST_P(MembershipOfMany, WhoJoinsOrLeavesHasNobodySuspected) {
  MembershipWorld world(Calm(GetParam(), 5));
  for (int change = 0; change < 4; ++change) {
    world.RunFor(Duration::Seconds(7));
    const int joined = world.Join(0);
    world.RunFor(Duration::Seconds(7));
    world.Leave(joined, 0);
  }
  world.RunFor(Duration::Seconds(20));
  EXPECT_TRUE(world.Agrees());
  EXPECT_EQ(world.figures().suspicions, 0u);
}

// Whoever is at neither end of it hears from both.
TEST_P(MembershipOfMany, ALinkThatIsCutOneWayHasNobodyElseSuspectedAndNobodyTakenForDead) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld world(Calm(GetParam(), seed));
    world.CutOneWay(0, 1);
    world.RunFor(Duration::Seconds(300));
    EXPECT_EQ(world.figures().bystanders, 0u) << "seed " << seed;
    EXPECT_EQ(world.figures().false_dead, 0u) << "seed " << seed;
    if (GetParam() > 3) {
      // Of three there is one helper, and a word of it may come late.
      EXPECT_EQ(world.figures().suspicions, 0u) << "seed " << seed;
    }
  }
}

TEST_P(MembershipOfMany, WhoHearsNobodyHasNoOtherSuspected) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld world(Calm(GetParam(), seed));
    world.RunFor(Duration::Seconds(10));
    world.Deafen(0);
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(120),
                               [&] { return world.Count(0, Liveness::kDead) == world.live() - 1; }))
        << "seed " << seed;
    world.RunFor(Duration::Seconds(60));
    EXPECT_EQ(world.figures().bystanders, 0u) << "seed " << seed;
    world.Heal();
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(120), [&] { return world.Agrees(); }))
        << "seed " << seed;
    EXPECT_EQ(world.figures().bystanders, 0u) << "seed " << seed;
  }
}

TEST_P(MembershipOfMany, WhoIsHeardByNobodyHasNoOtherSuspected) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld world(Calm(GetParam(), seed));
    world.RunFor(Duration::Seconds(10));
    world.Mute(0);
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(120),
                               [&] { return world.Count(0, Liveness::kDead) == world.live() - 1; }))
        << "seed " << seed;
    world.RunFor(Duration::Seconds(60));
    world.Heal();
    EXPECT_TRUE(world.RunUntil(Duration::Seconds(120), [&] { return world.Agrees(); }))
        << "seed " << seed;
    EXPECT_EQ(world.figures().bystanders, 0u) << "seed " << seed;
  }
}

TEST_P(MembershipOfMany, LinksThatAreCutOneWayHaveNobodyTakenForDeadWhileMessagesAreLost) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MembershipWorld::Options options = Hostile(GetParam(), seed);
    MembershipWorld world(options);
    // Each end has others who hear it and whom it hears.
    for (int node = 0; node + 2 < GetParam(); node += 3) world.CutOneWay(node, node + 1);
    world.RunFor(Duration::Seconds(300));
    EXPECT_EQ(world.figures().false_dead, 0u) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Nodes, MembershipOfMany, testing::Values(3, 10, 100));

TEST(Membership, SendsNoMoreWhereTheClusterIsLarger) {
  const auto bytes_per_node_s = [](int nodes, int paused_per_mille) {
    MembershipWorld::Options options = Hostile(nodes, 3);
    options.paused_per_mille = paused_per_mille;
    MembershipWorld world(options);
    world.RunFor(Duration::Seconds(60));
    return static_cast<double>(world.figures().bytes) / nodes / 60;
  };
  EXPECT_LT(bytes_per_node_s(200, 0), 2 * bytes_per_node_s(20, 0));
  // Full messages, at all times: what the header says is the most.
  const MembershipOptions options;
  const double messages = 2 + 2 * options.helpers + 3 * options.helpers + 5 * options.gossip_to;
  EXPECT_LT(bytes_per_node_s(200, 100),
            messages * static_cast<double>(32 + 40 * options.max_rumours));
}

TEST(Membership, IsTheSameHistoryForTheSameSeed) {
  std::set<uint64_t> digests;
  for (const uint64_t seed : {1, 1, 2}) {
    MembershipWorld world(Hostile(30, seed));
    world.RunFor(Duration::Seconds(60));
    digests.insert(world.digest());
  }
  EXPECT_EQ(digests.size(), 2u);
}

}  // namespace
}  // namespace gyre
