#include "server/standing_vote.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

constexpr NodeId kB(2), kC(3);

TEST(StandingVote, ADirectoryIsTheFirstOnceAllMembersKnowOfNoOther) {
  StandingVote vote(Standing::kUnproven, 3);
  EXPECT_EQ(vote.OnStart(), std::nullopt);
  EXPECT_EQ(vote.OnGreeted(kB), std::nullopt);
  EXPECT_EQ(vote.OnGreeted(kB), std::nullopt) << "each counts once";
  EXPECT_EQ(vote.OnGreeted(kC), Standing::kProven);
  EXPECT_EQ(vote.OnGreeted(kC), std::nullopt) << "told once";
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

// The one peer that acknowledged a write together with the directory before may be the last to
// come.
TEST(StandingVote, ThePeerThatMetTheDirectoryBeforeMayComeLast) {
  StandingVote vote(Standing::kUnproven, 5);
  for (int peer = 2; peer < 5; ++peer) EXPECT_EQ(vote.OnGreeted(NodeId(peer)), std::nullopt);
  EXPECT_EQ(vote.standing(), Standing::kUnproven);
  EXPECT_EQ(vote.OnForgetful(), Standing::kReplaced);
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
