#include "server/membership_seat.h"

#include <gtest/gtest.h>
#include <httplib.h>

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
  ASSERT_TRUE(cluster.Start(2).ok());
  EXPECT_TRUE(OthersTakeItFor(cluster, "alive"));
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
