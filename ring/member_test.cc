#include "ring/member.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace gyre {
namespace {

TEST(Member, IdsAreTheSameOnEveryMachineAndInEveryRelease) {
  const ClusterId cluster = ClusterIdFromName("local");
  EXPECT_EQ(cluster, ClusterIdFromName("local"));
  EXPECT_EQ(cluster.value(), 0xf6a8e84f2fb3cb31ULL);
  EXPECT_EQ(NodeIdFromName(cluster, "node-1").value(), 0x326639a5ad56b219ULL);
}

TEST(Member, ANodeNameMeansAnotherNodeInAnotherCluster) {
  EXPECT_NE(ClusterIdFromName("a"), ClusterIdFromName("b"));
  EXPECT_NE(NodeIdFromName(ClusterIdFromName("a"), "n1"),
            NodeIdFromName(ClusterIdFromName("b"), "n1"));
}

TEST(Member, ManyNamesGetDistinctIdsAndNoneIsZero) {
  const ClusterId cluster = ClusterIdFromName("");
  EXPECT_NE(cluster, ClusterId());
  std::set<NodeId> ids;
  for (int i = 0; i < 10000; ++i) ids.insert(NodeIdFromName(cluster, "n" + std::to_string(i)));
  EXPECT_EQ(ids.size(), 10000u);
  EXPECT_EQ(ids.count(NodeId()), 0u);
}

}  // namespace
}  // namespace gyre
