// Three nodes together.

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/limits.h"
#include "server/client_calls.h"
#include "server/gyred.h"
#include "server/local_cluster.h"

namespace gyre {
namespace {

TEST(ThreeNodes, AnyNodeServesAnyRequest) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(Put(cluster.Connect(i % 3).get(), PutOf("k" + std::to_string(i), "v")).status.ok());
  }
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(ValuesOf(cluster.Connect((i + 1) % 3).get(), "k" + std::to_string(i)).size(), 1u);
  }
}

TEST(ThreeNodes, MayHaveDifferentNumbersOfShardsAndOtherOnesAfterARestart) {
  LocalCluster cluster(3);
  for (int i = 0; i < 3; ++i) cluster.config(i).shards = i + 1;
  cluster.StartAll("carts");
  const auto key = [](int i) { return "k" + std::to_string(i); };
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(Put(cluster.Connect(i % 3).get(), PutOf(key(i), "v")).status.ok());
  }
  ASSERT_TRUE(cluster.Stop(2).ok());
  cluster.config(2).shards = 5;
  ASSERT_TRUE(cluster.Start(2).ok());
  ASSERT_TRUE(cluster.FindEachOther());
  const Address& http = cluster.config(2).http_listen;
  const auto metrics = httplib::Client(http.host, http.port).Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_NE(metrics->body.find("gyre_shards 5\n"), std::string::npos);
  // An owner that is asked for its own record alone; what it missed comes within a second.
  const std::unique_ptr<v1::Gyre::Stub> stub = cluster.Connect(2);
  for (int i = 0; i < 30; ++i) {
    v1::GetRequest get;
    get.set_table("carts");
    get.set_key(key(i));
    get.mutable_options()->set_read_quorum(1);
    get.mutable_options()->set_timeout_ms(kPatienceMs);
    EXPECT_TRUE(LocalCluster::Eventually([&] {
      grpc::ClientContext context;
      v1::GetReply reply;
      return stub->Get(&context, get, &reply).ok() && reply.values_size() == 1;
    })) << key(i);
  }
}

TEST(ThreeNodes, AskTheOthersOfAWriteThatMayBeLate) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  const std::unique_ptr<v1::Gyre::Stub> stub = cluster.Connect(0);
  ASSERT_TRUE(Put(stub.get(), PutOf("key", "first")).status.ok());
  const auto late = [&] {
    uint64_t sum = 0;
    for (int i = 0; i < 3; ++i) {
      const Address& http = cluster.config(i).http_listen;
      const auto metrics = httplib::Client(http.host, http.port).Get("/metrics");
      const size_t at = metrics->body.find("\ngyre_late_attempts_total ");
      EXPECT_NE(at, std::string::npos);
      sum += std::stoull(metrics->body.substr(at + 26));
    }
    return sum;
  };
  grpc::ClientContext context;
  const auto session = stub->Session(&context);
  uint64_t clock_us = 0;
  const auto put = [&](uint64_t id, uint64_t clock) {
    v1::ClientFrame frame;
    frame.set_clock_us(clock);
    frame.add_requests()->set_id(id);
    *frame.mutable_requests(0)->mutable_put() = PutOf("key", std::to_string(id));
    frame.mutable_requests(0)->mutable_put()->mutable_options()->set_idempotency_key(
        std::string(16, static_cast<char>(id)));
    frame.mutable_requests(0)->mutable_put()->mutable_options()->set_timeout_ms(kPatienceMs);
    v1::ServerFrame answer;
    ASSERT_TRUE(session->Write(frame) && session->Read(&answer));
    ASSERT_TRUE(answer.replies(0).has_put()) << answer.replies(0).error().message();
    EXPECT_GT(answer.clock_us(), clock_us);
    clock_us = answer.clock_us();
  };
  // Forwarded to an owner, it asks in any case: so each of the three is an owner here.
  put(1, 0);
  EXPECT_EQ(late(), 1u) << "nothing is known of its age";
  put(2, clock_us);
  EXPECT_EQ(late(), 1u);
  put(3, 1);
  EXPECT_EQ(late(), 2u) << "sent when the machine was started";
  put(4, clock_us + 3'600'000'000);
  EXPECT_EQ(late(), 3u) << "nobody has heard of that yet";
  EXPECT_EQ(ValuesOf(stub.get(), "key"), std::vector<std::string>{"4"});
}

