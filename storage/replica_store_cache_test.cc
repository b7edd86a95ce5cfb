// What a ReplicaStore keeps of its records in memory, and that it never says what the engine does
// not.

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ring/random.h"
#include "storage/lone_owner.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

const ItemKey kItem = LoneOwner::Item("key");

WriteIntent PutOf(std::string value) {
  WriteIntent intent;
  intent.value = std::move(value);
  return intent;
}

// From now on the engine answers nothing from memory.
void LeaveAllToTheDisk(LoneOwner* owner) { owner->engine().AnswerNeedsDisk(1, 1); }

bool AtHand(LoneOwner* owner, const ItemKey& item) {
  const absl::StatusOr<std::optional<Record>> record = owner->store().Load(item);
  EXPECT_TRUE(record.ok()) << record.status();
  return record.ok() && record->has_value();
}

absl::StatusOr<std::string> OnDisk(LoneOwner* owner, const ItemKey& item) {
  return owner->engine().Get(Family::kRecords, EncodeItemKey(item));
}

// The keys of what is kept, where it is what the engine holds.
Strings Kept(LoneOwner* owner) {
  Strings keys;
  owner->store().cache().ForEachClean([&](const RecordCache::Entry& entry) {
    const std::string& key = entry.first;
    keys.push_back(DecodeItemKey(key)->key);
    const absl::StatusOr<std::string> held = owner->engine().Get(Family::kRecords, key);
    EXPECT_TRUE(held.ok()) << keys.back() << " is kept, and the engine has none";
    if (held.ok()) {
      EXPECT_EQ(entry.second.stored, *DecodeRecord(*held)) << keys.back();
    }
  });
  return keys;
}

TEST(ReplicaStoreCache, WhatWasWrittenStaysAtHandOnceItIsDurable) {
  LoneOwner owner(1);
  owner.Put("key", "a");
  LeaveAllToTheDisk(&owner);
  EXPECT_EQ(owner.Values("key"), Strings{"a"});
  EXPECT_EQ(Kept(&owner), Strings{"key"});
}

TEST(ReplicaStoreCache, WhatIsOnItsWayToTheDiskIsNotCalledDurable) {
  LoneOwner owner(1);
  owner.GatherMint(kItem, PutOf("a"));
  EXPECT_EQ(Kept(&owner), Strings{}) << "gathers";
  const Commit commit = owner.Begin();
  EXPECT_EQ(Kept(&owner), Strings{}) << "under way";
  owner.End(commit);
  EXPECT_EQ(Kept(&owner), Strings{"key"});
  owner.GatherMint(kItem, PutOf("b"));
  EXPECT_EQ(Kept(&owner), Strings{}) << "changed again";
}

TEST(ReplicaStoreCache, WhatChangedDuringItsCommitWaitsForTheNext) {
  LoneOwner owner(1);
  owner.GatherMint(kItem, PutOf("a"));
  const Commit first = owner.Begin();
  owner.GatherMint(kItem, PutOf("b"));
  owner.End(first);
  EXPECT_EQ(Kept(&owner), Strings{});
  owner.CommitAll();
  EXPECT_EQ(Kept(&owner), Strings{"key"});
  EXPECT_EQ(owner.Values("key"), Strings{"b"});
}

TEST(ReplicaStoreCache, WhatTheEngineHadInMemoryStaysAtHand) {
  LoneOwner owner(1);
  owner.Put("key", "a");
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(owner.Values("key"), Strings{"a"});
  LeaveAllToTheDisk(&owner);
  EXPECT_EQ(owner.Values("key"), Strings{"a"});
}

TEST(ReplicaStoreCache, WhatTheDiskAnsweredStaysAtHand) {
  LoneOwner owner(1);
  owner.Put("key", "a");
  owner.Reopen(/*new_lives=*/false);
  LeaveAllToTheDisk(&owner);
  EXPECT_FALSE(AtHand(&owner, kItem));
  const absl::StatusOr<Record> read = owner.store().TakeRead(kItem, OnDisk(&owner, kItem));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(owner.Stored(kItem), *read);
  EXPECT_EQ(Kept(&owner), Strings{"key"});
}

