// Named stories of values that expire, with clocks that are wrong, nodes that are away and copies
// that come late.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/story.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

constexpr int64_t kHourMs = 3'600'000;

class ExpiryStory : public Story {
 protected:
  ExpiryStory() : Story(Quiet()) { cluster_.RunFor(Duration::Seconds(10)); }

  Outcome PutFor(int node, const std::string& value, int64_t seconds) {
    return Put(node, value, "carts", "ada", Duration::Seconds(seconds));
  }
  void ExpectEverywhere(const Strings& values) {
    for (int node : All()) EXPECT_EQ(Values(Get(node)), values) << "node " << node;
  }
  // Versions and entries of them on all disks, which is nothing at all in the end.
  uint64_t Stored() const { return cluster_.Stored(Family::kRecords); }
};

TEST_F(ExpiryStory, AValueIsThereUntilItsTimeAndThenNowhere) {
  EXPECT_EQ(PutFor(owners_[0], "milk", 60).code, Outcome::Code::kOk);
  ExpectEverywhere({"milk"});  // takes 20 s
  cluster_.RunFor(Duration::Seconds(37));
  ExpectEverywhere({});
  cluster_.RunFor(Duration::Seconds(10));
  EXPECT_EQ(Stored(), 0u) << "nor on a disk, though nobody asked for it";
  ExpectSettled({});
}

