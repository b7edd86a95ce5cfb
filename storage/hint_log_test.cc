#include "storage/hint_log.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "ring/check.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

constexpr NodeId kAlice(1), kBob(2);
constexpr PartitionId kPartition{3, 5};

ItemKey Item(const std::string& key, PartitionId partition = kPartition) {
  return {partition, TableId(1), key};
}

Record Holding(const std::string& value, uint64_t counter = 1) {
  Record record;
  record.versions = {{{ReplicaId(9), counter}, 0, value}};
  record.context.RaiseTo({ReplicaId(9), counter});
  return record;
}

// A hint log over an engine that takes each change at once.
class Shelf {
 public:
  explicit Shelf(HintLogOptions options = {}) : options_(options) { log_.emplace(options); }

  bool Keep(NodeId owner, const ItemKey& item, const Record& record, uint64_t since_ms = 1000,
            bool ownerless = false) {
    WriteBatch batch;
    const std::vector<Minted> minted = {{record.versions[0].dot, {7, 7}, 3}};
    const bool kept = log_->Keep({owner}, item, record, minted, ownerless, since_ms, &batch);
    Write(batch);
    return kept;
  }
  void Drop(const KeptHint& hint) {
    WriteBatch batch;
    log_->Drop(hint, &batch);
    Write(batch);
  }
  void DropDamaged(const DamagedHint& hint) {
    WriteBatch batch;
    log_->DropDamaged(hint, &batch);
    Write(batch);
  }
  void Stamp(KeptHint* hint, uint64_t time_ms) {
    WriteBatch batch;
    HintLog::Stamp(hint, time_ms, &batch);
    Write(batch);
  }
  HintPage Scan(const std::string& prefix, size_t most = 100, size_t most_bytes = 1 << 20) const {
    return Scan(HintScan{0, {{prefix, PrefixEnd(prefix)}}, most, most_bytes});
  }
  HintPage Scan(const HintScan& scan) const {
    absl::StatusOr<HintPage> page = ScanHints(*engine_.TakeSnapshot(), scan);
    GYRE_CHECK(page.ok(), "what was kept can be read");
    return *std::move(page);
  }
  void Reopen() {
    log_.emplace(options_);
    const auto log_of = [&](PartitionId) { return &*log_; };
    GYRE_CHECK(OpenHints(*engine_.TakeSnapshot(), log_of).ok(), "opens");
  }
  HintLog& log() { return *log_; }
  MemoryEngine& engine() { return engine_; }

 private:
  void Write(const WriteBatch& batch) {
    if (!batch.empty()) GYRE_CHECK(engine_.Write(batch, WalSync::kYes).ok(), "memory takes it");
  }
  HintLogOptions options_;
  MemoryEngine engine_;
  std::optional<HintLog> log_;
};

std::vector<std::string> Values(const HintPage& page) {
  std::vector<std::string> values;
  for (const KeptHint& hint : page.hints) {
    values.emplace_back(std::string_view(hint.record.versions.at(0).value));
  }
  return values;
}
using Strings = std::vector<std::string>;

TEST(HintLog, WhatIsKeptComesBackWhole) {
  Shelf shelf;
  const Record record = Holding("milk");
  ASSERT_TRUE(shelf.Keep(kAlice, Item("cart"), record, 1234));
  const HintPage page = shelf.Scan(HintItemPrefix(kAlice, Item("cart")));
  ASSERT_EQ(page.hints.size(), 1u);
  const KeptHint& hint = page.hints[0];
  EXPECT_EQ(hint.key.owner, kAlice);
  EXPECT_EQ(hint.key.item, Item("cart"));
  EXPECT_EQ(hint.record, record);
  EXPECT_EQ(hint.minted, (std::vector<Minted>{{record.versions[0].dot, {7, 7}, 3}}));
  EXPECT_EQ(hint.since_ms, 1234u);
}

TEST(HintLog, AnItemIsFoundAmongThoseWhoseKeysBeginLikeIts) {
  Shelf shelf;
  for (const char* key : {"a", "ab", "a\x01", "b"}) {
    ASSERT_TRUE(shelf.Keep(kAlice, Item(key), Holding(key)));
  }
  ASSERT_TRUE(shelf.Keep(kBob, Item("a"), Holding("for bob")));
  EXPECT_EQ(Values(shelf.Scan(HintItemPrefix(kAlice, Item("a")))), Strings{"a"});
}

