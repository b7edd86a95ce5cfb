// What is left after a crash, a power cut, and damage to the files of the RocksDB engine.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ring/check.h"
#include "ring/random.h"
#include "rocksdb/db.h"
#include "storage/keys.h"
#include "storage/readable.h"
#include "storage/rocks_engine.h"
#include "storage/scratch_directory.h"
#include "storage/wal_faults.h"

namespace gyre {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<RocksEngine> OpenOrDie(const RocksEngine::Options& options) {
  auto engine = RocksEngine::Open(options);
  GYRE_CHECK(engine.ok(), engine.status().ToString().c_str());
  return *std::move(engine);
}

// Batch number i puts its number under a key of its own and under one that all share, over all
// families.
WriteBatch Numbered(int i, size_t padding = 0) {
  WriteBatch batch;
  const std::string value = absl::StrCat(i, std::string(padding, '.'));
  batch.Put(Family::kRecords, absl::StrCat("r", i), value);
  batch.Put(Family::kDotLog, absl::StrCat("l", i), value);
  batch.Put(Family::kHints, absl::StrCat("h", i), value);
  batch.Put(Family::kMeta, "newest", absl::StrCat(i));
  return batch;
}

// The number of the newest batch that is there. Fails the test unless exactly the batches up to it
// are there, each whole.
int NewestOf(const Engine& engine) {
  const int newest = std::stoi(engine.Get(Family::kMeta, "newest").value_or("0"));
  for (const auto& [family, prefix] :
       {std::pair{Family::kRecords, "r"}, {Family::kDotLog, "l"}, {Family::kHints, "h"}}) {
    int count = 0;
    const absl::Status status = engine.TakeSnapshot()->Scan(
        family, "", "", [&](std::string_view, std::string_view) { return ++count > 0; });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(count, newest) << prefix;
    for (int i = 1; i <= newest; ++i) {
      const std::string value = engine.Get(family, absl::StrCat(prefix, i)).value_or("-");
      EXPECT_TRUE(absl::StartsWith(value, std::to_string(i))) << prefix << i;
    }
  }
  return newest;
}

std::vector<std::string> FilesEndingWith(const std::string& directory, const std::string& ending) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (absl::EndsWith(entry.path().string(), ending)) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void FlipByte(const std::string& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<int64_t>(offset));
  const auto byte = static_cast<char>(file.get() ^ 0x5a);
  file.seekp(static_cast<int64_t>(offset));
  file.put(byte);
  GYRE_CHECK(file.good(), "the file has that byte");
}

// Kills this process while it writes: after `kill_after` synced batches, at no particular moment.
// The number of synced batches is in file `acknowledged` at every moment.
[[noreturn]] void WriteUntilKilled(const std::string& path, int kill_after) {
  const auto engine = OpenOrDie({.path = path + "/db", .memtable_bytes = 256 << 10});
  std::atomic<int> synced = 0;
  std::thread killer([&synced, kill_after] {
    while (synced.load() < kill_after) std::this_thread::yield();
    raise(SIGKILL);
  });
  std::ofstream acknowledged(path + "/acknowledged");
  for (int i = 1;; ++i) {
    const bool sync = i % 3 == 0;
    GYRE_CHECK(engine->Write(Numbered(i, 2000), sync ? WalSync::kYes : WalSync::kNo).ok(),
               "it writes");
    if (!sync) continue;
    acknowledged << i << std::endl;
    synced.store(i);
  }
}

class RocksRecoveryDeathTest : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(AfterBatches, RocksRecoveryDeathTest, testing::Values(1, 60, 350, 900));

TEST_P(RocksRecoveryDeathTest, KeepsWhatWasAcknowledgedBeforeAKill) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const ScratchDirectory scratch;
  EXPECT_EXIT(WriteUntilKilled(scratch.path(), GetParam()), testing::KilledBySignal(SIGKILL), "");
  int acknowledged = 0;
  std::ifstream lines(scratch.path() + "/acknowledged");
  for (int i = 0; lines >> i;) acknowledged = i;
  EXPECT_GE(acknowledged, GetParam());

  const auto engine = OpenOrDie({.path = scratch.path() + "/db", .create_if_missing = false});
  const int newest = NewestOf(*engine);
  EXPECT_GE(newest, acknowledged);
  ASSERT_TRUE(engine->Write(Numbered(newest + 1), WalSync::kYes).ok());
  EXPECT_EQ(NewestOf(*engine), newest + 1);
}