// A table of which each record has one owner.
v1::Table Single() {
  v1::Table table;
  table.set_name("single");
  table.set_replicas(1);
  return table;
}

TEST(ThreeNodes, ForwardWritesToAnOwner) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  cluster.CreateTable(Single());
  for (int i = 0; i < 10; ++i) {
    v1::PutRequest put = PutOf("k" + std::to_string(i), "v");
    put.set_table("single");
    const Answer answer = Put(cluster.Connect(i % 3).get(), put);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  }
}

TEST(ThreeNodes, RefuseAScanOfASliceThatTheyDoNotOwnAndNameItsOwners) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  cluster.CreateTable(Single());
  int refused = 0;
  for (int node = 0; node < 3; ++node) {
    grpc::ClientContext context;
    v1::ScanPartitionRequest scan;
    scan.set_table("single");
    v1::ScanPartitionReply reply;
    const grpc::Status status = cluster.Connect(node)->ScanPartition(&context, scan, &reply);
    if (status.ok()) continue;
    ++refused;
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(DetailOf(context).reason(), v1::ErrorDetail::NOT_AN_OWNER);
    EXPECT_NE(status.error_message().find("ask n"), std::string::npos) << status.error_message();
  }
  EXPECT_EQ(refused, 2);
}

TEST(ThreeNodes, ExplainWhatEachReplicaDid) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  v1::PutRequest put = PutOf("anna", "apples");
  put.mutable_options()->set_explain(true);
  put.mutable_options()->set_write_quorum(3);
  v1::PutReply reply;
  ASSERT_TRUE(Put(cluster.Connect(0).get(), put, &reply).status.ok());
  EXPECT_EQ(reply.info().answered(), 3u);
  EXPECT_EQ(reply.info().replicas_size(), 3);
  EXPECT_EQ(reply.info().coordinator(), "n0");
}

// Through a channel with gRPC's own limit of 4 MiB.
TEST(ThreeNodes, NeverMakeAMultiReplyThatIsLargerThanAMessage) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  const auto shown_and_refused = [&](const v1::MultiGetRequest& gets) {
    grpc::ClientContext context;
    v1::MultiGetReply reply;
    const grpc::Status status = stub->MultiGet(&context, gets, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::pair<int, int> counts;
    for (const v1::ItemOutcome& item : reply.items()) {
      if (item.has_get()) ++counts.first;
      if (item.status().detail().reason() == v1::ErrorDetail::TOO_LARGE) ++counts.second;
    }
    return counts;
  };

  // Values that would just fit, and what stands around them.
  v1::MultiGetRequest gets;
  gets.set_table("carts");
  gets.mutable_options()->set_explain(true);
  gets.mutable_options()->set_timeout_ms(kPatienceMs);
  const std::string value(kMaxReplyValueBytes / kMaxMultiItems, 'v');
  for (int i = 0; i < kMaxMultiItems; i += 100) {
    grpc::ClientContext context;
    v1::MultiPutRequest puts;
    puts.set_table("carts");
    puts.mutable_options()->set_timeout_ms(kPatienceMs);
    for (int j = i; j < i + 100; ++j) {
      gets.add_keys("k" + std::to_string(j));
      puts.add_items()->set_key(gets.keys(j));
      puts.mutable_items(j - i)->set_value(value);
    }
    v1::MultiPutReply reply;
    ASSERT_TRUE(stub->MultiPut(&context, puts, &reply).ok());
  }
  auto [shown, refused] = shown_and_refused(gets);
  EXPECT_EQ(shown + refused, kMaxMultiItems);
  EXPECT_GT(shown, kMaxMultiItems * 9 / 10);

  // A few that fill it, and the errors of the others, each with its context.
  const std::string rest(kMaxReplyValueBytes % kMaxValueBytes, 'x');
  ASSERT_TRUE(Put(stub.get(), PutOf("large", std::string(kMaxValueBytes, 'x'))).status.ok());
  ASSERT_TRUE(Put(stub.get(), PutOf("rest", rest)).status.ok());
  for (std::string& key : *gets.mutable_keys()) key = "large";
  gets.set_keys(0, "rest");
  gets.mutable_options()->set_read_quorum(1);
  std::tie(shown, refused) = shown_and_refused(gets);
  EXPECT_EQ(shown + refused, kMaxMultiItems);
  EXPECT_GE(shown, 3);
}