TEST(HintLog, HintsOfOneItemStandSideBySideInTheirOrder) {
  Shelf shelf;
  for (uint64_t i = 1; i <= 300; ++i) {
    ASSERT_TRUE(shelf.Keep(kAlice, Item("cart"), Holding(std::to_string(i), i)));
  }
  const Strings values = Values(shelf.Scan(HintItemPrefix(kAlice, Item("cart")), 1000));
  ASSERT_EQ(values.size(), 300u);
  EXPECT_EQ(values.front(), "1");
  EXPECT_EQ(values.back(), "300");
}

TEST(HintLog, APageEndsAtItsLimitsAndSaysWhereToGoOn) {
  Shelf shelf;
  for (const char* key : {"a", "b", "c"}) {
    ASSERT_TRUE(shelf.Keep(kAlice, Item(key), Holding(std::string(1000, *key))));
  }
  const std::string prefix = HintPartitionPrefix(kAlice, kPartition);
  const HintPage two = shelf.Scan(prefix, 2);
  EXPECT_EQ(two.hints.size(), 2u);
  const HintPage rest = shelf.Scan(HintScan{0, {{two.next, PrefixEnd(prefix)}}, 100, 1 << 20});
  EXPECT_EQ(Values(rest), Strings{std::string(1000, 'c')});
  EXPECT_TRUE(rest.next.empty());
  EXPECT_EQ(shelf.Scan(prefix, 100, 1500).hints.size(), 1u) << "by bytes";
  EXPECT_EQ(shelf.Scan(prefix, 100, 1).hints.size(), 1u) << "one that is too large still comes";
}

TEST(HintLog, SeveralRangesAreReadAsOne) {
  Shelf shelf;
  ASSERT_TRUE(shelf.Keep(kAlice, Item("cart"), Holding("alice's")));
  ASSERT_TRUE(shelf.Keep(kBob, Item("cart"), Holding("bob's")));
  HintScan scan;
  for (NodeId owner : shelf.log().OwnersOf(kPartition)) {
    const std::string prefix = HintItemPrefix(owner, Item("cart"));
    scan.ranges.push_back({prefix, PrefixEnd(prefix)});
  }
  EXPECT_EQ(Values(shelf.Scan(scan)), (Strings{"alice's", "bob's"}));
}

TEST(HintLog, CountsByOwnerAndPartitionAndForgetsWhatIsDropped) {
  Shelf shelf;
  const PartitionId other{3, 6};
  ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding("x"), 2000));
  ASSERT_TRUE(shelf.Keep(kAlice, Item("b", other), Holding("y"), 1000));
  ASSERT_TRUE(shelf.Keep(kBob, Item("c"), Holding("z"), 3000));
  EXPECT_EQ(shelf.log().CountOf(kAlice).hints, 2u);
  EXPECT_EQ(shelf.log().CountOf(kAlice).oldest_ms, 1000u);
  EXPECT_EQ(shelf.log().Owners(), (std::vector<NodeId>{kAlice, kBob}));
  EXPECT_EQ(shelf.log().OwnersOf(other), std::vector<NodeId>{kAlice});
  EXPECT_EQ(shelf.log().NextPartition(kAlice, PartitionId(3, 6)), other);
  EXPECT_EQ(shelf.log().NextPartition(kAlice, PartitionId(3, 7)), std::nullopt);
  for (const KeptHint& hint : shelf.Scan(HintPartitionPrefix(kAlice, other)).hints)
    shelf.Drop(hint);
  EXPECT_FALSE(shelf.log().Has(kAlice, other));
  EXPECT_EQ(shelf.log().CountOf(kAlice).hints, 1u);
  for (NodeId owner : {kAlice, kBob}) {
    for (const KeptHint& hint : shelf.Scan(HintPartitionPrefix(owner, kPartition)).hints) {
      shelf.Drop(hint);
    }
  }
  EXPECT_EQ(shelf.log().bytes(), 0u);
  EXPECT_TRUE(shelf.log().Owners().empty());
  EXPECT_EQ(shelf.engine().EstimateKeys(Family::kHints), 0u);
}

