#include "storage/replica_store.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "storage/lone_owner.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

using Kind = MintOutcome::Kind;
using Strings = std::vector<std::string>;

const PartitionId kPartition = LoneOwner::kPartition;
const ItemKey kItem = LoneOwner::Item("key");

WriteIntent PutOf(std::string value) {
  WriteIntent intent;
  intent.value = std::move(value);
  return intent;
}
WriteIntent PutOf(std::string value, VersionVector context) {
  WriteIntent intent = PutOf(std::move(value));
  intent.context = CausalContext{std::move(context), {}};
  return intent;
}
WriteIntent Blind(std::string value) {
  WriteIntent intent = PutOf(std::move(value));
  intent.mode = WriteMode::kBlind;
  return intent;
}
WriteIntent Protected(std::string value, uint32_t attempt) {
  WriteIntent intent = Blind(std::move(value));
  intent.write = {42, 1};
  intent.attempt = attempt;
  return intent;
}
WriteIntent Periodic(std::string value) {
  WriteIntent intent = PutOf(std::move(value));
  intent.durability = Durability::kPeriodic;
  return intent;
}
Strings Sorted(Strings values) {
  std::sort(values.begin(), values.end());
  return values;
}
Dot DotOf(const MintOutcome& outcome) { return outcome.minted.back().dot; }

// ---- minting

TEST(ReplicaStore, APartitionThatIsToBeFilledStaysSoWhateverCameSince) {
  LoneOwner other(2);
  LoneOwner owner(1, {.fill_what_is_new = true});
  ASSERT_TRUE(owner.store().Filling(kPartition));
  owner.Apply(kItem, other.Put("key", "live"));  // which need not write the state
  owner.Reopen(/*new_lives=*/false);
  EXPECT_TRUE(owner.store().Filling(kPartition));
  owner.store().EndFilling(kPartition);
  owner.CommitAll();
  owner.Reopen(/*new_lives=*/false);
  EXPECT_FALSE(owner.store().Filling(kPartition));
}

TEST(ReplicaStore, WhatIsRestoredIsNotHeldAgainstTheClockThatHasSeenIt) {
  LoneOwner owner(1);
  const MintOutcome put = owner.Put("key", "value");
  ASSERT_TRUE(owner.clock().Contains(put.minted.back().dot));
  // What the others have is what this owner once minted.
  owner.store().Restore(kItem, put.record, put.minted);
  owner.CommitAll();
  EXPECT_EQ(owner.Values("key"), std::vector<std::string>{"value"});
}

// Two attempts of a write were minted, and each of those that are asked has heard of one.
TEST(ReplicaStore, WhatIsRestoredHoldsOneWriteOnce) {
  LoneOwner owner(1);
  Record found;
  const Minted first{{ReplicaId(7), 1}, {5, 5}, 1};
  const Minted second{{ReplicaId(8), 1}, {5, 5}, 2};
  AddVersion(&found, {first.dot, 0, "value"});
  AddVersion(&found, {second.dot, 0, "value"});
  owner.store().Restore(kItem, found, std::vector<Minted>{first, second});
  owner.CommitAll();
  EXPECT_EQ(owner.Values("key"), std::vector<std::string>{"value"});
}

TEST(ReplicaStore, MintsCountersInOrderUnderOneReplicaId) {
  LoneOwner owner(1);
  const Dot first = DotOf(owner.Put("a", "1"));
  const Dot second = DotOf(owner.Put("b", "2"));
  const Dot third = DotOf(owner.Delete("a"));
  EXPECT_NE(first.replica, ReplicaId());
  EXPECT_EQ(second, (Dot{first.replica, 2}));
  EXPECT_EQ(third, (Dot{first.replica, 3}));
  EXPECT_EQ(owner.clock().Base(first.replica), 3u);
}

TEST(ReplicaStore, EachPartitionAndEachOwnerMintsUnderAnIdOfItsOwn) {
  LoneOwner owner(1), other(2);
  const Dot here = DotOf(owner.Put("a", "1"));
  const Dot beside = DotOf(owner.Mint({LoneOwner::kNeighbour, TableId(1), "a"}, PutOf("1")));
  const Dot there = DotOf(other.Put("a", "1"));
  EXPECT_NE(here.replica, beside.replica);
  EXPECT_NE(here.replica, there.replica);
  EXPECT_EQ(beside.counter, 1u);
}

TEST(ReplicaStore, AWriteIsOneBatchOfRecordAndLogAndTheFirstOfALifeWritesTheState) {
  LoneOwner owner(1);
  const Dot dot = DotOf(owner.GatherMint(kItem, PutOf("value")));
  const Commit commit = owner.Begin();
  ASSERT_EQ(commit.batch.changes().size(), 3u);
  std::vector<std::pair<Family, std::string>> keys;
  for (const WriteBatch::Change& change : commit.batch.changes()) {
    EXPECT_EQ(change.kind, WriteBatch::Kind::kPut);
    keys.emplace_back(change.family, change.key);
  }
  const std::vector<std::pair<Family, std::string>> expected = {
      {Family::kDotLog, EncodeLogKey(kPartition, dot)},
      {Family::kRecords, EncodeItemKey(kItem)},
      {Family::kMeta, EncodeClockKey(kPartition)}};
  EXPECT_EQ(keys, expected);
  owner.End(commit);
  owner.GatherMint(kItem, PutOf("again"));
  EXPECT_EQ(owner.Begin().batch.changes().size(), 2u);
}

TEST(ReplicaStore, WritesTheStateAgainBeforeTheLogBesideItGrowsLong) {
  LoneOwner owner(1);
  for (int i = 0; i < 1000; ++i) owner.Put("key", "x");
  const auto written =
      DecodePartitionState(*owner.engine().Get(Family::kMeta, EncodeClockKey(kPartition)));
  ASSERT_TRUE(written.ok());
  EXPECT_GT(written->clock.Base(owner.self()), 800u);
  EXPECT_LT(written->clock.Base(owner.self()), 1000u) << "not with every write";
}

TEST(ReplicaStore, APutWithAContextReplacesWhatItCoversAndOnlyThat) {
  LoneOwner owner(1);
  const Dot milk = DotOf(owner.Put("key", "milk"));
  owner.Mint(kItem, Blind("bread"));
  owner.Mint(kItem, PutOf("cream", {milk}));
  EXPECT_EQ(owner.Values("key"), (Strings{"bread", "cream"}));
}

TEST(ReplicaStore, TheContextOfAWriteCoversItAndNoSiblingThatItLeftStanding) {
  LoneOwner owner(1);
  const CausalContext before = owner.Put("key", "milk").seen;
  const auto mint = [&](std::string value, const CausalContext& context) {
    WriteIntent intent = PutOf(std::move(value));
    intent.context = context;
    return owner.Mint(kItem, std::move(intent)).seen;
  };
  const CausalContext bread = mint("bread", before);
  const CausalContext cream = mint("cream", before);
  EXPECT_EQ(owner.Values("key"), (Strings{"bread", "cream"}));
  const CausalContext butter = mint("butter", cream);
  EXPECT_EQ(owner.Values("key"), (Strings{"bread", "butter"})) << "the bread was never seen";
  mint("rolls", bread);
  EXPECT_EQ(owner.Values("key"), (Strings{"butter", "rolls"}));
  mint("jam", butter);
  EXPECT_EQ(owner.Values("key"), (Strings{"rolls", "jam"}));
}

