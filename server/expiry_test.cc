// Values that expire, on real nodes.

#include <gtest/gtest.h>
#include <httplib.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "server/local_cluster.h"

namespace gyre {
namespace {

class Expiry : public ::testing::Test {
 protected:
  Expiry() : cluster_(3) {
    for (int node = 0; node < 3; ++node) {
      MembershipOptions& membership = cluster_.config(node).membership;
      membership.probe_interval = Duration::Millis(100);
      membership.probe_timeout = Duration::Millis(50);
      cluster_.config(node).expiry.margin = Duration();
    }
    cluster_.StartAll("carts");
    v1::Table sessions;
    sessions.set_name("sessions");
    sessions.set_ttl_ms(300);
    cluster_.CreateTable(sessions);
    for (int node = 0; node < 3; ++node) {
      EXPECT_TRUE(LocalCluster::Eventually([&] { return MetricOf(node, "gyre_time_known") == 1; }));
    }
  }
  double MetricOf(int node, const std::string& name) {
    const Address& http = cluster_.config(node).http_listen;
    const auto metrics = httplib::Client(http.host, http.port).Get("/metrics");
    if (!metrics) return -1;
    const size_t found = metrics->body.find("\n" + name + " ");
    if (found == std::string::npos) return -1;
    return std::strtod(metrics->body.c_str() + found + name.size() + 2, nullptr);
  }
  grpc::Status Put(const std::string& table, const std::string& key, std::optional<uint64_t> ttl) {
    grpc::ClientContext context;
    v1::PutRequest put;
    put.set_table(table);
    put.set_key(key);
    put.set_value("milk");
    if (ttl.has_value()) put.set_ttl_ms(*ttl);
    v1::PutReply reply;
    return cluster_.Connect(0)->Put(&context, put, &reply);
  }
  v1::GetReply Get(int node, const std::string& table, const std::string& key) {
    grpc::ClientContext context;
    v1::GetRequest get;
    get.set_table(table);
    get.set_key(key);
    v1::GetReply reply;
    const grpc::Status got = cluster_.Connect(node)->Get(&context, get, &reply);
    EXPECT_TRUE(got.ok() || got.error_code() == grpc::StatusCode::UNAVAILABLE)
        << got.error_message();
    return reply;
  }

  LocalCluster cluster_;
};

TEST_F(Expiry, AValueIsGoneAfterItsTimeToLiveAndFromTheDisksToo) {
  ASSERT_TRUE(Put("carts", "brief", 300).ok());
  ASSERT_TRUE(Put("sessions", "brief", std::nullopt).ok());
  ASSERT_TRUE(Put("sessions", "lasting", 0).ok());
  EXPECT_TRUE(LocalCluster::Eventually(
      [&] { return !Get(1, "carts", "brief").found() && !Get(2, "sessions", "brief").found(); }));
  // Whoever does so first; the others may hear of it before they get to it themselves.
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    double removed = 0;
    for (int node = 0; node < 3; ++node) removed += MetricOf(node, "gyre_expired_total");
    return removed >= 2;
  }));
  const v1::GetReply lasting = Get(1, "sessions", "lasting");
  EXPECT_TRUE(lasting.found());
  EXPECT_EQ(lasting.ttl_left_ms_size(), 0);
}

TEST_F(Expiry, AReadSaysForHowLongAValueLivesOn) {
  ASSERT_TRUE(Put("carts", "k", 3'600'000).ok());
  const v1::GetReply got = Get(1, "carts", "k");
  ASSERT_EQ(got.ttl_left_ms_size(), 1);
  // It is another node's time, and that may be behind: by less than the margin of expiry, a minute.
  EXPECT_LE(got.ttl_left_ms(0), 3'660'000u);
  EXPECT_GT(got.ttl_left_ms(0), 3'000'000u);
}

TEST_F(Expiry, ATtlThatIsTooLongIsRefused) {
  EXPECT_EQ(Put("carts", "k", UINT64_MAX).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Expiry, AScanShowsNothingThatHasExpired) {
  ASSERT_TRUE(Put("carts", "brief", 200).ok());
  ASSERT_TRUE(Put("carts", "lasting", 3'600'000).ok());
  const auto keys = [&] {
    std::string found;
    const auto stub = cluster_.Connect(0);
    for (uint32_t slice = 0; slice < cluster_.config(0).partitions; ++slice) {
      grpc::ClientContext context;
      v1::ScanPartitionRequest scan;
      scan.set_table("carts");
      scan.set_slice(slice);
      v1::ScanPartitionReply reply;
      const grpc::Status scanned = stub->ScanPartition(&context, scan, &reply);
      EXPECT_TRUE(scanned.ok()) << scanned.error_message();
      for (const auto& item : reply.items()) found += item.key() + " ";
    }
    return found;
  };
  EXPECT_TRUE(LocalCluster::Eventually([&] { return keys() == "lasting "; }));
}

}  // namespace
}  // namespace gyre