TEST(RocksRecovery, LosesNothingThatWasSyncedInAPowerCut) {
  const ScratchDirectory scratch;
  WalFaults faults;
  auto engine = OpenOrDie({.path = scratch.path(), .env = faults.env()});
  for (int i = 1; i <= 30; ++i) {
    ASSERT_TRUE(engine->Write(Numbered(i), i % 10 == 0 ? WalSync::kYes : WalSync::kNo).ok());
  }
  for (int i = 31; i <= 35; ++i) ASSERT_TRUE(engine->Write(Numbered(i), WalSync::kNo).ok());
  engine.reset();
  faults.PowerCut();
  engine = OpenOrDie({.path = scratch.path()});
  EXPECT_EQ(NewestOf(*engine), 30);
}

TEST(RocksRecovery, MakesEverythingBeforeDurableByAnEmptySyncedBatch) {
  const ScratchDirectory scratch;
  WalFaults faults;
  auto engine = OpenOrDie({.path = scratch.path(), .env = faults.env()});
  for (int i = 1; i <= 7; ++i) ASSERT_TRUE(engine->Write(Numbered(i), WalSync::kNo).ok());
  ASSERT_TRUE(engine->Write(WriteBatch(), WalSync::kYes).ok());
  engine.reset();
  faults.PowerCut();
  engine = OpenOrDie({.path = scratch.path()});
  EXPECT_EQ(NewestOf(*engine), 7);
}

TEST(RocksRecovery, KeepsAPrefixWhenThePowerIsCutAfterAFlushOfSomeFamilies) {
  const ScratchDirectory scratch;
  WalFaults faults;
  // Records fill their memtable many times, the others never: logs of many ages are alive.
  auto engine =
      OpenOrDie({.path = scratch.path(), .memtable_bytes = 128 << 10, .env = faults.env()});
  for (int i = 1; i <= 400; ++i) {
    WriteBatch batch = Numbered(i);
    batch.Put(Family::kRecords, absl::StrCat("r", i), absl::StrCat(i, std::string(2000, '.')));
    ASSERT_TRUE(engine->Write(batch, i == 200 ? WalSync::kYes : WalSync::kNo).ok());
  }
  engine.reset();
  faults.PowerCut();
  engine = OpenOrDie({.path = scratch.path()});
  EXPECT_GE(NewestOf(*engine), 200);
}

TEST(RocksRecovery, DropsABatchThatWasCutShortAtTheEndOfTheLog) {
  const ScratchDirectory whole;
  {
    const auto engine = OpenOrDie({.path = whole.path() + "/whole"});
    for (int i = 1; i <= 20; ++i) ASSERT_TRUE(engine->Write(Numbered(i), WalSync::kNo).ok());
  }
  const std::vector<std::string> logs = FilesEndingWith(whole.path() + "/whole", ".log");
  ASSERT_EQ(logs.size(), 1U);
  const uint64_t size = fs::file_size(logs[0]);
  int previous = 20;
  for (uint64_t cut = 1; cut < size; cut += 7) {
    const std::string copy = whole.path() + "/copy";
    fs::copy(whole.path() + "/whole", copy);
    fs::resize_file(copy + "/" + fs::path(logs[0]).filename().string(), size - cut);
    {
      const auto engine = OpenOrDie({.path = copy});
      const int newest = NewestOf(*engine);
      ASSERT_LE(newest, std::min(previous, 19));
      ASSERT_GE(newest, previous - 2);  // one batch at a time
      previous = newest;
      ASSERT_TRUE(engine->Write(Numbered(newest + 1), WalSync::kYes).ok());
    }
    ASSERT_EQ(NewestOf(*OpenOrDie({.path = copy})), previous + 1);
    fs::remove_all(copy);
  }
  EXPECT_LE(previous, 1);
}

TEST(RocksRecovery, TakesZeroesBehindTheEndOfALogForSpaceSetAside) {
  const ScratchDirectory scratch;
  {
    const auto engine = OpenOrDie({.path = scratch.path()});
    for (int i = 1; i <= 5; ++i) ASSERT_TRUE(engine->Write(Numbered(i), WalSync::kYes).ok());
  }
  const std::string log = FilesEndingWith(scratch.path(), ".log").at(0);
  fs::resize_file(log, fs::file_size(log) + 5000);
  EXPECT_EQ(NewestOf(*OpenOrDie({.path = scratch.path()})), 5);
}

TEST(RocksRecovery, RefusesALogThatIsDamagedInTheMiddle) {
  const ScratchDirectory scratch;
  {
    const auto engine = OpenOrDie({.path = scratch.path()});
    for (int i = 1; i <= 100; ++i) ASSERT_TRUE(engine->Write(Numbered(i), WalSync::kYes).ok());
  }
  const std::vector<std::string> logs = FilesEndingWith(scratch.path(), ".log");
  ASSERT_EQ(logs.size(), 1U);
  FlipByte(logs[0], fs::file_size(logs[0]) / 2);
  const auto refused = RocksEngine::Open({.path = scratch.path()});
  EXPECT_TRUE(absl::IsDataLoss(refused.status())) << refused.status();
  EXPECT_NE(refused.status().ToString().find("in " + logs[0]), std::string::npos)
      << refused.status();
}

