// The contract of storage/engine.h, over both engines.

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "ring/random.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/memory_engine.h"
#include "storage/rocks_engine.h"
#include "storage/scratch_directory.h"
#include "storage/wal_faults.h"

namespace gyre {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

// An engine, and the two things beyond the contract that its test needs.
class EngineBed {
 public:
  virtual ~EngineBed() = default;
  virtual Engine& engine() = 0;
  // The next write fails as a broken device would make it.
  virtual void FailNextWrite() = 0;
  // Moves what is in memory to where the engine settles it.
  virtual void Settle() = 0;
};

class MemoryBed : public EngineBed {
 public:
  Engine& engine() override { return engine_; }
  void FailNextWrite() override { engine_.FailNextWrite(absl::UnavailableError("broken device")); }
  void Settle() override {}

 private:
  MemoryEngine engine_;
};

class RocksBed : public EngineBed {
 public:
  RocksBed() {
    auto engine = RocksEngine::Open({.path = directory_.path(), .env = faults_.env()});
    GYRE_CHECK(engine.ok(), "a new directory opens");
    engine_ = *std::move(engine);
  }
  Engine& engine() override { return *engine_; }
  void FailNextWrite() override { faults_.FailAppends(); }
  void Settle() override {
    GYRE_CHECK(engine_->Flush().ok(), "a flush works");
    if (++settled_ % 4 == 0) GYRE_CHECK(engine_->CompactAll().ok(), "a compaction works");
  }

 private:
  ScratchDirectory directory_;
  WalFaults faults_;
  std::unique_ptr<RocksEngine> engine_;
  int settled_ = 0;
};

class EngineContract : public testing::TestWithParam<std::string> {
 protected:
  EngineContract() {
    if (GetParam() == "Memory") {
      bed_ = std::make_unique<MemoryBed>();
    } else {
      bed_ = std::make_unique<RocksBed>();
    }
  }

  Engine& engine() { return bed_->engine(); }
  EngineBed& bed() { return *bed_; }

  void Put(Family family, std::string key, std::string value) {
    WriteBatch batch;
    batch.Put(family, std::move(key), std::move(value));
    ASSERT_TRUE(engine().Write(batch, WalSync::kNo).ok());
  }

  // "-" when the key is absent.
  std::string Get(Family family, std::string_view key) {
    const absl::StatusOr<std::string> value = engine().Get(family, key);
    if (absl::IsNotFound(value.status())) return "-";
    return value.ok() ? *value : value.status().ToString();
  }

  static Entries Scan(const Snapshot& snapshot, Family family, std::string_view begin,
                      std::string_view end) {
    Entries entries;
    const absl::Status status =
        snapshot.Scan(family, begin, end, [&](std::string_view key, std::string_view value) {
          entries.emplace_back(key, value);
          return true;
        });
    EXPECT_TRUE(status.ok()) << status;
    return entries;
  }

  Entries ScanNow(Family family, std::string_view begin, std::string_view end) {
    return Scan(*engine().TakeSnapshot(), family, begin, end);
  }

