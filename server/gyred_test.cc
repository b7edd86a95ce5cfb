// Gyred as a client of one node finds it. Beside it gyred_refusals_test.cc and
// gyred_cluster_test.cc.

#include "server/gyred.h"

#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/limits.h"
#include "api/proto/health.grpc.pb.h"
#include "server/client_calls.h"
#include "server/local_cluster.h"
#include "server/unread_replies.h"

namespace gyre {
namespace {

class OneNode : public ::testing::Test {
 protected:
  OneNode() : cluster_(1) {
    cluster_.StartAll("carts");
    stub_ = cluster_.Connect(0);
  }
  LocalCluster cluster_;
  std::unique_ptr<v1::Gyre::Stub> stub_;
};

TEST_F(OneNode, GivesBackWhatWasPut) {
  ASSERT_TRUE(Put(stub_.get(), PutOf("anna", "apples")).status.ok());
  EXPECT_EQ(ValuesOf(stub_.get(), "anna"), std::vector<std::string>{"apples"});
}

TEST_F(OneNode, AMissingKeyIsNoError) {
  v1::GetReply reply;
  ASSERT_TRUE(Get(stub_.get(), "nobody", &reply).status.ok());
  EXPECT_FALSE(reply.found());
}

TEST_F(OneNode, DeletesAndForgets) {
  v1::PutReply put;
  ASSERT_TRUE(Put(stub_.get(), PutOf("anna", "apples"), &put).status.ok());
  v1::DeleteRequest request;
  request.set_table("carts");
  request.set_key("anna");
  request.set_context(put.context());
  request.mutable_options()->set_timeout_ms(kPatienceMs);
  grpc::ClientContext context;
  v1::DeleteReply reply;
  const grpc::Status status = stub_->Delete(&context, request, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(ValuesOf(stub_.get(), "anna").empty());
}

TEST_F(OneNode, KeepsDataOverARestart) {
  ASSERT_TRUE(Put(stub_.get(), PutOf("anna", "apples")).status.ok());
  ASSERT_TRUE(cluster_.Stop(0).ok());
  ASSERT_TRUE(cluster_.Start(0).ok());
  EXPECT_EQ(ValuesOf(cluster_.Connect(0).get(), "anna"), std::vector<std::string>{"apples"});
}

TEST_F(OneNode, ARetryWithTheSameIdempotencyKeyHasOneEffect) {
  v1::PutRequest put = PutOf("anna", "apples");
  put.set_mode(v1::WRITE_MODE_BLIND);
  put.mutable_options()->set_idempotency_key("0123456789abcdef");
  ASSERT_TRUE(Put(stub_.get(), put).status.ok());
  put.mutable_options()->set_attempt(2);
  ASSERT_TRUE(Put(stub_.get(), put).status.ok());
  EXPECT_EQ(ValuesOf(stub_.get(), "anna").size(), 1u);
}

TEST_F(OneNode, AnIdempotencyKeyThatWasUsedForAnotherItemLosesNoWrite) {
  for (const char* key : {"anna", "bert"}) {
    v1::PutRequest put = PutOf(key, "apples");
    put.mutable_options()->set_idempotency_key("0123456789abcdef");
    ASSERT_TRUE(Put(stub_.get(), put).status.ok());
    EXPECT_EQ(ValuesOf(stub_.get(), key), std::vector<std::string>{"apples"});
  }
}

TEST_F(OneNode, AnswersTypedErrorsForFieldsOutOfRange) {
  const auto reason = [&](const v1::PutRequest& put) {
    const Answer answer = Put(stub_.get(), put);
    return std::to_string(answer.status.error_code()) + " " +
           v1::ErrorDetail::Reason_Name(answer.detail.reason()) + " " + answer.detail.field();
  };
  const std::string invalid = std::to_string(grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(reason(PutOf("", "v")), invalid + " INVALID_FIELD key");
  EXPECT_EQ(reason(PutOf(std::string(kMaxKeyBytes + 1, 'k'), "v")), invalid + " TOO_LARGE key");
  EXPECT_EQ(reason(PutOf("k", std::string(kMaxValueBytes + 1, 'v'))), invalid + " TOO_LARGE value");
  v1::PutRequest put = PutOf("k", "v");
  put.mutable_options()->set_write_quorum(2);
  EXPECT_EQ(reason(put), invalid + " INVALID_FIELD write_quorum");
  put = PutOf("k", "v");
  put.set_context("garbage");
  EXPECT_EQ(reason(put), invalid + " INVALID_FIELD context");
  put = PutOf("k", "v");
  put.set_table("nope");
  EXPECT_EQ(reason(put), std::to_string(grpc::StatusCode::NOT_FOUND) + " UNKNOWN_TABLE ");
}

TEST_F(OneNode, RefusesTheContextOfAnotherTable) {
  grpc::ClientContext context;
  v1::CreateTableRequest request;
  request.mutable_table()->set_name("names");
  v1::CreateTableReply made;
  ASSERT_TRUE(stub_->CreateTable(&context, request, &made).ok());
  v1::PutReply reply;
  ASSERT_TRUE(Put(stub_.get(), PutOf("anna", "apples"), &reply).status.ok());
  v1::PutRequest put = PutOf("anna", "other");
  put.set_table("names");
  put.set_context(reply.context());
  const Answer answer = Put(stub_.get(), put);
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(answer.detail.field(), "context");
}

TEST_F(OneNode, RefusesOneSiblingTooManyAndSaysHowToMendIt) {
  v1::PutRequest put = PutOf("anna", "apples");
  put.set_mode(v1::WRITE_MODE_BLIND);
  for (size_t i = 0; i < kMaxSiblings; ++i) ASSERT_TRUE(Put(stub_.get(), put).status.ok());
  const Answer answer = Put(stub_.get(), put);
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(answer.detail.reason(), v1::ErrorDetail::TOO_MANY_SIBLINGS);
  put = PutOf("anna", "merged");
  put.set_context(answer.detail.context());
  ASSERT_TRUE(Put(stub_.get(), put).status.ok());
  EXPECT_EQ(ValuesOf(stub_.get(), "anna"), std::vector<std::string>{"merged"});
}

TEST_F(OneNode, TheContextOfAWriteReplacesItAndNoSiblingThatItsWriterHasNotSeen) {
  v1::PutRequest put = PutOf("anna", "apples");
  put.set_mode(v1::WRITE_MODE_BLIND);
  ASSERT_TRUE(Put(stub_.get(), put).status.ok());
  put.set_value("bread");
  v1::PutReply reply;
  ASSERT_TRUE(Put(stub_.get(), put, &reply).status.ok());
  put = PutOf("anna", "butter");
  put.set_context(reply.context());
  ASSERT_TRUE(Put(stub_.get(), put, &reply).status.ok());
  EXPECT_EQ(ValuesOf(stub_.get(), "anna"), (std::vector<std::string>{"apples", "butter"}));
  put.set_value("jam");
  put.set_context(reply.context());
  ASSERT_TRUE(Put(stub_.get(), put).status.ok());
  EXPECT_EQ(ValuesOf(stub_.get(), "anna"), (std::vector<std::string>{"apples", "jam"}));
}

TEST_F(OneNode, RefusesAMessageOverTheLimitAndServesOn) {
  const Answer answer = Put(stub_.get(), PutOf("k", std::string(kMaxMessageBytes + 100'000, 'v')));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(answer.detail.reason(), v1::ErrorDetail::REASON_UNSPECIFIED);  // gRPC answers it
  EXPECT_TRUE(Put(stub_.get(), PutOf("k", "v")).status.ok());
}

TEST_F(OneNode, IgnoresFieldsThatItDoesNotKnow) {
  v1::PutRequest put = PutOf("anna", "apples");
  put.GetReflection()->MutableUnknownFields(&put)->AddLengthDelimited(1000, "from the future");
  EXPECT_TRUE(Put(stub_.get(), put).status.ok());
}

TEST_F(OneNode, AnswersEachItemOfAMultiRequest) {
  grpc::ClientContext put_context;
  v1::MultiPutRequest puts;
  puts.set_table("carts");
  for (const char* key : {"a", "", "b"}) {
    puts.add_items()->set_key(key);
    puts.mutable_items(puts.items_size() - 1)->set_value("v");
  }
  v1::MultiPutReply put_reply;
  ASSERT_TRUE(stub_->MultiPut(&put_context, puts, &put_reply).ok());
  ASSERT_EQ(put_reply.items_size(), 3);
  EXPECT_TRUE(put_reply.items(0).has_put());
  EXPECT_EQ(put_reply.items(1).status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(put_reply.items(2).has_put());

  grpc::ClientContext get_context;
  v1::MultiGetRequest gets;
  gets.set_table("carts");
  for (const char* key : {"b", "missing", "a"}) gets.add_keys(key);
  v1::MultiGetReply get_reply;
  ASSERT_TRUE(stub_->MultiGet(&get_context, gets, &get_reply).ok());
  ASSERT_EQ(get_reply.items_size(), 3);
  EXPECT_TRUE(get_reply.items(0).get().found());
  EXPECT_FALSE(get_reply.items(1).get().found());
  EXPECT_TRUE(get_reply.items(2).get().found());
}

TEST_F(OneNode, CountsEachItemThatEndsInAnErrorWhetherItWasBegunOrNot) {
  v1::PutRequest put = PutOf("full", "v");
  put.set_mode(v1::WRITE_MODE_BLIND);
  for (size_t i = 0; i < kMaxSiblings; ++i) ASSERT_TRUE(Put(stub_.get(), put).status.ok());
  grpc::ClientContext context;
  v1::MultiPutRequest puts;
  puts.set_table("carts");
  for (const char* key : {"a", "", "full"}) {
    v1::MultiPutRequest::Item* const item = puts.add_items();
    item->set_key(key);
    item->set_mode(v1::WRITE_MODE_BLIND);
  }
  v1::MultiPutReply reply;
  ASSERT_TRUE(stub_->MultiPut(&context, puts, &reply).ok());
  ASSERT_EQ(reply.items_size(), 3);
  EXPECT_TRUE(reply.items(0).has_put());
  EXPECT_EQ(reply.items(1).status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(reply.items(2).status().detail().reason(), v1::ErrorDetail::TOO_MANY_SIBLINGS);
  httplib::Client http(cluster_.config(0).http_listen.host, cluster_.config(0).http_listen.port);
  const auto metrics = http.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_NE(metrics->body.find("\ngyre_errors_total 2\n"), std::string::npos);
}

TEST_F(OneNode, AnEmptyMultiRequestHasAnEmptyReply) {
  grpc::ClientContext context;
  v1::MultiGetRequest gets;
  gets.set_table("carts");
  v1::MultiGetReply reply;
  EXPECT_TRUE(stub_->MultiGet(&context, gets, &reply).ok());
  EXPECT_EQ(reply.items_size(), 0);
}

TEST_F(OneNode, TheSessionAnswersEveryRequestOfEveryFrame) {
  grpc::ClientContext context;
  const auto session = stub_->Session(&context);
  constexpr uint64_t kRequests = 2000;
  for (uint64_t id = 1; id <= kRequests;) {
    v1::ClientFrame frame;
    for (int i = 0; i < 100; ++i, ++id) {
      v1::ClientRequest* request = frame.add_requests();
      request->set_id(id);
      *request->mutable_put() = PutOf("k" + std::to_string(id), "v");
    }
    ASSERT_TRUE(session->Write(frame));
  }
  std::vector<int> answers(kRequests + 1);
  uint64_t replies = 0;
  int frames = 0;
  v1::ServerFrame frame;
  while (replies < kRequests && session->Read(&frame)) {
    ++frames;
    for (const v1::ClientReply& reply : frame.replies()) {
      ASSERT_TRUE(reply.has_put()) << reply.error().message();
      ++answers[reply.id()];
      ++replies;
    }
    EXPECT_GE(frame.epoch(), 2u);
  }
  for (uint64_t id = 1; id <= kRequests; ++id) EXPECT_EQ(answers[id], 1) << id;
  EXPECT_LT(frames, static_cast<int>(kRequests) / 2);  // packed
  session->WritesDone();
  EXPECT_FALSE(session->Read(&frame));
  EXPECT_TRUE(session->Finish().ok());
}

TEST_F(OneNode, TheSessionGivesTypedErrorsAndGoesOn) {
  grpc::ClientContext context;
  const auto session = stub_->Session(&context);
  v1::ClientFrame frame;
  frame.add_requests()->set_id(1);  // no request in it
  frame.add_requests()->set_id(2);
  *frame.mutable_requests(1)->mutable_put() = PutOf("", "v");
  frame.add_requests()->set_id(3);
  *frame.mutable_requests(2)->mutable_put() = PutOf("k", "v");
  ASSERT_TRUE(session->Write(frame));
  std::vector<v1::ClientReply> replies(4);
  v1::ServerFrame answer;
  for (int i = 0; i < 3;) {
    ASSERT_TRUE(session->Read(&answer));
    for (v1::ClientReply& reply : *answer.mutable_replies()) {
      replies[reply.id()] = reply;
      ++i;
    }
  }
  EXPECT_EQ(replies[1].error().detail().field(), "request");
  EXPECT_EQ(replies[2].error().detail().field(), "key");
  EXPECT_TRUE(replies[3].has_put());
  session->WritesDone();
  EXPECT_TRUE(session->Finish().ok());
}

TEST_F(OneNode, KeepsOnlySoManyRepliesForAClientThatDoesNotRead) {
  constexpr uint64_t kRequests = 200;
  ASSERT_TRUE(Put(stub_.get(), PutOf("large", std::string(kMaxValueBytes, 'x'))).status.ok());
  grpc::ClientContext context;
  const auto session = stub_->Session(&context);
  v1::ClientFrame frame;
  for (uint64_t id = 1; id <= kRequests; ++id) {
    v1::ClientRequest* request = frame.add_requests();
    request->set_id(id);
    request->mutable_get()->set_table("carts");
    request->mutable_get()->set_key("large");
  }
  ASSERT_TRUE(session->Write(frame));
  EXPECT_TRUE(
      LocalCluster::Eventually([&] { return cluster_.Status(0).requests_in_flight() == 0; }));
  uint64_t shown = 0, refused = 0;
  for (v1::ServerFrame answer; shown + refused < kRequests && session->Read(&answer);) {
    for (const v1::ClientReply& reply : answer.replies()) {
      if (reply.has_get()) ++shown;
      if (reply.error().detail().reason() == v1::ErrorDetail::OVERLOADED) ++refused;
    }
  }
  EXPECT_EQ(shown + refused, kRequests) << "each is answered once, and typed";
  EXPECT_GE(shown, UnreadReplies::kMaxBytes / kMaxValueBytes / 2);
  EXPECT_GT(refused, 0u);
  session->WritesDone();
  EXPECT_TRUE(session->Finish().ok());
}

TEST_F(OneNode, EndsASessionWhoseFrameHoldsTooManyRequests) {
  grpc::ClientContext context;
  const auto session = stub_->Session(&context);
  v1::ClientFrame frame;
  for (int i = 0; i <= kMaxFrameRequests; ++i) frame.add_requests()->set_id(1);
  session->Write(frame);
  v1::ServerFrame answer;
  EXPECT_FALSE(session->Read(&answer));
  EXPECT_EQ(session->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Put(stub_.get(), PutOf("k", "v")).status.ok());
}

TEST_F(OneNode, ACancelledSessionLeavesNothingBehind) {
  grpc::ClientContext context;
  const auto session = stub_->Session(&context);
  v1::ClientFrame frame;
  for (uint64_t id = 1; id <= 500; ++id) {
    v1::ClientRequest* request = frame.add_requests();
    request->set_id(id);
    *request->mutable_put() = PutOf("k", "v");
  }
  ASSERT_TRUE(session->Write(frame));
  context.TryCancel();
  EXPECT_FALSE(session->Finish().ok());
  EXPECT_TRUE(
      LocalCluster::Eventually([&] { return cluster_.Status(0).requests_in_flight() == 0; }));
}

TEST_F(OneNode, MakesListsDescribesAndDropsTables) {
  const auto create = [&](const std::string& name, std::optional<uint32_t> read_quorum) {
    grpc::ClientContext context;
    v1::CreateTableRequest request;
    request.mutable_table()->set_name(name);
    if (read_quorum.has_value()) request.mutable_table()->set_read_quorum(*read_quorum);
    v1::CreateTableReply reply;
    const grpc::Status status = stub_->CreateTable(&context, request, &reply);
    return std::pair(status.error_code(), DetailOf(context).reason());
  };
  EXPECT_EQ(create("names", {}).first, grpc::StatusCode::OK);
  EXPECT_EQ(create("names", {}).first, grpc::StatusCode::OK);  // the same again
  EXPECT_EQ(create("bad name", {}).first, grpc::StatusCode::INVALID_ARGUMENT);
  grpc::ClientContext list_context;
  v1::ListTablesReply tables;
  ASSERT_TRUE(stub_->ListTables(&list_context, {}, &tables).ok());
  EXPECT_EQ(tables.tables_size(), 2);
  grpc::ClientContext drop_context;
  v1::DropTableRequest drop;
  drop.set_name("names");
  v1::DropTableReply dropped;
  ASSERT_TRUE(stub_->DropTable(&drop_context, drop, &dropped).ok());
  grpc::ClientContext describe_context;
  v1::DescribeTableRequest describe;
  describe.set_name("names");
  v1::DescribeTableReply described;
  EXPECT_EQ(stub_->DescribeTable(&describe_context, describe, &described).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailOf(describe_context).reason(), v1::ErrorDetail::UNKNOWN_TABLE);
}

TEST_F(OneNode, RefusesMoreReplicasThanNodesAndAnotherSchema) {
  const auto refusal = [&](const std::string& name, std::optional<uint32_t> replicas,
                           v1::ConflictPolicy conflict) {
    grpc::ClientContext context;
    v1::CreateTableRequest request;
    request.mutable_table()->set_name(name);
    if (replicas.has_value()) request.mutable_table()->set_replicas(*replicas);
    request.mutable_table()->set_conflict(conflict);
    v1::CreateTableReply reply;
    EXPECT_FALSE(stub_->CreateTable(&context, request, &reply).ok());
    return DetailOf(context).reason();
  };
  EXPECT_EQ(refusal("wide", 3, v1::CONFLICT_POLICY_SIBLINGS), v1::ErrorDetail::NOT_ENOUGH_NODES);
  EXPECT_EQ(refusal("carts", {}, v1::CONFLICT_POLICY_LAST_WRITE_WINS),
            v1::ErrorDetail::TABLE_EXISTS);
}

TEST_F(OneNode, ScansWhatItHoldsPageByPage) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Put(stub_.get(), PutOf("k" + std::to_string(i), "v")).status.ok());
  }
  size_t items = 0;
  for (uint32_t slice = 0; slice < 8; ++slice) {
    v1::ScanPartitionRequest request;
    request.set_table("carts");
    request.set_slice(slice);
    request.set_limit(3);
    v1::ScanPartitionReply reply;
    do {
      grpc::ClientContext context;
      reply.Clear();
      ASSERT_TRUE(stub_->ScanPartition(&context, request, &reply).ok());
      EXPECT_LE(reply.items_size(), 3);
      for (const auto& item : reply.items()) {
        EXPECT_GT(item.key(), request.after_key());
        EXPECT_EQ(item.values(0), "v");
        request.set_after_key(item.key());
        ++items;
      }
    } while (reply.more());
  }
  EXPECT_EQ(items, 20u);
}

TEST_F(OneNode, TellsTheTopologyOnceToWhoKnowsIt) {
  grpc::ClientContext first_context;
  v1::GetTopologyRequest request;
  v1::GetTopologyReply first;
  ASSERT_TRUE(stub_->GetTopology(&first_context, request, &first).ok());
  EXPECT_EQ(first.members_size(), 1);
  EXPECT_EQ(first.families_size(), 1);
  request.set_known_epoch(first.epoch());
  grpc::ClientContext second_context;
  v1::GetTopologyReply second;
  ASSERT_TRUE(stub_->GetTopology(&second_context, request, &second).ok());
  EXPECT_EQ(second.epoch(), first.epoch());
  EXPECT_EQ(second.members_size(), 0);
}

TEST_F(OneNode, ShowsMetricsAndHealthOverHttp) {
  ASSERT_TRUE(Put(stub_.get(), PutOf("anna", "apples")).status.ok());
  httplib::Client http(cluster_.config(0).http_listen.host, cluster_.config(0).http_listen.port);
  const auto health = http.Get("/healthz");
  ASSERT_TRUE(health);
  EXPECT_EQ(health->status, 200);
  const auto metrics = http.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_NE(metrics->body.find("gyre_request_seconds_count{kind=\"write\"} 1\n"),
            std::string::npos);
  for (const char* line :
       {"gyre_in_flight 0\n", "gyre_delay_overloads_total 0\n", "gyre_admission_limit 10000\n",
        "gyre_slow_peers 0\n", "gyre_slow_peers_total 0\n", "gyre_slow_peer_tries_total 0\n",
        "gyre_hedges_total 0\n", "gyre_hedges_refused_total 0\n", "gyre_load 0\n",
        "gyre_store_reads_waiting{lane=\"data\"} 0\n",
        "gyre_store_reads_waiting{lane=\"repair\"} 0\n",
        "gyre_store_reads_waiting{lane=\"admin\"} 0\n"}) {
    EXPECT_NE(metrics->body.find(line), std::string::npos) << line;
  }
  EXPECT_NE(metrics->body.find("gyre_record_cache_misses_total 1\n"), std::string::npos);
  EXPECT_NE(metrics->body.find("gyre_record_cache_hits_total 0\n"), std::string::npos);
  EXPECT_NE(metrics->body.find("\ngyre_record_cache_bytes "), std::string::npos);
  EXPECT_EQ(metrics->body.find("gyre_record_cache_bytes 0\n"), std::string::npos)
      << "what was put is kept";
}

// What a service that has no stub here answers to one message, both as they are encoded.
// The bytes of the reply; where `code` is not OK, "" and nothing else.
std::string CallByName(const std::string& address, const std::string& method,
                       const std::string& message, grpc::StatusCode code = grpc::StatusCode::OK) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const grpc::Slice slice(message);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer reply;
  grpc::Status status;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  call->Finish(&reply, &status, nullptr);
  void* tag;
  bool ok;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  grpc::Slice bytes;
  EXPECT_TRUE(!status.ok() || reply.DumpToSingleSlice(&bytes).ok());
  return {bytes.begin(), bytes.end()};
}

TEST_F(OneNode, AnswersHealthChecks) {
  const auto check = [this](const std::string& request, grpc::StatusCode code) {
    return CallByName(cluster_.AddressOf(0), "/grpc.health.v1.Health/Check", request, code);
  };
  // HealthCheckRequest{service: ...} is field 1; HealthCheckResponse{status: SERVING} too, and 1.
  EXPECT_EQ(check("", grpc::StatusCode::OK), "\x08\x01");
  EXPECT_EQ(check("\x0a\x0cgyre.v1.Gyre", grpc::StatusCode::OK), "\x08\x01");
  EXPECT_EQ(check("\x0a\x0cgyre.Process", grpc::StatusCode::OK), "\x08\x01");
  EXPECT_EQ(check("\x0a\x04nope", grpc::StatusCode::NOT_FOUND), "");
}

TEST_F(OneNode, TellsWhoWatchesItsHealthThatItStops) {
  const auto stub = grpc::health::v1::Health::NewStub(
      grpc::CreateChannel(cluster_.AddressOf(0), grpc::InsecureChannelCredentials()));
  const auto watch = [&](const std::string& service, grpc::ClientContext* context) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    return stub->Watch(context, request);
  };
  grpc::ClientContext context;
  const auto reader = watch("gyre.v1.Gyre", &context);
  grpc::health::v1::HealthCheckResponse status;
  ASSERT_TRUE(reader->Read(&status));
  EXPECT_EQ(status.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  grpc::ClientContext other_context;
  const auto other = watch("nope", &other_context);
  ASSERT_TRUE(other->Read(&status));
  EXPECT_EQ(status.status(), grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN);
  other_context.TryCancel();  // a watcher that goes keeps nobody waiting
  EXPECT_FALSE(other->Read(&status));

  grpc::ClientContext process_context;
  const auto process = watch("gyre.Process", &process_context);
  ASSERT_TRUE(process->Read(&status));
  EXPECT_EQ(status.status(), grpc::health::v1::HealthCheckResponse::SERVING);

  std::thread stop([this] { EXPECT_TRUE(cluster_.Stop(0).ok()); });
  ASSERT_TRUE(reader->Read(&status));
  EXPECT_EQ(status.status(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(reader->Read(&status));
  EXPECT_FALSE(process->Read(&status)) << "a process that drains is no process that hangs";
  stop.join();
}

TEST_F(OneNode, LetsOnlySoManyWatchItsHealth) {
  const auto stub = grpc::health::v1::Health::NewStub(
      grpc::CreateChannel(cluster_.AddressOf(0), grpc::InsecureChannelCredentials()));
  struct Watch {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<grpc::health::v1::HealthCheckResponse>> reader;
  };
  const auto watch = [&] {
    auto one = std::make_unique<Watch>();
    one->reader = stub->Watch(&one->context, grpc::health::v1::HealthCheckRequest());
    return one;
  };
  grpc::health::v1::HealthCheckResponse status;
  std::vector<std::unique_ptr<Watch>> watches;
  for (size_t i = 0; i < HealthService::kMaxWatchers; ++i) {
    watches.push_back(watch());
    ASSERT_TRUE(watches.back()->reader->Read(&status));
  }
  const auto refused = watch();
  EXPECT_FALSE(refused->reader->Read(&status));
  EXPECT_EQ(refused->reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);

  // Where one leaves, another has room.
  watches.back()->context.TryCancel();
  EXPECT_FALSE(watches.back()->reader->Read(&status));
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!watch()->reader->Read(&status)) {
    ASSERT_LT(std::chrono::steady_clock::now(), patience);
  }
  for (const auto& one : watches) one->context.TryCancel();
}

TEST_F(OneNode, AnswersCallsThatNobodyServesOnBothPorts) {
  const std::string peers = cluster_.config(0).peer_listen.ToString();
  for (const std::string& address : {cluster_.AddressOf(0), peers}) {
    EXPECT_EQ(CallByName(address, "/no.such/Method", "", grpc::StatusCode::UNIMPLEMENTED), "");
  }
  EXPECT_EQ(CallByName(peers, "/gyre.v1.Gyre/ListTables", "", grpc::StatusCode::UNIMPLEMENTED), "");
}

TEST_F(OneNode, TellsByReflectionWhatItServes) {
  // ServerReflectionRequest{list_services: "*"}, field 7; a service's name is field 1 of its entry.
  const std::string listed =
      CallByName(cluster_.AddressOf(0),
                 "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  EXPECT_NE(listed.find("\x0a\x0cgyre.v1.Gyre"), std::string::npos);
  // ServerReflectionRequest{file_containing_symbol: "gyre.v1.Gyre"}, field 4.
  const std::string described = CallByName(
      cluster_.AddressOf(0), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      "\x22\x0cgyre.v1.Gyre");
  EXPECT_NE(described.find("ScanPartition"), std::string::npos);
}

// Each call of it keeps a thread.
TEST_F(OneNode, RefusesWhoAsksForManyReflectionsAtOnce) {
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream;
    grpc::Status status;
  };
  grpc::GenericStub stub(
      grpc::CreateChannel(cluster_.AddressOf(0), grpc::InsecureChannelCredentials()));
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 20; ++i) {
    Call& call = *calls.emplace_back(std::make_unique<Call>());
    call.stream = stub.PrepareCall(
        &call.context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
    call.stream->StartCall(nullptr);
    call.stream->Finish(&call.status, &call);
  }
  const auto ended = [&queue]() -> Call* {
    const auto patience = std::chrono::system_clock::now() + std::chrono::seconds(60);
    void* tag = nullptr;
    bool ok;
    while (tag == nullptr) {  // that of the calls' starts
      if (queue.AsyncNext(&tag, &ok, patience) != grpc::CompletionQueue::GOT_EVENT) break;
    }
    return static_cast<Call*>(tag);
  };
  const Call* const refused = ended();
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (const auto& call : calls) call->context.TryCancel();
  for (size_t i = 1; i < calls.size(); ++i) EXPECT_NE(ended(), nullptr);
  queue.Shutdown();
  EXPECT_EQ(ended(), nullptr) << "all have been told of";
}

TEST_F(OneNode, LosesNothingThatItAcknowledgedWhileItStops) {
  std::atomic<bool> stopped{false};
  std::vector<std::string> acknowledged;
  std::promise<void> under_way;
  std::thread client([&] {
    for (int i = 0; !stopped; ++i) {
      const std::string key = "k" + std::to_string(i);
      const Answer answer = Put(stub_.get(), PutOf(key, "v"));
      if (answer.status.ok()) {
        acknowledged.push_back(key);
      } else {
        // gRPC itself cancels what arrives between the two halves of its goodbye.
        EXPECT_TRUE(answer.status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                    answer.status.error_code() == grpc::StatusCode::CANCELLED)
            << answer.status.error_message();
      }
      if (i == 5) under_way.set_value();
    }
  });
  under_way.get_future().wait();
  EXPECT_TRUE(cluster_.Stop(0).ok());
  stopped = true;
  client.join();
  ASSERT_TRUE(cluster_.Start(0).ok());
  const auto stub = cluster_.Connect(0);
  for (const std::string& key : acknowledged) EXPECT_EQ(ValuesOf(stub.get(), key).size(), 1u);
}

TEST_F(OneNode, TellsAClientTheAddressThatItMovedTo) {
  ASSERT_TRUE(cluster_.Stop(0).ok());
  cluster_.config(0).self().client_address = "gyre.example:7100";
  ASSERT_TRUE(cluster_.Start(0).ok());
  grpc::ClientContext context;
  v1::GetTopologyReply reply;
  ASSERT_TRUE(cluster_.Connect(0)->GetTopology(&context, {}, &reply).ok());
  EXPECT_EQ(reply.members(0).client_address(), "gyre.example:7100");
}

}  // namespace
}  // namespace gyre