TEST(ReplicaStore, TheContextOfARetryIsThatOfTheWrite) {
  LoneOwner owner(1);
  owner.Mint(kItem, Blind("milk"));
  const CausalContext first = owner.Mint(kItem, Protected("bread", 1)).seen;
  const MintOutcome again = owner.Mint(kItem, Protected("bread", 2));
  EXPECT_EQ(again.kind, Kind::kAlreadyKnown);
  EXPECT_EQ(again.seen, first);
  owner.Mint(kItem, Blind("butter"));
  WriteIntent last = PutOf("jam");
  last.context = owner.Mint(kItem, Protected("bread", 3)).seen;
  owner.Mint(kItem, std::move(last));
  EXPECT_EQ(owner.Values("key"), (Strings{"milk", "butter", "jam"}));
}

TEST(ReplicaStore, AnotherOwnerHonoursTheContextOfAWriteThatItHas) {
  LoneOwner minter(1), other(2);
  minter.Mint(kItem, Blind("milk"));
  const MintOutcome bread = minter.Mint(kItem, Blind("bread"));
  WriteIntent put = PutOf("rolls");
  put.context = bread.seen;
  ASSERT_TRUE(put.context->has_beside());
  LoneOwner behind(3);
  other.Apply(kItem, bread);
  other.Mint(kItem, put);
  EXPECT_EQ(Sorted(other.Values("key")), (Strings{"milk", "rolls"}));
  const MintOutcome rolls = behind.Mint(kItem, put);
  behind.Apply(kItem, bread);
  EXPECT_EQ(Sorted(behind.Values("key")), (Strings{"bread", "milk", "rolls"}))
      << "an owner that has not got the write cannot say that it is gone, and loses nothing";
  minter.Apply(kItem, rolls);
  EXPECT_EQ(Sorted(minter.Values("key")), (Strings{"bread", "milk", "rolls"}));
}

TEST(ReplicaStore, AWriteWithoutAKeyIsMintedAsNoAttempt) {
  LoneOwner owner(1);
  WriteIntent put = PutOf("x");
  put.attempt = 7;
  const MintOutcome outcome = owner.Mint(kItem, std::move(put));
  ASSERT_EQ(outcome.minted.size(), 1u);
  EXPECT_EQ(outcome.minted[0].attempt, 0u);
  EXPECT_TRUE(DecodeMinted(EncodeMinted(outcome.minted[0])).ok());
}

TEST(ReplicaStore, NothingOfAnErasedTableIsLeftToSettle) {
  LoneOwner owner(1);
  Record record;
  AddVersion(&record, {{ReplicaId(77), 2}, 0, "x"});
  owner.store().Apply(kItem, {}, record, {{{ReplicaId(77), 2}, {}, 0}}, Durability::kFsync);
  owner.CommitAll();
  owner.store().EraseTable(kPartition, kItem.table);
  owner.CommitAll();
  owner.store().JoinBases(kPartition, {{ReplicaId(77), 2}});
  EXPECT_TRUE(owner.store().Settleable(kPartition, 10).empty());
}

TEST(ReplicaStore, APutWithAnEmptyContextReplacesNothing) {
  LoneOwner owner(1);
  owner.Put("key", "milk");
  owner.Mint(kItem, PutOf("bread", VersionVector()));
  EXPECT_EQ(owner.Values("key"), (Strings{"milk", "bread"}));
}

TEST(ReplicaStore, APutWithoutAContextReplacesWhatItsOwnerKnows) {
  LoneOwner owner(1);
  owner.Put("key", "milk");
  owner.Mint(kItem, Blind("bread"));
  owner.Put("key", "cream");
  EXPECT_EQ(owner.Values("key"), Strings{"cream"});
}

TEST(ReplicaStore, ABlindPutReplacesNothing) {
  LoneOwner owner(1);
  owner.Put("key", "milk");
  owner.Mint(kItem, Blind("bread"));
  EXPECT_EQ(owner.Values("key"), (Strings{"milk", "bread"}));
}

TEST(ReplicaStore, ADeleteWithAContextLeavesWhatIsConcurrent) {
  LoneOwner owner(1);
  const Dot milk = DotOf(owner.Put("key", "milk"));
  owner.Mint(kItem, Blind("bread"));
  WriteIntent erase;
  erase.kind = WriteKind::kDelete;
  erase.context = CausalContext{{milk}, {}};
  owner.Mint(kItem, erase);
  EXPECT_EQ(owner.Values("key"), Strings{"bread"});
}

TEST(ReplicaStore, TheOutcomeIsFilledAndNamesTheDotOfEveryVersion) {
  LoneOwner owner(1);
  const Dot elsewhere = DotOf(owner.Put("other", "x"));
  const MintOutcome first = owner.Mint(kItem, Protected("milk", 3));
  const MintOutcome second = owner.Mint(kItem, Blind("bread"));
  EXPECT_TRUE(second.record.context.CoversAll({elsewhere, DotOf(first), DotOf(second)}));
  const std::vector<Minted> expected = {{DotOf(first), {42, 1}, 3}, {DotOf(second), {}, 0}};
  EXPECT_EQ(second.minted, expected);
}

TEST(ReplicaStore, ADeleteNamesItsOwnDotThoughNoVersionBearsIt) {
  LoneOwner owner(1);
  owner.Put("key", "milk");
  const MintOutcome gone = owner.Delete("key");
  ASSERT_EQ(gone.minted.size(), 1u);
  EXPECT_EQ(gone.minted[0].dot, (Dot{owner.self(), 2}));
  EXPECT_TRUE(gone.record.context.Covers({owner.self(), 2}));
}

TEST(ReplicaStore, TooManySiblingsChangeNothingAndAnswerTheContextThatMendsThem) {
  LoneOwner owner(1, {.limits = {.max_siblings = 2}, .remembered_writes = 10});
  owner.Mint(kItem, Blind("a"));
  owner.Mint(kItem, Blind("b"));
  const MintOutcome refused = owner.Mint(kItem, Blind("c"));
  EXPECT_EQ(refused.kind, Kind::kTooManySiblings);
  EXPECT_EQ(owner.Values("key"), (Strings{"a", "b"}));
  EXPECT_EQ(owner.clock().Base(owner.self()), 2u);
  EXPECT_EQ(owner.Mint(kItem, PutOf("c", refused.record.context)).kind, Kind::kMinted);
  EXPECT_EQ(owner.Values("key"), Strings{"c"});
}

TEST(ReplicaStore, SiblingsThatAreTooLargeTogetherAreTooMany) {
  LoneOwner owner(1, {.limits = {.max_record_bytes = 10}, .remembered_writes = 10});
  EXPECT_EQ(owner.Mint(kItem, Blind("a value over ten bytes")).kind, Kind::kMinted)
      << "alone, its own limit is enough";
  owner.Mint(kItem, PutOf("four"));
  EXPECT_EQ(owner.Mint(kItem, Blind("sixsix")).kind, Kind::kMinted);
  const MintOutcome refused = owner.Mint(kItem, Blind("1"));
  EXPECT_EQ(refused.kind, Kind::kTooManySiblings);
  EXPECT_EQ(owner.Values("key"), (Strings{"four", "sixsix"}));
  EXPECT_EQ(owner.Mint(kItem, PutOf("merged", refused.record.context)).kind, Kind::kMinted);
  EXPECT_EQ(owner.Values("key"), Strings{"merged"});
}

TEST(ReplicaStore, ADeleteIsTakenHoweverManySiblingsThereAre) {
  LoneOwner owner(1, {.limits = {.max_siblings = 1}, .remembered_writes = 10});
  owner.Mint(kItem, Blind("a"));
  EXPECT_EQ(owner.Delete("key").kind, Kind::kMinted);
  EXPECT_EQ(owner.Values("key"), Strings{});
}

