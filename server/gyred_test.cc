#include "server/gyred.h"

#include <arpa/inet.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "api/error_translation.h"
#include "api/limits.h"
#include "api/proto/health.grpc.pb.h"
#include "server/local_cluster.h"
#include "server/machine_memory.h"
#include "server/unread_replies.h"

namespace gyre {
namespace {

// What a unary call answered: its status, and the detail of its error.
struct Answer {
  grpc::Status status;
  v1::ErrorDetail detail;
};

v1::ErrorDetail DetailOf(const grpc::ClientContext& context) {
  v1::ErrorDetail detail;
  const auto& trailers = context.GetServerTrailingMetadata();
  if (const auto it = trailers.find(kErrorTrailer); it != trailers.end()) {
    EXPECT_TRUE(detail.ParseFromArray(it->second.data(), static_cast<int>(it->second.size())));
  }
  return detail;
}

// Of a request: no test here is about its time, and a sanitizer may make it slow.
constexpr uint32_t kPatienceMs = 60'000;

v1::PutRequest PutOf(const std::string& key, const std::string& value) {
  v1::PutRequest put;
  put.set_table("carts");
  put.set_key(key);
  put.set_value(value);
  put.mutable_options()->set_timeout_ms(kPatienceMs);
  return put;
}

Answer Put(v1::Gyre::Stub* stub, const v1::PutRequest& request, v1::PutReply* reply = nullptr) {
  grpc::ClientContext context;
  v1::PutReply unused;
  Answer answer;
  answer.status = stub->Put(&context, request, reply == nullptr ? &unused : reply);
  answer.detail = DetailOf(context);
  return answer;
}

Answer Get(v1::Gyre::Stub* stub, const std::string& key, v1::GetReply* reply) {
  grpc::ClientContext context;
  v1::GetRequest request;
  request.set_table("carts");
  request.set_key(key);
  request.mutable_options()->set_timeout_ms(kPatienceMs);
  Answer answer;
  answer.status = stub->Get(&context, request, reply);
  answer.detail = DetailOf(context);
  return answer;
}

std::vector<std::string> ValuesOf(v1::Gyre::Stub* stub, const std::string& key) {
  v1::GetReply reply;
  const Answer answer = Get(stub, key, &reply);
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  return {reply.values().begin(), reply.values().end()};
}

// -------------------------------------------------------------------------------------- one node

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

