#include "storage/expiry_index.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/lone_owner.h"

namespace gyre {
namespace {

using Moments = ExpiryIndex::Moments;

WriteIntent PutThatExpires(std::string value, uint64_t expires_ms) {
  WriteIntent intent;
  intent.value = std::move(value);
  intent.expires_ms = expires_ms;
  return intent;
}

// What is entered, as "key@moment", in order.
std::vector<std::string> Entered(const LoneOwner& owner) {
  std::vector<std::string> entered;
  for (const auto& [key, value] : owner.Entries(Family::kExpiry)) {
    const std::optional<ExpiryKey> entry = DecodeExpiryKey(key);
    entered.push_back(entry->item.key + "@" + std::to_string(entry->expires_ms));
  }
  return entered;
}
using Strings = std::vector<std::string>;

std::optional<uint64_t> NextMs(LoneOwner& owner) {
  const std::optional<ExpiryIndex::Due> due = owner.store().expiry().Next();
  if (!due.has_value()) return std::nullopt;
  return due->expires_ms;
}

ExpiryPage Scan(LoneOwner& owner, uint64_t by_ms, size_t most) {
  const ExpiryScan scan =
      owner.store().expiry().Begin(LoneOwner::kPartition, by_ms, most, owner.store().durable());
  const absl::StatusOr<ExpiryPage> page = ScanExpired(*owner.engine().TakeSnapshot(), scan);
  EXPECT_TRUE(page.ok());
  owner.store().expiry().End(LoneOwner::kPartition, page->next_ms);
  return *page;
}

// Removes what is due, a page at a time.
size_t Sweep(LoneOwner& owner, uint64_t by_ms) {
  size_t removed = 0;
  for (ExpiryPage page = Scan(owner, by_ms, 2); !page.due.empty(); page = Scan(owner, by_ms, 2)) {
    for (const ExpiryKey& entry : page.due) {
      removed += owner.store().RemoveExpired(entry, owner.Stored(entry.item), entry.expires_ms);
    }
    owner.CommitAll();
  }
  return removed;
}

TEST(ExpiryIndex, CostsNothingWhereNothingExpires) {
  LoneOwner owner(1);
  owner.Put("tea", "green");
  EXPECT_TRUE(Entered(owner).empty());
  EXPECT_EQ(NextMs(owner), std::nullopt);
}

TEST(ExpiryIndex, KnowsWhatExpiresFirst) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  owner.Mint(LoneOwner::Item("milk"), PutThatExpires("white", 300));
  EXPECT_EQ(Entered(owner), (Strings{"milk@300", "tea@500"}));
  EXPECT_EQ(NextMs(owner), 300u);
}

TEST(ExpiryIndex, FollowsWhatIsPutAnew) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("black", 900));
  EXPECT_EQ(Entered(owner), Strings{"tea@900"});
  owner.Put("tea", "for ever");
  EXPECT_TRUE(Entered(owner).empty());
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("white", 700));
  owner.Delete("tea");
  EXPECT_TRUE(Entered(owner).empty());
}

TEST(ExpiryIndex, HasOneEntryForSiblingsThatExpireTogetherUntilBothAreGone) {
  LoneOwner owner(1);
  for (const char* value : {"green", "black"}) {
    WriteIntent intent = PutThatExpires(value, 500);
    intent.mode = WriteMode::kBlind;
    owner.Mint(LoneOwner::Item("tea"), std::move(intent));
  }
  EXPECT_EQ(Entered(owner), Strings{"tea@500"});
  EXPECT_EQ(Sweep(owner, 500), 2u);
  EXPECT_TRUE(Entered(owner).empty());
}

TEST(ExpiryIndex, IsThereAgainAfterARestart) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  owner.Reopen(/*new_lives=*/false);
  EXPECT_EQ(NextMs(owner), 500u);
}

TEST(ExpiryIndex, ReadsInPagesAndSaysWhatIsNext) {
  LoneOwner owner(1);
  for (uint64_t i = 1; i <= 4; ++i) {
    owner.Mint(LoneOwner::Item("key-" + std::to_string(i)), PutThatExpires("v", i * 100));
  }
  const ExpiryPage first = Scan(owner, 300, 2);
  ASSERT_EQ(first.due.size(), 2u);
  EXPECT_EQ(first.due[0].item, LoneOwner::Item("key-1"));
  EXPECT_EQ(first.next_ms, 300u);
  EXPECT_EQ(NextMs(owner), 300u);
  const ExpiryPage all = Scan(owner, 300, 9);
  EXPECT_EQ(all.due.size(), 3u);
  EXPECT_EQ(all.next_ms, 400u) << "which is not due yet";
  EXPECT_EQ(Scan(owner, 400, 9).next_ms, 0u) << "nothing is behind it";
}