TEST(ReplicaStore, ALastWriteWinsPutIsStampedAboveAllThatItSawWhateverTheClockSays) {
  LoneOwner owner(1);
  WriteIntent intent = Blind("first");
  intent.conflict = ConflictPolicy::kLastWriteWins;
  const uint64_t first = owner.Mint(kItem, intent, /*wall_ms=*/5000).record.versions[0].stamp;
  intent.value = "second";
  const MintOutcome second = owner.Mint(kItem, intent, /*wall_ms=*/10);
  EXPECT_EQ(first, uint64_t{5000} << 16);
  ASSERT_EQ(second.record.versions.size(), 1u) << "it replaces what its owner knows";
  EXPECT_GT(second.record.versions[0].stamp, first);
}

// ---- applying

TEST(ReplicaStore, ConcurrentWritesOfTwoOwnersStandTogetherAtBoth) {
  LoneOwner a(1), b(2);
  const MintOutcome milk = a.Put("key", "milk");
  const MintOutcome bread = b.Put("key", "bread");
  a.Apply(kItem, bread);
  b.Apply(kItem, milk);
  EXPECT_EQ(a.Stored(kItem).versions, b.Stored(kItem).versions);
  EXPECT_EQ(a.Values("key").size(), 2u);
  EXPECT_EQ(a.clock(), b.clock());
}

TEST(ReplicaStore, ApplyingTwiceIsApplyingOnce) {
  LoneOwner a(1), b(2);
  const MintOutcome milk = a.Put("key", "milk");
  b.Apply(kItem, milk);
  const auto records = b.Entries(Family::kRecords);
  const auto log = b.Entries(Family::kDotLog);
  b.Apply(kItem, milk);
  EXPECT_EQ(b.Entries(Family::kRecords), records);
  EXPECT_EQ(b.Entries(Family::kDotLog), log);
}

TEST(ReplicaStore, ALateCopyOfAnOverwrittenVersionDoesNotComeBack) {
  LoneOwner a(1), b(2);
  const MintOutcome milk = a.Put("key", "milk");
  const MintOutcome cream = a.Put("key", "cream");
  b.Apply(kItem, cream);
  b.Apply(kItem, milk);
  EXPECT_EQ(b.Values("key"), Strings{"cream"});
}

TEST(ReplicaStore, ALateCopyOfADeletedVersionDoesNotComeBackThoughNothingIsStored) {
  LoneOwner a(1), b(2);
  const MintOutcome milk = a.Put("key", "milk");
  const MintOutcome gone = a.Delete("key");
  b.Apply(kItem, milk);
  b.Apply(kItem, gone);
  ASSERT_TRUE(b.Entries(Family::kRecords).empty());
  b.Apply(kItem, milk);
  EXPECT_EQ(b.Values("key"), Strings{});
  EXPECT_TRUE(b.Entries(Family::kRecords).empty());
}

TEST(ReplicaStore, AVersionThatTheSenderSawDeletedIsDroppedByAnOwnerThatStillHasIt) {
  LoneOwner a(1), b(2);
  b.Apply(kItem, a.Put("key", "milk"));
  b.Apply(kItem, a.Delete("key"));
  EXPECT_EQ(b.Values("key"), Strings{});
}

TEST(ReplicaStore, AnAppliedDotIsLoggedWithItsWrite) {
  LoneOwner a(1), b(2);
  const MintOutcome milk = a.Mint(kItem, Protected("milk", 3));
  b.Apply(kItem, milk);
  EXPECT_TRUE(b.clock().Contains(DotOf(milk)));
  const auto log = b.Entries(Family::kDotLog);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].first, EncodeLogKey(kPartition, DotOf(milk)));
  const auto entry = DecodeLogEntry(log[0].second);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->key, "key");
  EXPECT_EQ(entry->write, (WriteId{42, 1}));
  EXPECT_EQ(entry->attempt, 3u);
}

// ---- what is stored

TEST(ReplicaStore, RecordsAreStoredStrippedAndReadFilled) {
  LoneOwner owner(1);
  owner.Put("other", "x");
  owner.Put("key", "value");
  EXPECT_TRUE(owner.Stored(kItem).context.empty());
  EXPECT_EQ(owner.Filled(kItem).context, owner.clock().Bases());
}

TEST(ReplicaStore, SettledMetadataTakesAtMost24BytesBesideKeyAndValue) {
  LoneOwner a(1), b(2);
  const std::string key = "a key of some length", value = "a value";
  for (int i = 0; i < 500; ++i) b.Apply(LoneOwner::Item(key), a.Put(key, value));
  for (LoneOwner* owner : {&a, &b}) {
    const auto records = owner->Entries(Family::kRecords);
    ASSERT_EQ(records.size(), 1u);
    const size_t stored_bytes = records[0].first.size() + records[0].second.size();
    EXPECT_LE(stored_bytes - key.size() - value.size(), 24u);
  }
}

TEST(ReplicaStore, SettledMetadataTakesAtMost24BytesHoweverManyDotsWereMinted) {
  Record settled;
  settled.versions = {{{ReplicaId(std::numeric_limits<uint64_t>::max()), kMaxCounter - 1}, 0, ""}};
  EXPECT_LE(kItemPrefixBytes + EncodeRecord(settled).size(), 24u);
}

TEST(ReplicaStore, AnErasedRecordLeavesNoKey) {
  LoneOwner a(1), b(2);
  b.Apply(kItem, a.Put("key", "milk"));
  b.Apply(kItem, a.Delete("key"));
  EXPECT_TRUE(a.Entries(Family::kRecords).empty());
  EXPECT_TRUE(b.Entries(Family::kRecords).empty());
}

TEST(ReplicaStore, ADeleteAboveAHoleIsKeptUntilTheBaseCoversIt) {
  LoneOwner a(1), b(2);
  const MintOutcome missed = a.Put("other", "x");
  const MintOutcome milk = a.Put("key", "milk");
  const MintOutcome gone = a.Delete("key");
  b.Apply(kItem, gone);
  EXPECT_EQ(b.Entries(Family::kRecords).size(), 1u) << "the clock alone does not say so yet";
  b.Apply(kItem, milk);
  EXPECT_EQ(b.Values("key"), Strings{}) << "the late copy of what was deleted";
  b.Apply(LoneOwner::Item("other"), missed);
  EXPECT_EQ(b.clock().Base(a.self()), 3u);
  b.Apply(kItem, gone);
  EXPECT_EQ(b.Entries(Family::kRecords).size(), 1u) << "only the other item is left";
}

TEST(ReplicaStore, ARecordThatWasStoredBehindABaseSettlesOnceTheBaseHasCaughtUp) {
  LoneOwner a(1), b(2);
  const MintOutcome missed = a.Put("missed", "x");
  const MintOutcome milk = a.Put("key", "milk");
  const MintOutcome gone = a.Delete("gone");
  b.Apply(kItem, milk);
  b.Apply(LoneOwner::Item("gone"), gone);
  EXPECT_EQ(b.Entries(Family::kRecords).size(), 2u);
  EXPECT_TRUE(b.store().Settleable(kPartition, 10).empty()) << "the base is still behind";
  b.Apply(LoneOwner::Item("missed"), missed);
  const std::vector<ItemKey> ready = b.store().Settleable(kPartition, 10);
  EXPECT_EQ(ready, (std::vector<ItemKey>{LoneOwner::Item("gone"), kItem}));
  for (const ItemKey& item : ready) b.store().Settle(item, b.Stored(item));
  b.CommitAll();
  EXPECT_EQ(b.Entries(Family::kRecords).size(), 2u) << "milk and what was missed";
  EXPECT_TRUE(b.Stored(kItem).context.empty());
  EXPECT_EQ(b.Values("key"), Strings{"milk"});
  EXPECT_TRUE(b.store().Settleable(kPartition, 10).empty());
}

