#include "server/local_cluster.h"

#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/check.h"
#include "server/clock.h"

namespace gyre {

LocalCluster::LocalCluster(int nodes) {
  config::NodeConfig wire;
  wire.set_cluster_name("test");
  wire.set_partitions(8);
  wire.set_repair_interval_ms(100);
  wire.set_drain_ms(2'000);
  for (int i = 0; i < nodes; ++i) {
    config::PeerConfig* member = wire.add_members();
    member->set_name(absl::StrCat("n", i));
    member->set_client_address(FreeAddress().ToString());
    member->set_peer_address(FreeAddress().ToString());
    member->set_zone(absl::StrCat("z", i));
  }
  for (int i = 0; i < nodes; ++i) {
    wire.set_node_name(absl::StrCat("n", i));
    wire.set_data_dir(absl::StrCat(directory_.path(), "/n", i));
    wire.set_http_listen(FreeAddress().ToString());
    absl::StatusOr<Config> config = Validate(wire);
    GYRE_CHECK(config.ok(), "the test bed's configuration is valid");
    config->first_level = kBuildLevel;
    config->alone_patience = Duration();
    configs_.push_back(*std::move(config));
  }
  nodes_.resize(nodes);
}

int LocalCluster::AddJoining() {
  const int index = static_cast<int>(configs_.size());
  config::NodeConfig wire;
  wire.set_cluster_name("test");
  wire.set_repair_interval_ms(100);
  wire.set_drain_ms(2'000);
  wire.set_node_name(absl::StrCat("n", index));
  wire.set_data_dir(absl::StrCat(directory_.path(), "/n", index));
  wire.set_http_listen(FreeAddress().ToString());
  wire.mutable_joining()->set_client_address(FreeAddress().ToString());
  wire.mutable_joining()->set_peer_address(FreeAddress().ToString());
  wire.mutable_joining()->set_zone(absl::StrCat("z", index));
  wire.add_seeds(FreeAddress().ToString());  // nobody is there
  wire.add_seeds(configs_[0].peer_listen.ToString());
  absl::StatusOr<Config> config = Validate(wire);
  GYRE_CHECK(config.ok(), "the test bed's configuration is valid");
  configs_.push_back(*std::move(config));
  nodes_.emplace_back();
  return index;
}

absl::Status LocalCluster::Start(int index) {
  absl::StatusOr<std::unique_ptr<Gyred>> node =
      Gyred::Start(configs_[index], {[this](const std::string& why) {
                     std::lock_guard<std::mutex> lock(mutex_);
                     fatal_ = why;
                   }});
  if (node.ok()) nodes_[index] = *std::move(node);
  return node.status();
}

void LocalCluster::StartAll(const std::string& table) {
  const int nodes = static_cast<int>(nodes_.size());
  for (int i = 0; i < nodes; ++i) {
    const absl::Status started = Start(i);
    GYRE_CHECK(started.ok(), started.ToString().c_str());
  }
  GYRE_CHECK(FindEachOther(), "the nodes find each other");
  v1::Table plain;
  plain.set_name(table);
  CreateTable(plain);
}

void LocalCluster::CreateTable(const v1::Table& table) {
  grpc::ClientContext context;
  v1::CreateTableRequest request;
  *request.mutable_table() = table;
  v1::CreateTableReply reply;
  const grpc::Status made = Connect(0)->CreateTable(&context, request, &reply);
  GYRE_CHECK(made.ok(), made.error_message().c_str());
  const auto known = [&](size_t node) {
    grpc::ClientContext asking;
    v1::DescribeTableRequest question;
    question.set_name(table.name());
    v1::DescribeTableReply answer;
    return Connect(static_cast<int>(node))->DescribeTable(&asking, question, &answer).ok();
  };
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i] == nullptr) continue;
    GYRE_CHECK(Eventually([&] { return known(i); }), "every node hears of a new table");
  }
}

Address LocalCluster::FreeAddress() { return ports_.emplace_back().address(); }

absl::Status LocalCluster::Stop(int index) {
  const std::unique_ptr<Gyred> node = std::move(nodes_[index]);
  return node->Stop();
}

bool LocalCluster::FindEachOther() const {
  return Eventually([&] {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i] == nullptr) continue;
      const v1::NodeStatusReply status = Status(static_cast<int>(i));
      for (const v1::PeerStatus& peer : status.peers()) {
        if (!peer.connected()) return false;
      }
    }
    return true;
  });
}

std::string LocalCluster::Fatal() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return fatal_;
}

std::unique_ptr<v1::Gyre::Stub> LocalCluster::Connect(int index) const {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::Gyre::NewStub(
      grpc::CreateCustomChannel(AddressOf(index), grpc::InsecureChannelCredentials(), args));
}

v1::NodeStatusReply LocalCluster::Status(int index) const {
  grpc::ClientContext context;
  v1::NodeStatusReply reply;
  const grpc::Status status = Connect(index)->NodeStatus(&context, {}, &reply);
  GYRE_CHECK(status.ok(), status.error_message().c_str());
  return reply;
}

bool LocalCluster::Eventually(const std::function<bool()>& holds) {
  const Time deadline = MonotonicNow() + Duration::Seconds(10);
  while (!holds()) {
    if (MonotonicNow() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace gyre
