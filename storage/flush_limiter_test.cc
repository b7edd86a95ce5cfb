#include "storage/flush_limiter.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "storage/scratch_directory.h"

namespace gyre {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kHours = int64_t{1} << 40;  // bytes, of which a flush writes 16 MiB a second

// Its clock stands still.
class StillEnv final : public rocksdb::EnvWrapper {
 public:
  StillEnv() : EnvWrapper(rocksdb::Env::Default()) {}
  const char* Name() const override { return "still"; }
  uint64_t NowNanos() override { return 1'000'000'000; }
};

class FlushLimiterTest : public testing::Test {
 protected:
  void Ask(int64_t bytes, rocksdb::Env::IOPriority priority) {
    limiter_.Request(bytes, priority, nullptr);
  }

  StillEnv env_;
  FlushLimiter limiter_{&env_};
};

TEST_F(FlushLimiterTest, TakesItsPaceFromWhatIsWritten) {
  EXPECT_EQ(limiter_.GetBytesPerSecond(), 16 * kMiB);
  limiter_.OnWritten(30 * kMiB);
  EXPECT_EQ(limiter_.GetBytesPerSecond(), 60 * kMiB);
}

TEST_F(FlushLimiterTest, LetsCompactionsPassAndWhateverWritersWaitFor) {
  Ask(kHours, rocksdb::Env::IO_HIGH);  // the first passes, and keeps the next ones for hours
  for (int i = 0; i < 1000; ++i) {
    Ask(kMiB, rocksdb::Env::IO_LOW);
    Ask(kMiB, rocksdb::Env::IO_USER);
  }
}

TEST_F(FlushLimiterTest, LetsAFlushPassWhileSomebodyHurries) {
  Ask(kHours, rocksdb::Env::IO_HIGH);
  limiter_.Hurry();
  for (int i = 0; i < 1000; ++i) Ask(kMiB, rocksdb::Env::IO_HIGH);
  limiter_.Calm();
}

TEST_F(FlushLimiterTest, WakesAFlushThatWaitsWhenSomebodyHurries) {
  Ask(kHours, rocksdb::Env::IO_HIGH);
  std::thread flush([this] { Ask(kMiB, rocksdb::Env::IO_HIGH); });
  limiter_.Hurry();
  flush.join();
}

TEST_F(FlushLimiterTest, LetsAFlushThatIsUnderWayPassWhileWritersWait) {
  const auto change = [this](rocksdb::WriteStallCondition from, rocksdb::WriteStallCondition to) {
    rocksdb::WriteStallInfo info;
    info.condition.prev = from;
    info.condition.cur = to;
    limiter_.OnStallConditionsChanged(info);
  };
  using rocksdb::WriteStallCondition;
  Ask(kHours, rocksdb::Env::IO_HIGH);
  std::thread flush([this] { Ask(kMiB, rocksdb::Env::IO_HIGH); });
  change(WriteStallCondition::kNormal, WriteStallCondition::kDelayed);
  flush.join();
  change(WriteStallCondition::kDelayed, WriteStallCondition::kStopped);
  Ask(kMiB, rocksdb::Env::IO_HIGH);
  change(WriteStallCondition::kStopped, WriteStallCondition::kNormal);
  std::thread held([this] { Ask(kMiB, rocksdb::Env::IO_HIGH); });
  limiter_.Hurry();  // it is held again: only this lets it go
  held.join();
}

TEST_F(FlushLimiterTest, ServesTwoWhoHurryUntilBothAreDone) {
  Ask(kHours, rocksdb::Env::IO_HIGH);
  limiter_.Hurry();
  limiter_.Hurry();
  limiter_.Calm();
  Ask(kMiB, rocksdb::Env::IO_HIGH);
}

// Notes with which priorities it is asked.
class Listener final : public rocksdb::RateLimiter {
 public:
  using rocksdb::RateLimiter::Request;
  void Request(int64_t, rocksdb::Env::IOPriority priority, rocksdb::Statistics*) override {
    const std::lock_guard lock(mutex_);
    heard_.insert(priority);
  }
  std::set<rocksdb::Env::IOPriority> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(heard_, {});
  }
  int64_t GetSingleBurstBytes() const override { return kMiB; }
  int64_t GetBytesPerSecond() const override { return kMiB; }
  void SetBytesPerSecond(int64_t) override {}
  int64_t GetTotalBytesThrough(rocksdb::Env::IOPriority) const override { return 0; }
  int64_t GetTotalRequests(rocksdb::Env::IOPriority) const override { return 0; }

 private:
  std::mutex mutex_;
  std::set<rocksdb::Env::IOPriority> heard_;
};

// What the limiter relies on of RocksDB.
TEST(RocksDb, AsksForFlushesCompactionsAndTheLogWithPrioritiesOfTheirOwn) {
  const ScratchDirectory scratch;
  const auto listener = std::make_shared<Listener>();
  rocksdb::Options options;
  options.create_if_missing = true;
  options.rate_limiter = listener;
  rocksdb::DB* opened = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, scratch.path(), &opened).ok());
  const std::unique_ptr<rocksdb::DB> db(opened);
  listener->Take();

  rocksdb::WriteOptions write;
  write.sync = true;
  for (int file = 0; file < 2; ++file) {
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(db->Put(write, std::to_string(i), std::string(1000, 'v')).ok());
    }
    EXPECT_EQ(listener->Take(), std::set<rocksdb::Env::IOPriority>());
    ASSERT_TRUE(db->Flush(rocksdb::FlushOptions()).ok());
    EXPECT_EQ(listener->Take(), std::set<rocksdb::Env::IOPriority>{rocksdb::Env::IO_HIGH});
  }
  ASSERT_TRUE(db->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr).ok());
  EXPECT_EQ(listener->Take(), std::set<rocksdb::Env::IOPriority>{rocksdb::Env::IO_LOW});
}

}  // namespace
}  // namespace gyre