TEST(HintLog, ARestartCountsWhatIsThereAndNumbersOn) {
  Shelf shelf;
  ASSERT_TRUE(shelf.Keep(kAlice, Item("cart"), Holding("milk"), 2000));
  ASSERT_TRUE(shelf.Keep(kAlice, Item("cart"), Holding("eggs", 2), 1000));
  const uint64_t bytes = shelf.log().bytes();
  shelf.Reopen();
  EXPECT_EQ(shelf.log().CountOf(kAlice).hints, 2u);
  EXPECT_EQ(shelf.log().CountOf(kAlice).oldest_ms, 1000u);
  EXPECT_EQ(shelf.log().bytes(), bytes);
  ASSERT_TRUE(shelf.Keep(kAlice, Item("cart"), Holding("tea", 3)));
  EXPECT_EQ(Values(shelf.Scan(HintItemPrefix(kAlice, Item("cart")))),
            (Strings{"milk", "eggs", "tea"}))
      << "the new one has not taken the place of an old one";
}

TEST(HintLog, ARestartLeavesOthersPartitionsToThem) {
  Shelf shelf;
  ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding("x")));
  ASSERT_TRUE(shelf.Keep(kAlice, Item("b", {3, 6}), Holding("y")));
  ASSERT_TRUE(shelf.Keep(kBob, Item("c", {3, 6}), Holding("z")));
  ASSERT_TRUE(shelf.Keep(kBob, Item("d", {3, 7}), Holding("w")));
  HintLog log{HintLogOptions()}, other{HintLogOptions()};
  ASSERT_TRUE(OpenHints(*shelf.engine().TakeSnapshot(), [&](PartitionId partition) -> HintLog* {
                if (partition == PartitionId(3, 7)) return nullptr;
                return partition == kPartition ? &log : &other;
              }).ok());
  EXPECT_EQ(log.CountOf(kAlice).hints, 1u);
  EXPECT_EQ(other.CountOf(kAlice).hints, 1u);
  EXPECT_EQ(other.CountOf(kBob).hints, 1u);
}

TEST(HintLog, WhatNoOwnerHasIsNotLookedForAmongTheOld) {
  Shelf shelf({.max_age = Duration::Seconds(10)});
  const auto keep = [&](bool ownerless, uint64_t since_ms) {
    WriteBatch batch;
    EXPECT_TRUE(
        shelf.log().Keep({kAlice}, Item("a"), Holding("x"), {}, ownerless, since_ms, &batch));
    EXPECT_TRUE(shelf.engine().Write(batch, WalSync::kYes).ok());
  };
  keep(/*ownerless=*/true, 1000);
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_FALSE(shelf.log().MayHaveOld(kAlice, 1'000'000));
    EXPECT_EQ(shelf.log().CountOf(kAlice).oldest_ms, 1000u) << "as operators are shown";
    shelf.Reopen();
  }
  keep(/*ownerless=*/false, 5000);
  EXPECT_TRUE(shelf.log().MayHaveOld(kAlice, 15'001));
}

TEST(HintLog, RefusesWhatHasNoRoomAndTakesItOnceThereIs) {
  Shelf shelf({.max_bytes = 2500});
  ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding(std::string(1000, 'x'))));
  ASSERT_TRUE(shelf.Keep(kAlice, Item("b"), Holding(std::string(1000, 'x'))));
  const uint64_t bytes = shelf.log().bytes();
  EXPECT_FALSE(shelf.Keep(kAlice, Item("c"), Holding(std::string(1000, 'x'))));
  EXPECT_EQ(shelf.log().bytes(), bytes);
  EXPECT_EQ(shelf.Scan(HintPartitionPrefix(kAlice, kPartition)).hints.size(), 2u);
  shelf.Drop(shelf.Scan(HintItemPrefix(kAlice, Item("a"))).hints.at(0));
  EXPECT_TRUE(shelf.Keep(kAlice, Item("c"), Holding(std::string(1000, 'x'))));
}

