// Named stories of a cluster whose nodes are of two levels of builds (ring/build_level.h). That
// nothing is sent to a node that does not know it the simulator judges itself, always.

#include <string>

#include "gtest/gtest.h"
#include "ring/rebalance.h"
#include "test/sim/moving_cluster.h"

namespace gyre {
namespace {

constexpr int kNodes = 5;
constexpr int kLast = 4;  // the one that waits

// Nothing has been upgraded yet.
class OldCluster : public MovingCluster {
 public:
  explicit OldCluster(uint64_t seed) : MovingCluster(seed, 3, kNodes, 1, kFirstLevel) {}

  void StartAs(int node, BuildLevel level) {
    cluster().Stop(node);
    Serve(Duration::Millis(500));
    cluster().Restart(node, level);
  }
  void Begin(const std::string& what, bool owns) {
    cluster().Propose(
        0,
        [=](const Topology& t) { return owns ? ActivateMember(t, what) : RetireMember(t, what); },
        [](const absl::StatusOr<Topology>& made) { EXPECT_TRUE(made.ok()) << made.status(); });
    Serve(Duration::Millis(300));
  }
};

TEST(LevelStory, ItIsRaisedAfterTheLastNodeThoughPartitionsMoveMeanwhile) {
  for (const uint64_t seed : {1, 2, 3}) {
    OldCluster old(seed);
    old.Serve(Duration::Seconds(3));
    bool owns = false;
    for (int node = 0; node < kNodes; ++node) {
      old.Begin(old.Name(kLast), owns = !owns);
      EXPECT_EQ(old.cluster().ClusterLevel(), kFirstLevel);
      old.StartAs(node, kBuildLevel);
      EXPECT_EQ(old.cluster().ClusterLevel(), kFirstLevel) << "a node is still on its way up";
      old.Serve(Duration::Seconds(8));
      EXPECT_EQ(old.cluster().ClusterLevel(), node < kNodes - 1 ? kFirstLevel : kBuildLevel);
    }
    EXPECT_TRUE(old.Rest());
    EXPECT_EQ(old.Judge(), "");
    EXPECT_GT(old.acknowledged(), 200u);
  }
}

// Before the last one is upgraded nothing of what is new has been used.
TEST(LevelStory, NodesGoBackAndForthUntilItIsRaised) {
  OldCluster old(4);
  old.Begin(old.Name(kLast), true);
  for (int node = 0; node < kNodes - 1; ++node) old.StartAs(node, kBuildLevel);
  old.Serve(Duration::Seconds(10));
  for (int node = 0; node < kNodes - 1; ++node) old.StartAs(node, kFirstLevel);
  old.Begin(old.Name(kLast), false);
  old.StartAs(kLast, kBuildLevel);
  old.Serve(Duration::Seconds(10));
  EXPECT_EQ(old.cluster().ClusterLevel(), kFirstLevel);
  for (int node = 0; node < kNodes; ++node) old.StartAs(node, kBuildLevel);
  EXPECT_TRUE(old.Rest());
  old.Serve(Duration::Seconds(10));
  EXPECT_EQ(old.cluster().ClusterLevel(), kBuildLevel);
  EXPECT_EQ(old.Judge(), "");
}

TEST(LevelStory, ItIsNotRaisedWhileANodeThatMayComeBackAsAnOlderBuildIsAway) {
  OldCluster old(5);
  for (int node = 0; node < kNodes - 1; ++node) old.StartAs(node, kBuildLevel);
  old.cluster().Crash(kLast);
  old.Serve(Duration::Seconds(20));
  EXPECT_EQ(old.cluster().ClusterLevel(), kFirstLevel);
  old.cluster().Restart(kLast);
  old.Serve(Duration::Seconds(10));
  EXPECT_EQ(old.cluster().ClusterLevel(), kFirstLevel);
  EXPECT_EQ(old.Judge(), "");
}

TEST(LevelStory, ADeadNodeDoesNotHoldItBack) {
  OldCluster old(6);
  for (int node = 0; node < kNodes - 1; ++node) old.StartAs(node, kBuildLevel);
  old.cluster().Crash(kLast);
  ASSERT_TRUE(
      old.Change(0, [&](const Topology& t) { return BuryMember(t, old.Name(kLast)); }).ok());
  old.Serve(Duration::Seconds(10));
  EXPECT_EQ(old.cluster().ClusterLevel(), kBuildLevel);
  EXPECT_EQ(old.Judge(), "");
}

// Whoever goes back too late is let in by nobody, and does no harm.
TEST(LevelStory, ANodeThatGoesBackTooLateEndsUntilItIsStartedAsANewerBuild) {
  OldCluster old(7);
  for (int node = 0; node < kNodes; ++node) old.StartAs(node, kBuildLevel);
  old.Serve(Duration::Seconds(10));
  ASSERT_EQ(old.cluster().ClusterLevel(), kBuildLevel);
  old.StartAs(1, kFirstLevel);
  EXPECT_FALSE(old.cluster().up(1)) << "it knows the document, and does not start";
  old.Serve(Duration::Seconds(5));
  EXPECT_EQ(old.cluster().level(1), kBuildLevel) << "the operator has learnt";
  EXPECT_EQ(old.Judge(), "");
}

// Its directory tells nothing of the level; its peers do.
TEST(LevelStory, ANodeThatMissedTheLevelAndIsAnOlderBuildIsLetInByNobody) {
  OldCluster old(8);
  for (int node = 0; node < kNodes - 1; ++node) old.StartAs(node, kBuildLevel);
  old.StartAs(kLast, kBuildLevel);
  old.cluster().Keep(kLast);
  old.Serve(Duration::Seconds(10));
  ASSERT_EQ(old.cluster().ClusterLevel(), kBuildLevel);
  old.cluster().PutBack(kLast);
  old.cluster().Restart(kLast, kFirstLevel);
  EXPECT_TRUE(old.cluster().up(kLast));
  old.Serve(Duration::Seconds(5));
  EXPECT_EQ(old.cluster().level(kLast), kBuildLevel);
  EXPECT_EQ(old.Judge(), "");
}

}  // namespace
}  // namespace gyre
