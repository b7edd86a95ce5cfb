// Named stories of copies that become equal again: hints and their bounds, repair by clocks, and
// records that fail their checks.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/story.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

class RepairStory : public Story {
 protected:
  explicit RepairStory(const SimOptions& options = Tight()) : Story(options) {}
  // Room for some ten hints, which are too old after a minute.
  static SimOptions Tight() {
    SimOptions options = Quiet();
    options.max_hint_bytes = 500;
    options.max_hint_age = Duration::Seconds(60);
    return options;
  }
  // So many keys, of all partitions; `acknowledged`: whether it is to be.
  void PutMany(int keys, const std::string& value) {
    for (int i = 0; i < keys; ++i) {
      const std::string key = "key-" + std::to_string(i);
      const std::vector<int> owners = cluster_.OwnersOf(cluster_.Locate("carts", key));
      const auto up = std::find_if(owners.begin(), owners.end(),
                                   [this](int node) { return cluster_.up(node); });
      WriteIntent intent;
      intent.value = value;
      intent.attempt = kFirstAttempt;
      intent.write = {++written_, 1};
      EXPECT_TRUE(cluster_.Write(
          0, *up, "carts", key, intent, Duration::Seconds(2),
          [](const Outcome& outcome) { EXPECT_EQ(outcome.code, Outcome::Code::kOk); }));
      cluster_.RunFor(Duration::Millis(100));
    }
  }
  void ExpectMany(int keys, const std::string& value) {
    for (int i = 0; i < keys; ++i) ExpectSettled({value}, "key-" + std::to_string(i));
  }
};

// ------------------------------------------------------------------------------------------- hints

TEST_F(RepairStory, WhatNoHintHadRoomForRepairBrings) {
  Crash({owners_[0]});
  PutMany(60, "milk");  // by two owners each, whatever becomes of the hint
  EXPECT_GT(cluster_.Figures().stand_in.refused, 0u) << "the bound is a figure";
  Restart({owners_[0]});
  EXPECT_GT(cluster_.Figures().repair.items, 0u);
  ExpectMany(60, "milk");
}

TEST_F(RepairStory, WhatAHintWasTooOldForRepairBrings) {
  Crash({owners_[2]});
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  EXPECT_GT(cluster_.Stored(Family::kHints), 0u);
  cluster_.RunFor(Duration::Seconds(3600));
  EXPECT_EQ(cluster_.Stored(Family::kHints), 0u);
  EXPECT_GT(cluster_.Figures().stand_in.expired, 0u);
  Restart({owners_[2]});
  ExpectSettled({"milk"});
}

TEST_F(RepairStory, AHintThatNoOwnerHasIsNeverTooOld) {
  Crash(owners_);
  EXPECT_EQ(Put(others_[0], "milk").code, Outcome::Code::kOk);
  cluster_.RunFor(Duration::Seconds(3600));
  EXPECT_GT(cluster_.Stored(Family::kHints), 0u);
  Restart(owners_);
  ExpectSettled({"milk"});
}

// A hint goes when its owner has synced it, and no sooner.
TEST_F(RepairStory, AnOwnerThatDiesAgainAndAgainWhileItIsHandedHintsGetsThemAll) {
  Crash(owners_);
  for (const char* value : {"milk", "eggs", "tea"}) {
    EXPECT_EQ(Put(others_[0], value).code, Outcome::Code::kOk);
  }
  for (int i = 0; i < 12; ++i) {
    for (const int owner : owners_) cluster_.Restart(owner);
    cluster_.RunFor(Duration::Millis(100 + 30 * i));
    for (const int owner : owners_) cluster_.Crash(owner);
  }
  Restart(owners_);
  ExpectSettled({"eggs", "milk", "tea"});
  EXPECT_EQ(cluster_.Stored(Family::kHints), 0u);
}

// ------------------------------------------------------------------------------- repair by clocks