TEST(ThreeNodes, SayHowManyAnsweredWhenTheQuorumIsNotMet) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  ASSERT_TRUE(cluster.Stop(1).ok());
  ASSERT_TRUE(cluster.Stop(2).ok());
  ASSERT_TRUE(LocalCluster::Eventually([&] {
    const v1::NodeStatusReply status = cluster.Status(0);
    return !status.peers(0).connected() && !status.peers(1).connected();
  }));
  const Answer answer = Put(cluster.Connect(0).get(), PutOf("anna", "apples"));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(answer.detail.reason(), v1::ErrorDetail::QUORUM_NOT_MET);
  EXPECT_EQ(answer.detail.needed(), 2u);
  EXPECT_LT(answer.detail.answered(), 2u);
}

TEST(ThreeNodes, BringANodeThatWasAwayUpToDate) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  ASSERT_TRUE(cluster.Stop(2).ok());
  const auto stub = cluster.Connect(0);
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(Put(stub.get(), PutOf("k" + std::to_string(i), "v")).status.ok());
  }
  ASSERT_TRUE(cluster.Start(2).ok());
  const auto held = [&] {
    size_t items = 0;
    for (uint32_t slice = 0; slice < 8; ++slice) {
      grpc::ClientContext context;
      v1::ScanPartitionRequest request;
      request.set_table("carts");
      request.set_slice(slice);
      v1::ScanPartitionReply reply;
      EXPECT_TRUE(cluster.Connect(2)->ScanPartition(&context, request, &reply).ok());
      items += reply.items_size();
    }
    return items;
  };
  EXPECT_TRUE(LocalCluster::Eventually([&] { return held() == 30; }));
}

TEST(ThreeNodes, RefuseASecondNodeOfOneName) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  LocalCluster twin(3);
  for (int i = 0; i < 3; ++i) twin.config(0).members[i] = cluster.config(0).members[i];
  twin.config(0).data_dir += "-twin";
  ASSERT_TRUE(twin.Start(0).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return !twin.Fatal().empty(); }));
  EXPECT_NE(twin.Fatal().find("n0"), std::string::npos) << twin.Fatal();
  EXPECT_EQ(cluster.Fatal(), "");
  ASSERT_TRUE(Put(cluster.Connect(0).get(), PutOf("anna", "apples")).status.ok());
}

TEST(ThreeNodes, RefuseASecondProcessOnACopyOfADataDirectory) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  ASSERT_TRUE(cluster.Stop(0).ok());
  LocalCluster twin(3);
  for (int i = 0; i < 3; ++i) twin.config(0).members[i] = cluster.config(0).members[i];
  twin.config(0).data_dir = cluster.config(0).data_dir + "-twin";
  std::filesystem::copy(cluster.config(0).data_dir, twin.config(0).data_dir,
                        std::filesystem::copy_options::recursive);
  ASSERT_TRUE(cluster.Start(0).ok());
  ASSERT_TRUE(cluster.FindEachOther());
  ASSERT_TRUE(twin.Start(0).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return !twin.Fatal().empty(); }));
  EXPECT_NE(twin.Fatal().find("n0"), std::string::npos) << twin.Fatal();
  EXPECT_EQ(cluster.Fatal(), "");
  EXPECT_TRUE(cluster.FindEachOther());
}

TEST(ThreeNodes, TakeAnAttemptOfAWriteWithoutAnIdempotencyKey) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  v1::PutRequest put = PutOf("anna", "apples");
  put.mutable_options()->set_attempt(3);
  put.mutable_options()->set_write_quorum(3);
  EXPECT_TRUE(Put(stub.get(), put).status.ok());
  EXPECT_EQ(ValuesOf(stub.get(), "anna"), std::vector<std::string>{"apples"});
}

