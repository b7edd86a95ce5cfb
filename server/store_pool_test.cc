#include "server/store_pool.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "storage/memory_engine.h"

namespace gyre {
namespace {

// An engine whose first write waits until it is let through, so that a group gathers behind it.
class GatedEngine final : public Engine {
 public:
  absl::Status Write(const WriteBatch& batch, WalSync sync) override {
    entered_.set_value();
    open_.get_future().wait();
    entered_ = {};
    open_ = {};
    open_.set_value();  // only the first waits
    batches_.push_back(batch.changes().size());
    syncs_.push_back(sync);
    return status_;
  }
  Peek TryGet(Family, std::string_view, std::string*) const override { return Peek::kAbsent; }
  absl::StatusOr<std::string> Get(Family, std::string_view) const override {
    return absl::NotFoundError("");
  }
  std::unique_ptr<Snapshot> TakeSnapshot() const override { return nullptr; }
  uint64_t SizeBytes() const override { return 0; }
  uint64_t EstimateKeys(Family) const override { return 0; }

  std::promise<void> entered_;
  std::promise<void> open_;
  std::vector<size_t> batches_;
  std::vector<WalSync> syncs_;
  absl::Status status_;
};

WriteBatch OneChange(const std::string& key) {
  WriteBatch batch;
  batch.Put(Family::kRecords, key, "v");
  return batch;
}

TEST(StorePool, WritesAsOneGroupWhatGathersBehindAWrite) {
  GatedEngine engine;
  StorePool pool(&engine, 1);
  int completed = 0;
  std::mutex mutex;
  const auto count = [&](const absl::Status& status) {
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_TRUE(status.ok());
    ++completed;
  };
  std::future<void> entered = engine.entered_.get_future();
  pool.Commit(OneChange("first"), WalSync::kNo, count);
  entered.wait();
  pool.Commit(OneChange("a"), WalSync::kNo, count);
  pool.Commit(OneChange("b"), WalSync::kYes, count);
  pool.Commit(OneChange("c"), WalSync::kNo, count);
  engine.open_.set_value();
  pool.Stop();
  EXPECT_EQ(completed, 4);
  EXPECT_EQ(engine.batches_, (std::vector<size_t>{1, 3}));
  EXPECT_EQ(engine.syncs_, (std::vector<WalSync>{WalSync::kNo, WalSync::kYes}));
  EXPECT_EQ(pool.figures().commits, 4u);
  EXPECT_EQ(pool.figures().groups, 2u);
}

TEST(StorePool, LeavesForTheNextGroupWhatDoesNotFit) {
  GatedEngine engine;
  StorePool pool(&engine, 1);
  std::vector<std::string> completed;
  std::mutex mutex;
  const auto commit = [&](const std::string& name, size_t value_bytes) {
    WriteBatch batch;
    batch.Put(Family::kRecords, name, std::string(value_bytes, 'v'));
    pool.Commit(std::move(batch), WalSync::kNo, [&, name](const absl::Status&) {
      std::lock_guard<std::mutex> lock(mutex);
      completed.push_back(name);
    });
  };
  std::future<void> entered = engine.entered_.get_future();
  commit("first", 1);
  entered.wait();
  const size_t half = StorePool::kMaxGroupBytes / 2 - 1000;
  commit("a", half);
  commit("b", half);
  commit("c", half);                              // a and b, with c left for the next round,
  commit("d", StorePool::kMaxGroupBytes + 1000);  // which ends before d: it is never split,
  commit("e", 1);                                 // and nothing overtakes it
  engine.open_.set_value();
  pool.Stop();
  EXPECT_EQ(engine.batches_, (std::vector<size_t>{1, 2, 1, 1, 1}));
  EXPECT_EQ(completed, (std::vector<std::string>{"first", "a", "b", "c", "d", "e"}));
  EXPECT_EQ(pool.figures().groups, 5u);
}

TEST(StorePool, TellsEachOfAGroupThatItFailed) {
  GatedEngine engine;
  engine.status_ = absl::UnavailableError("disk");
  StorePool pool(&engine, 1);
  int failed = 0;
  std::future<void> entered = engine.entered_.get_future();
  pool.Commit(OneChange("a"), WalSync::kYes,
              [&](const absl::Status& status) { failed += status.ok() ? 0 : 1; });
  entered.wait();
  pool.Commit(OneChange("b"), WalSync::kYes,
              [&](const absl::Status& status) { failed += status.ok() ? 0 : 1; });
  pool.Commit(OneChange("c"), WalSync::kYes,
              [&](const absl::Status& status) { failed += status.ok() ? 0 : 1; });
  engine.open_.set_value();
  pool.Stop();
  EXPECT_EQ(failed, 3);
}

TEST(StorePool, FinishesWhatWaitsBeforeItStops) {
  MemoryEngine engine;
  std::vector<std::string> seen;
  {
    StorePool pool(&engine, 1);
    for (int i = 0; i < 10; ++i) {
      pool.Submit(StorePool::ReadLane::kData,
                  [&seen, i](Engine*) { seen.push_back(std::to_string(i)); });
    }
    pool.Stop();
  }
  EXPECT_EQ(seen.size(), 10u);
}

TEST(StorePool, ALaneThatStandsStillHoldsUpNoOther) {
  using ReadLane = StorePool::ReadLane;
  const std::vector<ReadLane> lanes = {ReadLane::kData, ReadLane::kRepair, ReadLane::kAdmin};
  for (const ReadLane still : lanes) {
    MemoryEngine engine;
    StorePool pool(&engine, 1);
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    for (int i = 0; i < 100; ++i) pool.Submit(still, [gone](Engine*) { gone.wait(); });
    for (const ReadLane lane : lanes) {
      if (lane == still) continue;
      std::promise<void> read;
      pool.Submit(lane, [&](Engine*) { read.set_value(); });
      read.get_future().wait();
    }
    std::promise<void> written;
    pool.Commit(OneChange("a"), WalSync::kYes, [&](const absl::Status&) { written.set_value(); });
    written.get_future().wait();
    EXPECT_GE(pool.figures().waiting.at(static_cast<size_t>(still)), 99u);
    go.set_value();
  }
}

}  // namespace
}  // namespace gyre
