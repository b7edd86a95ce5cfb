#include "replication/mend_exchange.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "replication/trial.h"

namespace gyre {
namespace {

const ItemKey kItem{PartitionId(3, 5), TableId(1), "key"};

FetchReply With(char replica, uint64_t counter, std::string value) {
  Record record;
  const Dot dot{ReplicaOf(replica), counter};
  AddVersion(&record, {dot, 0, std::move(value)});
  return {{kItem, Share(std::move(record)), {{dot, {}, 0}}}, {}};
}
FetchReply Nothing() { return {{kItem, Share({}), {}}, {}}; }

Trial OfFour(std::string unreachable = "") {
  return Trial(std::make_unique<MendExchange>(
                   kItem, std::vector<NodeId>{NodeOf('a'), NodeOf('b'), NodeOf('c'), NodeOf('d')}),
               {.owners = "abc", .self = 'a', .unreachable = std::move(unreachable)});
}

// A hint that is handed over while it is looked for has been taken in by its owner before its
// keeper says that there is none.
TEST(MendExchange, AsksTheOwnersOnceTheStandInsHaveAnswered) {
  Trial trial(std::make_unique<MendExchange>(
                  kItem, std::vector<NodeId>{NodeOf('a'), NodeOf('b'), NodeOf('c'), NodeOf('d'),
                                             NodeOf('e')}),
              {.owners = "abc", .self = 'a'});
  EXPECT_EQ(trial.Start(), "FetchHints>d, FetchHints>e, wake 5000");
  EXPECT_EQ(trial.Hear('e', Nothing()), "wake 5000");
  EXPECT_EQ(trial.Hear('d', Nothing()), "Fetch>b, Fetch>c, wake 5000");
}

TEST(MendExchange, PutsTogetherWhatTheOtherOwnersAndTheStandInsHave) {
  Trial trial = OfFour();
  EXPECT_EQ(trial.Start(), "FetchHints>d, wake 5000");
  EXPECT_EQ(trial.Hear('d', With('g', 1, "hinted")), "Fetch>b, Fetch>c, wake 5000");
  EXPECT_EQ(trial.Hear('b', With('b', 1, "x")), "wake 5000");
  EXPECT_EQ(trial.Hear('c', Nothing()), "restore x hinted, OK 0/0");
}

TEST(MendExchange, CountsNobodyTwice) {
  Trial trial = OfFour();
  trial.Start();
  trial.Hear('d', Nothing());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(trial.Hear('b', With('b', 1, "x")), "wake 5000");
}

// What it had is lost, whoever waits for it; and it may wait for this one.
TEST(MendExchange, AnOwnerWhoseCopyIsDamagedTooHasNothingToGive) {
  Trial trial = OfFour();
  trial.Start();
  trial.Hear('d', Nothing());
  EXPECT_EQ(trial.Hear('b', Failed{Outcome::Code::kCorrupt}), "wake 5000");
  EXPECT_EQ(trial.Hear('c', With('c', 1, "x")), "restore x, OK 0/0");
}

TEST(MendExchange, WhatIsDamagedAtAllOwnersIsNotTakenForDeleted) {
  Trial trial = OfFour();
  trial.Start();
  trial.Hear('d', With('g', 1, "hinted"));
  trial.Hear('b', Failed{Outcome::Code::kCorrupt});
  EXPECT_EQ(trial.Hear('c', Failed{Outcome::Code::kCorrupt}), "QUORUM_NOT_MET 0/0");
}

// An owner with a new disk cannot say that there was nothing.
TEST(MendExchange, WhoIsBeingFilledCanOnlyTellWhatItHas) {
  Trial beside_damage = OfFour();
  beside_damage.Start();
  beside_damage.Hear('d', Nothing());
  beside_damage.Hear('b', Failed{Outcome::Code::kCorrupt});
  EXPECT_EQ(beside_damage.Hear('c', Failed{Outcome::Code::kFilling}), "QUORUM_NOT_MET 0/0");

  Trial older = OfFour();
  older.Start();
  older.Hear('d', Nothing());
  FetchReply part = With('c', 1, "older");
  part.filling = true;
  EXPECT_EQ(older.Hear('c', part), "wake 5000");
  EXPECT_EQ(older.Hear('b', Failed{Outcome::Code::kCorrupt}), "QUORUM_NOT_MET 0/0")
      << "a newer one may have been at these two alone";

  Trial beside_a_copy = OfFour();
  beside_a_copy.Start();
  beside_a_copy.Hear('d', Nothing());
  beside_a_copy.Hear('b', Failed{Outcome::Code::kFilling});
  EXPECT_EQ(beside_a_copy.Hear('c', part), "restore older, OK 0/0");

  Trial all = OfFour();
  all.Start();
  all.Hear('d', With('g', 1, "hinted"));
  all.Hear('b', Failed{Outcome::Code::kFilling});
  EXPECT_EQ(all.Hear('c', Failed{Outcome::Code::kFilling}), "restore hinted, OK 0/0")
      << "they wait for this one";
}

TEST(MendExchange, AStandInWhoseHintsAreDamagedMayKeepMore) {
  Trial trial = OfFour();
  trial.Start();
  EXPECT_EQ(trial.Hear('d', Failed{Outcome::Code::kCorrupt}), "QUORUM_NOT_MET 0/0");
}

TEST(MendExchange, IsPutOffWhileAnyNodeIsAway) {
  EXPECT_EQ(OfFour("d").Start(), "QUORUM_NOT_MET 0/0") << "it may keep the only other copy";
  Trial lost = OfFour();
  lost.Start();
  EXPECT_EQ(lost.Lose('c'), "QUORUM_NOT_MET 0/0");
  Trial lost_later = OfFour();
  lost_later.Start();
  lost_later.Hear('d', Nothing());
  EXPECT_EQ(lost_later.Lose('d'), "wake 5000") << "it has answered";
  EXPECT_EQ(lost_later.Lose('c'), "QUORUM_NOT_MET 0/0");
  Trial refused = OfFour();
  refused.Start();
  refused.Hear('d', Nothing());
  EXPECT_EQ(refused.Hear('c', Failed{Outcome::Code::kStorageFailed}), "QUORUM_NOT_MET 0/0");
  Trial late = OfFour();
  late.Start();
  EXPECT_EQ(late.At(5000).Wake(), "TIMED_OUT 0/0");
}

TEST(MendExchange, ASoleOwnerHasNobodyToAsk) {
  Trial trial(std::make_unique<MendExchange>(kItem, std::vector<NodeId>{NodeOf('a')}),
              {.owners = "a", .self = 'a'});
  EXPECT_EQ(trial.Start(), "QUORUM_NOT_MET 0/0");
}

}  // namespace
}  // namespace gyre
