#include "server/expiry_sweep.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/lone_owner.h"

namespace gyre {
namespace {

constexpr int64_t kOffsetMs = 1'000'000;  // the cluster's time at the start of the monotonic clock

// An owner whose values expire, swept by hand.
class SweptOwner {
 public:
  SweptOwner() : sweep_(Options(), &owner_.store()) { sweep_.OnClusterTime(kOffsetMs); }
  static ExpirySweepOptions Options() { return {.margin = Duration::Seconds(60), .portion = 2}; }

  void Put(const std::string& key, int64_t expires_in_s) {
    WriteIntent intent;
    intent.value = "v";
    intent.expires_ms = static_cast<uint64_t>(kOffsetMs + expires_in_s * 1000);
    owner_.Mint(LoneOwner::Item(key), std::move(intent));
  }
  static Instant At(int64_t s) { return {Time() + Duration::Seconds(s), 0}; }

  // Everything that is due, with its rests; answers how many portions that took.
  int SweepAll(int64_t s) {
    int portions = 0;
    for (Instant now = At(s); sweep_.wake() <= now.monotonic + Duration::Seconds(1); ++portions) {
      now.monotonic = std::max(now.monotonic, sweep_.wake());
      const std::optional<ExpiryScan> scan = sweep_.OnWake(false, now);
      if (!scan.has_value()) continue;
      TakeIn(*scan, now);
    }
    return portions;
  }
  void TakeIn(const ExpiryScan& scan, Instant now) {
    const absl::StatusOr<ExpiryPage> page = ScanExpired(*owner_.engine().TakeSnapshot(), scan);
    for (const ExpiryKey& entry : sweep_.OnScan(scan, page, now)) {
      if (damaged_.contains(entry.item.key)) {
        sweep_.OnRecord(entry, absl::DataLossError("damaged"), now);
      } else {
        sweep_.OnRecord(entry, owner_.Stored(entry.item), now);
      }
    }
    if (owner_.store().dirty()) owner_.CommitAll();
  }
  size_t stored() const { return owner_.Entries(Family::kRecords).size(); }
  size_t entered() const { return owner_.Entries(Family::kExpiry).size(); }