// Connections seem to stand, but what is sent to one owner is lost: there is no hint for it.
TEST_F(RepairStory, WhatAnOwnerMissedUnnoticedComesByItself) {
  for (const int node : All()) {
    if (node != owners_[2]) cluster_.Cut(node, owners_[2]);
  }
  EXPECT_EQ(Put(owners_[0], "milk", "ledger", "ada").code, Outcome::Code::kOk);
  cluster_.HealNetwork();
  const uint64_t before = cluster_.Figures().repair.items;
  cluster_.RunFor(Duration::Seconds(30));
  EXPECT_EQ(cluster_.Figures().repair.items, before + 1) << "that one, and nothing else";
  EXPECT_EQ(cluster_.Settled("ledger", "ada"), Strings{"milk"});
  ExpectSettled({});
}

// Two of three owners write on for longer than their logs reach back, and delete some of it.
class LongAwayStory : public RepairStory {
 protected:
  LongAwayStory() : RepairStory(Short()) {}
  static SimOptions Short() {
    SimOptions options = Tight();
    options.log_most = 20;
    return options;
  }
};

TEST_F(LongAwayStory, AnOwnerThatWasAwayForLongerThanTheLogsTakesCopies) {
  PutMany(40, "milk");
  Crash({owners_[0]});
  for (int round = 0; round < 20; ++round) PutMany(40, "round-" + std::to_string(round));
  for (int i = 0; i < 10; ++i) {
    const std::string key = "key-" + std::to_string(i);
    EXPECT_EQ(Delete(owners_[1], key).code, Outcome::Code::kOk);
  }
  cluster_.RunFor(Duration::Seconds(60));
  EXPECT_GT(cluster_.Figures().repair.log_dropped, 0u);
  EXPECT_EQ(cluster_.Figures().repair.copied, 0u);
  Restart({owners_[0]});
  cluster_.RunFor(Duration::Seconds(60));
  EXPECT_GT(cluster_.Figures().repair.copied, 0u);
  for (int i = 0; i < 40; ++i) {
    const Strings expected = i < 10 ? Strings{} : Strings{"round-19"};
    ExpectSettled(expected, "key-" + std::to_string(i));
  }
}

TEST_F(RepairStory, AConnectionThatBreaksAgainAndAgainLosesNothing) {
  for (int i = 0; i < 20; ++i) {
    cluster_.scheduler().After(Duration::Millis(150 * i), [this, i] {
      cluster_.BreakConnection(owners_[i % 3], owners_[(i + 1) % 3]);
    });
  }
  PutMany(30, "milk");
  cluster_.RunFor(Duration::Seconds(30));
  ExpectMany(30, "milk");
}

TEST_F(RepairStory, AnOwnerThatHangsForAMinuteLosesNothing) {
  cluster_.scheduler().After(Duration::Millis(500), [this] { cluster_.Pause(owners_[0]); });
  PutMany(60, "milk");
  cluster_.RunFor(Duration::Seconds(60));
  cluster_.Resume(owners_[0]);
  cluster_.RunFor(Duration::Seconds(30));
  ExpectMany(60, "milk");
}

TEST_F(RepairStory, ATopologyThatChangedWhileANodeWasDownReachesIt) {
  Crash({owners_[1]});
  cluster_.ChangeTopology(owners_[0], "more", true);
  cluster_.RunFor(Duration::Seconds(5));
  EXPECT_EQ(cluster_.Faults().Of(FaultKind::kTopologyMissed), 1u);
  Restart({owners_[1]});
  EXPECT_EQ(Put(owners_[1], "milk", "more").code, Outcome::Code::kOk);
  ExpectSettled({});
}

// --------------------------------------------------------------------------------- damaged records

class DamageStory : public Story {
 protected:
  DamageStory() : Story(Quiet()) {
    EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
    cluster_.RunFor(Duration::Seconds(30));
  }
  void Damage(int node) {
    Random random(1);
    cluster_.GarbleRecord(node, &random);
    EXPECT_EQ(cluster_.damaged_node(), node);
  }
};

