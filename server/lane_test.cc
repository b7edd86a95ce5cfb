#include "server/lane.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "server/local_cluster.h"
#include "storage/rocks_engine.h"
#include "storage/scratch_directory.h"

namespace gyre {
namespace {

using ReadLane = StorePool::ReadLane;

// The lane of node "n", which keeps a hint for node "m", over a pool whose readers stand still.
class StandingPool : public ::testing::Test {
 protected:
  StandingPool() {
    const std::shared_future<void> go = go_.get_future().share();
    for (const ReadLane reads : {ReadLane::kData, ReadLane::kRepair}) {
      pool_.Submit(reads, [go](Engine*) { go.wait(); });
      EXPECT_TRUE(LocalCluster::Eventually([&] { return Waiting(reads) == 0; }));
    }
    lane_.OnPeer(owner_, false);
    lane_.Start();
  }
  ~StandingPool() override {
    lane_.Stop();
    go_.set_value();
    pool_.Stop();
  }
  void Hear(PeerBody body) {
    PeerMessage message;
    message.exchange = 7;
    message.epoch = view_->epoch();
    message.partition = item_.partition;
    message.body = std::move(body);
    lane_.OnMessages(owner_, {std::move(message)}, nullptr);
  }
  void KeepHint() {
    Record record;
    AddVersion(&record, {{ReplicaId(5), 1}, 0, "milk"});
    Hint hint;
    hint.owner = owner_;
    hint.change.item = item_;
    hint.change.minted = {{record.versions[0].dot, {}, 0}};
    hint.change.record = std::make_shared<const Record>(std::move(record));
    Hear(std::move(hint));
    EXPECT_TRUE(LocalCluster::Eventually([&] { return lane_.figures().stand_in.kept == 1; }));
  }
  size_t Waiting(ReadLane reads) const {
    return pool_.figures().waiting.at(static_cast<size_t>(reads));
  }
  bool OneComesToWaitIn(ReadLane reads) const {
    return LocalCluster::Eventually([&] { return Waiting(reads) == 1; });
  }

  static std::unique_ptr<RocksEngine> OpenEngine(const std::string& path) {
    return *RocksEngine::Open({.path = path});
  }
  static std::unique_ptr<Node> OpenNode(Engine* engine) {
    const Topology initial =
        *InitialTopology("test", 16, {{{}, "n", "z", "h:1", "h:2"}, {{}, "m", "z", "h:3", "h:4"}});
    TableSpec table;
    table.name = "carts";
    table.replicas = table.read_quorum = table.write_quorum = 1;
    return *Node::Open({}, engine, *CreateTable(initial, table),
                       NodeIdFromName(initial.cluster, "n"), true, Random(1));
  }
  // One that is the other node's.
  static ItemKey FindItem(const View& view) {
    const TableSpec& table = *view.FindTable("carts");
    std::string key;
    while (view.IsOwner(view.Locate(table, key), view.self())) key += "x";
    return {view.Locate(table, key), table.id, key};
  }

  ScratchDirectory directory_;
  const std::unique_ptr<RocksEngine> engine_ = OpenEngine(directory_.path() + "/store");
  const std::unique_ptr<Node> node_ = OpenNode(engine_.get());
  const std::shared_ptr<const View> view_ = node_->control().view();
  const ItemKey item_ = FindItem(*view_);
  const NodeId owner_ = view_->Owners(item_.partition).front();
  std::promise<void> go_;
  StorePool pool_{engine_.get(), 1};
  PeerLinks links_{{}, {}, Random(1), {}};
  Lane lane_{Lane::Options(), node_.get(), {}, &pool_, &links_};
};

TEST_F(StandingPool, WhatAClientWaitsForOfHintsWaitsWithClientsReads) {
  KeepHint();
  Hear(FetchHints{item_});
  EXPECT_TRUE(OneComesToWaitIn(ReadLane::kData));
}

TEST_F(StandingPool, WhatIsReadToBeHandedOverWaitsWithRepair) {
  KeepHint();
  lane_.OnPeer(owner_, true);
  EXPECT_TRUE(OneComesToWaitIn(ReadLane::kRepair));
  EXPECT_EQ(Waiting(ReadLane::kData), 0u);
}

}  // namespace
}  // namespace gyre
