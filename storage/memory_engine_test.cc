// What the memory engine adds to the contract (engine_contract_test.cc): crashes and fault points.

#include "storage/memory_engine.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "ring/check.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

WriteBatch PutBatch(std::string key, std::string value) {
  WriteBatch batch;
  batch.Put(Family::kRecords, std::move(key), std::move(value));
  return batch;
}

// The values of a to e, "." for an absent one.
std::string State(const MemoryEngine& engine) {
  std::string state;
  for (const char* key : {"a", "b", "c", "d", "e"}) {
    state += engine.Get(Family::kRecords, key).value_or(".");
  }
  return state;
}

TEST(MemoryEngine, LosesASuffixOfTheUnsyncedBatchesInACrash) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    MemoryEngine engine;
    ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kNo).ok());
    ASSERT_TRUE(engine.Write(PutBatch("b", "1"), WalSync::kYes).ok());
    ASSERT_TRUE(engine.Write(PutBatch("c", "1"), WalSync::kNo).ok());
    ASSERT_TRUE(engine.Write(PutBatch("b", "2"), WalSync::kNo).ok());
    WriteBatch sweep;
    sweep.EraseRange(Family::kRecords, "a", "c");
    sweep.Put(Family::kRecords, "d", "1");
    ASSERT_TRUE(engine.Write(sweep, WalSync::kNo).ok());
    Random random(seed);
    engine.Crash(&random);
    outcomes.insert(State(engine));
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"11...", "111..", "121..", "..11."}));
}

TEST(MemoryEngine, KeepsWhatAnEmptyBatchSynced) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    MemoryEngine engine;
    ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kNo).ok());
    ASSERT_TRUE(engine.Write(WriteBatch(), WalSync::kYes).ok());
    EXPECT_EQ(engine.unsynced_batches(), 0U);
    Random random(seed);
    engine.Crash(&random);
    EXPECT_EQ(State(engine), "1....");
  }
}

TEST(MemoryEngine, KeepsForGoodWhatSurvivedACrash) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    MemoryEngine engine;
    ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kNo).ok());
    ASSERT_TRUE(engine.Write(PutBatch("b", "1"), WalSync::kNo).ok());
    Random random(seed);
    engine.Crash(&random);
    const std::string survived = State(engine);
    engine.Crash(&random);
    EXPECT_EQ(State(engine), survived);
  }
}

TEST(MemoryEngine, MayHaveStoredTheBatchWhoseWriteFailed) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    MemoryEngine engine;
    ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kNo).ok());
    engine.FailNextWrite(absl::UnavailableError("broken device"));
    EXPECT_FALSE(engine.Write(PutBatch("b", "1"), WalSync::kYes).ok());
    EXPECT_EQ(State(engine), "1....");
    Random random(seed);
    engine.Crash(&random);
    outcomes.insert(State(engine));
    EXPECT_TRUE(engine.Write(PutBatch("c", "1"), WalSync::kYes).ok());
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{".....", "1....", "11..."}));
}

TEST(MemoryEngine, ShowsASnapshotTheStateBeforeACrashToo) {
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kYes).ok());
  ASSERT_TRUE(engine.Write(PutBatch("a", "2"), WalSync::kNo).ok());
  const std::unique_ptr<Snapshot> snapshot = engine.TakeSnapshot();
  for (uint64_t seed = 0; engine.counters().lost_batches == 0; ++seed) {
    Random random(seed);
    ASSERT_TRUE(engine.Write(PutBatch("a", "3"), WalSync::kNo).ok());
    engine.Crash(&random);
  }
  EXPECT_EQ(snapshot->Get(Family::kRecords, "a").value_or("-"), "2");
}

TEST(MemoryEngine, CrashesTheSameWayWithTheSameSeed) {
  const auto run = [](uint64_t seed) {
    MemoryEngine engine;
    Random random(seed);
    for (int i = 0; i < 200; ++i) {
      const std::string key(1, static_cast<char>('a' + random.Below(5)));
      GYRE_CHECK(engine.Write(PutBatch(key, std::to_string(random.Below(10))), WalSync::kNo).ok(),
                 "nothing fails");
      if (random.Chance(1, 10)) engine.Crash(&random);
    }
    return State(engine);
  };
  for (uint64_t seed = 0; seed < 10; ++seed) EXPECT_EQ(run(seed), run(seed));
}

TEST(MemoryEngine, NeedsTheDiskAsOftenAsItIsTold) {
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kNo).ok());
  engine.AnswerNeedsDisk(4, 7);
  int needs_disk = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string value;
    if (engine.TryGet(Family::kRecords, "a", &value) == Peek::kNeedsDisk) ++needs_disk;
  }
  EXPECT_GT(needs_disk, 900);
  EXPECT_LT(needs_disk, 1100);
  EXPECT_EQ(engine.Get(Family::kRecords, "a").value_or("-"), "1");
}

