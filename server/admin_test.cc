#include "server/admin.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/error_translation.h"
#include "server/clock.h"
#include "server/local_cluster.h"
#include "storage/keys.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

// Admin of a cluster of one, whose lane stands still.
class AdminBench : public ::testing::Test {
 protected:
  AdminBench()
      : pool_(&engine_, 1),
        links_({}, {}, Random(1), {}),
        seat_(&node_->control(), &node_->movement(), &pool_, &links_, &disk_) {
    lane_ = std::make_unique<Lane>(Lane::Options(), node_.get(), Lane::Seats{&seat_, nullptr},
                                   &pool_, &links_);
    seat_.Attach(
        {lane_.get()}, [](std::shared_ptr<const View>) {}, [](const std::string&) {});
    door_.Attach({lane_.get()});
  }

  static Topology Initial() {
    TableSpec table;
    table.name = "carts";
    table.replicas = table.read_quorum = table.write_quorum = 1;
    return *CreateTable(*InitialTopology("test", 1, {{{}, "n", "z", "h:1", "h:2"}}), table);
  }
  static std::unique_ptr<Node> OpenNode(Engine* engine) {
    const Topology initial = Initial();
    return *Node::Open({}, engine, initial, initial.members[0].id, true, Random(1));
  }

  // What the call was answered, "" before.
  template <typename Reply>
  static Admin::Done<Reply> Note(const std::shared_ptr<std::promise<absl::Status>>& answer) {
    return
        [answer](const absl::StatusOr<Reply>& reply) mutable { answer->set_value(reply.status()); };
  }
  std::future<absl::Status> Scan() {
    auto answer = std::make_shared<std::promise<absl::Status>>();
    v1::ScanPartitionRequest request;
    request.set_table("carts");
    admin_.ScanPartition(request, Note<v1::ScanPartitionReply>(answer));
    return answer->get_future();
  }
  std::future<absl::Status> Status() {
    auto answer = std::make_shared<std::promise<absl::Status>>();
    admin_.NodeStatus(Note<v1::NodeStatusReply>(answer));
    return answer->get_future();
  }
  std::future<absl::Status> Drop() {
    auto answer = std::make_shared<std::promise<absl::Status>>();
    v1::DropTableRequest request;
    request.set_name("nothing");
    admin_.DropTable(request, Note<v1::DropTableReply>(answer));
    return answer->get_future();
  }
  static bool Answered(const std::future<absl::Status>& answer) {
    return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  static void ExpectOverloaded(std::future<absl::Status> answer) {
    ASSERT_TRUE(Answered(answer));
    const absl::Status status = answer.get();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::OVERLOADED);
    EXPECT_GT(DetailOf(status)->retry_after_ms(), 0u);
  }
  // The pool's one reader for operators waits until the returned promise is kept.
  std::promise<void> HoldUpReads() {
    std::promise<void> go;
    pool_.Submit(StorePool::ReadLane::kAdmin, [wait = go.get_future()](Engine*) { wait.wait(); });
    return go;
  }

  MemoryEngine engine_;
  const std::unique_ptr<Node> node_ = OpenNode(&engine_);
  StorePool pool_;
  PeerLinks links_;
  DiskFailure disk_;
  ControlSeat seat_;
  Door door_{Door::Options(), node_->control().view()};
  std::unique_ptr<Lane> lane_;
  MembershipSeat membership_{node_.get(), &links_};
  MovePace pace_;
  Admin admin_{{&door_, &seat_, &membership_, &pool_, &links_, &disk_, &pace_, {}}, MonotonicNow()};
};

TEST_F(AdminBench, AnswersOverloadedWhenEnoughScansAreUnderWay) {
  std::promise<void> go = HoldUpReads();
  std::vector<std::future<absl::Status>> scans;
  for (int i = 0; i < Admin::kMaxScans; ++i) scans.push_back(Scan());
  ExpectOverloaded(Scan());
  go.set_value();
  for (std::future<absl::Status>& scan : scans) EXPECT_TRUE(scan.get().ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return Scan().get().ok(); }));
}

TEST_F(AdminBench, AnswersOverloadedWhenEnoughAskForTheStatus) {
  std::promise<void> go = HoldUpReads();
  std::vector<std::future<absl::Status>> calls;
  for (int i = 0; i < Admin::kMaxStatusCalls; ++i) calls.push_back(Status());
  ExpectOverloaded(Status());
  go.set_value();
  for (std::future<absl::Status>& call : calls) EXPECT_TRUE(call.get().ok());
}

TEST_F(AdminBench, AnswersOverloadedWhenEnoughChangesOfTheTopologyWait) {
  std::vector<std::future<absl::Status>> changes;
  for (int i = 0; i < Admin::kMaxChanges; ++i) changes.push_back(Drop());
  ExpectOverloaded(Drop());
  for (const std::future<absl::Status>& change : changes) EXPECT_FALSE(Answered(change));
}

TEST_F(AdminBench, SaysTypedThatAScanMetADamagedRecord) {
  const TableSpec& table = *node_->control().view()->FindTable("carts");
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey({PartitionId(1, 0), table.id, "anna"}), "damage");
  ASSERT_TRUE(engine_.Write(damage, WalSync::kYes).ok());
  const absl::Status status = Scan().get();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  ASSERT_TRUE(DetailOf(status).has_value());
  EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::STORAGE_FAILED);
}

// What it holds may lack what its peers acknowledged meanwhile.
TEST_F(AdminBench, ShowsNothingOfADiskThatFailed) {
  EXPECT_TRUE(Scan().get().ok());
  disk_.Give(absl::UnavailableError("device"));
  const absl::Status status = Scan().get();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::STORAGE_FAILED);
  EXPECT_TRUE(Status().get().ok()) << "which says so";
}

TEST_F(AdminBench, TellsTheStatusWithoutAScan) {
  const uint64_t snapshots = engine_.counters().snapshots;
  ASSERT_TRUE(Status().get().ok());
  EXPECT_EQ(engine_.counters().snapshots, snapshots);
}

}  // namespace
}  // namespace gyre
