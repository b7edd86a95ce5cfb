#include "replication/guest_exchange.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "replication/trial.h"

namespace gyre {
namespace {

const ItemKey kItem{PartitionId(3, 5), TableId(1), "key"};
const Dot kDot{ReplicaOf('g'), 1};
const WriteId kWrite{4, 2};

WriteRequest Put(int needed) {
  WriteRequest request;
  request.item = kItem;
  request.intent.value = "value";
  request.intent.write = kWrite;
  request.intent.attempt = kFirstAttempt;
  request.needed = needed;
  request.sloppy = true;
  request.explain = true;
  return request;
}

// Node z, which is no owner, with all owners lost.
Trial Guest(WriteRequest request) {
  return Trial(std::make_unique<GuestExchange>(std::move(request)),
               {.self = 'z', .unreachable = "abc"});
}

Record Holding(Dot dot) {
  Record record;
  AddVersion(&record, {dot, 0, "value"});
  return record;
}
FetchReply Keeps(Record record, std::vector<Minted> minted = {}) {
  return {{kItem, Share(std::move(record)), std::move(minted)}, {}};
}
MintOutcome Minted() {
  MintOutcome outcome;
  outcome.record = Holding(kDot);
  outcome.seen = {{}, kDot};
  outcome.minted = {{kDot, kWrite, kFirstAttempt}};
  return outcome;
}

TEST(GuestExchange, AWriteWithoutAContextReplacesNothingThatItMayBeOlderThan) {
  WriteRequest late = Put(2);
  Trial put = Guest(late);
  put.Start();
  put.StandIns("z");
  EXPECT_EQ(put.outcome().code, Outcome::Code::kQuorumNotMet) << "two copies need two nodes";
  Trial enough = Guest(late);
  enough.Start();
  enough.StandIns("zw");
  enough.Hear('z', Keeps({}));
  enough.Hear('w', Keeps({}));
  EXPECT_EQ(enough.effects().mint->mode, WriteMode::kBlind);
  late.intent.kind = WriteKind::kDelete;
  EXPECT_EQ(Guest(late).Start(), "QUORUM_NOT_MET 0/2");
  late.intent.context.emplace();
  EXPECT_EQ(Guest(late).Start(), "stand-ins?, wake 500") << "it replaces what it has seen";
}

TEST(GuestExchange, LooksAmongTheHintsThenMintsAndHasACopyKeptForEachOwner) {
  Trial trial = Guest(Put(2));
  EXPECT_EQ(trial.Start(), "stand-ins?, wake 500");
  EXPECT_EQ(trial.StandIns("wxyz"), "FetchHints>z, FetchHints>w, FetchHints>x, wake 500")
      << "here first";
  const Dot other{ReplicaOf('h'), 3};
  EXPECT_EQ(trial.Hear('z', Keeps({})), "wake 500");
  EXPECT_EQ(trial.Hear('w', Keeps(Holding(other), {{other, {9, 9}, 1}})), "wake 500");
  EXPECT_EQ(trial.Hear('x', Keeps({})), "guest, mint, wake 2000");
  EXPECT_EQ(trial.effects().guest->known, Holding(other));
  EXPECT_EQ(trial.effects().guest->explained.size(), 1u);
  EXPECT_EQ(trial.Minted(Minted()), "Hint>z, Hint>w, Hint>x, wake 2000");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('a'));
  EXPECT_TRUE(trial.sent<Hint>(0).ownerless);
  EXPECT_EQ(trial.sent<Hint>(2).owner, NodeOf('c'));
  EXPECT_EQ(trial.sent<Hint>(2).change.minted, Minted().minted);
  EXPECT_EQ(trial.Hear('z', HintReply{}), "wake 2000");
  EXPECT_EQ(trial.Hear('z', HintReply{}), "wake 2000") << "it counts once";
  EXPECT_EQ(trial.Hear('x', HintReply{}), "OK 2/2 stand-ins 2");
}

TEST(GuestExchange, WhatIsFoundIsKeptForAll) {
  Trial trial = Guest(Put(2));
  trial.Start();
  trial.StandIns("xz");
  trial.Hear('z', Keeps({}));
  EXPECT_EQ(trial.Hear('x', Keeps(Holding(kDot), Minted().minted)), "guest, mint, wake 2000");
  EXPECT_EQ(trial.effects().guest->explained, Minted().minted);
  MintOutcome known = Minted();
  known.kind = MintOutcome::Kind::kAlreadyKnown;
  EXPECT_EQ(trial.Minted(known), "Hint>z, Hint>x, wake 2000");
}

TEST(GuestExchange, NeedsAsManyNodesAsTheQuorum) {
  Trial trial = Guest(Put(2));
  trial.Start();
  EXPECT_EQ(trial.StandIns("z"), "QUORUM_NOT_MET 0/2");
}

TEST(GuestExchange, WhoDoesNotSayWhatItKeepsIsNotWaitedForLong) {
  Trial trial = Guest(Put(2));
  trial.Start();
  trial.StandIns("wxz");
  trial.Hear('z', Keeps({}));
  EXPECT_EQ(trial.Lose('w'), "wake 500");
  EXPECT_EQ(trial.At(500).Wake(), "guest, mint, wake 2000");
}

TEST(GuestExchange, AnotherKeepsWhatOneIsLostOrHasNoRoomFor) {
  Trial trial = Guest(Put(2));
  trial.Start();
  trial.StandIns("vwxyz");
  for (char node : {'z', 'v', 'w'}) trial.Hear(node, Keeps({}));
  EXPECT_EQ(trial.Minted(Minted()), "Hint>z, Hint>v, Hint>w, wake 2000");
  EXPECT_EQ(trial.Lose('v'), "Hint>x, wake 2000");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('b'));
  EXPECT_EQ(trial.Hear('w', Failed{Outcome::Code::kOverloaded}), "Hint>y, wake 2000");
  EXPECT_EQ(trial.Lose('x'), "wake 2000");
  EXPECT_EQ(trial.Lose('y'), "QUORUM_NOT_MET 0/2 unknown");
}

TEST(GuestExchange, TooManySiblingsAreRefusedWithWhatMendsThem) {
  Trial trial = Guest(Put(2));
  trial.Start();
  trial.StandIns("xz");
  trial.Hear('z', Keeps({}));
  trial.Hear('x', Keeps({}));
  MintOutcome refused;
  refused.kind = MintOutcome::Kind::kTooManySiblings;
  refused.seen = {VersionVector{kDot}, {}};
  EXPECT_EQ(trial.Minted(refused), "TOO_MANY_SIBLINGS 0/2");
  EXPECT_EQ(trial.outcome().context.vector, VersionVector{kDot});
}

TEST(GuestExchange, EndsAtItsDeadline) {
  Trial trial = Guest(Put(2));
  trial.Start();
  trial.StandIns("xz");
  trial.Hear('z', Keeps({}));
  trial.Hear('x', Keeps({}));
  trial.Minted(Minted());
  EXPECT_EQ(trial.At(2000).Wake(), "TIMED_OUT 0/2 unknown");
}

}  // namespace
}  // namespace gyre