TEST(ExpiryIndex, DoesNotForgetWhatALookWasTooEarlyFor) {
  LoneOwner owner(1);
  owner.GatherMint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  const Commit commit = owner.Begin();  // under way to the disk
  EXPECT_TRUE(Scan(owner, 1000, 9).due.empty());
  EXPECT_EQ(NextMs(owner), 500u);
  owner.End(commit);
  EXPECT_EQ(Scan(owner, 1000, 9).due.size(), 1u);
  EXPECT_EQ(NextMs(owner), std::nullopt);
}

TEST(RemoveExpired, LeavesNothingOfAnItemButWhatItsClockSays) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  EXPECT_EQ(Sweep(owner, 500), 1u);
  EXPECT_TRUE(owner.Entries(Family::kRecords).empty());
  EXPECT_TRUE(owner.Entries(Family::kExpiry).empty());
  EXPECT_TRUE(owner.clock().Contains({owner.self(), 1}));
}

TEST(RemoveExpired, LeavesWhatStandsBesideIt) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  for (const uint64_t moment : {uint64_t{0}, uint64_t{900}}) {
    WriteIntent beside = PutThatExpires(moment == 0 ? "for ever" : "longer", moment);
    beside.mode = WriteMode::kBlind;
    owner.Mint(LoneOwner::Item("tea"), std::move(beside));
  }
  EXPECT_EQ(Sweep(owner, 500), 1u);
  EXPECT_EQ(owner.Values("tea"), (Strings{"for ever", "longer"}));
  EXPECT_EQ(Entered(owner), Strings{"tea@900"});
}

TEST(RemoveExpired, IsNotUndoneByAnOwnerOrAHintThatStillHasIt) {
  LoneOwner a(1), b(2);
  const MintOutcome put = a.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  b.Apply(LoneOwner::Item("tea"), put);
  Sweep(a, 500);
  a.Apply(LoneOwner::Item("tea"), put);  // a hint, a late message, a repair from b
  EXPECT_TRUE(a.Values("tea").empty());
  // And b, which has not removed it yet, does when it hears of a's copy.
  MintOutcome repair;
  repair.record = a.Filled(LoneOwner::Item("tea"));
  b.Apply(LoneOwner::Item("tea"), repair);
  EXPECT_TRUE(b.Values("tea").empty());
  EXPECT_TRUE(Entered(b).empty());
}

TEST(RemoveExpired, TakesAlongNoPutThatWasConcurrent) {
  LoneOwner a(1), b(2);
  const MintOutcome expires = a.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  const MintOutcome stays = b.Put("tea", "black");
  Sweep(a, 500);
  a.Apply(LoneOwner::Item("tea"), stays);
  b.Apply(LoneOwner::Item("tea"), expires);
  Sweep(b, 500);
  EXPECT_EQ(a.Values("tea"), Strings{"black"});
  EXPECT_EQ(b.Values("tea"), Strings{"black"});
}

TEST(RemoveExpired, ComesAgainWhereAPowerCutTookIt) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  Sweep(owner, 500);
  owner.PowerCut(/*new_lives=*/false);
  EXPECT_EQ(owner.Values("tea"), Strings{"green"});
  EXPECT_EQ(NextMs(owner), 500u);
  EXPECT_EQ(Sweep(owner, 500), 1u);
  EXPECT_TRUE(owner.Values("tea").empty());
}

TEST(RemoveExpired, ErasesAnEntryWhoseTableWasDropped) {
  LoneOwner owner(1);
  owner.Mint(LoneOwner::Item("tea"), PutThatExpires("green", 500));
  owner.store().EraseTable(LoneOwner::kPartition, TableId(1));
  owner.CommitAll();
  EXPECT_EQ(Sweep(owner, 500), 0u);
  EXPECT_TRUE(Entered(owner).empty());
}

TEST(ScanExpired, RefusesAnEntryThatIsNone) {
  LoneOwner owner(1);
  WriteBatch batch;
  batch.Put(Family::kExpiry, PartitionBegin(LoneOwner::kPartition) + "x", "");
  ASSERT_TRUE(owner.engine().Write(batch, WalSync::kYes).ok());
  EXPECT_EQ(
      ScanExpired(*owner.engine().TakeSnapshot(), {LoneOwner::kPartition, 1000, 9}).status().code(),
      absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace gyre
