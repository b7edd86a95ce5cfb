#include "server/standing_vote.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace gyre {
namespace {

constexpr NodeId kB(2), kC(3);

class StandingVotes : public ::testing::Test {
 protected:
  using Told = std::vector<Standing>;

  StandingVote Vote(Standing standing, size_t members) {
    return {standing, members, [this](Standing one) { told_.push_back(one); }};
  }

  Told told_;
};

TEST_F(StandingVotes, ADirectoryIsTheFirstOnceAllMembersKnowOfNoOther) {
  StandingVote vote = Vote(Standing::kUnproven, 3);
  vote.OnStart();
  vote.OnGreeted(kB);
  vote.OnGreeted(kB);
  EXPECT_EQ(told_, Told()) << "each counts once";
  vote.OnGreeted(kC);
  EXPECT_EQ(vote.standing(), Standing::kProven);
  vote.OnGreeted(kC);
  EXPECT_EQ(told_, Told{Standing::kProven}) << "told once";
}

TEST_F(StandingVotes, OnePeerThatMetAnotherDirectoryIsBelieved) {
  StandingVote vote = Vote(Standing::kUnproven, 3);
  vote.OnForgetful();
  vote.OnGreeted(kB);
  vote.OnGreeted(kC);
  EXPECT_EQ(told_, Told{Standing::kReplaced});
  vote.OnForgetful();
  EXPECT_EQ(vote.standing(), Standing::kReplaced);
}

// The one peer that acknowledged a write together with the directory before may be the last to
// come.
TEST_F(StandingVotes, ThePeerThatMetTheDirectoryBeforeMayComeLast) {
  StandingVote vote = Vote(Standing::kUnproven, 5);
  for (int peer = 2; peer < 5; ++peer) vote.OnGreeted(NodeId(peer));
  EXPECT_EQ(vote.standing(), Standing::kUnproven);
  vote.OnForgetful();
  EXPECT_EQ(told_, Told{Standing::kReplaced});
}

TEST_F(StandingVotes, AProvenDirectoryMayBePutBackToAnEarlierStateLater) {
  StandingVote vote = Vote(Standing::kProven, 3);
  vote.OnStart();
  vote.OnForgetful();
  EXPECT_EQ(told_, Told{Standing::kReplaced});
}

TEST_F(StandingVotes, WhoHasNoPeersNeedsNone) {
  StandingVote vote = Vote(Standing::kUnproven, 1);
  vote.OnStart();
  EXPECT_EQ(told_, Told{Standing::kProven});
}

// Else what it was told last would be that it has all that there is.
TEST_F(StandingVotes, WhoIsProvenAndLostAtTheSameTimeIsToldSoLast) {
  std::promise<void> proven;
  std::promise<void> lost;
  StandingVote vote(Standing::kUnproven, 1, [&](Standing standing) {
    if (standing == Standing::kProven) {
      proven.set_value();
      lost.get_future().wait_for(std::chrono::milliseconds(50));  // for it to overtake
    }
    told_.push_back(standing);
    if (standing == Standing::kReplaced) lost.set_value();
  });
  std::thread starts([&] { vote.OnStart(); });
  proven.get_future().wait();
  vote.OnForgetful();
  starts.join();
  EXPECT_EQ(told_, (Told{Standing::kProven, Standing::kReplaced}));
}

}  // namespace
}  // namespace gyre
