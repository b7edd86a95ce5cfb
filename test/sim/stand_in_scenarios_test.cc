// Named stories of sloppy quorums and hinted handoff, each on a network that loses nothing, so that
// what is asked for must succeed.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/story.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

class StandInStory : public Story {
 protected:
  StandInStory() : Story(Quiet()) {}
};

TEST_F(StandInStory, WithOneOwnerLeftWritesAndReadsGoOn) {
  Crash({owners_[0], owners_[1]});
  const Outcome put = Put(owners_[2], "milk");
  EXPECT_EQ(put.code, Outcome::Code::kOk);
  EXPECT_EQ(put.answered, 2);
  EXPECT_EQ(put.stand_ins, 1);
  const Outcome get = Get(others_[0]);
  EXPECT_EQ(get.code, Outcome::Code::kOk);
  EXPECT_EQ(Values(get), Strings{"milk"});
  Restart({owners_[0], owners_[1]});
  ExpectSettled({"milk"});
}

TEST_F(StandInStory, AStrictTableRefusesAndSaysHowManyThereWere) {
  const std::vector<int> owners = cluster_.OwnersOf(cluster_.Locate("ledger", "ada"));
  Crash({owners[0], owners[1]});
  const Outcome put = Put(owners[2], "milk", "ledger");
  EXPECT_EQ(put.code, Outcome::Code::kQuorumNotMet);
  EXPECT_EQ(put.needed, 2);
  EXPECT_EQ(put.answered, 1);
  EXPECT_EQ(cluster_.Figures().stand_in.kept, 0u);
}

TEST_F(StandInStory, WithNoOwnerLeftWritesAndReadsGoOn) {
  Crash(owners_);
  for (const char* value : {"milk", "eggs"}) {
    const Outcome put = Put(others_[0], value);
    EXPECT_EQ(put.code, Outcome::Code::kOk);
    EXPECT_EQ(put.stand_ins, 2);
  }
  EXPECT_EQ(Put(others_[1], "tea").code, Outcome::Code::kOk) << "another guest";
  EXPECT_EQ(Values(Get(others_[1])), (Strings{"eggs", "milk", "tea"}));
  Restart(owners_);
  ExpectSettled({"eggs", "milk", "tea"});
  EXPECT_EQ(cluster_.Figures().stand_in.guests, 3u);
}

TEST_F(StandInStory, WhoKeepsHintsRestartsBeforeTheirOwner) {
  Crash({owners_[0], owners_[1]});
  EXPECT_EQ(Put(owners_[2], "milk").code, Outcome::Code::kOk);
  Crash({others_[0], others_[1], owners_[2]});
  Restart({others_[0], others_[1]});
  Restart({owners_[0], owners_[1]});
  cluster_.Restart(owners_[2]);
  cluster_.RunFor(Duration::Seconds(30));
  ExpectSettled({"milk"});
}

TEST_F(StandInStory, AllNodesAreKilledAtOnceAndNothingAcknowledgedIsLost) {
  Crash(owners_);
  EXPECT_EQ(Put(others_[0], "milk").code, Outcome::Code::kOk);
  Crash(others_);
  Restart(All());
  ExpectSettled({"milk"});
}

// The guest has handed off what it minted, and mints again for the same item.
TEST_F(StandInStory, AGuestThatHasHandedOffCoversNothingOfWhatItMinted) {
  Crash(owners_);
  EXPECT_EQ(Put(others_[0], "milk").code, Outcome::Code::kOk);
  Restart(owners_);
  Crash(owners_);
  EXPECT_EQ(Put(others_[0], "eggs").code, Outcome::Code::kOk);
  Restart(owners_);
  ExpectSettled({"eggs", "milk"});
}

// What they keep is a copy that W counts: without it the loss of one disk would lose the write.
TEST_F(StandInStory, WhoseClockJumpsAheadKeepsItsHints) {
  Crash({owners_[0], owners_[1]});
  const Outcome put = Put(owners_[2], "milk");
  EXPECT_EQ(put.code, Outcome::Code::kOk);
  EXPECT_EQ(put.stand_ins, 1);
  const int64_t more = HintLogOptions().max_age.millis() + Duration::Seconds(3600).millis();
  for (int other : others_) cluster_.JumpClock(other, more);
  cluster_.RunFor(StandIn::kSweep + StandIn::kSweep);
  EXPECT_EQ(cluster_.Figures().stand_in.expired, 0u);
  cluster_.Wipe(owners_[2]);
  Restart(All());
  ExpectSettled({"milk"});
}

TEST_F(StandInStory, ThatNothingIsThereNobodySaysWithoutAnOwner) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash(owners_);
  const Outcome get = Get(others_[0]);
  EXPECT_EQ(get.code, Outcome::Code::kQuorumNotMet) << "not: there is no such key";
}

TEST_F(StandInStory, AnOwnerThatIsPausedIsStoodInFor) {
  cluster_.Pause(owners_[0]);
  cluster_.Pause(owners_[1]);
  const Outcome put = Put(owners_[2], "milk");
  EXPECT_EQ(put.code, Outcome::Code::kOk);
  EXPECT_EQ(put.stand_ins, 1);
  cluster_.Resume(owners_[0]);
  cluster_.Resume(owners_[1]);
  cluster_.RunFor(Duration::Seconds(30));
  ExpectSettled({"milk"});
}

// Connections stand, so only who watches the nodes can tell, after a while.
TEST_F(StandInStory, WhereAllOwnersHangWritesAndReadsGoOn) {
  for (const int owner : owners_) cluster_.Pause(owner);
  cluster_.RunFor(Duration::Seconds(20));
  const Outcome put = Put(others_[0], "milk");
  EXPECT_EQ(put.code, Outcome::Code::kOk);
  EXPECT_EQ(put.stand_ins, 2);
  EXPECT_EQ(Values(Get(others_[1])), Strings{"milk"});
  for (const int owner : owners_) cluster_.Resume(owner);
  cluster_.RunFor(Duration::Seconds(30));
  ExpectSettled({"milk"});
}

// The node finds out by the write that fails, and from then on its peers see it as away.
TEST_F(StandInStory, AnOwnerWhoseDiskFailsLeavesAndIsStoodIn) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  cluster_.FailDisk(owners_[0]);
  cluster_.FailDisk(owners_[1]);
  EXPECT_EQ(Put(owners_[0], "eggs").code, Outcome::Code::kStorageFailed);
  EXPECT_EQ(Put(owners_[2], "tea").code, Outcome::Code::kOk);
  cluster_.RunFor(Duration::Seconds(2));
  EXPECT_FALSE(cluster_.reachable(owners_[0]));
  EXPECT_FALSE(cluster_.reachable(owners_[1]));
  const Outcome put = Put(owners_[2], "bread");
  EXPECT_EQ(put.code, Outcome::Code::kOk);
  EXPECT_EQ(put.stand_ins, 1);
  EXPECT_EQ(Get(owners_[0]).code, Outcome::Code::kStorageFailed) << "reads neither";
  Crash({owners_[0], owners_[1]});
  EXPECT_TRUE(cluster_.up(others_[0]));
  Restart({owners_[0], owners_[1]});
  cluster_.JudgeClaims();
  cluster_.JudgeConvergence();
  cluster_.JudgeHandedOver();
  EXPECT_EQ(cluster_.violation().value_or(""), "");
  const Strings settled = cluster_.Settled("carts", "ada");
  for (const char* acknowledged : {"milk", "tea", "bread"}) {
    EXPECT_EQ(std::count(settled.begin(), settled.end(), acknowledged), 1) << acknowledged;
  }
}

}  // namespace
}  // namespace gyre