// A dot that a client saw and a power cut took from its minter stays above every base.
TEST(ReplicaStore, WhatNoBaseWillEverCoverDoesNotKeepTheRestOfAContextFromSettling) {
  LoneOwner a(1), b(2);
  const MintOutcome missed = a.Put("missed", "x");
  MintOutcome milk = a.Put("key", "milk");
  const Dot lost{ReplicaId(77), 8};
  milk.record.context.RaiseTo(lost);
  b.Apply(kItem, milk);
  b.Apply(LoneOwner::Item("missed"), missed);
  ASSERT_EQ(b.store().Settleable(kPartition, 10), std::vector<ItemKey>{kItem});
  b.store().Settle(kItem, b.Stored(kItem));
  b.CommitAll();
  EXPECT_EQ(b.Stored(kItem).context, VersionVector{lost});
  EXPECT_TRUE(b.store().Settleable(kPartition, 10).empty()) << "once for each base that catches up";
}

// b hears of a's delete before the put: what is left of the item is a context, which must go when
// the put has come, also where b has been started anew in between.
TEST(ReplicaStore, WhatIsLeftOfADeletedItemSettlesAfterARestartToo) {
  LoneOwner a(1), b(2);
  const MintOutcome other = a.Put("other", "x");
  const MintOutcome put = a.Put("key", "x");
  const MintOutcome deleted = a.Delete("key");
  b.Apply(kItem, deleted);
  EXPECT_EQ(b.Entries(Family::kRecords).size(), 1u) << "it covers what b has not seen";
  b.Reopen(/*new_lives=*/false);
  b.Apply(LoneOwner::Item("other"), other);
  b.store().JoinBases(kPartition, a.clock().Bases());
  ASSERT_EQ(b.store().Settleable(kPartition, 10), std::vector<ItemKey>{kItem});
  b.store().Settle(kItem, b.Stored(kItem));
  b.CommitAll();
  EXPECT_EQ(b.Entries(Family::kRecords).size(), 1u) << "the other one";
  b.Reopen(/*new_lives=*/false);
  EXPECT_TRUE(b.store().Settleable(kPartition, 10).empty());
  for (const auto& [key, value] : b.Entries(Family::kMeta)) {
    EXPECT_FALSE(DecodeRemainsKey(key).has_value());
  }
}

TEST(ReplicaStore, WhatIsLeftOfADeletedItemIsForgottenWhenItIsPutAnewOrItsTableDropped) {
  LoneOwner a(1), b(2);
  a.Put("key", "x");
  const MintOutcome deleted = a.Delete("key");
  const auto remains = [&] {
    size_t count = 0;
    for (const auto& [key, value] : b.Entries(Family::kMeta))
      count += DecodeRemainsKey(key) ? 1 : 0;
    return count;
  };
  b.Apply(kItem, deleted);
  EXPECT_EQ(remains(), 1u);
  b.Put("key", "y");
  EXPECT_EQ(remains(), 0u);
  b.Delete("key");
  EXPECT_EQ(remains(), 1u);
  b.store().EraseTable(kPartition, kItem.table);
  b.CommitAll();
  EXPECT_EQ(remains(), 0u);
}

TEST(ReplicaStore, SettlingWhatIsSettledWritesNothing) {
  LoneOwner owner(1);
  owner.Put("key", "milk");
  owner.store().Settle(kItem, owner.Stored(kItem));
  EXPECT_FALSE(owner.store().dirty());
}

TEST(ReplicaStore, RemembersOnlySoManyUnsettledItemsAndNamesOnlySoManyAtOnce) {
  LoneOwner a(1);
  LoneOwner b(2, {.limits = {.max_siblings = 64}, .remembered_writes = 10, .unsettled_items = 3});
  const MintOutcome missed = a.Put("missed", "x");
  for (int i = 0; i < 5; ++i) {
    const std::string key = "key-" + std::to_string(i);
    b.Apply(LoneOwner::Item(key), a.Put(key, "x"));
  }
  b.Apply(LoneOwner::Item("missed"), missed);
  EXPECT_EQ(b.store().Settleable(kPartition, 10).size(), 3u);
  EXPECT_EQ(b.store().Settleable(kPartition, 2).size(), 2u);
}

TEST(ReplicaStore, NothingOfATableThatIsNoMoreIsLeft) {
  LoneOwner owner(1);
  const ItemKey other{kPartition, TableId(2), "key"};
  const ItemKey beside{LoneOwner::kNeighbour, TableId(1), "key"};
  owner.Put("key", "durable");
  owner.Mint(other, PutOf("stays"));
  owner.Mint(beside, PutOf("stays"));
  owner.GatherMint(LoneOwner::Item("gathering"), PutOf("x"));
  const PartitionClock before = owner.clock();
  owner.store().EraseTable(kPartition, TableId(1));
  owner.CommitAll();
  EXPECT_EQ(owner.Entries(Family::kRecords).size(), 2u);
  EXPECT_TRUE(owner.Stored(kItem).versions.empty());
  EXPECT_EQ(owner.Stored(other).versions.size(), 1u);
  EXPECT_EQ(owner.clock(), before);
}

TEST(ReplicaStore, ErasesAtAStartWhatWasDroppedMeanwhile) {
  LoneOwner owner(1);
  for (uint16_t table : {1, 2, 3, 7}) {
    owner.Mint({kPartition, TableId(table), "a"}, PutOf("x"));
    owner.Mint({LoneOwner::kNeighbour, TableId(table), "b"}, PutOf("x"));
  }
  owner.Reopen(/*new_lives=*/false);
  ASSERT_TRUE(owner.store().EraseTablesBut([](TableId id) { return id.value() % 2 == 0; }).ok());
  owner.CommitAll();
  std::vector<uint16_t> left;
  for (const auto& [key, value] : owner.Entries(Family::kRecords)) {
    left.push_back(DecodeItemKey(key)->table.value());
  }
  EXPECT_EQ(left, (std::vector<uint16_t>{2, 2}));
}

TEST(ReplicaStore, StartsThoughTheFirstRecordOfAPartitionIsDamaged) {
  LoneOwner owner(1);
  for (uint16_t table : {1, 2}) {
    owner.Mint({kPartition, TableId(table), "a"}, PutOf("x"));
    owner.Mint({LoneOwner::kNeighbour, TableId(table), "b"}, PutOf("x"));
  }
  const ItemKey damaged{kPartition, TableId(1), "a"};
  ASSERT_TRUE(owner.engine().Damage(Family::kRecords, EncodeItemKey(damaged)));
  owner.Reopen(/*new_lives=*/false);
  EXPECT_TRUE(owner.store().EraseTablesBut([](TableId id) { return id.value() == 1; }).ok());
  owner.CommitAll();
  EXPECT_TRUE(owner.Stored({LoneOwner::kNeighbour, TableId(2), "b"}).versions.empty());
}