TEST(ReplicaStoreCache, NothingIsKeptOfAReadThatFoundNothingOrFailed) {
  LoneOwner owner(1);
  EXPECT_EQ(*owner.store().TakeRead(kItem, absl::NotFoundError("")), Record{});
  EXPECT_EQ(owner.store().TakeRead(kItem, absl::DataLossError("checksum")).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(owner.store().TakeRead(kItem, std::string()).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(Kept(&owner), Strings{});
}

TEST(ReplicaStoreCache, ThatThereIsNoRecordIsNotRemembered) {
  LoneOwner owner(1);
  EXPECT_TRUE(AtHand(&owner, kItem));
  EXPECT_EQ(Kept(&owner), Strings{});
  owner.Put("key", "a");
  owner.Delete("key");
  EXPECT_EQ(Kept(&owner), Strings{}) << "it was erased";
  LeaveAllToTheDisk(&owner);
  EXPECT_FALSE(AtHand(&owner, kItem));
}

TEST(ReplicaStoreCache, WithoutBytesForItNothingIsKept) {
  LoneOwner owner(1, {.cached_bytes = 0});
  owner.Put("key", "a");
  EXPECT_EQ(owner.Values("key"), Strings{"a"}) << "by the engine";
  EXPECT_EQ(Kept(&owner), Strings{});
  LeaveAllToTheDisk(&owner);
  EXPECT_FALSE(AtHand(&owner, kItem));
}

TEST(ReplicaStoreCache, CountsHitsMissesAndBytes) {
  LoneOwner owner(1);
  EXPECT_EQ(owner.store().cache().figures().bytes, 0u);
  owner.Put("key", "a");    // not there yet
  owner.Put("other", "a");  // nor this
  owner.Values("key");
  EXPECT_EQ(owner.store().cache().figures().misses, 2u);
  EXPECT_EQ(owner.store().cache().figures().hits, 1u);
  EXPECT_EQ(owner.store().cache().figures().bytes,
            RecordCache::Charge(EncodeItemKey(kItem), owner.Stored(kItem)) +
                RecordCache::Charge(EncodeItemKey(LoneOwner::Item("other")),
                                    owner.Stored(LoneOwner::Item("other"))));
}

TEST(ReplicaStoreCache, NothingOfAnErasedTableIsKept) {
  LoneOwner owner(1);
  const ItemKey other{LoneOwner::kPartition, TableId(2), "other"};
  owner.Put("key", "durable");
  owner.Mint(other, PutOf("stays"));
  owner.store().EraseTable(LoneOwner::kPartition, kItem.table);
  owner.CommitAll();
  EXPECT_EQ(Kept(&owner), Strings{"other"});
  EXPECT_TRUE(owner.Stored(kItem).versions.empty());
}

TEST(ReplicaStoreCache, WhatIsBeingWrittenWhenItsTableIsErasedIsNotKept) {
  LoneOwner owner(1);
  owner.GatherMint(kItem, PutOf("a"));
  const Commit commit = owner.Begin();
  owner.store().EraseTable(LoneOwner::kPartition, kItem.table);
  owner.End(commit);
  owner.CommitAll();
  EXPECT_EQ(Kept(&owner), Strings{});
  EXPECT_TRUE(owner.Stored(kItem).versions.empty());
}

TEST(ReplicaStoreCache, WhatTheEngineStillAnswersOfATableThatIsErasedIsNotKept) {
  LoneOwner owner(1);
  owner.Put("key", "a");
  owner.Reopen(/*new_lives=*/false);
  const absl::StatusOr<std::string> read = OnDisk(&owner, kItem);
  owner.store().EraseTable(LoneOwner::kPartition, kItem.table);
  EXPECT_TRUE(AtHand(&owner, kItem)) << "the engine has not been told yet";
  owner.CommitAll();
  EXPECT_TRUE(owner.store().TakeRead(kItem, read).ok()) << "a read from before";
  EXPECT_EQ(Kept(&owner), Strings{});
  EXPECT_TRUE(owner.Stored(kItem).versions.empty());
}

// Two owners that hear of each other's writes late, in any order or not at all, with commits that
// overlap what comes next, reads of the disk, settling, erased tables and restarts.
class Story {
 public:
  Story(uint64_t seed, size_t cached_bytes)
      : random_(seed), a_(seed, {.cached_bytes = cached_bytes}), b_(seed + 1) {
    a_.engine().AnswerNeedsDisk(3, seed);
  }

  void Step() {
    const ItemKey item = Draw();
    switch (random_.Below(12)) {
      case 0:
      case 1:
        heard_.emplace_back(item, b_.Mint(item, Intent()));
        break;
      case 2:
      case 3:
      case 4:
        Hear();
        break;
      case 5:
        if (!under_way_.has_value() && a_.store().dirty()) under_way_ = a_.Begin();
        break;
      case 6:
        if (under_way_.has_value()) End();
        break;
      case 7:
        for (const ItemKey& ready : a_.store().Settleable(item.partition, 3)) {
          a_.store().Settle(ready, Look(ready));
        }
        break;
      case 8:
        // A read of the disk that began before the erasure may end after it.
        if (random_.Chance(1, 20)) {
          const absl::StatusOr<std::string> read = OnDisk(&a_, item);
          a_.store().EraseTable(item.partition, item.table);
          EXPECT_TRUE(a_.store().TakeRead(item, read).ok());
        }
        break;
      case 9:
        if (random_.Chance(1, 20)) Restart();
        break;
      default:
        a_.store().Mint(item, Look(item), Intent(), {});
    }
    kept_ += Kept(&a_).size();
    Look(item);
  }

  uint64_t kept() const { return kept_; }

 private:
  ItemKey Draw() {
    return {random_.Chance(1, 4) ? LoneOwner::kNeighbour : LoneOwner::kPartition,
            TableId(static_cast<uint16_t>(1 + random_.Below(3))),
            "key-" + std::to_string(random_.Below(12))};
  }
  WriteIntent Intent() {
    WriteIntent intent = PutOf(std::string(random_.Below(40), 'v'));
    if (random_.Chance(1, 3)) intent.kind = WriteKind::kDelete;
    if (random_.Chance(1, 3)) intent.mode = WriteMode::kBlind;
    return intent;
  }
  void Hear() {
    if (heard_.empty()) return;
    const size_t which = random_.Below(heard_.size());
    const auto& [item, change] = heard_[which];
    a_.store().Apply(item, Look(item), change.record, change.minted, Durability::kFsync);
    heard_.erase(heard_.begin() + static_cast<ptrdiff_t>(which));
  }
  void End() {
    a_.End(*under_way_);
    under_way_.reset();
  }
  void Restart() {
    if (under_way_.has_value()) End();
    if (a_.store().dirty()) a_.CommitAll();
    a_.Reopen(/*new_lives=*/false);
  }
  // The record as a shard gets it.
  Record Look(const ItemKey& item) {
    const absl::StatusOr<std::optional<Record>> record = a_.store().Load(item);
    EXPECT_TRUE(record.ok()) << record.status();
    if (record->has_value()) return **record;
    return *a_.store().TakeRead(item, OnDisk(&a_, item));
  }

  Random random_;
  LoneOwner a_, b_;
  std::vector<std::pair<ItemKey, MintOutcome>> heard_;
  std::optional<Commit> under_way_;
  uint64_t kept_ = 0;
};

TEST(ReplicaStoreCache, WhatIsKeptIsAlwaysWhatTheEngineHolds) {
  for (const size_t cached_bytes : {size_t{8} << 10, size_t{1} << 20}) {
    uint64_t kept = 0;
    for (uint64_t seed = 1; seed <= 60 && !testing::Test::HasFailure(); ++seed) {
      Story story(seed, cached_bytes);
      for (int i = 0; i < 300 && !testing::Test::HasFailure(); ++i) story.Step();
      kept += story.kept();
    }
    EXPECT_GT(kept, 0u);
  }
}

}  // namespace
}  // namespace gyre
