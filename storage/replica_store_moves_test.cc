// ReplicaStore and partitions that come and go.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/lone_owner.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

const PartitionId kPartition = LoneOwner::kPartition;
const PartitionId kNeighbour = LoneOwner::kNeighbour;
const ItemKey kItem = LoneOwner::Item("key");

TEST(ReplicaStoreMoves, WhatMovesHereIsToBeFilledOnceForEachMove) {
  LoneOwner owner(1);
  ReplicaStore& store = owner.store();
  store.BeginMove(kPartition, Epoch(7));
  EXPECT_TRUE(store.Filling(kPartition));
  EXPECT_FALSE(store.Filling(kNeighbour));
  store.EndFilling(kPartition);
  store.BeginMove(kPartition, Epoch(7));
  EXPECT_FALSE(store.Filling(kPartition)) << "it has been, for this one";
  EXPECT_EQ(store.MovedSince(kPartition), Epoch(7));
  store.BeginMove(kPartition, Epoch(9));
  EXPECT_TRUE(store.Filling(kPartition)) << "what came in between it does not have";
}

TEST(ReplicaStoreMoves, ForWhichMoveItIsFilledOutlastsARestart) {
  LoneOwner owner(1);
  owner.store().BeginMove(kPartition, Epoch(7));
  owner.CommitAll();
  owner.PowerCut(/*new_lives=*/false);
  EXPECT_TRUE(owner.store().Filling(kPartition));
  EXPECT_EQ(owner.store().MovedSince(kPartition), Epoch(7));
  owner.store().EndFilling(kPartition);
  owner.CommitAll();
  owner.Reopen(/*new_lives=*/false);
  EXPECT_FALSE(owner.store().Filling(kPartition));
  EXPECT_EQ(owner.store().MovedSince(kPartition), Epoch(7));
}

TEST(ReplicaStoreMoves, ThatNothingWasLostFillsNothingThatMovesHere) {
  LoneOwner owner(1, {.fill_what_is_new = true});
  owner.store().BeginMove(kPartition, Epoch(7));
  owner.store().EndAllFilling();
  EXPECT_FALSE(owner.store().Filling(kNeighbour));
  EXPECT_TRUE(owner.store().Filling(kPartition));
}

// Records, log, state and what expires: of the one all, of the other nothing goes.
// The document was lost with the rest: of the partitions that it names the node hears afterwards.
TEST(ReplicaStoreMoves, AfterALossWhatItHearsOfLaterIsFilledAsWell) {
  LoneOwner owner(1);
  owner.store().EndAllFilling();
  owner.store().BeginFilling();
  const PartitionId other(3, 77);
  ASSERT_TRUE(owner.store().Open({other}, /*new_lives=*/false).ok());
  EXPECT_TRUE(owner.store().Filling(other));
  owner.store().EndAllFilling();
  EXPECT_FALSE(owner.store().Filling(other));
}

TEST(ReplicaStoreMoves, OfWhatIsDroppedNothingIsLeft) {
  LoneOwner owner(1, {.cached_bytes = 1 << 20});
  LoneOwner other(2);
  WriteIntent fleeting;
  fleeting.value = "x";
  fleeting.expires_ms = 5000;
  owner.Mint(kItem, fleeting);
  owner.Mint({kNeighbour, TableId(1), "key"}, fleeting);
  other.Put("missed", "x");
  owner.Apply(LoneOwner::Item("remains"), other.Delete("remains"));
  ASSERT_EQ(owner.Entries(Family::kRecords).size(), 3u);
  ASSERT_EQ(owner.Entries(Family::kExpiry).size(), 2u);
  const size_t meta = owner.Entries(Family::kMeta).size();
  owner.store().Drop(kPartition);
  EXPECT_FALSE(owner.store().Owns(kPartition));
  EXPECT_TRUE(owner.store().dirty());
  owner.CommitAll();
  EXPECT_EQ(owner.Entries(Family::kRecords).size(), 1u);
  EXPECT_EQ(owner.Entries(Family::kDotLog).size(), 1u);
  EXPECT_EQ(owner.Entries(Family::kExpiry).size(), 1u);
  EXPECT_EQ(owner.Entries(Family::kMeta).size(), meta - 2) << "its state, and what remains";
  EXPECT_EQ(owner.store().expiry().Next()->partition, kNeighbour);
  EXPECT_EQ(owner.store().cache().figures().bytes > 0, true);
  owner.store().cache().ForEachClean(
      [](const RecordCache::Entry& kept) { EXPECT_EQ(kept.second.partition, kNeighbour); });
}