TEST(ReplicaStore, AmendsARecordWithItsMomentsOfExpiry) {
  LoneOwner owner(1);
  WriteIntent intent = PutOf("x");
  intent.expires_ms = 70'000;
  owner.Mint(kItem, intent);
  Record amended = owner.Filled(kItem);
  amended.versions.front().expires_ms = 80'000;
  owner.store().Amend(kItem, owner.Stored(kItem), amended, {});
  owner.CommitAll();
  EXPECT_EQ(owner.Stored(kItem).versions.front().expires_ms, 80'000u);
  const auto entries = owner.Entries(Family::kExpiry);
  ASSERT_EQ(entries.size(), 1u) << "the old moment's is gone";
  EXPECT_EQ(DecodeExpiryKey(entries.front().first)->expires_ms, 80'000u);
  owner.PowerCut(/*new_lives=*/false);
  EXPECT_EQ(owner.Stored(kItem).versions.front().expires_ms, 80'000u) << "synced";
}

// ---- lives

TEST(ReplicaStore, DotsContinueAfterAReopen) {
  LoneOwner owner(1);
  const Dot last = DotOf(owner.Put("a", "1"));
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(DotOf(owner.Put("b", "2")), (Dot{last.replica, last.counter + 1}));
  EXPECT_EQ(owner.Values("a"), Strings{"1"});
}

TEST(ReplicaStore, AnUncleanStopOfPeriodicTablesTakesANewLife) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("a"), Periodic("1"));
  const ReplicaId before = owner.self();
  owner.PowerCut(/*new_lives=*/true);
  const Dot after = DotOf(owner.Put("b", "2"));
  EXPECT_NE(after.replica, before);
  EXPECT_EQ(after.counter, 1u);
}

TEST(ReplicaStore, ANewLifeKeepsWhatIsThere) {
  LoneOwner owner(1);
  const Dot before = DotOf(owner.Put("a", "1"));
  owner.Reopen(/*new_lives=*/true);
  EXPECT_EQ(owner.Values("a"), Strings{"1"});
  EXPECT_TRUE(owner.clock().Contains(before));
}

TEST(ReplicaStore, ANewLifeIsNotForgottenWhenTheNextStopIsCleanAndNothingWasWrittenBetween) {
  LoneOwner owner(1);
  const ReplicaId before = DotOf(owner.Put("a", "1")).replica;
  owner.Reopen(/*new_lives=*/true);
  if (owner.store().dirty()) owner.CommitAll();
  owner.Reopen(/*new_lives=*/false);
  EXPECT_NE(DotOf(owner.Put("b", "2")).replica, before);
}

TEST(ReplicaStore, ALifeIsInheritedUntilThisProcessBeginsOne) {
  LoneOwner owner(1);
  const ReplicaId before = DotOf(owner.Put("a", "1")).replica;
  EXPECT_FALSE(owner.store().Inherited(kPartition));
  owner.Reopen(/*new_lives=*/false);
  EXPECT_TRUE(owner.store().Inherited(kPartition));
  owner.store().StartLife(kPartition);
  EXPECT_FALSE(owner.store().Inherited(kPartition));
  EXPECT_NE(owner.self(), before);
}

TEST(ReplicaStore, EndsTheLivesThatItInheritedAndNoOthersForGood) {
  LoneOwner owner(1);
  const ItemKey beside{LoneOwner::kNeighbour, TableId(1), "a"};
  const ReplicaId before = DotOf(owner.Put("a", "1")).replica;
  owner.Reopen(/*new_lives=*/false);
  const ReplicaId of_this_process = DotOf(owner.Mint(beside, PutOf("1"))).replica;
  owner.store().EndInheritedLives();
  const ReplicaId after = owner.self();
  EXPECT_NE(after, before);
  EXPECT_EQ(DotOf(owner.Mint(beside, PutOf("2"))).replica, of_this_process);
  owner.store().EndInheritedLives();
  EXPECT_EQ(owner.self(), after) << "once is enough";
  owner.CommitAll();
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.self(), after) << "and it lasts";
}

TEST(ReplicaStore, AStoreThatLostItsDataTakesANewIdentity) {
  LoneOwner owner(1), wiped(2);
  const Dot before = DotOf(owner.Put("a", "1"));
  EXPECT_NE(DotOf(wiped.Put("a", "1")).replica, before.replica);
}

// What the world knows of this owner that it does not know itself.
VersionVector Ahead(const LoneOwner& owner) { return {{owner.self(), 9}}; }

TEST(ReplicaStore, AForgetfulStoreTakesANewLifeWhenAClientsContextTellsIt) {
  LoneOwner owner(1);
  const ReplicaId before = DotOf(owner.Put("key", "1")).replica;
  const Dot dot = DotOf(owner.Mint(kItem, PutOf("2", Ahead(owner))));
  EXPECT_NE(dot.replica, before);
  EXPECT_EQ(dot.counter, 1u);
}

TEST(ReplicaStore, AForgetfulStoreTakesANewLifeWhenAPeersRecordTellsIt) {
  LoneOwner owner(1);
  const ReplicaId before = DotOf(owner.Put("key", "1")).replica;
  MintOutcome told;
  told.record.context = Ahead(owner);
  owner.Apply(kItem, told);
  EXPECT_NE(DotOf(owner.Put("key", "2")).replica, before);
}

TEST(ReplicaStore, AForgetfulStoreTakesANewLifeWhenAPeersBasesTellIt) {
  LoneOwner owner(1);
  const ReplicaId before = DotOf(owner.Put("key", "1")).replica;
  owner.store().JoinBases(kPartition, Ahead(owner));
  EXPECT_NE(DotOf(owner.Put("key", "2")).replica, before);
}

TEST(ReplicaStore, AForgetfulStoreTakesANewLifeWhenAPeersClockTellsIt) {
  LoneOwner owner(1);
  const ReplicaId before = DotOf(owner.Put("key", "1")).replica;
  PartitionClock theirs;
  theirs.Add({before, 9});
  owner.store().NoteSeen(kPartition, theirs);
  EXPECT_NE(DotOf(owner.Put("key", "2")).replica, before);
}

TEST(ReplicaStore, AForgetfulStoreTakesANewLifeWhenADotOfItsOwnComesBackToIt) {
  LoneOwner owner(1);
  const Dot first = DotOf(owner.Put("key", "1"));
  const Dot forgotten{first.replica, first.counter + 1};
  MintOutcome told;
  told.minted = {{forgotten, {}, 0}};
  owner.Apply(kItem, told);
  EXPECT_NE(DotOf(owner.Put("key", "2")).replica, first.replica) << "or it would mint it again";
}

TEST(ReplicaStore, WhatAPeerHasOfItAndItHasItselfIsNoReasonForANewLife) {
  LoneOwner a(1), b(2);
  const MintOutcome milk = a.Put("key", "milk");
  b.Apply(kItem, milk);
  a.Apply(kItem, b.Put("key", "cream"));
  EXPECT_EQ(DotOf(a.Put("key", "tea")).replica, DotOf(milk).replica);
}

TEST(ReplicaStore, AfterAPowerCutClockAndRecordsAreOfTheSameMoment) {
  LoneOwner owner(1);
  owner.Put("a", "1");
  owner.Mint(LoneOwner::Item("b"), Periodic("2"));
  owner.PowerCut(/*new_lives=*/true);
  EXPECT_EQ(owner.Values("a"), Strings{"1"});
  EXPECT_EQ(owner.Values("b"), Strings{});
  ASSERT_EQ(owner.clock().entries().size(), 1u);
  EXPECT_EQ(owner.clock().entries()[0].base, 1u) << "it does not claim what it lost";
  EXPECT_EQ(owner.Entries(Family::kDotLog).size(), 1u);
}

TEST(ReplicaStore, RefusesToOpenOnADamagedState) {
  MemoryEngine engine;
  WriteBatch damage;
  damage.Put(Family::kMeta, EncodeClockKey(kPartition), "\x01nonsense");
  ASSERT_TRUE(engine.Write(damage, WalSync::kYes).ok());
  ReplicaStore store(&engine, {}, Random(1));
  EXPECT_EQ(store.Open({kPartition}, false).code(), absl::StatusCode::kDataLoss);
}

