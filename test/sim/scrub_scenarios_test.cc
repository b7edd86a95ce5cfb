// Corruption that no checksum, or no reader, meets: the scrub finds it and has it mended, though
// nobody reads the item.

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/scenario.h"
#include "test/sim/story.h"

namespace gyre {
namespace {

class ScrubStory : public Story {
 protected:
  ScrubStory() : Story(Quiet()) {
    EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
    ada_ = cluster_.Item("carts", "ada");
    cluster_.RunFor(Duration::Seconds(15));  // everyone has it, and its base is joined
  }
  // Several passes.
  void Pass() { cluster_.RunFor(Duration::Seconds(45)); }
  Scrub::Figures Scrubbed() const { return cluster_.Figures().scrub; }

  ItemKey ada_;
};

TEST_F(ScrubStory, ADamagedRecordIsMendedThoughNobodyReadsIt) {
  ASSERT_TRUE(cluster_.DamageRecord(owners_[1], ada_));
  Pass();
  EXPECT_EQ(cluster_.Figures().mended, 1u);
  EXPECT_EQ(cluster_.damaged(), 0u);
  EXPECT_EQ(Scrubbed().contradictions, 0u);
  ExpectSettled({"milk"});
}

TEST_F(ScrubStory, ADamagedRecordIsServedByNobody) {
  cluster_.Crash(others_[0]);  // and not mended, for not all are there
  cluster_.RunFor(Duration::Seconds(3));
  ASSERT_TRUE(cluster_.DamageRecord(owners_[0], ada_));
  for (int i = 0; i < 5; ++i) {
    for (int owner : owners_) {
      const Outcome outcome = Get(owner);
      EXPECT_EQ(outcome.code, Outcome::Code::kOk);
      EXPECT_EQ(Values(outcome), std::vector<std::string>{"milk"});
    }
    cluster_.RunFor(Duration::Seconds(8));
  }
  EXPECT_EQ(cluster_.damaged(), 1u);
  Restart({others_[0]});
  EXPECT_EQ(cluster_.damaged(), 0u);
  ExpectSettled({"milk"});
}

TEST_F(ScrubStory, ARecordThatWasLostComesBackFromTheMajority) {
  for (int owner : owners_) {
    ASSERT_TRUE(cluster_.LoseRecord(owner, ada_));
    Pass();
    ExpectSettled({"milk"});
  }
  EXPECT_EQ(Scrubbed().amended, 3u);
  EXPECT_GE(Scrubbed().contradictions, 3u);
  EXPECT_EQ(Scrubbed().standing, 0u);
}

TEST_F(ScrubStory, AValueThatChangedTakesThatOfTheMajorityAgain) {
  ASSERT_TRUE(cluster_.ChangeRecord(owners_[2], ada_, "mold"));
  Pass();
  EXPECT_EQ(Scrubbed().amended, 1u);
  ExpectSettled({"milk"});
}

TEST_F(ScrubStory, WhatWasDeletedAndIsBackAtOneOwnerGoesAgain) {
  cluster_.KeepRecord(owners_[0], ada_);
  EXPECT_EQ(Delete(owners_[1]).code, Outcome::Code::kOk);
  cluster_.RunFor(Duration::Seconds(15));
  ExpectSettled({});
  ASSERT_TRUE(cluster_.BringRecordBack(owners_[0]));
  Pass();
  EXPECT_EQ(Scrubbed().amended, 1u);
  EXPECT_GE(Scrubbed().contradictions, 1u);
  ExpectSettled({});
}

TEST_F(ScrubStory, OfTwoOwnersNobodyCanSayWhoIsRight) {
  TableSpec table;
  table.name = "pairs";
  table.replicas = 2;
  table.read_quorum = table.write_quorum = 1;
  AddTable(table);
  const ItemKey pair = cluster_.Item("pairs", "eve");
  const std::vector<int> owners = cluster_.OwnersOf(pair.partition);
  EXPECT_EQ(Put(owners[0], "tea", "pairs", "eve").code, Outcome::Code::kOk);
  cluster_.RunFor(Duration::Seconds(15));
  ASSERT_TRUE(cluster_.LoseRecord(owners[1], pair));
  Pass();
  EXPECT_EQ(Scrubbed().amended, 0u);
  EXPECT_EQ(Scrubbed().standing, 2u) << "both know of it";
  EXPECT_EQ(cluster_.Settled("pairs", "eve"), std::vector<std::string>{"tea"}) << "nothing is lost";
  // The next write of the key ends it.
  EXPECT_EQ(Put(owners[0], "rum", "pairs", "eve").code, Outcome::Code::kOk);
  cluster_.RunFor(Duration::Seconds(60));
  EXPECT_EQ(Scrubbed().contradictions, 2u) << "each is counted once";
}

TEST_F(ScrubStory, NoOwnerIsComparedWithWhileItIsFilledOrAway) {
  cluster_.Wipe(owners_[1]);
  Pass();
  cluster_.Restart(owners_[1]);
  Pass();
  EXPECT_EQ(Scrubbed().contradictions, 0u);
  ExpectSettled({"milk"});
}

// All other faults beside it. What is damaged is served by nobody, spread by nobody (the judge of
// every workload knows all that was ever written), and mended by the end.
TEST(ScrubScenario, RecordsAreDamagedUnderAllFaultsAndMended) {
  uint64_t damaged = 0, mended = 0;
  for (uint64_t seed = 920'900; seed < 920'908; ++seed) {
    ScenarioOptions options;
    options.seed = seed;
    options.damage = true;
    const ScenarioResult result = RunScenario(options);
    EXPECT_FALSE(result.violation.has_value()) << "seed " << seed << ": " << *result.violation;
    EXPECT_GT(result.scrubbed.slices, 0u);
    damaged += result.damaged;
    mended += result.mended;
  }
  EXPECT_GT(damaged, 8u);
  EXPECT_GT(mended, 4u) << "but for those that were written over";
}

}  // namespace
}  // namespace gyre