TEST(RocksRecovery, RefusesADirectoryThatLostADataFile) {
  const ScratchDirectory scratch;
  {
    const auto engine = OpenOrDie({.path = scratch.path()});
    ASSERT_TRUE(engine->Write(Numbered(1), WalSync::kYes).ok());
    ASSERT_TRUE(engine->Flush().ok());
  }
  const std::string lost = FilesEndingWith(scratch.path(), ".sst").at(0);
  fs::remove(lost);
  const auto refused = RocksEngine::Open({.path = scratch.path()});
  EXPECT_TRUE(absl::IsDataLoss(refused.status())) << refused.status();
  EXPECT_NE(refused.status().ToString().find(lost), std::string::npos) << refused.status();
}

TEST(RocksRecovery, AnswersDataLossForADamagedBlockAndReadsTheOthers) {
  const ScratchDirectory scratch;
  {
    const auto engine = OpenOrDie({.path = scratch.path()});
    WriteBatch batch;
    for (int i = 1000; i < 2000; ++i) {
      batch.Put(Family::kRecords, std::to_string(i), std::string(1000, 'v'));
    }
    ASSERT_TRUE(engine->Write(batch, WalSync::kYes).ok());
    ASSERT_TRUE(engine->Flush().ok());
  }
  const std::vector<std::string> files = FilesEndingWith(scratch.path(), ".sst");
  ASSERT_EQ(files.size(), 1U);
  FlipByte(files[0], fs::file_size(files[0]) / 2);

  const auto engine = OpenOrDie({.path = scratch.path()});
  int damaged = 0;
  for (int i = 1000; i < 2000; ++i) {
    const auto value = engine->Get(Family::kRecords, std::to_string(i));
    if (value.ok()) {
      ASSERT_EQ(*value, std::string(1000, 'v'));
      continue;
    }
    ASSERT_TRUE(absl::IsDataLoss(value.status())) << value.status();
    std::string peeked;
    EXPECT_EQ(engine->TryGet(Family::kRecords, std::to_string(i), &peeked), Peek::kNeedsDisk);
    ++damaged;
  }
  EXPECT_GT(damaged, 0);
  EXPECT_LT(damaged, 20);
  const std::unique_ptr<Snapshot> snapshot = engine->TakeSnapshot();
  std::string last;
  int read = 0;
  const auto count = [&](std::string_view key, std::string_view) {
    last = key;
    return ++read > 0;
  };
  const absl::Status scanned = snapshot->Scan(Family::kRecords, "", "", count);
  EXPECT_TRUE(absl::IsDataLoss(scanned)) << scanned;
  // And it goes on behind it.
  const std::string behind =
      FindReadable(*snapshot, Family::kRecords, last + '\0', std::to_string(2000));
  EXPECT_TRUE(snapshot->Scan(Family::kRecords, behind, "", count).ok());
  EXPECT_EQ(read, 1000 - damaged);
}

TEST(RocksRecovery, AcknowledgesNothingWhoseSyncFailed) {
  const ScratchDirectory scratch;
  WalFaults faults;
  auto engine = OpenOrDie({.path = scratch.path(), .env = faults.env()});
  ASSERT_TRUE(engine->Write(Numbered(1), WalSync::kYes).ok());
  faults.FailSyncs();
  EXPECT_TRUE(absl::IsUnavailable(engine->Write(Numbered(2), WalSync::kYes)));
  EXPECT_TRUE(absl::IsFailedPrecondition(engine->Write(Numbered(2), WalSync::kYes)));
  EXPECT_TRUE(absl::IsFailedPrecondition(engine->Write(Numbered(2), WalSync::kNo)));
  EXPECT_EQ(engine->Get(Family::kMeta, "newest").value_or("-"), "1");
  engine.reset();
  faults.PowerCut();
  engine = OpenOrDie({.path = scratch.path()});
  EXPECT_EQ(NewestOf(*engine), 1);
}

TEST(RocksRecovery, AcknowledgesNothingWhoseSyncWithoutChangesFailed) {
  const ScratchDirectory scratch;
  WalFaults faults;
  const auto engine = OpenOrDie({.path = scratch.path(), .env = faults.env()});
  ASSERT_TRUE(engine->Write(Numbered(1), WalSync::kNo).ok());
  faults.FailSyncs();
  EXPECT_FALSE(engine->Write(WriteBatch(), WalSync::kYes).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(engine->Write(Numbered(2), WalSync::kNo)));
}