// A node that went on with it would mint again what the entries behind the damage name.
TEST(ReplicaStore, WhereOnePartitionCannotBeReadNoneIsOpened) {
  LoneOwner owner(1);
  const Dot dot = DotOf(owner.Put("key", "value"));
  ASSERT_TRUE(owner.engine().Damage(Family::kDotLog, EncodeLogKey(kPartition, dot)));
  ReplicaStore store(&owner.engine(), {.fill_what_is_new = true}, Random(1));
  EXPECT_FALSE(store.Open({LoneOwner::kNeighbour, kPartition}, /*new_lives=*/true).ok());
  EXPECT_FALSE(store.Owns(kPartition));
  EXPECT_FALSE(store.Owns(LoneOwner::kNeighbour));
  EXPECT_FALSE(store.dirty());
}

// ---- idempotency

TEST(ReplicaStore, ARetryOfAWriteThatItMintedChangesNothing) {
  LoneOwner owner(1);
  const MintOutcome first = owner.Mint(kItem, Protected("milk", 1));
  const MintOutcome again = owner.GatherMint(kItem, Protected("milk", 2));
  EXPECT_EQ(again.kind, Kind::kAlreadyKnown);
  EXPECT_FALSE(owner.store().dirty());
  EXPECT_EQ(again.record, first.record);
  EXPECT_EQ(DotOf(again), DotOf(first));
}

TEST(ReplicaStore, ARetryOfAWriteThatAPeerMintedChangesNothing) {
  LoneOwner a(1), b(2);
  b.Apply(kItem, a.Mint(kItem, Protected("milk", 1)));
  EXPECT_EQ(b.Mint(kItem, Protected("milk", 2)).kind, Kind::kAlreadyKnown);
  EXPECT_EQ(b.Values("key"), Strings{"milk"});
}

TEST(ReplicaStore, ARetryDoesNotBringBackWhatWasReplacedMeanwhile) {
  LoneOwner owner(1);
  owner.Mint(kItem, Protected("milk", 1));
  owner.Put("key", "cream");
  EXPECT_EQ(owner.Mint(kItem, Protected("milk", 2)).kind, Kind::kAlreadyKnown);
  EXPECT_EQ(owner.Values("key"), Strings{"cream"});
}

TEST(ReplicaStore, ARetryIsKnownAfterAReopen) {
  LoneOwner owner(1);
  owner.Mint(kItem, Protected("milk", 1));
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.Mint(kItem, Protected("milk", 2)).kind, Kind::kAlreadyKnown);
}

TEST(ReplicaStore, WritesWithoutAnIdempotencyKeyAreAllNew) {
  LoneOwner owner(1);
  owner.Mint(kItem, Blind("a"));
  owner.Mint(kItem, Blind("a"));
  EXPECT_EQ(owner.Values("key").size(), 2u);
}

TEST(ReplicaStore, AnAttemptThatTwoOwnersMintedComesToTheLaterOneAtBoth) {
  LoneOwner a(1), b(2);
  const MintOutcome early = a.Mint(kItem, Protected("milk", 1));
  const MintOutcome late = b.Mint(kItem, Protected("milk", 2));
  a.Apply(kItem, late);
  b.Apply(kItem, early);
  for (LoneOwner* owner : {&a, &b}) {
    ASSERT_EQ(owner->Stored(kItem).versions.size(), 1u);
    EXPECT_EQ(owner->Stored(kItem).versions[0].dot, DotOf(late));
    EXPECT_TRUE(owner->clock().Contains(DotOf(early))) << "its effect is that it gave way";
  }
}

TEST(ReplicaStore, ForgetsTheOldestWriteBeyondItsBound) {
  LoneOwner owner(1, {.limits = {.max_siblings = 64}, .remembered_writes = 2});
  for (uint64_t i = 1; i <= 3; ++i) {
    WriteIntent intent = Blind("x");
    intent.write = {7, i};
    owner.Mint(kItem, intent);
  }
  EXPECT_EQ(owner.store().FindWrite(kPartition, {7, 1}), nullptr);
  EXPECT_NE(owner.store().FindWrite(kPartition, {7, 2}), nullptr);
  EXPECT_NE(owner.store().FindWrite(kPartition, {7, 3}), nullptr);
}

// A client's put through `a` is held up on the way; the client succeeds through b, and somebody
// puts anew through c. The first attempt then reaches a, which has heard of the newer put alone.
TEST(ReplicaStore, ALateFirstAttemptDoesNotReplaceWhatItsOwnerHasHeardOnlyInPart) {
  LoneOwner a(1), b(2), c(3);
  WriteIntent put = PutOf("old");
  put.write = {7, 7};
  put.attempt = 2;
  c.Apply(kItem, b.Mint(kItem, put));
  a.Apply(kItem, c.Put("key", "new"));
  WriteIntent late = put;
  late.attempt = 1;
  late.unless_behind = true;
  const MintOutcome refused = a.GatherMint(kItem, late);
  EXPECT_EQ(refused.kind, Kind::kBehind);
  EXPECT_EQ(refused.refused->value, "old");
  EXPECT_FALSE(a.store().dirty());
  EXPECT_EQ(a.Values("key"), Strings{"new"});
}

// The same, where a has heard of neither.
TEST(ReplicaStore, ALateFirstAttemptReplacesNothingUnasked) {
  LoneOwner a(1);
  WriteIntent late = PutOf("old");
  late.write = {7, 7};
  late.attempt = 1;
  late.unless_behind = true;
  late.fresh_until = Time();
  EXPECT_EQ(a.Mint(kItem, late).kind, Kind::kMinted) << "there is nothing";
  for (const uint64_t again : {8, 9}) {
    late.write = {7, again};
    EXPECT_EQ(a.GatherMint(kItem, late).kind, Kind::kBehind);
  }
  EXPECT_EQ(a.Values("key"), Strings{"old"});
  late.fresh_until = Time::FromMicros(1);
  EXPECT_EQ(a.Mint(kItem, late).kind, Kind::kMinted);
}

TEST(ReplicaStore, OnlyAWriteThatWouldReplaceAllAsksNotToBeMintedBehind) {
  LoneOwner a(1), b(2);
  b.Put("elsewhere", "missed");
  a.Apply(kItem, b.Put("key", "milk"));
  for (const WriteIntent& intent : {Blind("bread"), PutOf("cream", VersionVector())}) {
    WriteIntent wary = intent;
    wary.unless_behind = true;
    EXPECT_EQ(a.Mint(kItem, wary).kind, Kind::kMinted);
  }
  WriteIntent erase;
  erase.kind = WriteKind::kDelete;
  erase.unless_behind = true;
  EXPECT_EQ(a.GatherMint(kItem, erase).kind, Kind::kBehind);
}

TEST(ReplicaStore, OnceItHasCaughtUpAFirstAttemptIsMintedAtOnce) {
  LoneOwner a(1), b(2);
  const MintOutcome missed = b.Put("elsewhere", "missed");
  a.Apply(kItem, b.Put("key", "milk"));
  a.Apply(LoneOwner::Item("elsewhere"), missed);
  WriteIntent put = PutOf("bread");
  put.unless_behind = true;
  EXPECT_EQ(a.Mint(kItem, put).kind, Kind::kMinted);
}

