// Named stories of the losses that Dynamo's descendants are known for: riak_kv issue 679 and its
// relatives, sibling explosion, put beside delete, writes that failed and did not, owners that come
// and go.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/story.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

class FamiliesStory : public Story {
 protected:
  FamiliesStory() : Story(Quiet()) { cluster_.RunFor(Duration::Seconds(10)); }

  void ExpectEverywhere(const Strings& values) {
    for (const int node : All()) EXPECT_EQ(Values(Get(node)), values) << "node " << node;
  }
};

// riak_kv issue 679: the coordinator's disk forgets its counter, the next put gets the same dot,
// and what was put first passes for it.
TEST_F(FamiliesStory, ACoordinatorThatForgetsMintsNoDotAgain) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  cluster_.Wipe(owners_[0]);
  cluster_.Restart(owners_[0]);
  cluster_.RunFor(Duration::Seconds(1));  // it hears of the table
  EXPECT_EQ(Put(owners_[0], "eggs").code, Outcome::Code::kOk);
  cluster_.RunFor(Duration::Seconds(30));
  ExpectEverywhere({"eggs", "milk"});
  ExpectSettled({"eggs", "milk"});
}

// The same without anybody who could tell: the others are away until it has minted.
TEST_F(FamiliesStory, ACoordinatorThatForgetsWhileItIsAloneMintsNoDotAgain) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash({owners_[1], owners_[2]});
  cluster_.Wipe(owners_[0]);
  cluster_.Restart(owners_[0]);
  cluster_.RunFor(Duration::Seconds(1));
  Put(owners_[0], "eggs");  // whatever becomes of it
  Restart({owners_[1], owners_[2]});
  const Strings settled = Values(Get(owners_[1]));
  EXPECT_EQ(std::count(settled.begin(), settled.end(), "milk"), 1);
  ExpectSettled(settled);
}

TEST_F(FamiliesStory, AStandInThatForgetsMintsNoDotAgain) {
  Crash(owners_);
  EXPECT_EQ(Put(others_[0], "milk").code, Outcome::Code::kOk);
  cluster_.Wipe(others_[0]);  // the other stand-in has it, too
  cluster_.Restart(others_[0]);
  cluster_.RunFor(Duration::Seconds(5));
  EXPECT_EQ(Put(others_[0], "eggs").code, Outcome::Code::kOk);
  Restart(owners_);
  ExpectEverywhere({"eggs", "milk"});
  ExpectSettled({"eggs", "milk"});
}

TEST_F(FamiliesStory, WhatIsPutAgainAfterADeleteOutlivesTheHandOffOfBoth) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash({owners_[2]});
  EXPECT_EQ(Delete(owners_[0]).code, Outcome::Code::kOk);
  EXPECT_EQ(Put(owners_[1], "eggs").code, Outcome::Code::kOk);
  Restart({owners_[2]});
  ExpectEverywhere({"eggs"});
  ExpectSettled({"eggs"});
}

// Each of many clients reads before all others write, and then writes over what it had read.
TEST_F(FamiliesStory, WritersThatTakeTurnsExplodeIntoNoMoreSiblingsThanThereAreWriters) {
  constexpr int kWriters = 4;
  std::vector<Outcome> read(kWriters, Get(owners_[0]));
  for (int turn = 0; turn < 40; ++turn) {
    const int writer = turn % kWriters;
    const int node = All()[turn % 5];
    const Outcome put = PutOver(read[writer], node, "turn-" + std::to_string(turn));
    EXPECT_EQ(put.code, Outcome::Code::kOk);
    read[writer] = Get(node);
    EXPECT_LE(read[writer].record.versions.size(), static_cast<size_t>(kWriters));
  }
  EXPECT_EQ(PutOver(Get(owners_[1]), owners_[1], "all of it").code, Outcome::Code::kOk);
  ExpectEverywhere({"all of it"});
}

// What a user of a plain store does: puts without a context replace each other.
TEST_F(FamiliesStory, PutsWithoutAContextLeaveOneValue) {
  for (int turn = 0; turn < 30; ++turn) {
    WriteIntent intent;
    intent.value = "turn-" + std::to_string(turn);
    EXPECT_EQ(Write(All()[turn % 5], "carts", "ada", intent).code, Outcome::Code::kOk);
  }
  ExpectEverywhere({"turn-29"});
}

