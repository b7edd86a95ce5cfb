#include "server/membership_seat.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <string>

#include "server/local_cluster.h"

namespace gyre {
namespace {

// What node `at` says that it takes node `about` for.
std::string LivenessAt(const LocalCluster& cluster, int at, int about) {
  const v1::NodeStatusReply status = cluster.Status(at);
  for (const v1::PeerStatus& peer : status.peers()) {
    if (peer.node() == "n" + std::to_string(about)) return peer.liveness();
  }
  return "";
}

// Whether nodes 0 and 1 come to say so of node 2.
bool OthersTakeItFor(const LocalCluster& cluster, const std::string& liveness) {
  return LocalCluster::Eventually([&] {
    return LivenessAt(cluster, 0, 2) == liveness && LivenessAt(cluster, 1, 2) == liveness;
  });
}

// Starts three nodes, of which a suspicion lasts this many probe intervals of 100 ms.
void StartThree(LocalCluster* cluster, int suspicion) {
  for (int node = 0; node < 3; ++node) {
    MembershipOptions& options = cluster->config(node).membership;
    options.probe_interval = Duration::Millis(100);
    options.probe_timeout = Duration::Millis(50);
    options.gossip_interval = Duration::Millis(20);
    options.suspicion_least = suspicion;
  }
  cluster->StartAll("carts");
}

TEST(MembershipSeat, SuspectsANodeThatStoppedUntilItIsBack) {
  LocalCluster cluster(3);
  StartThree(&cluster, 1'000'000);
  EXPECT_TRUE(OthersTakeItFor(cluster, "alive"));
  ASSERT_TRUE(cluster.Stop(2).ok());
  EXPECT_TRUE(OthersTakeItFor(cluster, "suspect"));
  const Address& http = cluster.config(0).http_listen;
  const auto metrics = httplib::Client(http.host, http.port).Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_NE(metrics->body.find("gyre_peer_liveness{peer=\"n2\"} 1\n"), std::string::npos);
  EXPECT_NE(metrics->body.find("\ngyre_incarnation "), std::string::npos);
  ASSERT_TRUE(cluster.Start(2).ok());
  EXPECT_TRUE(OthersTakeItFor(cluster, "alive"));
}

// Two requests may be in flight at node 0, so that one is half of what it can do.
TEST(MembershipSeat, TellsPeersHowBusyANodeIs) {
  LocalCluster cluster(3);
  cluster.config(0).max_in_flight = 2;
  cluster.config(0).load.rise_after = Duration::Millis(200);
  cluster.config(0).load.fall_after = Duration::Millis(500);
  StartThree(&cluster, 1'000'000);
  const std::unique_ptr<v1::Gyre::Stub> stub = cluster.Connect(0);
  const auto write = [&] {
    grpc::ClientContext context;
    v1::PutRequest put;
    v1::PutReply reply;
    put.set_table("carts");
    put.set_key("anna");
    put.set_value("apples");
    return stub->Put(&context, put, &reply).ok();
  };
  const auto load_at = [&](int at) {
    const v1::NodeStatusReply status = cluster.Status(at);
    for (const v1::PeerStatus& peer : status.peers()) {
      if (peer.node() == "n0") return peer.load();
    }
    return status.load();
  };
  EXPECT_EQ(load_at(1), "idle");
  const auto shows = [&](int at, const std::string& line) {
    const Address& http = cluster.config(at).http_listen;
    const auto metrics = httplib::Client(http.host, http.port).Get("/metrics");
    return metrics && metrics->body.find("\n" + line + "\n") != std::string::npos;
  };
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    for (int i = 0; i < 50; ++i) write();
    return load_at(0) == "busy" && load_at(1) == "busy" && load_at(2) == "busy" &&
           shows(0, "gyre_load 2") && shows(1, "gyre_peer_load{peer=\"n0\"} 2");
  }));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return load_at(1) == "idle"; }));
}

TEST(MembershipSeat, TakesANodeThatStaysAwayForDeadUntilItIsBack) {
  LocalCluster cluster(3);
  StartThree(&cluster, 1);
  ASSERT_TRUE(cluster.Stop(2).ok());
  EXPECT_TRUE(OthersTakeItFor(cluster, "dead"));
  ASSERT_TRUE(cluster.Start(2).ok());
  EXPECT_TRUE(OthersTakeItFor(cluster, "alive"));
}

}  // namespace
}  // namespace gyre