TEST(MemoryEngine, GivesGarbledBytesUntilTheyAreWrittenAgain) {
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kYes).ok());
  const std::unique_ptr<Snapshot> before = engine.TakeSnapshot();
  engine.Garble(Family::kRecords, "a");
  EXPECT_TRUE(MemoryEngine::IsGarbled(*engine.Get(Family::kRecords, "a")));
  EXPECT_TRUE(MemoryEngine::IsGarbled(*before->Get(Family::kRecords, "a"))) << "it is one block";
  EXPECT_FALSE(DecodeRecord(*engine.Get(Family::kRecords, "a")).ok());
  ASSERT_TRUE(engine.Write(PutBatch("a", "2"), WalSync::kYes).ok());
  EXPECT_EQ(State(engine), "2....");
}

TEST(MemoryEngine, ADamagedKeyIsGivenToNobodyUntilItIsWrittenAgain) {
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kYes).ok());
  ASSERT_TRUE(engine.Write(PutBatch("b", "1"), WalSync::kYes).ok());
  ASSERT_TRUE(engine.Damage(Family::kRecords, "b"));
  std::string value;
  EXPECT_EQ(engine.TryGet(Family::kRecords, "b", &value), Peek::kNeedsDisk);
  EXPECT_TRUE(absl::IsDataLoss(engine.Get(Family::kRecords, "b").status()));
  std::string seen;
  const auto scan = [&] {
    return engine.TakeSnapshot()->Scan(Family::kRecords, "", "",
                                       [&](std::string_view key, std::string_view) {
                                         seen.append(key);
                                         return true;
                                       });
  };
  EXPECT_TRUE(absl::IsDataLoss(scan()));
  EXPECT_EQ(seen, "a") << "a scan ends where the damage is";
  EXPECT_EQ(engine.Copy()->Get(Family::kRecords, "b").value_or("-"), "1") << "what was written";
  ASSERT_TRUE(engine.Write(PutBatch("b", "2"), WalSync::kYes).ok());
  EXPECT_EQ(engine.Get(Family::kRecords, "b").value_or("-"), "2");
  EXPECT_TRUE(scan().ok());
  EXPECT_EQ(engine.damaged(), 0U);
}

TEST(MemoryEngine, LosesAndChangesWithoutAWordWhatIsDurable) {
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kYes).ok());
  ASSERT_TRUE(engine.Write(PutBatch("b", "1"), WalSync::kYes).ok());
  EXPECT_TRUE(engine.Lose(Family::kRecords, "a"));
  EXPECT_TRUE(absl::IsNotFound(engine.Get(Family::kRecords, "a").status()));
  EXPECT_TRUE(engine.Change(Family::kRecords, "b", "9"));
  EXPECT_EQ(engine.Get(Family::kRecords, "b").value_or("-"), "9");
  EXPECT_FALSE(engine.Lose(Family::kRecords, "a")) << "nothing is there";
  ASSERT_TRUE(engine.Write(PutBatch("b", "2"), WalSync::kNo).ok());
  EXPECT_FALSE(engine.Change(Family::kRecords, "b", "3")) << "a crash may undo it";
}

TEST(MemoryEngine, CountsWhatItDid) {
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kNo).ok());
  ASSERT_TRUE(engine.Write(PutBatch("b", "1"), WalSync::kYes).ok());
  engine.TakeSnapshot();
  Random random(1);
  engine.Crash(&random);
  EXPECT_EQ(engine.counters().writes, 2U);
  EXPECT_EQ(engine.counters().syncs, 1U);
  EXPECT_EQ(engine.counters().changes, 2U);
  EXPECT_EQ(engine.counters().snapshots, 1U);
  EXPECT_EQ(engine.counters().crashes, 1U);
  EXPECT_EQ(engine.counters().lost_batches, 0U);
}

TEST(MemoryEngineDeathTest, AbortsWhenAVisitorWrites) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  MemoryEngine engine;
  ASSERT_TRUE(engine.Write(PutBatch("a", "1"), WalSync::kNo).ok());
  const auto snapshot = engine.TakeSnapshot();
  EXPECT_DEATH(
      {
        const absl::Status status =
            snapshot->Scan(Family::kRecords, "", "", [&](std::string_view, std::string_view) {
              return engine.Write(PutBatch("b", "1"), WalSync::kNo).ok();
            });
      },
      "must not write");
}

}  // namespace
}  // namespace gyre
