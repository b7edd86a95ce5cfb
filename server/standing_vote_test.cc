#include "server/standing_vote.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

constexpr NodeId kB(2), kC(3), kD(4);

TEST(StandingVote, ADirectoryIsTheFirstOnceMostMembersKnowOfNoOther) {
  StandingVote vote(Standing::kUnproven, 5);
  EXPECT_EQ(vote.OnStart(), std::nullopt);
  EXPECT_EQ(vote.OnGreeted(kB), std::nullopt);
  EXPECT_EQ(vote.OnGreeted(kB), std::nullopt) << "each counts once";
  EXPECT_EQ(vote.OnGreeted(kC), Standing::kProven);
  EXPECT_EQ(vote.OnGreeted(kD), std::nullopt) << "told once";
  EXPECT_EQ(vote.standing(), Standing::kProven);
}

TEST(StandingVote, OnePeerThatMetAnotherDirectoryIsBelieved) {
  StandingVote vote(Standing::kUnproven, 3);
  EXPECT_EQ(vote.OnForgetful(), Standing::kReplaced);
  EXPECT_EQ(vote.OnGreeted(kB), std::nullopt);
  EXPECT_EQ(vote.OnGreeted(kC), std::nullopt);
  EXPECT_EQ(vote.OnForgetful(), std::nullopt);
  EXPECT_EQ(vote.standing(), Standing::kReplaced);
}

TEST(StandingVote, AProvenDirectoryMayBePutBackToAnEarlierStateLater) {
  StandingVote vote(Standing::kProven, 3);
  EXPECT_EQ(vote.OnStart(), std::nullopt);
  EXPECT_EQ(vote.OnForgetful(), Standing::kReplaced);
}

TEST(StandingVote, WhoHasNoPeersNeedsNone) {
  StandingVote vote(Standing::kUnproven, 1);
  EXPECT_EQ(vote.OnStart(), Standing::kProven);
}

}  // namespace
}  // namespace gyre
