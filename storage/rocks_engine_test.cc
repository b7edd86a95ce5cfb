// What the RocksDB engine adds to the contract (engine_contract_test.cc): options, cache, refusals.
// Crashes and damage: rocks_recovery_test.cc.

#include "storage/rocks_engine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "storage/scratch_directory.h"

namespace gyre {
namespace {

std::unique_ptr<RocksEngine> OpenOrDie(const RocksEngine::Options& options) {
  auto engine = RocksEngine::Open(options);
  GYRE_CHECK(engine.ok(), engine.status().ToString().c_str());
  return *std::move(engine);
}

void Put(Engine* engine, std::string key, std::string value) {
  WriteBatch batch;
  batch.Put(Family::kRecords, std::move(key), std::move(value));
  ASSERT_TRUE(engine->Write(batch, WalSync::kNo).ok());
}

bool Says(const absl::Status& status, absl::StatusCode code, const std::string& text) {
  return status.code() == code && status.ToString().find(text) != std::string::npos;
}

TEST(RocksEngine, MakesTheDirectoriesAboveItsOwn) {
  const ScratchDirectory scratch;
  const auto engine = OpenOrDie({.path = scratch.path() + "/a/b/c"});
  EXPECT_TRUE(std::filesystem::is_directory(scratch.path() + "/a/b/c"));
}

TEST(RocksEngine, AnswersNotFoundForAMissingStoreThatItMayNotMake) {
  const ScratchDirectory scratch;
  const auto opened =
      RocksEngine::Open({.path = scratch.path() + "/none", .create_if_missing = false});
  EXPECT_TRUE(Says(opened.status(), absl::StatusCode::kNotFound, "/none")) << opened.status();
  EXPECT_FALSE(std::filesystem::exists(scratch.path() + "/none/CURRENT"));
}

TEST(RocksEngine, NamesTheDirectoryThatItCannotMake) {
  const ScratchDirectory scratch;
  std::ofstream(scratch.path() + "/file") << "in the way";
  const auto opened = RocksEngine::Open({.path = scratch.path() + "/file/data"});
  EXPECT_TRUE(Says(opened.status(), absl::StatusCode::kUnavailable, "/file/data"))
      << opened.status();
}

TEST(RocksEngine, RefusesADirectoryThatIsOpenInThisProcess) {
  const ScratchDirectory scratch;
  const auto engine = OpenOrDie({.path = scratch.path()});
  const auto second = RocksEngine::Open({.path = scratch.path()});
  EXPECT_TRUE(Says(second.status(), absl::StatusCode::kFailedPrecondition, scratch.path()))
      << second.status();
  Put(engine.get(), "a", "1");  // the first is none the worse for it
}

TEST(RocksEngine, RefusesADirectoryThatAnotherProcessHoldsAndNamesThatProcess) {
  const ScratchDirectory scratch;
  OpenOrDie({.path = scratch.path()}).reset();

  int held[2];
  ASSERT_EQ(pipe(held), 0);
  const std::string lock_path = scratch.path() + "/LOCK";
  const pid_t holder = fork();
  if (holder == 0) {  // system calls only: this is a fork of a process with threads
    const int fd = open(lock_path.c_str(), O_RDWR);
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    const char ok = fcntl(fd, F_SETLK, &lock) == 0 ? 'y' : 'n';
    if (write(held[1], &ok, 1) != 1) _exit(1);
    for (;;) pause();
  }
  char ok = 0;
  ASSERT_EQ(read(held[0], &ok, 1), 1);
  ASSERT_EQ(ok, 'y');

  const auto refused = RocksEngine::Open({.path = scratch.path()});
  EXPECT_TRUE(Says(refused.status(), absl::StatusCode::kFailedPrecondition, scratch.path()))
      << refused.status();
  EXPECT_TRUE(Says(refused.status(), absl::StatusCode::kFailedPrecondition,
                   "another process (process id " + std::to_string(holder) + ")"))
      << refused.status();

  kill(holder, SIGKILL);
  int status = 0;
  waitpid(holder, &status, 0);
  close(held[0]);
  close(held[1]);
  EXPECT_TRUE(RocksEngine::Open({.path = scratch.path()}).ok());
}

TEST(RocksEngine, RefusesADirectoryWithAFamilyThatItDoesNotKnow) {
  const ScratchDirectory scratch;
  {
    const auto engine = OpenOrDie({.path = scratch.path()});
    Put(engine.get(), "a", "1");
  }
  {  // what a newer Gyre would leave
    std::vector<std::string> names;
    ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), scratch.path(), &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    families.emplace_back("secondary_index", rocksdb::ColumnFamilyOptions());
    rocksdb::DBOptions options;
    options.create_missing_column_families = true;
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* raw = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, scratch.path(), families, &handles, &raw).ok());
    const std::unique_ptr<rocksdb::DB> db(raw);
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    }
  }
  const auto refused = RocksEngine::Open({.path = scratch.path()});
  EXPECT_TRUE(Says(refused.status(), absl::StatusCode::kFailedPrecondition, "newer version"))
      << refused.status();
  EXPECT_TRUE(Says(refused.status(), absl::StatusCode::kFailedPrecondition, "secondary_index"))
      << refused.status();
}