  std::thread stop([this] { EXPECT_TRUE(cluster_.Stop(0).ok()); });
  ASSERT_TRUE(reader->Read(&status));
  EXPECT_EQ(status.status(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(reader->Read(&status));
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

// ------------------------------------------------------------------------------- what is in the
// way

TEST(Gyred, SizesItsCachesByTheMachineWhereNothingElseIsSaid) {
  LocalCluster cluster(1);
  const auto node = Gyred::Start(cluster.config(0), [](const std::string&) {});
  ASSERT_TRUE(node.ok()) << node.status();
  const uint64_t blocks = DefaultBlockCacheBytes(UsableMemoryBytes());
  EXPECT_EQ((*node)->config().block_cache_bytes, blocks);
  EXPECT_EQ((*node)->config().record_cache_bytes, DefaultRecordCacheBytes(blocks));
  EXPECT_TRUE((*node)->Stop().ok());
}

TEST(Gyred, SizesTheRecordCacheByTheBlockCacheThatIsConfigured) {
  LocalCluster cluster(1);
  cluster.config(0).block_cache_bytes = uint64_t{16} << 20;
  const auto node = Gyred::Start(cluster.config(0), [](const std::string&) {});
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ((*node)->config().record_cache_bytes, uint64_t{8} << 20);
  EXPECT_TRUE((*node)->Stop().ok());
}

TEST(Gyred, RefusesAPortInUseAndNamesIt) {
  LocalCluster cluster(2);
  ASSERT_TRUE(cluster.Start(0).ok());
  cluster.config(1).client_listen = cluster.config(0).client_listen;
  const absl::Status status = cluster.Start(1);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("client_listen"), std::string::npos) << status;
  EXPECT_NE(status.message().find("in use"), std::string::npos) << status;
}

TEST(Gyred, RefusesADirectoryWithOtherFilesAndLeavesItAlone) {
  LocalCluster cluster(1);
  const std::filesystem::path directory = cluster.config(0).data_dir;
  std::filesystem::create_directory(directory);
  std::filesystem::permissions(directory, static_cast<std::filesystem::perms>(0755));
  std::ofstream(directory / "letter.txt") << "text";
  const absl::Status status = cluster.Start(0);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("data_dir"), std::string::npos) << status;
  EXPECT_EQ(std::filesystem::status(directory).permissions(),
            static_cast<std::filesystem::perms>(0755));
  EXPECT_FALSE(std::filesystem::exists(directory / "store"));
}

TEST(Gyred, RefusesADataDirectoryThatAnotherHolds) {
  LocalCluster cluster(2);
  ASSERT_TRUE(cluster.Start(0).ok());
  cluster.config(1).data_dir = cluster.config(0).data_dir;
  EXPECT_EQ(cluster.Start(1).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Gyred, RefusesTheDataDirectoryOfAnotherNode) {
  LocalCluster cluster(2);
  ASSERT_TRUE(cluster.Start(0).ok());
  ASSERT_TRUE(cluster.Stop(0).ok());
  cluster.config(1).data_dir = cluster.config(0).data_dir;
  EXPECT_EQ(cluster.Start(1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(cluster.Start(0).ok());  // and leaves it as it was
}

TEST(Gyred, RefusesTheDataDirectoryOfAnotherCluster) {
  LocalCluster cluster(1);
  ASSERT_TRUE(cluster.Start(0).ok());
  ASSERT_TRUE(cluster.Stop(0).ok());
  cluster.config(0).cluster_name = "other";
  EXPECT_EQ(cluster.Start(0).code(), absl::StatusCode::kFailedPrecondition);
}

const std::string kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kEmptySettings("\0\0\0\4\0\0\0\0\0", 9);

// A connection to a port of this machine, byte by byte.
class RawConnection {
 public:
  explicit RawConnection(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    const timeval patience{10, 0};
    EXPECT_EQ(setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
  }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;
  ~RawConnection() { close(fd_); }

  void Send(const std::string& bytes) const {
    EXPECT_EQ(write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // So many bytes, or fewer where no more come.
  std::string Read(size_t count) const {
    std::string bytes(count, 0);
    size_t have = 0;
    while (have < count) {
      const ssize_t got = read(fd_, bytes.data() + have, count - have);
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }
  // Whether the other end has closed it; waits for that.
  bool closed() const {
    char byte;
    const ssize_t got = read(fd_, &byte, 1);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }

 private:
  const int fd_;
};

TEST(Gyred, ClosesAConnectionThatSendsHalfAFrameAndThenNothing) {
  LocalCluster cluster(1);
  cluster.config(0).keepalive = Duration::Millis(200);
  cluster.config(0).keepalive_timeout = Duration::Millis(200);
  cluster.config(0).handshake = Duration::Millis(400);
  ASSERT_TRUE(cluster.Start(0).ok());
  const std::string half_headers("\0\0\x40\1\4\0\0\0\1\x82\x84", 11);
  for (const std::string& sent :
       {kHttp2Preface.substr(0, 10), kHttp2Preface + kEmptySettings + half_headers}) {
    const RawConnection connection(cluster.config(0).client_listen.port);
    connection.Send(sent);
    while (!connection.Read(1).empty()) {
    }
    EXPECT_TRUE(connection.closed()) << "still open";
  }
}

TEST(Gyred, AllowsFewStreamsOnAPeersConnection) {
  LocalCluster cluster(1);
  ASSERT_TRUE(cluster.Start(0).ok());
  const RawConnection connection(cluster.config(0).peer_listen.port);
  connection.Send(kHttp2Preface + kEmptySettings);
  // The first frame of an HTTP/2 server: its length in 3 bytes, its type, 5 bytes more, and then
  // each setting as its number in 2 bytes and its value in 4.
  const std::string head = connection.Read(9);
  ASSERT_EQ(head.size(), 9u);
  ASSERT_EQ(head[3], 4) << "SETTINGS";
  const auto number = [](const std::string& bytes, size_t from, size_t count) {
    uint32_t value = 0;
    for (size_t i = from; i < from + count; ++i)
      value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
  };
  const std::string settings = connection.Read(number(head, 0, 3));
  constexpr uint32_t kMaxConcurrentStreams = 3;
  std::optional<uint32_t> streams;
  for (size_t at = 0; at + 6 <= settings.size(); at += 6) {
    if (number(settings, at, 2) == kMaxConcurrentStreams) streams = number(settings, at + 2, 4);
  }
  EXPECT_EQ(streams, 4u);
}

TEST(Gyred, AnswersOverloadedWhenTooMuchIsInFlight) {
  LocalCluster cluster(1);
  cluster.config(0).max_in_flight = 2;
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  grpc::ClientContext context;
  v1::MultiPutRequest puts;
  puts.set_table("carts");
  for (int i = 0; i < 10; ++i) puts.add_items()->set_key("k" + std::to_string(i));
  v1::MultiPutReply reply;
  ASSERT_TRUE(stub->MultiPut(&context, puts, &reply).ok());
  int overloaded = 0;
  for (const v1::ItemOutcome& item : reply.items()) {
    if (item.status().detail().reason() != v1::ErrorDetail::OVERLOADED) continue;
    EXPECT_GT(item.status().detail().retry_after_ms(), 0u);
    ++overloaded;
  }
  EXPECT_EQ(overloaded, 8);
  EXPECT_TRUE(Put(stub.get(), PutOf("k", "v")).status.ok());
}

TEST(Gyred, AnswersOverloadedWhenTooManyBytesAreInFlight) {
  LocalCluster cluster(1);
  cluster.config(0).max_in_flight_bytes = size_t{1} << 20;
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  grpc::ClientContext context;
  v1::MultiPutRequest puts;
  puts.set_table("carts");
  for (int i = 0; i < 8; ++i) {
    auto* const item = puts.add_items();
    item->set_key("k" + std::to_string(i));
    item->set_value(std::string(400'000, 'v'));
  }
  v1::MultiPutReply reply;
  ASSERT_TRUE(stub->MultiPut(&context, puts, &reply).ok());
  const auto overloaded =
      std::count_if(reply.items().begin(), reply.items().end(), [](const v1::ItemOutcome& item) {
        return item.status().detail().reason() == v1::ErrorDetail::OVERLOADED;
      });
  EXPECT_EQ(overloaded, 6);
  EXPECT_TRUE(Put(stub.get(), PutOf("k", "v")).status.ok()) << "they are counted no more";
}

TEST(Gyred, AnswersOverloadedWhenMoreAtOnceWouldWaitTooLong) {
  LocalCluster cluster(1);
  cluster.config(0).admission.most = 2;
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  grpc::ClientContext context;
  v1::MultiGetRequest gets;
  gets.set_table("carts");
  for (int i = 0; i < 10; ++i) gets.add_keys("k" + std::to_string(i));
  v1::MultiGetReply reply;
  ASSERT_TRUE(stub->MultiGet(&context, gets, &reply).ok());
  int overloaded = 0;
  for (const v1::ItemOutcome& item : reply.items()) {
    if (item.status().detail().reason() != v1::ErrorDetail::OVERLOADED) continue;
    EXPECT_GE(item.status().detail().retry_after_ms(), 10u);
    ++overloaded;
  }
  EXPECT_EQ(overloaded, 8);
  EXPECT_TRUE(Put(stub.get(), PutOf("k", "v")).status.ok()) << "what was answered makes room";
}

// ------------------------------------------------------------------------------------ three nodes

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