TEST_F(ExpiryStory, AReadSaysForHowLongTheValueLivesOn) {
  PutFor(owners_[0], "milk", 60);
  const Outcome get = Get(owners_[1]);
  ASSERT_EQ(get.record.versions.size(), 1u);
  const uint64_t left_ms = get.record.versions[0].expires_ms - get.time_ms;
  EXPECT_LE(left_ms, 60'000u);
  EXPECT_GT(left_ms, 50'000u);
}

TEST_F(ExpiryStory, OneClockThatIsAnHourOffChangesNothing) {
  for (const int64_t off_ms : {kHourMs, -2 * kHourMs}) {
    for (int wrong = 0; wrong < cluster_.size(); ++wrong) {
      cluster_.JumpClock(wrong, off_ms);
      const int minter = wrong == owners_[0] ? wrong : owners_[1];
      EXPECT_EQ(PutFor(minter, "milk", 60).code, Outcome::Code::kOk);
      ExpectEverywhere({"milk"});
      cluster_.RunFor(Duration::Seconds(37));
      ExpectEverywhere({});
      cluster_.RunFor(Duration::Seconds(20));
      EXPECT_EQ(Stored(), 0u);
      cluster_.JumpClock(wrong, -off_ms);
      cluster_.RunFor(Duration::Seconds(60));
    }
  }
}

TEST_F(ExpiryStory, AnOwnerThatWasAwayRevivesNothing) {
  EXPECT_EQ(PutFor(owners_[0], "milk", 30).code, Outcome::Code::kOk);
  Crash({owners_[2]});
  cluster_.RunFor(Duration::Seconds(60));
  EXPECT_EQ(Values(Get(owners_[0])), Strings{});
  Restart({owners_[2]});
  ExpectEverywhere({});
  EXPECT_EQ(Stored(), 0u);
  ExpectSettled({});
}

TEST_F(ExpiryStory, AHintThatComesAfterItsTimeRevivesNothing) {
  Crash({owners_[0], owners_[1]});
  EXPECT_EQ(PutFor(owners_[2], "milk", 30).stand_ins, 1);
  Crash({owners_[2]});
  cluster_.RunFor(Duration::Seconds(60));
  Restart({owners_[0], owners_[1]});
  EXPECT_EQ(Values(Get(owners_[0])), Strings{});
  Restart({owners_[2]});
  ExpectEverywhere({});
  ExpectSettled({});
}

TEST_F(ExpiryStory, AGuestsValueExpiresToo) {
  Crash(owners_);
  EXPECT_EQ(PutFor(others_[0], "milk", 30).code, Outcome::Code::kOk);
  EXPECT_EQ(Values(Get(others_[1])), Strings{"milk"});
  cluster_.RunFor(Duration::Seconds(30));
  EXPECT_EQ(Get(others_[1]).code, Outcome::Code::kQuorumNotMet)
      << "an owner may have another value";
  Restart(owners_);
  ExpectEverywhere({});
  ExpectSettled({});
}

TEST_F(ExpiryStory, WhatWasPutBesideItOrAfterItStays) {
  PutFor(owners_[0], "milk", 30);
  Put(owners_[1], "eggs");
  cluster_.RunFor(Duration::Seconds(60));
  ExpectEverywhere({"eggs"});
  PutFor(owners_[0], "tea", 300);
  cluster_.RunFor(Duration::Seconds(60));
  ExpectEverywhere({"eggs", "tea"});
}

TEST_F(ExpiryStory, WhatItReplacedStaysReplaced) {
  Put(owners_[0], "milk");
  WriteIntent intent;
  intent.value = "eggs";
  intent.ttl_ms = 30'000;
  EXPECT_EQ(Write(owners_[1], "carts", "ada", intent).code, Outcome::Code::kOk);
  cluster_.RunFor(Duration::Seconds(60));
  ExpectEverywhere({});
  ExpectSettled({});
}

// Whoever removes nothing because it is down for longer than the value lives, and comes back with a
// clock that is an hour behind, among others that have removed it.
TEST_F(ExpiryStory, AnOwnerThatComesBackWithAClockBehindRevivesNothing) {
  EXPECT_EQ(PutFor(owners_[0], "milk", 30).code, Outcome::Code::kOk);
  Crash({owners_[2]});
  cluster_.RunFor(Duration::Seconds(60));
  cluster_.JumpClock(owners_[2], -kHourMs);
  Restart({owners_[2]});
  ExpectEverywhere({});
  ExpectSettled({});
}

TEST_F(ExpiryStory, ANodeThatHasHeardNobodySaysThatItDoesNotKnowTheTime) {
  PutFor(owners_[0], "milk", 300);
  std::vector<int> rest;
  for (int node : All()) {
    if (node != owners_[0]) rest.push_back(node);
  }
  Crash(All());
  cluster_.Restart(owners_[0]);
  cluster_.Restart(owners_[1]);
  cluster_.RunFor(Duration::Seconds(30));
  EXPECT_EQ(PutFor(owners_[0], "eggs", 300).code, Outcome::Code::kTimeUnknown);
  EXPECT_EQ(Get(owners_[0]).code, Outcome::Code::kTimeUnknown);
  EXPECT_EQ(Put(owners_[0], "tea").code, Outcome::Code::kOk) << "which does not expire";
  cluster_.Restart(owners_[2]);
  cluster_.RunFor(Duration::Seconds(30));
  EXPECT_EQ(Values(Get(owners_[0])), (Strings{"milk", "tea"}));
}

// Of the messages that tell who is alive a node hears a few a second, however many nodes there are.
TEST(ExpiryOfMany, ANodeKnowsTheTimeAsSoonAsItIsConnectedHoweverManyThereAre) {
  SimOptions options;
  options.nodes = 40;
  options.network.loss_per_mille = options.network.slow_per_mille = 0;
  SimCluster cluster(options);
  cluster.RunFor(Duration::Seconds(1));
  for (int node = 0; node < cluster.size(); ++node) EXPECT_TRUE(cluster.KnowsTime(node)) << node;
}

// A majority of clocks an hour ahead is the time, and what it takes away early is gone for good.
TEST_F(ExpiryStory, MostClocksAreTheTime) {
  PutFor(owners_[0], "milk", 1800);
  for (int node = 0; node < 3; ++node) cluster_.JumpClock(node, kHourMs);
  cluster_.RunFor(Duration::Seconds(60));
  ExpectEverywhere({});
  for (int node = 0; node < 3; ++node) cluster_.JumpClock(node, -kHourMs);
  cluster_.RunFor(Duration::Seconds(120));
  ExpectEverywhere({});
}

}  // namespace
}  // namespace gyre