// What a build left that knew of no expiry.
TEST(RocksEngine, OpensADirectoryThatLacksAFamilyAndAddsIt) {
  const ScratchDirectory scratch;
  {
    rocksdb::DBOptions options;
    options.create_if_missing = options.create_missing_column_families = true;
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const char* name : {"default", "records", "dot_log", "hints", "meta"}) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* raw = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, scratch.path(), families, &handles, &raw).ok());
    const std::unique_ptr<rocksdb::DB> db(raw);
    ASSERT_TRUE(db->Put(rocksdb::WriteOptions(), handles[1], "a", "1").ok());
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    }
  }
  const auto engine = OpenOrDie({.path = scratch.path()});
  EXPECT_EQ(*engine->Get(Family::kRecords, "a"), "1");
  WriteBatch batch;
  batch.Put(Family::kExpiry, "b", "");
  EXPECT_TRUE(engine->Write(batch, WalSync::kYes).ok());
  EXPECT_TRUE(engine->Get(Family::kExpiry, "b").ok());
}

TEST(RocksEngine, KeepsEverythingOverACleanReopen) {
  const ScratchDirectory scratch;
  for (const bool flush : {false, true}) {
    const std::string key = flush ? "flushed" : "logged";
    {
      const auto engine = OpenOrDie({.path = scratch.path()});
      WriteBatch batch;
      for (int family = 0; family < kFamilies; ++family) {
        batch.Put(static_cast<Family>(family), key, std::to_string(family));
      }
      ASSERT_TRUE(engine->Write(batch, WalSync::kNo).ok());
      if (flush) {
        ASSERT_TRUE(engine->Flush().ok());
      }
    }
    const auto engine = OpenOrDie({.path = scratch.path(), .create_if_missing = false});
    for (int family = 0; family < kFamilies; ++family) {
      EXPECT_EQ(engine->Get(static_cast<Family>(family), key).value_or("-"),
                std::to_string(family));
    }
  }
}

TEST(RocksEngine, AnswersFromMemoryWhatItJustFlushed) {
  const ScratchDirectory scratch;
  const auto engine = OpenOrDie({.path = scratch.path()});
  Put(engine.get(), "a", "1");
  ASSERT_TRUE(engine->Flush().ok());
  std::string value;
  EXPECT_EQ(engine->TryGet(Family::kRecords, "a", &value), Peek::kFound);
  EXPECT_EQ(value, "1");
}

TEST(RocksEngine, NeedsTheDiskForAColdBlockOnlyUntilItWasRead) {
  const ScratchDirectory scratch;
  {
    const auto engine = OpenOrDie({.path = scratch.path()});
    for (int i = 0; i < 1000; ++i) Put(engine.get(), std::to_string(i), std::string(100, 'v'));
    ASSERT_TRUE(engine->Flush().ok());
  }
  const auto engine = OpenOrDie({.path = scratch.path()});
  std::string value = "untouched";
  EXPECT_EQ(engine->TryGet(Family::kRecords, "500", &value), Peek::kNeedsDisk);
  EXPECT_EQ(engine->Get(Family::kRecords, "500").value_or("-"), std::string(100, 'v'));
  EXPECT_EQ(engine->TryGet(Family::kRecords, "500", &value), Peek::kFound);
  EXPECT_EQ(value, std::string(100, 'v'));
}

TEST(RocksEngine, KnowsFromItsFilterThatANewKeyIsAbsentWithoutTheDisk) {
  const ScratchDirectory scratch;
  {
    const auto engine = OpenOrDie({.path = scratch.path()});
    for (int i = 0; i < 10000; ++i) Put(engine.get(), std::to_string(i), std::string(100, 'v'));
    ASSERT_TRUE(engine->Flush().ok());
  }
  const auto engine = OpenOrDie({.path = scratch.path()});
  int needs_disk = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string value;
    // Between existing keys, so that only the filter can tell.
    const Peek peek = engine->TryGet(Family::kRecords, std::to_string(i) + "x", &value);
    EXPECT_NE(peek, Peek::kFound);
    if (peek == Peek::kNeedsDisk) ++needs_disk;
  }
  EXPECT_LT(needs_disk, 50);
}