TEST(ReplicaStore, RecallsTheNewestWritesOfEachPartitionAndReplicaId) {
  const auto minted = [](LoneOwner* owner, const ItemKey& item, uint64_t number) {
    WriteIntent intent = Blind("x");
    intent.write = {7, number};
    return owner->Mint(item, intent);
  };
  LoneOwner a(1, {.limits = {.max_siblings = 64}, .remembered_writes = 8}), b(2);
  for (uint64_t i = 1; i <= 20; ++i) {
    minted(&a, LoneOwner::Item(std::to_string(i)), i);
    a.Apply(kItem, minted(&b, LoneOwner::Item(std::to_string(100 + i)), 100 + i));
    minted(&a, {LoneOwner::kNeighbour, TableId(1), std::to_string(i)}, 200 + i);
  }
  a.Reopen(/*new_lives=*/false);
  for (uint64_t newest : {19, 20, 119, 120, 217, 218, 219, 220}) {
    const PartitionId of = newest > 200 ? LoneOwner::kNeighbour : kPartition;
    EXPECT_NE(a.store().FindWrite(of, {7, newest}), nullptr) << newest;
  }
  EXPECT_EQ(a.store().FindWrite(kPartition, {7, 18}), nullptr)
      << "its share is 4, for two replica ids";
}

// ---- clocks and the log

TEST(ReplicaStore, JoinedBasesAreInTheClockAfterAReopen) {
  LoneOwner owner(1);
  owner.Put("key", "milk");
  owner.store().JoinBases(kPartition, {{ReplicaId(77), 5}});
  owner.CommitAll();
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.clock().Base(ReplicaId(77)), 5u);
}

TEST(ReplicaStore, JoiningWhatIsKnownWritesNothing) {
  LoneOwner owner(1);
  owner.Put("key", "milk");
  owner.store().JoinBases(kPartition, owner.clock().Bases());
  EXPECT_FALSE(owner.store().dirty());
}

constexpr NodeId kB(2), kC(3);
const std::vector<NodeId> kOthers = {kB, kC};

// Enough for it to be worthwhile to drop log entries.
constexpr uint64_t kMany = 4000;

void PutMany(LoneOwner* owner) {
  for (uint64_t i = 0; i < kMany; ++i) owner->GatherMint(kItem, PutOf("x"));
  owner->CommitAll();
}

TEST(ReplicaStore, TheLogIsDroppedBehindWhatAllOwnersReport) {
  LoneOwner owner(1);
  PutMany(&owner);
  owner.store().OnReport(kPartition, kB, {{owner.self(), 3500}}, kOthers, Time());
  EXPECT_FALSE(owner.store().dirty()) << "the other owner has not reported";
  owner.store().OnReport(kPartition, kC, {{owner.self(), 3000}}, kOthers, Time());
  owner.CommitAll();
  const std::vector<uint64_t> left = owner.LoggedCounters(owner.self());
  ASSERT_EQ(left.size(), 2024u);
  EXPECT_EQ(left.front(), 3001u - 1024u) << "the newest below the lowest report tell of retries";
  EXPECT_EQ(left.back(), kMany);
}

void Report(LoneOwner* owner, uint64_t counter, Time now) {
  for (NodeId other : kOthers) {
    owner->store().OnReport(kPartition, other, {{owner->self(), counter}}, kOthers, now);
  }
  if (owner->store().dirty()) owner->CommitAll();
}

Time AtMinute(int64_t minute) { return Time() + Duration::Seconds(60 * minute); }

TEST(ReplicaStore, NothingOfTheLogIsLeftThatAllOwnersHadSeenAWhileAgo) {
  LoneOwner owner(1);
  for (int i = 0; i < 9; ++i) owner.Put("tea", "x");
  Report(&owner, 6, AtMinute(1));
  Report(&owner, 9, AtMinute(10));
  EXPECT_EQ(owner.LoggedCounters(owner.self()).size(), 9u) << "they tell of retries";
  Report(&owner, 9, AtMinute(11));
  EXPECT_EQ(owner.LoggedCounters(owner.self()), (std::vector<uint64_t>{7, 8, 9}));
  Report(&owner, 9, AtMinute(21));
  EXPECT_TRUE(owner.LoggedCounters(owner.self()).empty());
  const PartitionClock before = owner.clock();
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.clock(), before);
  EXPECT_EQ(DotOf(owner.Put("tea", "x")).counter, 10u);
}

TEST(ReplicaStore, TheLogIsKeptForAnOwnerThatHasLostWhatAllHadSeen) {
  LoneOwner owner(1);
  for (int i = 0; i < 9; ++i) owner.Put("tea", "x");
  Report(&owner, 9, AtMinute(1));
  Report(&owner, 2, AtMinute(11));
  EXPECT_EQ(owner.LoggedCounters(owner.self()), (std::vector<uint64_t>{3, 4, 5, 6, 7, 8, 9}));
  owner.store().ForgetReports(kB);
  owner.store().OnReport(kPartition, kC, {{owner.self(), 9}}, kOthers, AtMinute(40));
  EXPECT_FALSE(owner.store().dirty());
}

ReplicaStore::Options WithLogOf(uint64_t most) {
  ReplicaStore::Options options;
  options.log_most = most;
  options.log_kept = 5;
  return options;
}

TEST(ReplicaStore, TheLogIsBoundedWhoeverHasNotSeenIt) {
  LoneOwner owner(1, WithLogOf(20));
  for (int i = 0; i < 24; ++i) owner.Put("tea", "x");
  EXPECT_EQ(owner.store().BoundLog(kPartition), 0u) << "it goes a few entries at a time";
  owner.Put("tea", "x");
  EXPECT_EQ(owner.store().BoundLog(kPartition), 5u);
  owner.CommitAll();
  EXPECT_EQ(owner.LoggedCounters(owner.self()).size(), 20u);
  EXPECT_EQ(owner.LoggedCounters(owner.self()).front(), 6u);
  EXPECT_EQ(owner.store().BoundLog(kPartition), 0u);
  EXPECT_FALSE(owner.store().dirty());
}

TEST(ReplicaStore, ABoundedLogTakesNothingFromTheClock) {
  LoneOwner owner(1, WithLogOf(5));
  for (int i = 0; i < 50; ++i) owner.Put("tea", "x");
  EXPECT_EQ(owner.store().BoundLog(kPartition), 45u);
  owner.CommitAll();
  const PartitionClock before = owner.clock();
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.clock(), before);
  EXPECT_EQ(owner.store().BoundLog(kPartition), 0u) << "where it begins is known again";
  EXPECT_EQ(DotOf(owner.Put("tea", "x")).counter, 51u);
}

TEST(ReplicaStore, ASoleOwnerDropsItsLogByItself) {
  LoneOwner owner(1);
  PutMany(&owner);
  owner.store().OnReport(kPartition, NodeId(1), *owner.store().DurableBases(kPartition), {},
                         Time());
  owner.CommitAll();
  EXPECT_EQ(owner.LoggedCounters(owner.self()).size(), 1024u);
}

TEST(ReplicaStore, ADroppedLogTakesNothingFromTheClock) {
  LoneOwner owner(1);
  PutMany(&owner);
  const PartitionClock before = owner.clock();
  for (NodeId other : kOthers) {
    owner.store().OnReport(kPartition, other, {{owner.self(), kMany}}, kOthers, Time());
  }
  owner.CommitAll();
  EXPECT_EQ(owner.LoggedCounters(owner.self()).size(), 1024u);
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.clock(), before);
  EXPECT_EQ(DotOf(owner.Put("key", "x")).counter, kMany + 1);
}

TEST(ReplicaStore, AReportThatIsForgottenHoldsTheLog) {
  LoneOwner owner(1);
  PutMany(&owner);
  owner.store().OnReport(kPartition, kB, {{owner.self(), kMany}}, kOthers, Time());
  owner.store().ForgetReports(kB);
  owner.store().OnReport(kPartition, kC, {{owner.self(), kMany}}, kOthers, Time());
  EXPECT_FALSE(owner.store().dirty());
}

