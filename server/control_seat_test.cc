#include "server/control_seat.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "api/error_translation.h"
#include "server/lane.h"
#include "server/local_cluster.h"
#include "storage/keys.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

// A store whose disk breaks one day. Snapshots are not to be read while somebody writes.
class WearyEngine final : public Engine {
 public:
  // What a partition's state is found to be. REQUIRES: nobody writes.
  void DamageStateOf(PartitionId partition) {
    WriteBatch damage;
    damage.Put(Family::kMeta, EncodeClockKey(partition), "\x01nonsense");
    EXPECT_TRUE(memory_.Write(damage, WalSync::kYes).ok());
  }
  // REQUIRES: nobody writes.
  void BreakAfter(uint64_t good_writes) { good_writes_ = good_writes; }

  absl::Status Write(const WriteBatch& batch, WalSync sync) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (good_writes_ == 0) return absl::UnavailableError("broken disk");
    --good_writes_;
    return memory_.Write(batch, sync);
  }
  Peek TryGet(Family family, std::string_view key, std::string* value) const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return memory_.TryGet(family, key, value);
  }
  absl::StatusOr<std::string> Get(Family family, std::string_view key) const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return memory_.Get(family, key);
  }
  std::unique_ptr<Snapshot> TakeSnapshot() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return memory_.TakeSnapshot();
  }
  uint64_t SizeBytes() const override { return memory_.SizeBytes(); }
  uint64_t EstimateKeys(Family family) const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return memory_.EstimateKeys(family);
  }

 private:
  mutable std::mutex mutex_;
  MemoryEngine memory_;  // guarded by mutex_, and so is the count
  uint64_t good_writes_ = 1'000'000;
};

// The seat of a cluster of one, whose disk works for `good_writes` writes.
class Bench {
 public:
  explicit Bench(uint64_t good_writes, std::optional<PartitionId> damaged = std::nullopt) {
    engine_.BreakAfter(good_writes);
    if (damaged.has_value()) engine_.DamageStateOf(*damaged);
    seat_.Attach(
        {&lane_}, [](std::shared_ptr<const View>) {}, [](const std::string&) {});
    lane_.Start();
    lane_.OnHeardPeers();
  }
  ~Bench() {
    lane_.Stop();
    pool_.Stop();
  }

  std::future<absl::Status> CreateTable() {
    auto answer = std::make_shared<std::promise<absl::Status>>();
    seat_.Propose(
        [](const Topology& topology) {
          TableSpec table;
          table.name = "carts";
          table.replicas = table.read_quorum = table.write_quorum = 1;
          return gyre::CreateTable(topology, table);
        },
        [answer](const absl::StatusOr<Topology>& topology) {
          answer->set_value(topology.status());
        });
    return answer->get_future();
  }

  const DiskFailure& disk() const { return disk_; }

 private:
  static std::unique_ptr<Node> OpenNode(Engine* engine) {
    const Topology initial = *InitialTopology("test", 1, {{{}, "n", "z", "h:1", "h:2"}});
    return *Node::Open({}, engine, initial, initial.members[0].id, true, Random(1));
  }

  WearyEngine engine_;
  const std::unique_ptr<Node> node_ = OpenNode(&engine_);
  StorePool pool_{&engine_, 1};
  PeerLinks links_{{}, {}, Random(1), {}};
  DiskFailure disk_;
  ControlSeat seat_{&node_->control(), &node_->movement(), &pool_, &links_, &disk_};
  Lane lane_{Lane::Options(), node_.get(), {&seat_, nullptr}, &pool_, &links_};
};

// Whether the promise, the acceptance or the document could not be kept, or the partitions of the
// new table not be opened.
TEST(ControlSeat, AnswersAChangeWhicheverWriteOfItFails) {
  bool done = false;
  for (uint64_t good_writes = 0; !done && good_writes < 10; ++good_writes) {
    Bench bench(good_writes);
    std::future<absl::Status> answer = bench.CreateTable();
    ASSERT_TRUE(LocalCluster::Eventually([&] {
      return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    })) << good_writes;
    const absl::Status status = answer.get();
    done = status.ok();
    if (done) {
      EXPECT_GE(good_writes, 3u) << "promised, accepted, installed";
      continue;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    ASSERT_TRUE(DetailOf(status).has_value()) << status;
    EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::STORAGE_FAILED);
    EXPECT_TRUE(DetailOf(status)->outcome_unknown());
    const absl::Status next = bench.CreateTable().get();
    ASSERT_TRUE(DetailOf(next).has_value()) << next;
    EXPECT_EQ(DetailOf(next)->reason(), v1::ErrorDetail::STORAGE_FAILED);
    EXPECT_FALSE(DetailOf(next)->outcome_unknown());
  }
  EXPECT_TRUE(done) << "with enough of them";
}

TEST(ControlSeat, AViewWhosePartitionsCannotBeReadIsTheEndOfTheNodesService) {
  Bench bench(/*good_writes=*/1'000'000, PartitionId(1, 0));  // of tables with one replica
  const absl::Status status = bench.CreateTable().get();
  ASSERT_TRUE(DetailOf(status).has_value()) << status;
  EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::STORAGE_FAILED);
  EXPECT_TRUE(bench.disk().happened());
  EXPECT_EQ(bench.disk().Words().find("the store is damaged: "), 0u) << bench.disk().Words();
}

}  // namespace
}  // namespace gyre