TEST_F(DamageStory, ADamagedRecordIsServedByTheOthersAndFetchedAgain) {
  for (const int owner : owners_) {
    Damage(owner);
    EXPECT_EQ(Values(Get(owner)), Strings{"milk"});
    cluster_.ReadDamaged(owner);
    cluster_.RunFor(Duration::Seconds(15));
    EXPECT_EQ(cluster_.damaged_node(), std::nullopt);
    ExpectSettled({"milk"});
  }
  EXPECT_EQ(cluster_.Figures().mended, 3u);
  EXPECT_GE(cluster_.Figures().unreadable, 3u);
}

TEST_F(DamageStory, ADamagedRecordIsNoCopyOfAWrite) {
  Damage(owners_[0]);
  Crash({owners_[1]});
  EXPECT_EQ(Get(owners_[2]).code, Outcome::Code::kOk) << "sloppy: one owner is enough to tell";
  WriteIntent over;
  over.value = "eggs";
  EXPECT_EQ(Write(owners_[2], "carts", "ada", over).code, Outcome::Code::kOk);
  EXPECT_EQ(Values(Get(owners_[2])), Strings{"eggs"});
  EXPECT_EQ(cluster_.damaged_node(), owners_[0]) << "it waits for all nodes";
  Restart({owners_[1]});
  EXPECT_EQ(cluster_.damaged_node(), std::nullopt);
  ExpectSettled({"eggs"});
}

TEST_F(DamageStory, ADamagedRecordKeepsNothingAliveThatIsDeletedMeanwhile) {
  Damage(owners_[0]);
  EXPECT_EQ(Delete(owners_[1]).code, Outcome::Code::kOk);
  cluster_.ReadDamaged(owners_[0]);
  cluster_.RunFor(Duration::Seconds(60));
  EXPECT_EQ(cluster_.damaged_node(), std::nullopt);
  ExpectSettled({});
  for (const int node : All()) EXPECT_EQ(Values(Get(node)), Strings{});
}

// An owner that lacks it asks the only one that is left, whose copy is damaged.
TEST_F(DamageStory, ADamagedRecordIsNeitherServedNorSpread) {
  Crash({owners_[2], others_[0], others_[1]});
  WriteIntent over;
  over.value = "eggs";
  EXPECT_EQ(Write(owners_[1], "carts", "ada", over).code, Outcome::Code::kOk);
  Damage(owners_[0]);
  Crash({owners_[1]});
  Restart({owners_[2]});
  EXPECT_GT(cluster_.Figures().unreadable, 0u);
  for (const int node : {owners_[0], owners_[2]}) {
    EXPECT_EQ(Get(node).code, Outcome::Code::kQuorumNotMet);
  }
  EXPECT_EQ(cluster_.damaged_node(), owners_[0]);
  Restart({owners_[1], others_[0], others_[1]});
  EXPECT_EQ(cluster_.damaged_node(), std::nullopt);
  ExpectSettled({"eggs"});
}

TEST_F(DamageStory, WhatTwoOwnersCannotReadTheThirdHas) {
  const ItemKey ada = cluster_.Item("carts", "ada");
  for (const int owner : {owners_[0], owners_[2]}) {
    ASSERT_TRUE(cluster_.DamageRecord(owner, ada));
  }
  for (const int owner : owners_) EXPECT_EQ(Values(Get(owner)), Strings{"milk"});
  cluster_.RunFor(Duration::Seconds(30));
  EXPECT_EQ(cluster_.damaged(), 0u);
  EXPECT_EQ(cluster_.Figures().mended, 2u);
  ExpectSettled({"milk"});
}

// In a table whose writes leave no hints.
class StrictDamageStory : public Story {
 protected:
  StrictDamageStory() : Story(Quiet()) {
    partition_ = cluster_.Locate("ledger", "ada");
    owners_ = cluster_.OwnersOf(partition_);
    others_.clear();
    for (int node = 0; node < cluster_.size(); ++node) {
      if (std::find(owners_.begin(), owners_.end(), node) == owners_.end()) others_.push_back(node);
    }
  }
  void Replace(const std::string& key, const std::string& value) {
    WriteIntent intent;
    intent.value = value;
    EXPECT_EQ(Write(owners_[1], "ledger", key, intent).code, Outcome::Code::kOk);
  }
  PartitionId partition_;
};