TEST(RocksEngine, CompressesWhereItIsAskedToAndReadsBothKinds) {
  const ScratchDirectory scratch;
  const std::string value(4000, 'v');
  const auto fill = [&](RocksEngine::Compression compression, const std::string& prefix) {
    const auto engine = OpenOrDie({.path = scratch.path(), .compression = compression});
    const uint64_t before = engine->SizeBytes();
    for (int i = 0; i < 500; ++i) Put(engine.get(), prefix + std::to_string(i), value);
    EXPECT_TRUE(engine->Flush().ok());
    return engine->SizeBytes() - std::min(before, engine->SizeBytes());
  };
  const uint64_t plain = fill(RocksEngine::Compression::kNone, "plain");
  const uint64_t packed = fill(RocksEngine::Compression::kLz4, "packed");
  EXPECT_GT(plain, 500 * value.size());
  EXPECT_LT(packed, plain / 4);
  const auto engine = OpenOrDie({.path = scratch.path()});
  EXPECT_EQ(engine->Get(Family::kRecords, "plain7").value_or("-"), value);
  EXPECT_EQ(engine->Get(Family::kRecords, "packed7").value_or("-"), value);
}

TEST(RocksEngine, CountsItsBytesInLogsAndFiles) {
  const ScratchDirectory scratch;
  const auto engine = OpenOrDie({.path = scratch.path()});
  for (int i = 0; i < 100; ++i) Put(engine.get(), std::to_string(i), std::string(10000, 'v'));
  EXPECT_GT(engine->SizeBytes(), 1'000'000U);
  EXPECT_LT(engine->SizeBytes(), 1'200'000U);
  ASSERT_TRUE(engine->Flush().ok());
  EXPECT_GT(engine->SizeBytes(), 1'000'000U);
  WriteBatch batch;
  batch.EraseRange(Family::kRecords, "0", "a");
  ASSERT_TRUE(engine->Write(batch, WalSync::kYes).ok());
  ASSERT_TRUE(engine->Flush().ok());
  ASSERT_TRUE(engine->CompactAll().ok());
  EXPECT_LT(engine->SizeBytes(), 1'000'000U);
}

TEST(RocksEngine, WritesOutWhatFillsTheMemoryThatItMayUse) {
  const auto files = [](const std::string& path) {
    return std::count_if(std::filesystem::directory_iterator(path), {},
                         [](const auto& entry) { return entry.path().extension() == ".sst"; });
  };
  for (const size_t mib : {1, 64}) {
    const ScratchDirectory scratch;
    {
      const auto engine = OpenOrDie({.path = scratch.path(), .memtable_bytes = mib << 20});
      for (int i = 0; i < 4000; ++i) Put(engine.get(), std::to_string(i), std::string(1000, 'v'));
    }  // waits for a flush that has begun
    EXPECT_EQ(files(scratch.path()) > 0, mib == 1);
  }
}

TEST(RocksEngine, AnswersReadersOnOtherThreadsWhileOneThreadWrites) {
  const ScratchDirectory scratch;
  const auto engine = OpenOrDie({.path = scratch.path(), .memtable_bytes = 1 << 20});
  // Both keys change in one batch, so every snapshot holds one value twice.
  const auto write = [&](int i) {
    WriteBatch batch;
    batch.Put(Family::kRecords, "x", std::to_string(i) + std::string(5000, '.'));
    batch.Put(Family::kMeta, "x", std::to_string(i) + std::string(5000, '.'));
    return engine->Write(batch, WalSync::kNo);
  };
  ASSERT_TRUE(write(0).ok());
  std::vector<std::thread> readers;
  std::vector<int> torn(3);
  for (int& mine : torn) {
    readers.emplace_back([&engine, &mine] {
      for (int i = 0; i < 2000; ++i) {
        const auto snapshot = engine->TakeSnapshot();
        if (*snapshot->Get(Family::kRecords, "x") != *snapshot->Get(Family::kMeta, "x")) ++mine;
        std::string value;
        if (engine->TryGet(Family::kRecords, "x", &value) == Peek::kAbsent) ++mine;
      }
    });
  }
  for (int i = 1; i < 2000; ++i) ASSERT_TRUE(write(i).ok());
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, (std::vector<int>{0, 0, 0}));
}

}  // namespace
}  // namespace gyre