TEST(ReplicaStoreMoves, WhatGathersOrIsUnderWayAsItIsDroppedDoesNotComeBack) {
  LoneOwner owner(1, {.cached_bytes = 1 << 20});
  WriteIntent put;
  put.value = "x";
  owner.GatherMint(LoneOwner::Item("under-way"), put);
  const Commit under_way = owner.Begin();
  owner.GatherMint(LoneOwner::Item("under-way"), put);
  owner.GatherMint(LoneOwner::Item("gathering"), put);
  owner.store().Drop(kPartition);
  owner.End(under_way);
  owner.CommitAll();
  EXPECT_TRUE(owner.Entries(Family::kRecords).empty());
  EXPECT_TRUE(owner.Entries(Family::kDotLog).empty());
  EXPECT_EQ(owner.store().cache().figures().bytes, 0u);
}

// It comes back before the disk has forgotten it.
TEST(ReplicaStoreMoves, WhatComesBackAtOnceBeginsWithNothing) {
  LoneOwner owner(1, {.cached_bytes = 1 << 20});
  owner.Put("key", "old");
  owner.Put("other", "old");
  const ReplicaId before = owner.self();
  owner.store().Drop(kPartition);
  ASSERT_TRUE(owner.store().Open({kPartition}, /*new_lives=*/false).ok());
  owner.store().BeginMove(kPartition, Epoch(7));
  EXPECT_TRUE(owner.Values("key").empty());
  EXPECT_EQ(owner.clock(), PartitionClock());
  owner.Put("key", "new");
  EXPECT_NE(owner.self(), before) << "another life";
  EXPECT_EQ(owner.Values("key"), Strings{"new"});
  EXPECT_TRUE(owner.Values("other").empty());
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.Values("key"), Strings{"new"});
  EXPECT_EQ(owner.Entries(Family::kRecords).size(), 1u);
  EXPECT_TRUE(owner.store().Filling(kPartition));
}

// Else a retry would be told that its write is here, and others that they have its effect.
TEST(ReplicaStoreMoves, AWriteThatWasRememberedBeforeIsNotKnownWhenThePartitionComesBack) {
  LoneOwner owner(1);
  WriteIntent put;
  put.value = "x";
  put.write = {4, 2};
  put.attempt = 1;
  owner.Mint(kItem, put);
  ASSERT_NE(owner.store().FindWrite(kPartition, {4, 2}), nullptr);
  owner.store().Drop(kPartition);
  owner.CommitAll();
  ASSERT_TRUE(owner.store().Open({kPartition}, /*new_lives=*/false).ok());
  EXPECT_EQ(owner.store().FindWrite(kPartition, {4, 2}), nullptr);
  put.attempt = 2;
  EXPECT_EQ(owner.Mint(kItem, put).kind, MintOutcome::Kind::kMinted);
  EXPECT_EQ(owner.Values("key"), Strings{"x"});
}

TEST(ReplicaStoreMoves, WhatWasToBeDroppedAsTheProcessEndedIsDroppedAtTheNextStart) {
  LoneOwner owner(1);
  owner.Put("key", "x");
  WriteIntent put;
  put.value = "x";
  owner.Mint({kNeighbour, TableId(1), "key"}, put);
  // Another one that took little in since it had a state.
  const PartitionId third(3, 7);
  ASSERT_TRUE(owner.store().Open({third}, /*new_lives=*/false).ok());
  owner.Mint({third, TableId(1), "key"}, put);
  WriteBatch no_state;
  no_state.Erase(Family::kMeta, EncodeClockKey(third));
  ASSERT_TRUE(owner.engine().Write(no_state, WalSync::kYes).ok());
  ReplicaStore next(&owner.engine(), {}, Random(3));
  ASSERT_TRUE(next.Open({kNeighbour}, /*new_lives=*/false).ok());
  const auto of_other_shards = [](PartitionId) { return false; };
  ASSERT_TRUE(next.DropOthers(of_other_shards).ok());
  EXPECT_FALSE(next.dirty()) << "another shard's";
  ASSERT_TRUE(next.DropOthers([](PartitionId) { return true; }).ok());
  const Commit commit = next.TakeCommit();
  ASSERT_TRUE(owner.engine().Write(commit.batch, commit.sync).ok());
  EXPECT_EQ(owner.Entries(Family::kRecords).size(), 1u);
  EXPECT_EQ(owner.Entries(Family::kDotLog).size(), 1u);
}

}  // namespace
}  // namespace gyre