// The one record fills the first answers to an owner that cannot take it in.
TEST_F(StrictDamageStory, ARecordThatIsDamagedWhereItIsAskedForKeepsNothingElseAway) {
  std::string beside;  // of the same partition
  for (int i = 0; beside.empty(); ++i) {
    const std::string key = "key-" + std::to_string(i);
    if (cluster_.Locate("ledger", key) == partition_) beside = key;
  }
  Replace("ada", "tea");
  ASSERT_TRUE(cluster_.DamageRecord(owners_[0], cluster_.Item("ledger", "ada")));
  Crash({owners_[0]});
  for (int i = 0; i < 20; ++i) Replace("ada", "milk");
  Replace(beside, "eggs");
  Crash({others_[1]});  // nothing is mended while a node is away
  Restart({owners_[0]});
  EXPECT_EQ(cluster_.damaged(), 1u);
  EXPECT_EQ(cluster_.Settled("ledger", beside), Strings{"eggs"});
  Restart({others_[1]});
  EXPECT_EQ(cluster_.damaged(), 0u);
  EXPECT_EQ(cluster_.Settled("ledger", "ada"), Strings{"milk"});
  ExpectSettled({});
}

// Of two owners one loses its disk, and a record of the other's is damaged. The first waits for all
// that the second has, which waits for what the first may have.
class PairsStory : public DamageStory {
 protected:
  static constexpr int kKeys = 20;
  static std::string KeyOf(int i) { return "key-" + std::to_string(i); }
  PairsStory() {
    TableSpec table;
    table.name = "pairs";
    table.replicas = 2;
    table.read_quorum = table.write_quorum = 1;
    AddTable(table);
    const PartitionId partition = cluster_.Locate("pairs", "eve");
    owners_ = cluster_.OwnersOf(partition);
    Put(owners_[0], "tea", "pairs", "eve");
    for (int i = 0; i < kKeys; ++i) {
      if (cluster_.Locate("pairs", KeyOf(i)) == partition) keys_.push_back(KeyOf(i));
    }
    EXPECT_GT(keys_.size(), 0u);
    for (const std::string& key : keys_) Put(owners_[0], "tea", "pairs", key);
  }
  void LoseAndDamage() {
    ASSERT_TRUE(cluster_.DamageRecord(owners_[1], cluster_.Item("pairs", "eve")));
    cluster_.Wipe(owners_[0]);
    cluster_.RunFor(Duration::Seconds(2));
    Restart({owners_[0]});
    cluster_.RunFor(Duration::Seconds(30));
  }
  void ExpectWhole() {
    EXPECT_EQ(cluster_.damaged(), 0u);
    EXPECT_EQ(cluster_.Figures().repair.filling, 0u);
    for (const std::string& key : keys_) EXPECT_EQ(cluster_.Settled("pairs", key), Strings{"tea"});
    EXPECT_EQ(cluster_.Settled("pairs", "eve"), Strings{}) << "both copies are lost";
  }
  std::vector<std::string> keys_;  // of the same partition
};

TEST_F(PairsStory, ALostDiskIsFilledByItsLogThoughARecordOfTheOtherIsDamaged) {
  cluster_.RunFor(Duration::Seconds(15));
  LoseAndDamage();
  ExpectWhole();
}

TEST_F(PairsStory, ALostDiskIsFilledByACopyThoughARecordOfTheOtherIsDamaged) {
  cluster_.RunFor(Duration::Seconds(300));
  LoseAndDamage();
  EXPECT_GT(cluster_.Figures().repair.copies_left, 0u);
  for (const std::string& key : keys_) EXPECT_EQ(cluster_.Settled("pairs", key), Strings{"tea"});
  EXPECT_EQ(Get(owners_[1], "eve", "pairs").code, Outcome::Code::kQuorumNotMet);
  cluster_.RunFor(Duration::Seconds(30));  // so that it has a name
  ExpectWhole();
}

}  // namespace
}  // namespace gyre