TEST_F(FamiliesStory, APutBesideADeleteStays) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  const Outcome read = Get(owners_[1]);
  for (const bool delete_first : {true, false}) {
    if (delete_first) {
      EXPECT_EQ(DeleteOver(read, owners_[1]).code, Outcome::Code::kOk);
    }
    EXPECT_EQ(PutOver(read, owners_[2], "eggs").code, Outcome::Code::kOk);
    if (!delete_first) {
      EXPECT_EQ(DeleteOver(read, owners_[0]).code, Outcome::Code::kOk);
    }
    const Strings shown = Values(Get(others_[0]));
    EXPECT_EQ(std::count(shown.begin(), shown.end(), "eggs"), delete_first ? 1 : 2);
    EXPECT_EQ(std::count(shown.begin(), shown.end(), "milk"), 0);
  }
}

// It reaches its coordinator's disk alone. Its client is told that nobody knows; a read may show it
// or not, but once one has, all later ones do.
TEST_F(FamiliesStory, AWriteThatFailedOnOneReplicaIsShownByAllReadsOnceOneHasShownIt) {
  const std::vector<int> owners = cluster_.OwnersOf(cluster_.Locate("ledger", "ada"));
  CutOff(owners[0]);
  const Outcome put = Put(owners[0], "milk", "ledger");
  EXPECT_NE(put.code, Outcome::Code::kOk);
  EXPECT_TRUE(put.outcome_unknown);
  EXPECT_EQ(Values(Get(owners[1], "ada", "ledger")), Strings{}) << "by the two that can be asked";
  cluster_.HealNetwork();
  bool shown = false;
  for (int read = 0; read < 10; ++read) {
    const Strings values = Values(Get(All()[read % 5], "ada", "ledger"));
    if (shown) {
      EXPECT_EQ(values, Strings{"milk"}) << "read " << read;
    }
    shown = shown || !values.empty();
  }
  EXPECT_TRUE(shown) << "repair has spread it";
  EXPECT_EQ(cluster_.Settled("ledger", "ada"), Strings{"milk"});
}

// Read repair spreads it, to as many as a write needs, before the read is answered or with it; then
// the only node that had it is lost.
TEST_F(FamiliesStory, AWriteThatFailedAndWasReadOutlivesTheReplicaThatHadIt) {
  const std::vector<int> owners = cluster_.OwnersOf(cluster_.Locate("ledger", "ada"));
  CutOff(owners[0]);
  EXPECT_NE(Put(owners[0], "milk", "ledger").code, Outcome::Code::kOk);
  cluster_.HealNetwork();
  EXPECT_EQ(Values(Get(owners[0], "ada", "ledger")), Strings{"milk"});
  cluster_.Wipe(owners[0]);
  cluster_.RunFor(Duration::Seconds(5));
  EXPECT_EQ(Values(Get(owners[1], "ada", "ledger")), Strings{"milk"});
  Restart({owners[0]});
  EXPECT_EQ(Values(Get(owners[0], "ada", "ledger")), Strings{"milk"});
}

// The owners are away one after another, each while something is written or deleted, and back.
TEST_F(FamiliesStory, AnOwnerThatGoesAndComesBackAgainAndAgainFindsWhatThereIs) {
  for (int round = 0; round < 6; ++round) {
    const int away = owners_[round % 3];
    const int node = owners_[(round + 1) % 3];
    Crash({away});
    const Outcome read = Get(node);
    const Outcome written = round % 3 == 2 ? DeleteOver(read, node)
                                           : PutOver(read, node, "round-" + std::to_string(round));
    EXPECT_EQ(written.code, Outcome::Code::kOk);
    Restart({away});
    const Strings expected = round % 3 == 2 ? Strings{} : Strings{"round-" + std::to_string(round)};
    EXPECT_EQ(Values(Get(away)), expected);
    ExpectSettled(expected);
  }
}

TEST_F(FamiliesStory, AllNodesAreKilledAtOnceInTheMidstOfWrites) {
  std::vector<std::string> acknowledged;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) {
      const std::string key = "key-" + std::to_string(20 * round + i);
      WriteIntent intent;
      intent.value = key;
      intent.mode = WriteMode::kBlind;
      intent.attempt = kFirstAttempt;
      intent.write = {++written_, 1};
      const auto done = [&acknowledged, key](const Outcome& outcome) {
        if (outcome.code == Outcome::Code::kOk) acknowledged.push_back(key);
      };
      EXPECT_TRUE(
          cluster_.Write(0, All()[i % 5], "carts", key, intent, Duration::Seconds(2), done));
    }
    cluster_.RunFor(Duration::Millis(3 + 2 * round));
    for (const int node : All()) cluster_.Crash(node);
    for (const int node : All()) cluster_.Restart(node);
    cluster_.RunFor(Duration::Seconds(20));
  }
  EXPECT_FALSE(acknowledged.empty());
  EXPECT_LT(acknowledged.size(), 100u) << "the story is about those under way";
  for (const std::string& key : acknowledged) ExpectSettled({key}, key);
}

}  // namespace
}  // namespace gyre