// What is told of a store's failure, and how often.
struct Told {
  std::mutex mutex;
  std::vector<absl::Status> failures;  // guarded by mutex

  std::function<void(const absl::Status&)> Listener() {
    return [this](const absl::Status& status) {
      const std::lock_guard<std::mutex> lock(mutex);
      failures.push_back(status);
    };
  }
  absl::Status Only() {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(failures.size(), 1U);
    return failures.empty() ? absl::OkStatus() : failures.front();
  }
};

TEST(RocksRecovery, TellsOnceOfAWriteThatFails) {
  const ScratchDirectory scratch;
  WalFaults faults;
  Told told;
  const auto engine =
      OpenOrDie({.path = scratch.path(), .env = faults.env(), .on_failure = told.Listener()});
  ASSERT_TRUE(engine->Write(Numbered(1), WalSync::kYes).ok());
  EXPECT_TRUE(told.failures.empty());
  faults.FailSyncs();
  EXPECT_FALSE(engine->Write(Numbered(2), WalSync::kYes).ok());
  EXPECT_FALSE(engine->Write(Numbered(3), WalSync::kYes).ok());
  EXPECT_TRUE(absl::IsUnavailable(told.Only()));
}

// Nobody writes, and so no write tells that the disk is full.
TEST(RocksRecovery, TellsOfAFlushThatFindsNoRoomAndTakesNothingMore) {
  const ScratchDirectory scratch;
  WalFaults faults;
  Told told;
  const auto engine =
      OpenOrDie({.path = scratch.path(), .env = faults.env(), .on_failure = told.Listener()});
  ASSERT_TRUE(engine->Write(Numbered(1), WalSync::kYes).ok());
  faults.FillUp();
  EXPECT_FALSE(engine->Flush().ok());
  EXPECT_TRUE(absl::IsResourceExhausted(told.Only()));
  EXPECT_TRUE(absl::IsFailedPrecondition(engine->Write(Numbered(2), WalSync::kYes)));
  EXPECT_EQ(NewestOf(*engine), 1) << "what was acknowledged is still read";
}

TEST(RocksRecovery, TellsOfACompactionThatFindsNoRoom) {
  const ScratchDirectory scratch;
  WalFaults faults;
  Told told;
  const auto engine =
      OpenOrDie({.path = scratch.path(), .env = faults.env(), .on_failure = told.Listener()});
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(engine->Write(Numbered(i), WalSync::kYes).ok());
    ASSERT_TRUE(engine->Flush().ok());
  }
  faults.FillUp();
  EXPECT_FALSE(engine->CompactAll().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(engine->Write(Numbered(3), WalSync::kYes)));
  EXPECT_TRUE(absl::IsResourceExhausted(told.Only()));
}

// Builds before places were remembered for the log's rows (LogRow in rocks_engine.cc) erased ranges
// that begin with a row's key, and their logs are replayed too.
TEST(RocksRecovery, ReplaysARangeThatBeginsInARowOfTheLog) {
  const ScratchDirectory scratch;
  OpenOrDie({.path = scratch.path()});
  const auto key = [](uint64_t counter) {
    return EncodeLogKey(PartitionId::FromValue(1 << 16), {ReplicaId(7), counter});
  };
  {
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const char* name : {"default", "records", "dot_log", "hints", "meta", "expiry"}) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    ASSERT_TRUE(
        rocksdb::DB::Open(rocksdb::DBOptions(), scratch.path(), families, &handles, &opened).ok());
    const std::unique_ptr<rocksdb::DB> db(opened);
    rocksdb::WriteBatch batch;
    for (uint64_t counter = 1; counter <= 100; ++counter) {
      ASSERT_TRUE(batch.Put(handles[2], key(counter), "entry").ok());
      if (counter % 20 == 0) {
        ASSERT_TRUE(batch.DeleteRange(handles[2], key(counter - 19), key(counter - 9)).ok());
      }
    }
    ASSERT_TRUE(db->Write(rocksdb::WriteOptions(), &batch).ok());
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    }
  }
  const auto engine = OpenOrDie({.path = scratch.path()});
  int met = 0;
  ASSERT_TRUE(engine->TakeSnapshot()
                  ->Scan(Family::kDotLog, "", "",
                         [&](std::string_view, std::string_view) { return ++met > 0; })
                  .ok());
  EXPECT_EQ(met, 50);
  for (uint64_t counter = 1; counter <= 100; ++counter) {
    const bool erased = (counter - 1) % 20 < 10;
    EXPECT_EQ(engine->Get(Family::kDotLog, key(counter)).ok(), !erased) << counter;
  }
}

}  // namespace
}  // namespace gyre