 private:
  std::unique_ptr<EngineBed> bed_;
};

TEST_P(EngineContract, KnowsAboutHowManyKeysAFamilyHas) {
  EXPECT_EQ(engine().EstimateKeys(Family::kDotLog), 0u);
  for (int i = 0; i < 100; ++i) Put(Family::kDotLog, "key-" + std::to_string(i), "v");
  Put(Family::kRecords, "key", "v");
  EXPECT_NEAR(static_cast<double>(engine().EstimateKeys(Family::kDotLog)), 100, 10);
  bed().Settle();
  EXPECT_NEAR(static_cast<double>(engine().EstimateKeys(Family::kDotLog)), 100, 10);
}

INSTANTIATE_TEST_SUITE_P(Both, EngineContract, testing::Values("Memory", "Rocks"),
                         [](const auto& test) { return test.param; });

TEST_P(EngineContract, AnswersNotFoundForAKeyThatWasNeverWritten) {
  EXPECT_TRUE(absl::IsNotFound(engine().Get(Family::kRecords, "a").status()));
  EXPECT_TRUE(absl::IsNotFound(engine().TakeSnapshot()->Get(Family::kRecords, "a").status()));
  std::string value;
  EXPECT_EQ(engine().TryGet(Family::kRecords, "a", &value), Peek::kAbsent);
}

TEST_P(EngineContract, ReadsItsOwnWritesFromMemory) {
  Put(Family::kRecords, "a", "1");
  std::string value;
  EXPECT_EQ(engine().TryGet(Family::kRecords, "a", &value), Peek::kFound);
  EXPECT_EQ(value, "1");
  EXPECT_EQ(engine().TryGet(Family::kRecords, "b", &value), Peek::kAbsent);
  EXPECT_EQ(Get(Family::kRecords, "a"), "1");
}

TEST_P(EngineContract, KeepsEmptyValuesAndArbitraryBytes) {
  const std::string bytes("\0\xff\n", 3);
  Put(Family::kRecords, bytes, "");
  Put(Family::kRecords, "a", bytes);
  bed().Settle();
  EXPECT_EQ(Get(Family::kRecords, bytes), "");
  EXPECT_EQ(Get(Family::kRecords, "a"), bytes);
  EXPECT_EQ(ScanNow(Family::kRecords, "", ""), (Entries{{bytes, ""}, {"a", bytes}}));
}

TEST_P(EngineContract, KeepsTheFamiliesApart) {
  WriteBatch batch;
  batch.Put(Family::kRecords, "a", "record");
  batch.Put(Family::kDotLog, "a", "log");
  batch.Put(Family::kHints, "a", "hint");
  batch.Put(Family::kMeta, "a", "meta");
  ASSERT_TRUE(engine().Write(batch, WalSync::kYes).ok());
  bed().Settle();
  EXPECT_EQ(Get(Family::kRecords, "a"), "record");
  EXPECT_EQ(Get(Family::kDotLog, "a"), "log");
  EXPECT_EQ(Get(Family::kHints, "a"), "hint");
  EXPECT_EQ(Get(Family::kMeta, "a"), "meta");
}

TEST_P(EngineContract, LetsALaterChangeOfABatchWin) {
  WriteBatch batch;
  batch.Put(Family::kRecords, "a", "1");
  batch.Put(Family::kRecords, "a", "2");
  batch.Put(Family::kRecords, "b", "1");
  batch.Erase(Family::kRecords, "b");
  batch.Put(Family::kRecords, "c", "1");
  batch.EraseRange(Family::kRecords, "c", "d");
  batch.Put(Family::kRecords, "c", "2");
  ASSERT_TRUE(engine().Write(batch, WalSync::kNo).ok());
  EXPECT_EQ(ScanNow(Family::kRecords, "", ""), (Entries{{"a", "2"}, {"c", "2"}}));
}

TEST_P(EngineContract, AppliesBatchesInTheOrderOfTheirWrites) {
  for (const char* value : {"1", "2", "3"}) Put(Family::kRecords, "a", value);
  EXPECT_EQ(Get(Family::kRecords, "a"), "3");
}

TEST_P(EngineContract, ErasesARangeWithoutItsEnd) {
  for (const char* key : {"a", "b", "ba", "c", "d"}) Put(Family::kRecords, key, key);
  bed().Settle();
  WriteBatch batch;
  batch.EraseRange(Family::kRecords, "b", "c");
  ASSERT_TRUE(engine().Write(batch, WalSync::kNo).ok());
  bed().Settle();
  EXPECT_EQ(ScanNow(Family::kRecords, "", ""), (Entries{{"a", "a"}, {"c", "c"}, {"d", "d"}}));
  EXPECT_EQ(Get(Family::kRecords, "ba"), "-");
}

// As the dot log is used: entries of a few prefixes in the order of their counters, and from time
// to time the older ones of a prefix erased as one range.
TEST_P(EngineContract, KeepsALogWhoseOlderEntriesAreErasedByRange) {
  const auto key = [](char prefix, int counter) {
    std::string text(kLogKeyBytes, prefix);
    for (int i = 0; i < 4; ++i) text[text.size() - 1 - i] = static_cast<char>(counter >> (8 * i));
    return text;
  };
  constexpr int kEntries = 3000, kKept = 100;
  for (int counter = 0; counter < kEntries; ++counter) {
    WriteBatch batch;
    for (const char prefix : {'a', 'b', 'c'}) {
      batch.Put(Family::kDotLog, key(prefix, counter), "entry");
      if (counter % kKept == 0 && counter > kKept) {
        batch.EraseRange(Family::kDotLog, key(prefix, counter - 2 * kKept),
                         key(prefix, counter - kKept));
      }
    }
    ASSERT_TRUE(engine().Write(batch, WalSync::kNo).ok());
  }
  for (const char prefix : {'a', 'b', 'c'}) {
    int met = 0;
    const absl::Status scanned = engine().TakeSnapshot()->Scan(
        Family::kDotLog, key(prefix, 0), key(prefix, kEntries),
        [&](std::string_view, std::string_view) { return ++met > 0; });
    ASSERT_TRUE(scanned.ok());
    EXPECT_EQ(met, 2 * kKept);
    EXPECT_TRUE(engine().Get(Family::kDotLog, key(prefix, kEntries - 1)).ok());
    EXPECT_TRUE(absl::IsNotFound(engine().Get(Family::kDotLog, key(prefix, 0)).status()));
  }
}

TEST_P(EngineContract, ErasesNothingInARangeThatEndsBeforeItBegins) {
  for (const char* key : {"a", "b", "c"}) Put(Family::kRecords, key, key);
  WriteBatch batch;
  batch.EraseRange(Family::kRecords, "c", "a");
  batch.EraseRange(Family::kRecords, "b", "b");
  batch.EraseRange(Family::kRecords, "a", "");
  ASSERT_TRUE(engine().Write(batch, WalSync::kNo).ok());
  EXPECT_EQ(ScanNow(Family::kRecords, "", "").size(), 3U);
}

TEST_P(EngineContract, ScansFromBeginUpToButWithoutEndInByteOrder) {
  for (const char* key : {"b", "\xff", "a", "c", "ab"}) Put(Family::kRecords, key, key);
  EXPECT_EQ(ScanNow(Family::kRecords, "a", "b"), (Entries{{"a", "a"}, {"ab", "ab"}}));
  EXPECT_EQ(ScanNow(Family::kRecords, "b", ""),
            (Entries{{"b", "b"}, {"c", "c"}, {"\xff", "\xff"}}));
  EXPECT_EQ(ScanNow(Family::kRecords, "c", "a"), Entries{});
}

TEST_P(EngineContract, EndsAScanWhenItsVisitorSaysSo) {
  for (const char* key : {"a", "b", "c"}) Put(Family::kRecords, key, key);
  int visits = 0;
  const absl::Status status = engine().TakeSnapshot()->Scan(
      Family::kRecords, "", "", [&](std::string_view, std::string_view) { return ++visits < 2; });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(visits, 2);
}

TEST_P(EngineContract, ShowsASnapshotNothingThatWasWrittenAfterIt) {
  Put(Family::kRecords, "changed", "old");
  Put(Family::kRecords, "erased", "old");
  Put(Family::kRecords, "ranged", "old");
  const std::unique_ptr<Snapshot> snapshot = engine().TakeSnapshot();
  const Entries before = Scan(*snapshot, Family::kRecords, "", "");

  WriteBatch batch;
  batch.Put(Family::kRecords, "changed", "new");
  batch.Put(Family::kRecords, "added", "new");
  batch.Erase(Family::kRecords, "erased");
  batch.EraseRange(Family::kRecords, "r", "s");
  ASSERT_TRUE(engine().Write(batch, WalSync::kYes).ok());
  Put(Family::kRecords, "changed", "newer");
  bed().Settle();

  EXPECT_EQ(Scan(*snapshot, Family::kRecords, "", ""), before);
  EXPECT_EQ(snapshot->Get(Family::kRecords, "changed").value_or("-"), "old");
  EXPECT_EQ(snapshot->Get(Family::kRecords, "erased").value_or("-"), "old");
  EXPECT_TRUE(absl::IsNotFound(snapshot->Get(Family::kRecords, "added").status()));
  EXPECT_EQ(ScanNow(Family::kRecords, "", ""), (Entries{{"added", "new"}, {"changed", "newer"}}));
}

TEST_P(EngineContract, ReleasesSnapshotsInAnyOrder) {
  Put(Family::kRecords, "a", "1");
  std::unique_ptr<Snapshot> first = engine().TakeSnapshot();
  Put(Family::kRecords, "a", "2");
  std::unique_ptr<Snapshot> second = engine().TakeSnapshot();
  Put(Family::kRecords, "a", "3");
  first.reset();
  Put(Family::kRecords, "a", "4");
  EXPECT_EQ(second->Get(Family::kRecords, "a").value_or("-"), "2");
}

TEST_P(EngineContract, TakesAnEmptyBatchAsASyncOfWhatWasWrittenBefore) {
  Put(Family::kRecords, "a", "1");
  EXPECT_TRUE(engine().Write(WriteBatch(), WalSync::kYes).ok());
  EXPECT_TRUE(engine().Write(WriteBatch(), WalSync::kNo).ok());
  EXPECT_EQ(Get(Family::kRecords, "a"), "1");
}

TEST_P(EngineContract, RefusesEveryWriteAfterOneFailed) {
  Put(Family::kRecords, "a", "1");
  bed().FailNextWrite();
  WriteBatch batch;
  batch.Put(Family::kRecords, "a", "2");
  const absl::Status failed = engine().Write(batch, WalSync::kYes);
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable) << failed;
  for (const WalSync sync : {WalSync::kNo, WalSync::kYes}) {
    EXPECT_EQ(engine().Write(batch, sync).code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(engine().Write(WriteBatch(), sync).code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(Get(Family::kRecords, "a"), "1");
}

// Both engines against std::map: random batches over few keys, with snapshots that stay open.
class Oracle {
 public:
  using Map = std::map<std::string, std::string>;

  Map& At(Family family) { return families_[static_cast<size_t>(family)]; }

  void Apply(const WriteBatch& batch) {
    for (const WriteBatch::Change& change : batch.changes()) {
      Map& map = At(change.family);
      if (change.kind == WriteBatch::Kind::kPut) {
        map[std::string(change.key)] = change.value;
      } else if (change.kind == WriteBatch::Kind::kErase) {
        map.erase(std::string(change.key));
      } else if (change.key < change.value) {
        map.erase(map.lower_bound(std::string(change.key)),
                  map.lower_bound(std::string(change.value)));
      }
    }
  }

  Entries Scan(Family family, const std::string& begin, const std::string& end) {
    Entries entries;
    for (const auto& [key, value] : At(family)) {
      if (key >= begin && (end.empty() || key < end)) entries.emplace_back(key, value);
    }
    return entries;
  }

 private:
  std::array<Map, kFamilies> families_;
};

// Some of one to three letters, and some as long as the dot log's, of a few rows.
std::string RandomKey(Random* random) {
  std::string key;
  if (random->Chance(1, 3)) {
    key.assign(kLogKeyBytes - 3, static_cast<char>('a' + random->Below(4)));
    for (int i = 0; i < 3; ++i) key.push_back(static_cast<char>('a' + random->Below(4)));
    return key;
  }
  const uint64_t length = random->Below(3);
  for (uint64_t i = 0; i <= length; ++i) key.push_back(static_cast<char>('a' + random->Below(4)));
  return key;
}

WriteBatch RandomBatch(Random* random, int serial) {
  WriteBatch batch;
  const uint64_t changes = random->Below(8);
  for (uint64_t i = 0; i < changes; ++i) {
    const auto family = static_cast<Family>(random->Below(kFamilies));
    const uint64_t kind = random->Below(10);
    if (kind < 6) {
      batch.Put(family, RandomKey(random), std::to_string(serial) + "." + std::to_string(i));
    } else if (kind < 9) {
      batch.Erase(family, RandomKey(random));
    } else {
      batch.EraseRange(family, RandomKey(random), RandomKey(random));
    }
  }
  return batch;
}

TEST_P(EngineContract, AgreesWithAMapOverRandomHistories) {
  Random random(20'261'121);
  Oracle now;
  std::vector<std::pair<std::unique_ptr<Snapshot>, Oracle>> past;
  for (int serial = 0; serial < 4000; ++serial) {
    const WriteBatch batch = RandomBatch(&random, serial);
    now.Apply(batch);
    ASSERT_TRUE(engine().Write(batch, random.Chance(1, 50) ? WalSync::kYes : WalSync::kNo).ok());

    const auto family = static_cast<Family>(random.Below(kFamilies));
    const std::string key = RandomKey(&random);
    const auto expected = now.At(family).find(key);
    const std::string value = expected == now.At(family).end() ? "-" : expected->second;
    ASSERT_EQ(Get(family, key), value);
    std::string peeked = "-";
    if (engine().TryGet(family, key, &peeked) != Peek::kNeedsDisk) {
      ASSERT_EQ(peeked, value);
    }

    if (random.Chance(1, 20)) past.emplace_back(engine().TakeSnapshot(), now);
    if (past.size() > 5) past.erase(past.begin() + static_cast<int64_t>(random.Below(5)));
    const std::string begin = RandomKey(&random);
    const std::string end = random.Chance(1, 3) ? "" : RandomKey(&random);
    ASSERT_EQ(ScanNow(family, begin, end), now.Scan(family, begin, end));
    if (!past.empty()) {
      auto& [snapshot, then] = past[random.Below(past.size())];
      ASSERT_EQ(Scan(*snapshot, family, begin, end), then.Scan(family, begin, end));
      const auto old = then.At(family).find(key);
      ASSERT_EQ(snapshot->Get(family, key).value_or("-"),
                old == then.At(family).end() ? "-" : old->second);
    }
    if (random.Chance(1, 200)) bed().Settle();
  }
}

}  // namespace
}  // namespace gyre