TEST(ThreeNodes, LoseNothingWhenOneIsPutBackToAnEarlierState) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  const std::string data = cluster.config(2).data_dir;
  const auto stop_and_copy = [&](const std::string& from, const std::string& to) {
    ASSERT_TRUE(cluster.Stop(2).ok());
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  };
  const auto restart_on = [&](const std::string& from, const std::string& to) {
    stop_and_copy(from, to);
    ASSERT_TRUE(cluster.Start(2).ok());
    ASSERT_TRUE(cluster.FindEachOther());
  };
  // Each through node 2, which mints it.
  std::vector<std::string> keys;
  const auto write = [&](const std::string& prefix) {
    const auto stub = cluster.Connect(2);
    for (int i = 0; i < 40; ++i) {
      keys.push_back(prefix + std::to_string(i));
      ASSERT_TRUE(Put(stub.get(), PutOf(keys.back(), "v")).status.ok());
    }
  };
  write("kept");
  restart_on(data, data + "-old");
  write("lost");
  restart_on(data + "-old", data);
  write("later");
  // Once more, and this time the older copy is first started alone: nobody tells it.
  stop_and_copy(data + "-old", data);
  for (int other : {0, 1}) ASSERT_TRUE(cluster.Stop(other).ok());
  ASSERT_TRUE(cluster.Start(2).ok());
  ASSERT_TRUE(cluster.Stop(2).ok());
  for (int node : {0, 1, 2}) ASSERT_TRUE(cluster.Start(node).ok());
  ASSERT_TRUE(cluster.FindEachOther());
  write("last");
  for (int node = 0; node < 3; ++node) {
    const auto stub = cluster.Connect(node);
    for (const std::string& key : keys) {
      EXPECT_EQ(ValuesOf(stub.get(), key).size(), 1u) << key << " at node " << node;
    }
  }
}

TEST(ThreeNodes, RefuseANodeOfAnotherRingWhichThenEnds) {
  LocalCluster cluster(3);
  cluster.StartAll("carts");
  ASSERT_TRUE(cluster.Stop(2).ok());
  const auto refused = [&](const std::string& mine, const std::string& theirs) {
    cluster.config(2).data_dir += "-other";
    ASSERT_TRUE(cluster.Start(2).ok());
    EXPECT_TRUE(LocalCluster::Eventually([&] {
      const std::string why = cluster.Fatal();
      return why.find(mine) != std::string::npos && why.find(theirs) != std::string::npos;
    })) << cluster.Fatal();
    ASSERT_TRUE(cluster.Stop(2).ok());
  };
  cluster.config(2).partitions = 16;
  refused("16 partitions", "with 8");
  cluster.config(2).partitions = 8;
  cluster.config(2).members[0].zone = "elsewhere";
  refused("only n2: \"n0\" in zone \"elsewhere\"", "only n1: \"n0\" in zone \"z0\"");
}

TEST(Gyred, RefusesToStartWithOtherMembersThanItsDataWasMadeWith) {
  LocalCluster cluster(2);
  ASSERT_TRUE(cluster.Start(0).ok());
  ASSERT_TRUE(cluster.Stop(0).ok());
  cluster.config(0).members[1].zone = "elsewhere";
  const absl::Status status = cluster.Start(0);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("elsewhere"), std::string::npos) << status;
}

TEST(ThreeNodes, RefuseANodeOfAnotherCluster) {
  LocalCluster cluster(2);
  cluster.StartAll("carts");
  LocalCluster stranger(2);
  stranger.config(0).cluster_name = "other";
  stranger.config(0).data_dir += "-other";
  stranger.config(0).members[1] = cluster.config(0).members[1];
  ASSERT_TRUE(stranger.Start(0).ok());
  httplib::Client http(cluster.config(1).http_listen.host, cluster.config(1).http_listen.port);
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    const auto metrics = http.Get("/metrics");
    return metrics && metrics->body.find("gyre_peer_refused_total 0\n") == std::string::npos;
  }));
  EXPECT_FALSE(stranger.Status(0).peers(0).connected());
}

}  // namespace
}  // namespace gyre