  LoneOwner owner_{1};
  ExpirySweep sweep_;
  std::set<std::string> damaged_;  // whose records cannot be read
};

TEST(ExpirySweep, RemovesWhatHasExpiredAMarginAgo) {
  SweptOwner swept;
  swept.Put("tea", 10);
  EXPECT_EQ(swept.sweep_.wake(), SweptOwner::At(70).monotonic);
  EXPECT_FALSE(swept.sweep_.OnWake(false, SweptOwner::At(69)).has_value());
  swept.SweepAll(70);
  EXPECT_EQ(swept.stored(), 0u);
  EXPECT_EQ(swept.entered(), 0u);
  EXPECT_EQ(swept.sweep_.removed(), 1u);
  EXPECT_EQ(swept.sweep_.wake(), Time::Never());
}

TEST(ExpirySweep, GoesInPortionsWithARestAfterEach) {
  SweptOwner swept;
  for (int i = 0; i < 5; ++i) swept.Put("key-" + std::to_string(i), 10);
  const Instant now = SweptOwner::At(100);
  const std::optional<ExpiryScan> scan = swept.sweep_.OnWake(false, now);
  ASSERT_TRUE(scan.has_value());
  EXPECT_EQ(swept.sweep_.wake(), Time::Never()) << "one portion at a time";
  swept.TakeIn(*scan, now);
  EXPECT_EQ(swept.stored(), 3u);
  EXPECT_EQ(swept.sweep_.wake(), now.monotonic + SweptOwner::Options().rest);
  swept.SweepAll(100);
  EXPECT_EQ(swept.stored(), 0u);
}

TEST(ExpirySweep, RemovesNothingWhileTheTimeIsNotKnown) {
  SweptOwner swept;
  swept.Put("tea", 10);
  swept.sweep_.OnClusterTime(std::nullopt);
  EXPECT_EQ(swept.sweep_.wake(), Time::Never());
  EXPECT_FALSE(swept.sweep_.OnWake(false, SweptOwner::At(1000)).has_value());
  EXPECT_EQ(swept.sweep_.LagMs(SweptOwner::At(1000)), 0u);
}

TEST(ExpirySweep, StandsStillWhileTheDiskIsBehind) {
  SweptOwner swept;
  swept.Put("tea", 10);
  const Instant now = SweptOwner::At(100);
  EXPECT_FALSE(swept.sweep_.OnWake(/*behind=*/true, now).has_value());
  EXPECT_EQ(swept.sweep_.wake(), now.monotonic + SweptOwner::Options().long_rest);
  EXPECT_EQ(swept.sweep_.LagMs(now), 30'000u) << "and says for how long it should have been gone";
}

TEST(ExpirySweep, TriesAgainLaterWhatCannotBeRead) {
  SweptOwner swept;
  swept.Put("tea", 10);
  swept.Put("milk", 10);
  Instant now = SweptOwner::At(100);
  const std::optional<ExpiryScan> scan = swept.sweep_.OnWake(false, now);
  ASSERT_TRUE(scan.has_value());
  const absl::StatusOr<ExpiryPage> page = ScanExpired(*swept.owner_.engine().TakeSnapshot(), *scan);
  const std::vector<ExpiryKey> due = swept.sweep_.OnScan(*scan, page, now);
  ASSERT_EQ(due.size(), 2u);
  swept.sweep_.OnRecord(due[0], absl::DataLossError("damaged"), now);
  swept.sweep_.OnRecord(due[1], swept.owner_.Stored(due[1].item), now);
  swept.owner_.CommitAll();
  EXPECT_EQ(swept.stored(), 1u);
  EXPECT_EQ(swept.sweep_.wake(), now.monotonic + SweptOwner::Options().long_rest);
  swept.SweepAll(200);
  EXPECT_EQ(swept.stored(), 0u);
}

TEST(ExpirySweep, WhatHasMovedAwayWhileItIsReadIsLeftAlone) {
  SweptOwner swept;
  swept.Put("tea", 10);
  const Instant now = SweptOwner::At(100);
  const std::optional<ExpiryScan> scan = swept.sweep_.OnWake(false, now);
  ASSERT_TRUE(scan.has_value());
  const absl::StatusOr<ExpiryPage> page = ScanExpired(*swept.owner_.engine().TakeSnapshot(), *scan);
  swept.owner_.store().Drop(scan->partition);
  EXPECT_TRUE(swept.sweep_.OnScan(*scan, page, now).empty());
  EXPECT_EQ(swept.sweep_.wake(), Time::Never());
  EXPECT_EQ(swept.sweep_.LagMs(now), 0u);
}

TEST(ExpirySweep, TriesAgainLaterWhereTheScanFails) {
  SweptOwner swept;
  swept.Put("tea", 10);
  const Instant now = SweptOwner::At(100);
  const std::optional<ExpiryScan> scan = swept.sweep_.OnWake(false, now);
  ASSERT_TRUE(scan.has_value());
  EXPECT_TRUE(swept.sweep_.OnScan(*scan, absl::DataLossError("damaged"), now).empty());
  EXPECT_EQ(swept.sweep_.wake(), now.monotonic + SweptOwner::Options().long_rest);
  swept.SweepAll(200);
  EXPECT_EQ(swept.stored(), 0u);
}

TEST(ExpirySweep, WhatCannotBeReadHoldsNothingElseUp) {
  SweptOwner swept;
  for (const char* key : {"a", "b", "c", "d", "e"}) swept.Put(key, 10);
  WriteIntent intent;
  intent.value = "v";
  intent.expires_ms = static_cast<uint64_t>(kOffsetMs + 11'000);
  swept.owner_.Mint({LoneOwner::kNeighbour, TableId(1), "elsewhere"}, intent);
  swept.damaged_ = {"a", "b"};  // more than a portion
  swept.SweepAll(100);
  EXPECT_EQ(swept.stored(), 2u) << "of this partition, and of the other one";
  EXPECT_GT(swept.sweep_.LagMs(SweptOwner::At(130)), 59'000u) << "and it says how late they are";
  swept.damaged_.clear();
  swept.SweepAll(200);
  EXPECT_EQ(swept.stored(), 0u);
  EXPECT_EQ(swept.entered(), 0u);
}

TEST(ExpirySweep, AScanThatFailsHoldsNoOtherPartitionUp) {
  SweptOwner swept;
  swept.Put("tea", 10);
  WriteIntent intent;
  intent.value = "v";
  intent.expires_ms = static_cast<uint64_t>(kOffsetMs + 11'000);
  swept.owner_.Mint({LoneOwner::kNeighbour, TableId(1), "elsewhere"}, intent);
  Instant now = SweptOwner::At(100);
  const std::optional<ExpiryScan> scan = swept.sweep_.OnWake(false, now);
  ASSERT_TRUE(scan.has_value());
  EXPECT_TRUE(swept.sweep_.OnScan(*scan, absl::DataLossError("damaged"), now).empty());
  now.monotonic = swept.sweep_.wake();
  const std::optional<ExpiryScan> next = swept.sweep_.OnWake(false, now);
  ASSERT_TRUE(next.has_value());
  EXPECT_NE(next->partition, scan->partition);
}

TEST(ExpirySweep, ReadsNothingAnewThatIsOnItsWayOut) {
  SweptOwner swept;
  for (int i = 0; i < 3; ++i) swept.Put("key-" + std::to_string(i), 10);
  Instant now = SweptOwner::At(100);
  const std::optional<ExpiryScan> scan = swept.sweep_.OnWake(false, now);
  const absl::StatusOr<ExpiryPage> page = ScanExpired(*swept.owner_.engine().TakeSnapshot(), *scan);
  for (const ExpiryKey& entry : swept.sweep_.OnScan(*scan, page, now)) {
    swept.sweep_.OnRecord(entry, swept.owner_.Stored(entry.item), now);
  }
  now.monotonic = now.monotonic + Duration::Seconds(1);
  EXPECT_FALSE(swept.sweep_.OnWake(false, now).has_value()) << "the removal is not durable";
  swept.owner_.CommitAll();
  now.monotonic = now.monotonic + Duration::Seconds(1);
  EXPECT_TRUE(swept.sweep_.OnWake(false, now).has_value());
}

// A peer may say anything.
TEST(ExpirySweep, WaitsForAMomentThatIsBeyondAllClocks) {
  SweptOwner swept;
  WriteIntent intent;
  intent.value = "v";
  intent.expires_ms = UINT64_MAX - 1;
  swept.owner_.Mint(LoneOwner::Item("tea"), std::move(intent));
  EXPECT_GT(swept.sweep_.wake(), SweptOwner::At(int64_t{10'000'000'000}).monotonic);
  EXPECT_EQ(swept.sweep_.LagMs(SweptOwner::At(1000)), 0u);
}

}  // namespace
}  // namespace gyre