TEST(HintLog, RefusesWhatItCouldNotReadAgain) {
  Shelf shelf;
  WriteBatch batch;
  const std::vector<Minted> dots(kMostHintDots + 1, {{ReplicaId(1), 1}, {}, 0});
  EXPECT_FALSE(shelf.log().Keep({kAlice}, Item("a"), Holding("x"), dots, false, 1, &batch));
  EXPECT_TRUE(batch.empty());
}

TEST(HintLog, TellsWhatIsTooOld) {
  Shelf shelf({.max_age = Duration::Seconds(10)});
  ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding("x"), 5000));
  const KeptHint hint = shelf.Scan(HintItemPrefix(kAlice, Item("a"))).hints.at(0);
  EXPECT_FALSE(shelf.log().IsOld(hint, 15'000));
  EXPECT_TRUE(shelf.log().IsOld(hint, 15'001));
  EXPECT_FALSE(shelf.log().IsOld(hint, 4000)) << "a clock that was put back makes nothing old";
  EXPECT_TRUE(shelf.log().MayHaveOld(kAlice, 15'001));
  EXPECT_FALSE(shelf.log().MayHaveOld(kBob, 15'001));
  shelf.log().NoteOldest(kAlice, kPartition, 5000, 9000);
  EXPECT_FALSE(shelf.log().MayHaveOld(kAlice, 15'001));
}

TEST(HintLog, WhatHasNoAgeGetsOneAndKeepsWhatItHolds) {
  Shelf shelf({.max_age = Duration::Seconds(10)});
  ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding("x"), /*since_ms=*/0));
  KeptHint hint = shelf.Scan(HintItemPrefix(kAlice, Item("a"))).hints.at(0);
  EXPECT_FALSE(shelf.log().IsOld(hint, 1'000'000'000));
  EXPECT_TRUE(shelf.log().MayHaveOld(kAlice, 1)) << "it is to be looked at";
  shelf.Stamp(&hint, 5000);
  const KeptHint stamped = shelf.Scan(HintItemPrefix(kAlice, Item("a"))).hints.at(0);
  EXPECT_EQ(stamped.since_ms, 5000u);
  EXPECT_EQ(stamped.record, hint.record);
  EXPECT_EQ(stamped.minted, hint.minted);
  EXPECT_EQ(stamped.bytes, hint.bytes);
  EXPECT_TRUE(shelf.log().IsOld(stamped, 15'001));
}

// A guest minted it: the hints are all that there is of an acknowledged write.
TEST(HintLog, WhatNoOwnerHasNeverGrowsTooOld) {
  Shelf shelf({.max_age = Duration::Seconds(10)});
  ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding("x"), 5000, /*ownerless=*/true));
  const KeptHint hint = shelf.Scan(HintItemPrefix(kAlice, Item("a"))).hints.at(0);
  EXPECT_TRUE(hint.ownerless);
  EXPECT_FALSE(shelf.log().IsOld(hint, 1'000'000'000));
}

TEST(HintLog, WhatIsDamagedIsPassedOver) {
  Shelf shelf;
  ASSERT_TRUE(shelf.Keep(kAlice, Item("cart"), Holding("milk")));
  WriteBatch batch;
  batch.Put(Family::kHints, EncodeHintKey({kAlice, Item("cart"), 0}), "short");
  batch.Put(Family::kHints, EncodeHintKey({kAlice, Item("cart"), 9}), std::string(20, '\xff'));
  batch.Put(Family::kHints, "no key", "x");
  ASSERT_TRUE(shelf.engine().Write(batch, WalSync::kYes).ok());
  shelf.Reopen();
  const HintPage page = shelf.Scan(HintItemPrefix(kAlice, Item("cart")));
  EXPECT_EQ(Values(page), Strings{"milk"});
  EXPECT_EQ(page.damaged.size(), 2u);
}

TEST(HintLog, WhatIsDamagedIsCountedUntilItIsDropped) {
  Shelf shelf;
  ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding("milk")));
  ASSERT_TRUE(shelf.Keep(kAlice, Item("b"), Holding("eggs")));
  const std::string prefix = HintPartitionPrefix(kAlice, kPartition);
  WriteBatch batch;
  batch.Put(Family::kHints, EncodeHintKey({kAlice, Item("c"), 9}), "short");
  batch.Put(Family::kHints, prefix + "no key", "x");
  ASSERT_TRUE(shelf.engine().Write(batch, WalSync::kYes).ok());
  shelf.Reopen();
  EXPECT_EQ(shelf.log().CountOf(kAlice).hints, 3u) << "but for the one without a key";
  shelf.engine().Garble(Family::kHints, EncodeHintKey({kAlice, Item("a"), 1}));
  const HintPage page = shelf.Scan(prefix);
  ASSERT_EQ(page.damaged.size(), 3u);
  for (const DamagedHint& damaged : page.damaged) shelf.DropDamaged(damaged);
  EXPECT_EQ(shelf.log().CountOf(kAlice).hints, 1u);
  EXPECT_EQ(Values(shelf.Scan(prefix)), Strings{"eggs"});
  EXPECT_TRUE(shelf.Scan(prefix).damaged.empty());
  shelf.Drop(shelf.Scan(prefix).hints.at(0));
  EXPECT_EQ(shelf.log().bytes(), 0u);
  EXPECT_TRUE(shelf.log().Owners().empty());
}

TEST(HintLog, APageOfDamagedHintsEndsLikeAnyOther) {
  Shelf shelf;
  for (uint64_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(shelf.Keep(kAlice, Item("a"), Holding("milk", i)));
    shelf.engine().Garble(Family::kHints, EncodeHintKey({kAlice, Item("a"), i}));
  }
  const HintPage page = shelf.Scan(HintPartitionPrefix(kAlice, kPartition), /*most=*/3);
  EXPECT_EQ(page.damaged.size(), 3u);
  EXPECT_FALSE(page.next.empty());
}

TEST(HintLog, SeveralShareOneRoom) {
  const auto room = std::make_shared<HintRoom>(2500);
  HintLog one({}, room), other({}, room);
  WriteBatch batch;
  const auto keep = [&](HintLog* log, const NodeId& owner) {
    return log->Keep({owner}, Item("a"), Holding(std::string(1000, 'x')), {}, false, 1, &batch);
  };
  EXPECT_TRUE(keep(&one, kAlice));
  EXPECT_TRUE(keep(&one, kBob)) << "none has a share of its own";
  EXPECT_FALSE(keep(&other, kAlice));
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
  HintLog opened({}, std::make_shared<HintRoom>(2500));
  ASSERT_TRUE(OpenHints(*engine.TakeSnapshot(), [&](PartitionId) { return &opened; }).ok());
  EXPECT_FALSE(keep(&opened, kAlice)) << "what is there at the start is counted";
  const std::string prefix = HintItemPrefix(kBob, Item("a"));
  const absl::StatusOr<HintPage> page =
      ScanHints(*engine.TakeSnapshot(), {0, {{prefix, PrefixEnd(prefix)}}});
  ASSERT_TRUE(page.ok());
  one.Drop(page->hints.at(0), &batch);
  EXPECT_TRUE(keep(&other, kAlice));
}

TEST(HintLog, KeepsForAllOwnersOrNone) {
  Shelf shelf({.max_bytes = 2500});
  WriteBatch batch;
  const Record record = Holding(std::string(1000, 'x'));
  EXPECT_FALSE(
      shelf.log().Keep({kAlice, kBob, NodeId(3)}, Item("a"), record, {}, false, 1, &batch));
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(shelf.log().bytes(), 0u);
  EXPECT_TRUE(shelf.log().Keep({kAlice, kBob}, Item("a"), record, {}, false, 1, &batch));
  EXPECT_EQ(shelf.log().Owners(), (std::vector<NodeId>{kAlice, kBob}));
}

TEST(HintKey, RoundTripsAndRefusesOtherLengths) {
  const HintKey key{NodeId(~uint64_t{0}), Item(std::string("k\0ey", 4)), 77};
  const std::string bytes = EncodeHintKey(key);
  const std::optional<HintKey> decoded = DecodeHintKey(bytes);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->owner, key.owner);
  EXPECT_EQ(decoded->item, key.item);
  EXPECT_EQ(decoded->number, key.number);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeHintKey(std::string_view(bytes).substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(DecodeHintKey(bytes + "x").has_value());
  EXPECT_EQ(PrefixEnd(std::string("a\xff\xff")), "b");
}

}  // namespace
}  // namespace gyre
