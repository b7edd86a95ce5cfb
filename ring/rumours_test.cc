#include "ring/rumours.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

Rumour Of(uint64_t node, uint64_t incarnation = 1) {
  Rumour rumour;
  rumour.node = NodeId(node);
  rumour.incarnation = incarnation;
  return rumour;
}

TEST(Rumours, AreForgottenWhenTheyWereSentOftenEnough) {
  Rumours rumours;
  rumours.Add(Of(1));
  for (int i = 0; i < Rumours::Limit(3); ++i) EXPECT_EQ(rumours.Take(10, 3).size(), 1u);
  EXPECT_TRUE(rumours.empty());
  EXPECT_TRUE(rumours.Take(10, 3).empty());
}

TEST(Rumours, AreSentMoreOftenInLargerClusters) {
  EXPECT_EQ(Rumours::Limit(3), 4);
  EXPECT_EQ(Rumours::Limit(9), 4);
  EXPECT_EQ(Rumours::Limit(10), 8);
  EXPECT_EQ(Rumours::Limit(999), 12);
  EXPECT_EQ(Rumours::Limit(1000), 16);
}

TEST(Rumours, GoFirstThatWereSentLeastAndTheNewestAmongThem) {
  Rumours rumours;
  rumours.Add(Of(1));
  rumours.Add(Of(2));
  EXPECT_EQ(rumours.Take(1, 3).front().node, NodeId(2));
  EXPECT_EQ(rumours.Take(1, 3).front().node, NodeId(1));
  rumours.Add(Of(3));
  EXPECT_EQ(rumours.Take(1, 3).front().node, NodeId(3));
}

TEST(Rumours, AreReplacedByNewerOnesOfTheSameNode) {
  Rumours rumours;
  rumours.Add(Of(1, 1));
  for (int i = 1; i < Rumours::Limit(3); ++i) rumours.Take(10, 3);
  rumours.Add(Of(1, 2));
  EXPECT_EQ(rumours.size(), 1u);
  for (int i = 0; i < Rumours::Limit(3); ++i) {
    ASSERT_EQ(rumours.Take(10, 3), std::vector<Rumour>{Of(1, 2)});
  }
  EXPECT_TRUE(rumours.empty());
}

TEST(Rumours, AreDroppedWithTheirNode) {
  Rumours rumours;
  rumours.Add(Of(1));
  rumours.Add(Of(2));
  rumours.Drop(NodeId(1));
  rumours.Drop(NodeId(9));
  EXPECT_EQ(rumours.Take(10, 3), std::vector<Rumour>{Of(2)});
}

TEST(Rumour, IsNewerByItsIncarnationAndThenByHowBadItIs) {
  const auto rumour = [](uint64_t incarnation, Liveness liveness) {
    Rumour made = Of(1, incarnation);
    made.liveness = liveness;
    return made;
  };
  EXPECT_TRUE(rumour(1, Liveness::kSuspect).Supersedes(rumour(1, Liveness::kAlive)));
  EXPECT_TRUE(rumour(1, Liveness::kDead).Supersedes(rumour(1, Liveness::kSuspect)));
  EXPECT_TRUE(rumour(2, Liveness::kAlive).Supersedes(rumour(1, Liveness::kDead)));
  EXPECT_FALSE(rumour(1, Liveness::kAlive).Supersedes(rumour(1, Liveness::kSuspect)));
  EXPECT_FALSE(rumour(1, Liveness::kDead).Supersedes(rumour(2, Liveness::kAlive)));
  EXPECT_FALSE(rumour(1, Liveness::kSuspect).Supersedes(rumour(1, Liveness::kSuspect)));
}

}  // namespace
}  // namespace gyre
