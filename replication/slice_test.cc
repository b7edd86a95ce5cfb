#include "replication/slice.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "replication/clock_answer.h"
#include "replication/slice_answer.h"
#include "storage/lone_owner.h"

namespace gyre {
namespace {

constexpr uint64_t kNow = 1'000;

SliceScan Whole(std::string after = "") {
  return {LoneOwner::kPartition, std::move(after), "", kNow};
}

Slice Read(LoneOwner& owner, const SliceScan& scan = Whole(), SliceLimits limits = {}) {
  absl::StatusOr<Slice> slice = ReadSlice(*owner.engine().TakeSnapshot(), scan, limits);
  EXPECT_TRUE(slice.ok()) << slice.status();
  return slice.value_or(Slice());
}

std::string Keys(const Slice& slice) {
  std::string keys;
  for (const ItemDigest& one : slice.items) keys += (keys.empty() ? "" : " ") + one.item.key;
  return keys;
}

std::string KeyOf(const std::string& key) { return EncodeItemKey(LoneOwner::Item(key)); }

// Two owners that have seen the same, in another order.
struct Pair {
  Pair() {
    const MintOutcome tea = a.Put("tea", "green");
    const MintOutcome milk = b.Put("milk", "cold");
    const MintOutcome bread = a.Put("bread", "rye");
    b.Apply(LoneOwner::Item("bread"), bread);
    b.Apply(LoneOwner::Item("tea"), tea);
    a.Apply(LoneOwner::Item("milk"), milk);
  }
  LoneOwner a{1}, b{2};
};

TEST(Slice, OwnersThatHoldTheSameHaveTheSameDigests) {
  Pair pair;
  const Slice slice = Read(pair.a);
  EXPECT_EQ(Keys(slice), "bread milk tea");
  EXPECT_EQ(slice.items, Read(pair.b).items);
  EXPECT_TRUE(slice.complete);
  EXPECT_EQ(slice.upto, "");
  EXPECT_GT(slice.bytes, 12u);
}

TEST(Slice, AnythingOfAVersionThatDiffersShows) {
  const ItemKey item = LoneOwner::Item("key");
  const Version version{{ReplicaId(1), 2}, 3, "value", 4'000};
  const auto digest = [&](const Version& one) {
    Record record;
    record.versions.push_back(one);
    return DigestOf(item, record, kNow);
  };
  for (const Version& other : {Version{{ReplicaId(2), 2}, 3, "value", 4'000},
                               Version{{ReplicaId(1), 3}, 3, "value", 4'000},
                               Version{{ReplicaId(1), 2}, 4, "value", 4'000},
                               Version{{ReplicaId(1), 2}, 3, "valuf", 4'000},
                               Version{{ReplicaId(1), 2}, 3, "value", 4'001}}) {
    EXPECT_NE(digest(version), digest(other));
  }
  Record of_another;
  of_another.versions.push_back(version);
  EXPECT_NE(digest(version), DigestOf(LoneOwner::Item("kez"), of_another, kNow));
  Record with_context = of_another;
  with_context.context.RaiseTo({ReplicaId(9), 9});
  EXPECT_EQ(digest(version), DigestOf(item, with_context, kNow)) << "that is each owner's own";
}

TEST(Slice, WhatHasExpiredIsLeftOut) {
  LoneOwner owner(1);
  WriteIntent intent;
  intent.value = "v";
  intent.expires_ms = kNow;
  owner.Mint(LoneOwner::Item("gone"), intent);
  intent.expires_ms = kNow + 1;
  owner.Mint(LoneOwner::Item("here"), intent);
  owner.Put("plain", "v");
  EXPECT_EQ(Keys(Read(owner)), "here plain");
}

TEST(Slice, EndsAtItsLimitsAndGoesOnBehindThat) {
  Pair pair;
  const Slice first = Read(pair.a, Whole(), {.max_items = 2});
  EXPECT_EQ(Keys(first), "bread milk");
  EXPECT_FALSE(first.complete);
  EXPECT_EQ(first.upto, KeyOf("milk"));
  const Slice second = Read(pair.a, Whole(first.upto), {.max_items = 2});
  EXPECT_EQ(Keys(second), "tea");
  EXPECT_TRUE(second.complete);
  EXPECT_EQ(Keys(Read(pair.a, Whole(), {.max_bytes = 1})), "bread") << "one at least";
  EXPECT_EQ(Keys(Read(pair.a, {LoneOwner::kPartition, KeyOf("bread"), KeyOf("milk"), kNow})),
            "milk");
}

TEST(Slice, ARecordThatFailsItsChecksIsNamed) {
  Pair pair;
  ASSERT_TRUE(pair.a.engine().Change(Family::kRecords, KeyOf("milk"), "\x1f"));
  const Slice slice = Read(pair.a);
  EXPECT_EQ(Keys(slice), "bread tea");
  EXPECT_EQ(slice.damaged, std::vector<ItemKey>{LoneOwner::Item("milk")});
}

TEST(Slice, EndsBeforeWhatCannotBeRead) {
  Pair pair;
  ASSERT_TRUE(pair.a.engine().Damage(Family::kRecords, KeyOf("milk")));
  const Slice slice = Read(pair.a);
  EXPECT_EQ(Keys(slice), "bread");
  EXPECT_FALSE(slice.complete);
  EXPECT_EQ(slice.upto, KeyOf("bread"));
  const auto next = ReadSlice(*pair.a.engine().TakeSnapshot(), Whole(slice.upto), {});
  EXPECT_TRUE(absl::IsDataLoss(next.status())) << next.status();
}

TEST(Slice, ItemsAreReadOneByOneWhereAScanCannot) {
  Pair pair;
  ASSERT_TRUE(pair.a.engine().Damage(Family::kRecords, KeyOf("milk")));
  const auto slice =
      ReadItems(*pair.a.engine().TakeSnapshot(),
                {LoneOwner::Item("milk"), LoneOwner::Item("none"), LoneOwner::Item("tea")}, kNow);
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(Keys(*slice), "tea");
  EXPECT_EQ(slice->items.front(), Read(pair.b).items.back());
  EXPECT_EQ(slice->damaged, std::vector<ItemKey>{LoneOwner::Item("milk")});
}

TEST(Slice, ARangeOfAnotherPartitionIsRefused) {
  LoneOwner owner(1);
  const std::string elsewhere = EncodeItemKey({LoneOwner::kNeighbour, TableId(1), "key"});
  for (const SliceScan& scan : {SliceScan{LoneOwner::kPartition, elsewhere, "", 0},
                                SliceScan{LoneOwner::kPartition, "", elsewhere, 0},
                                SliceScan{LoneOwner::kPartition, "x", "", 0}}) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(ReadSlice(*owner.engine().TakeSnapshot(), scan, {}).status()));
  }
}

// ---- the answer

absl::StatusOr<SliceAnswer> Answer(LoneOwner& owner, const SliceAsk& ask, SliceLimits limits = {}) {
  return AnswerSlice(*owner.engine().TakeSnapshot(), LoneOwner::kPartition, ask, limits);
}

TEST(SliceAnswer, SaysThatItHasTheSame) {
  Pair pair;
  const auto answer =
      Answer(pair.b, {.expired_by_ms = kNow, .digest = DigestOf(Read(pair.a).items)});
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->same && answer->complete && answer->items.empty());
}

TEST(SliceAnswer, SaysWhatItHasWhereThatIsAnother) {
  Pair pair;
  ASSERT_TRUE(pair.b.engine().Lose(Family::kRecords, KeyOf("milk")));
  const auto answer =
      Answer(pair.b, {.expired_by_ms = kNow, .digest = DigestOf(Read(pair.a).items)});
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->same);
  EXPECT_TRUE(answer->complete);
  EXPECT_EQ(answer->items, Read(pair.b).items);
}

TEST(SliceAnswer, SaysUpToWhereItGoes) {
  Pair pair;
  const auto answer = Answer(pair.b, {.expired_by_ms = kNow}, {.max_items = 1});
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->same);
  EXPECT_FALSE(answer->complete);
  EXPECT_EQ(answer->upto, KeyOf("bread"));
  EXPECT_EQ(answer->items.size(), 1u);
}

TEST(SliceAnswer, NamesTheRecordThatIsDamaged) {
  Pair pair;
  ASSERT_TRUE(pair.b.engine().Change(Family::kRecords, KeyOf("milk"), "\x1f"));
  const auto answer = Answer(pair.b, {.expired_by_ms = kNow});
  EXPECT_TRUE(absl::IsDataLoss(answer.status()));
  EXPECT_EQ(DamagedItem(answer.status()), LoneOwner::Item("milk"));
}

}  // namespace
}  // namespace gyre