TEST(ReplicaStore, TheLogIsKeptForAnOwnerThatKnowsNothingOfAReplicaId) {
  LoneOwner owner(1);
  PutMany(&owner);
  owner.store().OnReport(kPartition, kB, {{owner.self(), kMany}}, kOthers, Time());
  owner.store().OnReport(kPartition, kC, {{ReplicaId(77), kMany}}, kOthers, Time());
  EXPECT_FALSE(owner.store().dirty());
  EXPECT_EQ(owner.LoggedCounters(owner.self()).size(), kMany);
}

TEST(ReplicaStore, ANewerLowerReportOfAnOwnerThatLostStateHoldsTheLog) {
  LoneOwner owner(1);
  PutMany(&owner);
  owner.store().OnReport(kPartition, kB, {{owner.self(), kMany}}, kOthers, Time());
  owner.store().OnReport(kPartition, kB, {}, kOthers, Time());
  owner.store().OnReport(kPartition, kC, {{owner.self(), kMany}}, kOthers, Time());
  EXPECT_EQ(owner.LoggedCounters(owner.self()).size(), kMany);
  EXPECT_FALSE(owner.store().dirty());
}

TEST(ReplicaStore, TheLogIsNeverDroppedAboveItsOwnBase) {
  LoneOwner a(1), b(2);
  for (uint64_t i = 1; i <= 2 * kMany; ++i) {
    const MintOutcome put = a.GatherMint(kItem, PutOf("x"));
    if (i != kMany + 1) {
      b.store().Apply(kItem, b.Stored(kItem), put.record, put.minted, Durability::kFsync);
    }
  }
  b.CommitAll();
  b.store().OnReport(kPartition, kB, {{a.self(), 2 * kMany}}, kOthers, Time());
  b.store().OnReport(kPartition, kC, {{a.self(), 2 * kMany}}, kOthers, Time());
  b.CommitAll();
  const std::vector<uint64_t> left = b.LoggedCounters(a.self());
  EXPECT_EQ(left.front(), kMany - 1024 + 1);
  EXPECT_EQ(left.size(), 1024 + kMany - 1) << "it still has to learn the one in the middle";
}

TEST(ReplicaStore, DurableBasesAreUnknownWhileAPartIsNotSynced) {
  LoneOwner owner(1);
  owner.Put("key", "a");
  EXPECT_EQ(owner.store().DurableBases(kPartition), owner.clock().Bases());
  owner.GatherMint(kItem, PutOf("b"));
  EXPECT_EQ(owner.store().DurableBases(kPartition), std::nullopt);
  owner.CommitAll();
  owner.Mint(kItem, Periodic("c"));
  EXPECT_EQ(owner.store().DurableBases(kPartition), std::nullopt);
  owner.End(owner.store().TakeSync());
  EXPECT_EQ(owner.store().DurableBases(kPartition), owner.clock().Bases());
}

// ---- commits

TEST(ReplicaStore, ManyWritesShareOneCommit) {
  LoneOwner owner(1);
  for (int i = 0; i < 10; ++i) owner.GatherMint(LoneOwner::Item(std::to_string(i)), PutOf("x"));
  owner.CommitAll();
  EXPECT_EQ(owner.engine().counters().writes, 1u);
  EXPECT_EQ(owner.engine().counters().syncs, 1u);
  EXPECT_EQ(owner.Entries(Family::kRecords).size(), 10u);
  EXPECT_EQ(owner.Entries(Family::kDotLog).size(), 10u);
}

TEST(ReplicaStore, ACommitSyncsIfAnyWriteInItNeedsIt) {
  LoneOwner owner(1);
  owner.GatherMint(kItem, Periodic("a"));
  Commit commit = owner.Begin();
  EXPECT_EQ(commit.sync, WalSync::kNo);
  owner.End(commit);
  EXPECT_TRUE(owner.store().unsynced());
  owner.GatherMint(kItem, Periodic("b"));
  owner.GatherMint(LoneOwner::Item("other"), PutOf("c"));
  commit = owner.Begin();
  EXPECT_EQ(commit.sync, WalSync::kYes);
  owner.End(commit);
  EXPECT_FALSE(owner.store().unsynced());
}

TEST(ReplicaStore, NamesTheCommitThatAChangeWaitsFor) {
  LoneOwner owner(1);
  EXPECT_EQ(owner.store().LastChange(kPartition), 0u);
  owner.GatherMint(kItem, PutOf("a"));
  EXPECT_EQ(owner.store().LastChange(kPartition), 1u);
  const Commit first = owner.Begin();
  EXPECT_LT(owner.store().durable(), owner.store().LastChange(kPartition));
  owner.GatherMint(kItem, PutOf("b"));
  EXPECT_EQ(owner.store().LastChange(kPartition), 2u)
      << "of the next commit, not the one under way";
  owner.End(first);
  EXPECT_EQ(owner.store().durable(), 1u);
  owner.CommitAll();
  EXPECT_EQ(owner.store().durable(), 2u);
}

TEST(ReplicaStore, CountsTheBytesThatAreNotYetDurable) {
  LoneOwner owner(1);
  EXPECT_EQ(owner.store().uncommitted_bytes(), 0u);
  owner.GatherMint(kItem, Blind("four"));
  EXPECT_EQ(owner.store().uncommitted_bytes(), kItem.key.size() + 4);
  const Commit commit = owner.Begin();
  owner.GatherMint(kItem, Blind("seven b"));
  EXPECT_EQ(owner.store().uncommitted_bytes(), 2 * kItem.key.size() + 4 + 11) << "both siblings";
  owner.End(commit);
  EXPECT_EQ(owner.store().uncommitted_bytes(), kItem.key.size() + 11);
  owner.End(owner.Begin());
  EXPECT_EQ(owner.store().uncommitted_bytes(), 0u);
}

TEST(ReplicaStore, LaterOperationsSeeWhatIsNotYetCommitted) {
  LoneOwner owner(1);
  const Dot first = DotOf(owner.GatherMint(kItem, PutOf("a")));
  EXPECT_EQ(owner.Values("key"), Strings{"a"});
  const Commit under_way = owner.Begin();
  owner.GatherMint(kItem, PutOf("b", {first}));
  EXPECT_EQ(owner.Values("key"), Strings{"b"});
  owner.End(under_way);
  EXPECT_EQ(owner.Values("key"), Strings{"b"})
      << "the end of an older commit hides no newer change";
  owner.CommitAll();
  EXPECT_EQ(owner.Values("key"), Strings{"b"});
}

TEST(ReplicaStore, SaysWhenOnlyTheDiskKnows) {
  LoneOwner owner(1);
  owner.Put("key", "a");
  owner.Reopen(/*new_lives=*/false);
  owner.engine().AnswerNeedsDisk(1, 1);
  const auto record = owner.store().Load(kItem);
  ASSERT_TRUE(record.ok());
  EXPECT_FALSE(record->has_value());
}

TEST(ReplicaStore, DecodesWhatTheDiskAnswers) {
  EXPECT_EQ(*ReplicaStore::Decode(absl::NotFoundError("")), Record{});
  EXPECT_EQ(ReplicaStore::Decode(absl::DataLossError("checksum")).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReplicaStore::Decode(std::string()).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ReplicaStoreDeathTest, TakesOneCommitAtATime) {
  LoneOwner owner(1);
  owner.GatherMint(kItem, PutOf("a"));
  owner.Begin();
  EXPECT_DEATH(owner.Begin(), "one commit at a time");
}

}  // namespace
}  // namespace gyre
