// Nodes that join a running cluster, and leave it.

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/proto/peer.grpc.pb.h"
#include "ring/check.h"
#include "server/client_calls.h"
#include "server/fake_peer.h"
#include "server/gyred.h"
#include "server/held_port.h"
#include "server/local_cluster.h"

namespace gyre {
namespace {

using Change = v1::ChangeMemberRequest;

v1::ChangeMemberRequest RequestOf(Change::Change change, const std::string& node,
                                  const std::string& with = "") {
  v1::ChangeMemberRequest request;
  request.set_change(change);
  request.set_node(node);
  request.set_with(with);
  return request;
}

Answer ChangeMember(v1::Gyre::Stub* stub, const v1::ChangeMemberRequest& request,
                    v1::ChangeMemberReply* reply = nullptr) {
  grpc::ClientContext context;
  v1::ChangeMemberReply unused;
  Answer answer;
  answer.status = stub->ChangeMember(&context, request, reply == nullptr ? &unused : reply);
  answer.detail = DetailOf(context);
  return answer;
}

v1::ListTransfersReply Transfers(v1::Gyre::Stub* stub) {
  grpc::ClientContext context;
  v1::ListTransfersReply reply;
  const grpc::Status status = stub->ListTransfers(&context, {}, &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return reply;
}

// Of "carts", with keys in every partition.
class Members : public testing::Test {
 protected:
  explicit Members(int nodes = 3) : cluster_(nodes) { cluster_.StartAll("carts"); }

  // As every client does where the topology changed under its request.
  template <typename Call>
  static Answer Again(const Call& call) {
    for (;;) {
      const Answer answer = call();
      if (answer.detail.reason() != v1::ErrorDetail::STALE_EPOCH) return answer;
    }
  }
  static std::string Key(int i) { return "k" + std::to_string(i); }
  void WriteAll(int node, const std::string& value) {
    const auto stub = cluster_.Connect(node);
    for (int i = 0; i < kKeys; ++i) {
      const Answer put = Again([&] { return Put(stub.get(), PutOf(Key(i), value)); });
      ASSERT_TRUE(put.status.ok()) << Key(i) << ": " << put.status.error_message();
    }
  }
  void ExpectAll(int node, const std::string& value) {
    const auto stub = cluster_.Connect(node);
    for (int i = 0; i < kKeys; ++i) {
      v1::GetReply reply;
      const Answer got = Again([&] { return Get(stub.get(), Key(i), &reply); });
      ASSERT_TRUE(got.status.ok()) << Key(i) << ": " << got.status.error_message();
      ASSERT_EQ(reply.values_size(), 1) << Key(i);
      EXPECT_EQ(reply.values(0), value) << Key(i);
    }
  }
  // Waits until nothing moves, or is to, and all of `nodes` are members and the only owners.
  testing::AssertionResult Settles(int asked, std::vector<std::string> nodes) {
    std::sort(nodes.begin(), nodes.end());
    v1::ListTransfersReply last;
    const auto stub = cluster_.Connect(asked);
    const bool settled = LocalCluster::Eventually([&] {
      last = Transfers(stub.get());
      std::vector<std::string> own;
      for (int i = 0; i < last.members_size(); ++i) {
        if (last.owned(i) > 0) own.push_back(last.members(i).name());
      }
      std::sort(own.begin(), own.end());
      return last.transfers().empty() && own == nodes;
    });
    if (settled) return testing::AssertionSuccess();
    return testing::AssertionFailure() << last.DebugString();
  }
  bool IsMember(int asked, const std::string& node) {
    const v1::ListTransfersReply reply = Transfers(cluster_.Connect(asked).get());
    return std::any_of(reply.members().begin(), reply.members().end(),
                       [&](const v1::TopologyMember& member) { return member.name() == node; });
  }

  // Items of the table that the node itself has, in the partitions that it owns.
  int Held(int node, const std::string& table) {
    const auto stub = cluster_.Connect(node);
    int held = 0;
    for (uint32_t slice = 0; slice < 8; ++slice) {
      grpc::ClientContext context;
      v1::ScanPartitionRequest request;
      request.set_table(table);
      request.set_slice(slice);
      v1::ScanPartitionReply reply;
      if (stub->ScanPartition(&context, request, &reply).ok()) held += reply.items_size();
    }
    return held;
  }

  static constexpr int kKeys = 40;
  LocalCluster cluster_;
};

TEST_F(Members, ANodeJoinsThroughASeedAndOwnsItsShare) {
  WriteAll(0, "before");
  const int joined = cluster_.AddJoining();
  ASSERT_TRUE(cluster_.Start(joined).ok());
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n2", "n3"}));
  ExpectAll(joined, "before");
  WriteAll(joined, "after");
  for (int node = 0; node < 3; ++node) ExpectAll(node, "after");
  EXPECT_EQ(cluster_.Status(joined).partitions_owned(), 6u) << "8 partitions of 3 copies, of 4";
  // The same node, once more, which has to ask nobody.
  ASSERT_TRUE(cluster_.Stop(joined).ok());
  cluster_.config(joined).seeds = {"127.0.0.1:1"};
  ASSERT_TRUE(cluster_.Start(joined).ok());
  ASSERT_TRUE(cluster_.FindEachOther());
  ExpectAll(joined, "after");
  EXPECT_EQ(Transfers(cluster_.Connect(0).get()).members_size(), 4);
  EXPECT_EQ(cluster_.Fatal(), "");
}

TEST_F(Members, ANodeThatLeavesGivesAwayWhatItHasAndThenEnds) {
  const int joined = cluster_.AddJoining();
  ASSERT_TRUE(cluster_.Start(joined).ok());
  ASSERT_TRUE(Settles(0, {"n0", "n1", "n2", "n3"}));
  WriteAll(0, "value");
  const Answer left = ChangeMember(cluster_.Connect(1).get(), RequestOf(Change::LEAVE, "n2"));
  ASSERT_TRUE(left.status.ok()) << left.status.error_message();
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n3"}));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return !IsMember(0, "n2"); }));
  EXPECT_TRUE(LocalCluster::Eventually(
      [&] { return cluster_.Fatal().find("left the cluster") != std::string::npos; }));
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ExpectAll(joined, "value");
  ExpectAll(0, "value");
}

TEST_F(Members, OneThatWaitsOwnsNothingBeforeItIsToldTo) {
  const int joined = cluster_.AddJoining();
  cluster_.config(joined).joining.state = MemberState::kWaiting;
  ASSERT_TRUE(cluster_.Start(joined).ok());
  ASSERT_TRUE(Settles(0, {"n0", "n1", "n2"}));
  ASSERT_TRUE(IsMember(0, "n3"));
  WriteAll(joined, "value");
  const auto stub = cluster_.Connect(0);
  v1::ChangeMemberRequest plan = RequestOf(Change::ACTIVATE, "n3");
  plan.set_plan(true);
  v1::ChangeMemberReply planned;
  ASSERT_TRUE(ChangeMember(stub.get(), plan, &planned).status.ok());
  uint64_t copies = 0;
  for (const v1::Transfer& transfer : planned.transfers()) {
    EXPECT_EQ(transfer.to(), "n3");
    copies += transfer.waiting();
  }
  EXPECT_EQ(copies, 6u);
  EXPECT_EQ(planned.outlook().copies(), 6u);
  EXPECT_GT(planned.outlook().bytes(), 0u);
  EXPECT_FALSE(planned.outlook().measured()) << "nothing has moved yet";
  EXPECT_TRUE(planned.warnings().empty());
  EXPECT_TRUE(planned.dangers().empty());
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n2"})) << "a plan changes nothing";
  ASSERT_TRUE(ChangeMember(stub.get(), RequestOf(Change::ACTIVATE, "n3")).status.ok());
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n2", "n3"}));
  EXPECT_TRUE(Transfers(stub.get()).outlook().measured()) << "by what has moved";
  ASSERT_TRUE(ChangeMember(stub.get(), RequestOf(Change::RETIRE, "n3")).status.ok());
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n2"}));
  ExpectAll(joined, "value");
}

TEST_F(Members, ADeadOneIsReplacedByAnother) {
  WriteAll(0, "value");
  ASSERT_TRUE(cluster_.Stop(2).ok());
  const int heir = cluster_.AddJoining();
  cluster_.config(heir).joining.state = MemberState::kWaiting;
  ASSERT_TRUE(cluster_.Start(heir).ok());
  // Refused for as long as its end has not been noticed.
  ASSERT_TRUE(LocalCluster::Eventually([&] {
    return ChangeMember(cluster_.Connect(0).get(), RequestOf(Change::REPLACE, "n2", "n3"))
        .status.ok();
  }));
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n3"}));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return !IsMember(0, "n2"); }));
  ExpectAll(heir, "value");
  // The dead one comes back under its old identity: nobody has it.
  ASSERT_TRUE(cluster_.Start(2).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return !cluster_.Fatal().empty(); }));
  ASSERT_TRUE(cluster_.Stop(2).ok());
}

TEST_F(Members, ToBuryOneThatAnswersIsToldAsADanger) {
  const int joined = cluster_.AddJoining();
  ASSERT_TRUE(cluster_.Start(joined).ok());
  ASSERT_TRUE(Settles(0, {"n0", "n1", "n2", "n3"}));
  ASSERT_TRUE(cluster_.FindEachOther());
  v1::ChangeMemberRequest plan = RequestOf(Change::REMOVE, "n3");
  plan.set_plan(true);
  const auto stub = cluster_.Connect(0);
  v1::ChangeMemberReply planned;
  ASSERT_TRUE(ChangeMember(stub.get(), plan, &planned).status.ok());
  ASSERT_EQ(planned.dangers_size(), 1);
  EXPECT_NE(planned.dangers(0).find("'n3' answers"), std::string::npos) << planned.dangers(0);
  ASSERT_TRUE(cluster_.Stop(joined).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    return ChangeMember(stub.get(), plan, &planned).status.ok() && planned.dangers().empty();
  }));
}

TEST_F(Members, ToBuryOneThatAnswersTakesForce) {
  const int joined = cluster_.AddJoining();
  ASSERT_TRUE(cluster_.Start(joined).ok());
  ASSERT_TRUE(Settles(0, {"n0", "n1", "n2", "n3"}));
  ASSERT_TRUE(cluster_.FindEachOther());
  const auto stub = cluster_.Connect(0);
  for (v1::ChangeMemberRequest request :
       {RequestOf(Change::REMOVE, "n2"), RequestOf(Change::REPLACE, "n2", "n3")}) {
    const Answer refused = ChangeMember(stub.get(), request);
    EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(refused.detail.reason(), v1::ErrorDetail::NODE_STATE);
    EXPECT_NE(refused.status.error_message().find("'n2' answers"), std::string::npos)
        << refused.status.error_message();
  }
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n2", "n3"})) << "nothing was changed";
  v1::ChangeMemberRequest forced = RequestOf(Change::REPLACE, "n2", "n3");
  forced.set_force(true);
  EXPECT_TRUE(ChangeMember(stub.get(), forced).status.ok());
  EXPECT_TRUE(ChangeMember(stub.get(), RequestOf(Change::REPLACE, "n2", "n3")).status.ok() ||
              !IsMember(0, "n2"))
      << "it is dead already: said again, it needs no force";
  EXPECT_TRUE(Settles(0, {"n0", "n1", "n3"}));
}

TEST_F(Members, AnOwnerThatLostItsDiskIsNoHolderOfWhatItHasYetToBeFilledWith) {
  const int joined = cluster_.AddJoining();
  ASSERT_TRUE(cluster_.Start(joined).ok());
  ASSERT_TRUE(Settles(0, {"n0", "n1", "n2", "n3"}));
  WriteAll(0, "value");
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ASSERT_TRUE(cluster_.Stop(1).ok());
  cluster_.config(1).data_dir += "-new";
  ASSERT_TRUE(cluster_.Start(1).ok());
  // What it owned with the other one it cannot be filled with.
  v1::ChangeMemberRequest plan = RequestOf(Change::REMOVE, "n2");
  plan.set_plan(true);
  v1::ChangeMemberReply planned;
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    return ChangeMember(cluster_.Connect(1).get(), plan, &planned).status.ok() &&
           planned.dangers_size() == 1;
  })) << planned.DebugString();
  ASSERT_EQ(planned.dangers_size(), 1);
  EXPECT_NE(planned.dangers(0).find("has yet to be filled"), std::string::npos)
      << planned.dangers(0);
}

TEST_F(Members, TheMetricsSayWhoIsInWhichStateAndWhatMoves) {
  const auto metric = [&](const std::string& name) {
    const Address& http = cluster_.config(0).http_listen;
    const auto page = httplib::Client(http.host, http.port).Get("/metrics");
    if (!page) return std::string();
    const size_t at = page->body.find("\n" + name + " ");
    if (at == std::string::npos) return std::string();
    const size_t begin = at + name.size() + 2;
    return page->body.substr(begin, page->body.find('\n', begin) - begin);
  };
  EXPECT_EQ(metric("gyre_members{state=\"active\"}"), "3");
  EXPECT_EQ(metric("gyre_moves{step=\"filling\"}"), "0");
  const int waits = cluster_.AddJoining();
  cluster_.config(waits).joining.state = MemberState::kWaiting;
  ASSERT_TRUE(cluster_.Start(waits).ok());
  EXPECT_TRUE(
      LocalCluster::Eventually([&] { return metric("gyre_members{state=\"waiting\"}") == "1"; }));
  // What is to move cannot, for who gives it is down.
  ASSERT_TRUE(cluster_.FindEachOther());
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ASSERT_TRUE(
      ChangeMember(cluster_.Connect(0).get(), RequestOf(Change::ACTIVATE, "n3")).status.ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    return metric("gyre_moves{step=\"filling\"}") == "2" &&
           metric("gyre_moves{step=\"finishing\"}") == "0" &&
           metric("gyre_moves{step=\"waiting\"}") == "0";
  })) << metric("gyre_moves{step=\"filling\"}");
}

TEST_F(Members, WhatCannotBeDoneIsRefusedAndSaysWhy) {
  const auto stub = cluster_.Connect(0);
  const auto refused = [&](const v1::ChangeMemberRequest& request, v1::ErrorDetail::Reason reason,
                           const std::string& word) {
    for (const bool plan : {true, false}) {
      v1::ChangeMemberRequest asked = request;
      asked.set_plan(plan);
      const Answer answer = ChangeMember(stub.get(), asked);
      EXPECT_EQ(answer.detail.reason(), reason) << answer.status.error_message();
      EXPECT_NE(answer.status.error_message().find(word), std::string::npos)
          << answer.status.error_message();
    }
  };
  refused(RequestOf(Change::LEAVE, "nobody"), v1::ErrorDetail::UNKNOWN_NODE, "'nobody'");
  refused(RequestOf(Change::LEAVE, ""), v1::ErrorDetail::INVALID_FIELD, "node");
  refused(RequestOf(Change::CHANGE_UNSPECIFIED, "n1"), v1::ErrorDetail::INVALID_FIELD, "change");
  refused(RequestOf(Change::LEAVE, "n1"), v1::ErrorDetail::NODE_STATE, "need as many nodes");
  refused(RequestOf(Change::REPLACE, "n1", "n1"), v1::ErrorDetail::INVALID_FIELD, "with");
  refused(RequestOf(Change::SET_ZONE, "n1"), v1::ErrorDetail::INVALID_FIELD, "zone");
}

TEST_F(Members, AStartThatWaitsForSeedsCanBeGivenUp) {
  const int joining = cluster_.AddJoining();
  cluster_.config(joining).seeds = {"127.0.0.1:1"};
  int asked = 0;
  const auto node = Gyred::Start(cluster_.config(joining),
                                 {[](const std::string&) {}, [&] { return ++asked > 5; }});
  EXPECT_EQ(node.status().code(), absl::StatusCode::kCancelled) << node.status();
}

// What a member answers who asks at its peers' port to be let in.
grpc::Status AskToJoin(const Config& member, const peer::JoinRequest& request,
                       peer::JoinReply* reply = nullptr) {
  const auto stub = peer::Peer::NewStub(
      grpc::CreateChannel(member.peer_listen.ToString(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  peer::JoinReply unused;
  return stub->Join(&context, request, reply == nullptr ? &unused : reply);
}

peer::JoinRequest RequestToJoin(const std::string& name, uint64_t key) {
  peer::JoinRequest request;
  request.set_version(kPeerProtocol);
  request.set_level(kBuildLevel);
  request.set_cluster_name("test");
  request.set_node_name(name);
  request.set_key(key);
  request.set_zone("z9");
  request.set_client_address("127.0.0.1:1");
  request.set_peer_address("127.0.0.1:2");
  return request;
}

TEST(Gyred, TheLevelIsRaisedOnceAllAreUpgradedAndThenNobodyGoesBack) {
  LocalCluster cluster(3);
  for (int node = 0; node < 3; ++node) cluster.config(node).first_level = kFirstLevel;
  cluster.StartAll("carts");
  const auto is_raised = [&](int node) {
    return cluster.Status(node).cluster_level() == kBuildLevel;
  };
  EXPECT_TRUE(
      LocalCluster::Eventually([&] { return is_raised(0) && is_raised(1) && is_raised(2); }));
  const int late = cluster.AddJoining();
  cluster.config(late).level = kFirstLevel;
  const absl::Status refused = cluster.Start(late);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_NE(refused.message().find(OutgrownWords(1, kBuildLevel)), std::string::npos) << refused;
  ASSERT_TRUE(cluster.Stop(1).ok());
  cluster.config(1).level = kFirstLevel;
  EXPECT_EQ(cluster.Start(1).code(), absl::StatusCode::kFailedPrecondition);
  cluster.config(1).level = kBuildLevel;
  EXPECT_TRUE(cluster.Start(1).ok());
}

TEST(Gyred, OneNodeThatIsHeldBackHoldsTheClusterAndHasAllMovesMadeAsBefore) {
  LocalCluster cluster(3);
  for (int node = 0; node < 3; ++node) cluster.config(node).first_level = kFirstLevel;
  cluster.config(1).level = kFirstLevel;
  cluster.StartAll("carts");
  const int late = cluster.AddJoining();
  ASSERT_TRUE(cluster.Start(late).ok());
  const auto stub = cluster.Connect(0);
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    const v1::ListTransfersReply reply = Transfers(stub.get());
    return reply.transfers().empty() && reply.owned_size() == 4 &&
           std::all_of(reply.owned().begin(), reply.owned().end(),
                       [](uint64_t owned) { return owned > 0; });
  }));
  EXPECT_EQ(cluster.Status(0).level(), kBuildLevel);
  EXPECT_EQ(cluster.Status(1).level(), kFirstLevel);
  EXPECT_EQ(cluster.Status(late).cluster_level(), kFirstLevel);
  EXPECT_EQ(cluster.Fatal(), "");
}

TEST_F(Members, WhoOnlyAsksForTheDocumentIsNoMember) {
  peer::JoinReply reply;
  ASSERT_TRUE(AskToJoin(cluster_.config(0), RequestToJoin("n9", 0), &reply).ok());
  const absl::StatusOr<Topology> document = DecodeTopology(reply.topology());
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->members.size(), 3u);
  EXPECT_FALSE(IsMember(0, "n9"));
}

// Whoever can reach the port may ask.
TEST_F(Members, WhatCannotBeAMemberIsRefusedAndChangesNothing) {
  const uint64_t before = Transfers(cluster_.Connect(0).get()).epoch();
  const auto refused = [&](const std::function<void(peer::JoinRequest*)>& change,
                           grpc::StatusCode code, const std::string& word) {
    peer::JoinRequest request = RequestToJoin("n9", 5);
    change(&request);
    const grpc::Status status = AskToJoin(cluster_.config(0), request);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_NE(status.error_message().find(word), std::string::npos) << status.error_message();
  };
  using Request = peer::JoinRequest;
  constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
  constexpr auto kPrecondition = grpc::StatusCode::FAILED_PRECONDITION;
  refused([](Request* r) { r->set_version(kPeerProtocol + 1); }, kPrecondition, "version");
  refused([](Request* r) { r->clear_version(); }, kPrecondition, "version");
  refused([](Request* r) { r->set_cluster_name("other"); }, kPrecondition, "not \"other\"");
  refused([](Request* r) { r->clear_cluster_name(); }, kPrecondition, "this is cluster");
  refused([](Request* r) { r->clear_node_name(); }, kInvalid, "name");
  refused([](Request* r) { r->set_node_name("a b"); }, kInvalid, "name");
  refused([](Request* r) { r->set_node_name(std::string(256, 'n')); }, kInvalid, "name");
  refused([](Request* r) { r->set_zone(std::string(256, 'z')); }, kInvalid, "zone");
  refused([](Request* r) { r->set_zone("a\x1b[2J"); }, kInvalid, "zone");
  refused([](Request* r) { r->set_peer_address("nowhere"); }, kInvalid, "peer_address");
  refused([](Request* r) { r->set_client_address(std::string(1 << 20, 'h') + ":1"); }, kInvalid,
          "address");
  refused([](Request* r) { r->set_peer_address("0.0.0.0:7200"); }, kInvalid, "peer_address");
  refused([](Request* r) { r->set_client_address("[::]:7100"); }, kInvalid, "client_address");
  constexpr auto kExists = grpc::StatusCode::ALREADY_EXISTS;
  refused([](Request* r) { r->set_node_name("n1"); }, kExists, "'n1'");
  const Member& n1 = cluster_.config(1).self();
  refused([&](Request* r) { r->set_peer_address(n1.peer_address); }, kExists, "'n1'");
  refused([&](Request* r) { r->set_client_address(n1.client_address); }, kExists, "'n1'");
  EXPECT_EQ(Transfers(cluster_.Connect(0).get()).epoch(), before);
  EXPECT_EQ(Transfers(cluster_.Connect(0).get()).members_size(), 3);
}

// As where an address was copied with the rest of a configuration, or a name leads elsewhere than
// it did: a node is no less there because another says that it is at the same place.
TEST(Gyred, AMemberAtItsAddressNeitherEndsANodeNorCutsItsLinks) {
  LocalCluster cluster(1);
  cluster.StartAll("carts");
  const auto metric = [&](const std::string& name) {
    const Address& http = cluster.config(0).http_listen;
    const auto page = httplib::Client(http.host, http.port).Get("/metrics");
    if (!page) return 0;
    const size_t at = page->body.find("\n" + name + " ");
    return at == std::string::npos ? 0 : std::stoi(page->body.substr(at + name.size() + 2));
  };
  const int other = cluster.AddJoining();
  cluster.config(other).joining.state = MemberState::kWaiting;
  ASSERT_TRUE(cluster.Start(other).ok());
  ASSERT_TRUE(cluster.FindEachOther());
  ASSERT_TRUE(cluster.Stop(other).ok());
  ASSERT_TRUE(cluster.Stop(0).ok());
  // Its only peer is at its own address: it calls itself, and has been let in nowhere.
  const std::string right = cluster.config(other).joining.peer_address;
  cluster.config(other).joining.peer_address = cluster.config(0).self().peer_address;
  const Address listens = cluster.config(other).peer_listen;
  HeldPort elsewhere;
  cluster.config(other).peer_listen = elsewhere.address();
  ASSERT_TRUE(cluster.Start(other).ok());
  ASSERT_TRUE(cluster.Start(0).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return metric("gyre_peer_refused_total") >= 2; }));
  EXPECT_EQ(cluster.Fatal(), "");
  EXPECT_TRUE(Put(cluster.Connect(0).get(), PutOf("k", "value")).status.ok());
  ASSERT_TRUE(cluster.Stop(other).ok());
  cluster.config(other).joining.peer_address = right;
  cluster.config(other).peer_listen = listens;
  ASSERT_TRUE(cluster.Start(other).ok());
  EXPECT_TRUE(cluster.FindEachOther());
  EXPECT_EQ(cluster.Fatal(), "");
}

TEST_F(Members, NotMoreAreLetInAtOnceThanThereIsRoomFor) {
  ASSERT_TRUE(cluster_.Stop(1).ok());
  ASSERT_TRUE(cluster_.Stop(2).ok());
  // Nothing comes of them before a majority is back, or they are given up. Each has a connection of
  // its own, for one takes only a few calls.
  const peer::JoinRequest request = RequestToJoin("n9", 5);
  grpc::ChannelArguments own;
  own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  struct Call {
    std::unique_ptr<peer::Peer::Stub> stub;
    grpc::ClientContext context;
    peer::JoinReply reply;
    grpc::Status status;
  };
  std::vector<std::unique_ptr<Call>> calls;
  grpc::CompletionQueue queue;
  for (int i = 0; i <= Gyred::kMaxJoins; ++i) {
    calls.push_back(std::make_unique<Call>());
    Call& call = *calls.back();
    call.stub = peer::Peer::NewStub(grpc::CreateCustomChannel(
        cluster_.config(0).peer_listen.ToString(), grpc::InsecureChannelCredentials(), own));
    call.stub->AsyncJoin(&call.context, request, &queue)->Finish(&call.reply, &call.status, &call);
  }
  // The first that is answered is the one that found no room.
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  const grpc::Status& first = static_cast<Call*>(tag)->status;
  EXPECT_EQ(first.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << first.error_message();
  for (const auto& call : calls) call->context.TryCancel();
  for (size_t left = calls.size() - 1; left > 0; --left) ASSERT_TRUE(queue.Next(&tag, &ok));
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
}

TEST_F(Members, AJoinThatIsInterruptedGoesOnAsTheSameNode) {
  const int joining = cluster_.AddJoining();
  const std::vector<std::string> seeds = cluster_.config(joining).seeds;
  peer::JoinReply document;
  ASSERT_TRUE(AskToJoin(cluster_.config(0), RequestToJoin("n3", 0), &document).ok());
  // It is told of the cluster; what comes of its join it does not hear.
  std::atomic<uint64_t> key{0};
  FakePeer seed([&](int, grpc::ServerContext*, const peer::JoinRequest& request,
                    peer::JoinReply* reply) -> grpc::Status {
    *reply = document;
    if (request.key() == 0) return grpc::Status::OK;
    key = request.key();
    return {grpc::StatusCode::UNAVAILABLE, "no majority"};
  });
  cluster_.config(joining).seeds = {seed.member().peer_address};
  const auto interrupted =
      Gyred::Start(cluster_.config(joining), {[](const std::string&) {}, [&] { return key != 0; }});
  ASSERT_EQ(interrupted.status().code(), absl::StatusCode::kCancelled) << interrupted.status();
  cluster_.config(joining).seeds = seeds;
  ASSERT_TRUE(cluster_.Start(joining).ok());
  ASSERT_TRUE(AskToJoin(cluster_.config(0), RequestToJoin("n3", 0), &document).ok());
  const absl::StatusOr<Topology> topology = DecodeTopology(document.topology());
  ASSERT_TRUE(topology.ok()) << topology.status();
  ASSERT_NE(FindMember(*topology, "n3"), nullptr);
  EXPECT_EQ(FindMember(*topology, "n3")->key, key);
}

TEST_F(Members, OneThatWasRemovedIsNotLetInAgain) {
  const int joined = cluster_.AddJoining();
  cluster_.config(joined).joining.state = MemberState::kWaiting;
  ASSERT_TRUE(cluster_.Start(joined).ok());
  peer::JoinReply document;
  ASSERT_TRUE(AskToJoin(cluster_.config(0), RequestToJoin("n3", 0), &document).ok());
  const uint64_t key = FindMember(*DecodeTopology(document.topology()), "n3")->key;
  ASSERT_TRUE(ChangeMember(cluster_.Connect(0).get(), RequestOf(Change::LEAVE, "n3")).status.ok());
  ASSERT_TRUE(LocalCluster::Eventually([&] { return !IsMember(0, "n3"); }));
  ASSERT_TRUE(LocalCluster::Eventually([&] { return !cluster_.Fatal().empty(); }));
  ASSERT_TRUE(cluster_.Stop(joined).ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status again = cluster_.Start(joined);
    EXPECT_EQ(again.code(), absl::StatusCode::kFailedPrecondition) << again;
    EXPECT_NE(again.message().find("was removed"), std::string::npos) << again;
  }
  // Nor who comes with its key and another data directory.
  const grpc::Status forged = AskToJoin(cluster_.config(0), RequestToJoin("n3", key));
  EXPECT_EQ(forged.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << forged.error_message();
  EXPECT_FALSE(IsMember(0, "n3"));
  // With an empty one it is another node.
  cluster_.config(joined).data_dir += "-new";
  EXPECT_TRUE(cluster_.Start(joined).ok());
  EXPECT_TRUE(IsMember(0, "n3"));
}

TEST_F(Members, OneThatLeavesStaysUntilNoneOfItsLanesKeepsAHint) {
  const int waits = cluster_.AddJoining();
  cluster_.config(waits).joining.state = MemberState::kWaiting;
  cluster_.config(waits).shards = 2;
  ASSERT_TRUE(cluster_.Start(waits).ok());
  ASSERT_TRUE(cluster_.FindEachOther());
  ASSERT_TRUE(cluster_.Stop(1).ok());
  const auto stub = cluster_.Connect(0);
  // One write, so that one of the two lanes keeps a hint and the other none.
  ASSERT_TRUE(Again([&] { return Put(stub.get(), PutOf("k", "value")); }).status.ok());
  ASSERT_TRUE(LocalCluster::Eventually([&] { return cluster_.Status(waits).hints_size() == 1; }));
  ASSERT_TRUE(ChangeMember(stub.get(), RequestOf(Change::LEAVE, "n3")).status.ok());
  // Each new document has it look whether it may go.
  for (int i = 0; i < 4; ++i) {
    v1::Table table;
    table.set_name("table-" + std::to_string(i));
    cluster_.CreateTable(table);
    ASSERT_TRUE(IsMember(0, "n3")) << "after " << i << " documents";
  }
  EXPECT_EQ(cluster_.Status(waits).hints_size(), 1);
  ASSERT_TRUE(cluster_.Start(1).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return !IsMember(0, "n3"); }));
  EXPECT_EQ(ValuesOf(stub.get(), "k"), std::vector<std::string>{"value"});
}

TEST_F(Members, ASecondNodeOfANameIsRefused) {
  const int joining = cluster_.AddJoining();
  cluster_.config(joining).node_name = "n1";
  cluster_.config(joining).joining.name = "n1";
  const absl::Status status = cluster_.Start(joining);
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
  cluster_.config(joining).cluster_name = "other";
  cluster_.config(joining).data_dir += "-other";
  EXPECT_EQ(cluster_.Start(joining).code(), absl::StatusCode::kFailedPrecondition);
}

// A cluster that began with n0 alone, by its list, and has grown since, with n0's disk lost.
class GrownFromOne : public Members {
 protected:
  GrownFromOne() : Members(1) {
    for (int i = 0; i < 2; ++i) GYRE_CHECK(cluster_.Start(cluster_.AddJoining()).ok(), "it joins");
    GYRE_CHECK(Settles(0, {"n0", "n1", "n2"}), "they share");
    v1::Table table;
    table.set_name("three");
    table.set_replicas(3);
    cluster_.CreateTable(table);
  }
  void LoseTheDisk() {
    ASSERT_TRUE(cluster_.Stop(0).ok());
    cluster_.config(0).data_dir += "-new";
  }
  static v1::PutRequest PutOfThree(const std::string& key) {
    v1::PutRequest put = PutOf(key, "value");
    put.set_table("three");
    return put;
  }
  // It is a member as before, and has what it lost.
  void ExpectItIsBack() {
    EXPECT_TRUE(LocalCluster::Eventually([&] {
      const v1::NodeStatusReply status = cluster_.Status(0);
      return status.peers_size() == 2 && status.partitions_to_fill() == 0 &&
             Transfers(cluster_.Connect(0).get()).epoch() ==
                 Transfers(cluster_.Connect(1).get()).epoch();
    }));
    EXPECT_TRUE(cluster_.FindEachOther());
    EXPECT_EQ(cluster_.Fatal(), "");
  }
};

TEST_F(GrownFromOne, WhoLostItsDiskTakesTheDocumentOfWhoCallsIt) {
  const auto stub = cluster_.Connect(1);
  ASSERT_TRUE(Again([&] { return Put(stub.get(), PutOfThree("k")); }).status.ok());
  LoseTheDisk();
  cluster_.config(0).alone_patience = Duration::Seconds(60);  // they call long before
  ASSERT_TRUE(cluster_.Start(0).ok());
  ExpectItIsBack();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return Held(0, "three") == 1; }));
  // It is no other node, and begins as one that knows what it is.
  ASSERT_TRUE(cluster_.Stop(0).ok());
  ASSERT_TRUE(cluster_.Start(0).ok());
  ExpectItIsBack();
}

// Nobody was there to tell it, and no table was made meanwhile: nothing can have been written.
TEST_F(GrownFromOne, WhoServesAloneAlreadyTakesItAsWell) {
  const auto stub = cluster_.Connect(1);
  ASSERT_TRUE(Again([&] { return Put(stub.get(), PutOfThree("k")); }).status.ok());
  LoseTheDisk();
  ASSERT_TRUE(cluster_.Stop(1).ok());
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ASSERT_TRUE(cluster_.Start(0).ok());
  EXPECT_EQ(Transfers(cluster_.Connect(0).get()).members_size(), 1);
  ASSERT_TRUE(cluster_.Start(1).ok());
  ASSERT_TRUE(cluster_.Start(2).ok());
  ExpectItIsBack();
}

TEST_F(GrownFromOne, WhoHasMadeATableOfItsOwnEndsAndSaysWhatToDo) {
  LoseTheDisk();
  ASSERT_TRUE(cluster_.Stop(1).ok());
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ASSERT_TRUE(cluster_.Start(0).ok());
  v1::Table table;
  table.set_name("other");
  cluster_.CreateTable(table);
  ASSERT_TRUE(cluster_.Start(1).ok());
  ASSERT_TRUE(cluster_.Start(2).ok());
  EXPECT_TRUE(LocalCluster::Eventually(
      [&] { return cluster_.Fatal().find("a second cluster of this name") != std::string::npos; }));
  // As it says.
  ASSERT_TRUE(cluster_.Stop(0).ok());
  cluster_.config(0).data_dir += "-empty";
  cluster_.config(0).alone_patience = Duration::Seconds(60);
  ASSERT_TRUE(cluster_.Start(0).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return cluster_.Status(0).peers_size() == 2; }));
}

TEST_F(GrownFromOne, WhoLostItsDiskAndHasSeedsAsksThemFirst) {
  const auto stub = cluster_.Connect(1);
  ASSERT_TRUE(Again([&] { return Put(stub.get(), PutOfThree("k")); }).status.ok());
  LoseTheDisk();
  const HeldPort nobody;
  cluster_.config(0).seeds = {nobody.address().ToString(), cluster_.config(1).self().peer_address};
  ASSERT_TRUE(cluster_.Start(0).ok());
  EXPECT_EQ(Transfers(cluster_.Connect(0).get()).members_size(), 3) << "before anybody called it";
  ExpectItIsBack();
}

TEST_F(GrownFromOne, WhoIsTooOldForItsSeedsMakesNoClusterOfItsOwn) {
  LoseTheDisk();
  cluster_.config(0).level = kFirstLevel;
  cluster_.config(0).seeds = {cluster_.config(1).self().peer_address};
  const absl::Status refused = cluster_.Start(0);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_NE(refused.message().find("is of level 1"), std::string::npos) << refused;
  cluster_.config(0).level = kBuildLevel;
  ASSERT_TRUE(cluster_.Start(0).ok());
  ExpectItIsBack();
}

// Nobody else knows where it is now: the document of its configuration says so, and the cluster's
// does not.
TEST_F(GrownFromOne, WhoLostItsDiskAndComesBackElsewhereTellsWhereItIs) {
  LoseTheDisk();
  const std::string before = cluster_.config(0).self().client_address;
  const HeldPort held;
  for (Member& member : cluster_.config(0).members) {
    if (member.name == "n0") member.client_address = held.address().ToString();
  }
  cluster_.config(0).alone_patience = Duration::Seconds(60);
  ASSERT_TRUE(cluster_.Start(0).ok());
  const auto address = [&] {
    const v1::ListTransfersReply known = Transfers(cluster_.Connect(1).get());
    std::string found;
    for (const v1::TopologyMember& member : known.members()) {
      if (member.name() == "n0") found = member.client_address();
    }
    return found;
  };
  EXPECT_TRUE(LocalCluster::Eventually([&] { return address() == held.address().ToString(); }))
      << address() << ", before " << before;
}

TEST_F(GrownFromOne, WhoWasRemovedMakesNoClusterOfItsListAgain) {
  const int more = cluster_.AddJoining();
  ASSERT_TRUE(cluster_.Start(more).ok());
  ASSERT_TRUE(Settles(1, {"n0", "n1", "n2", "n3"}));
  ASSERT_TRUE(ChangeMember(cluster_.Connect(1).get(), RequestOf(Change::LEAVE, "n0")).status.ok());
  ASSERT_TRUE(LocalCluster::Eventually([&] { return !cluster_.Fatal().empty(); }));
  LoseTheDisk();
  cluster_.config(0).seeds = {cluster_.config(1).self().peer_address};
  const absl::Status again = cluster_.Start(0);
  EXPECT_EQ(again.code(), absl::StatusCode::kFailedPrecondition) << again;
  EXPECT_NE(again.message().find("was removed"), std::string::npos) << again;
}

// Those that it knows are down now, and the new one is not in its document: so that one's call
// tells.
TEST_F(Members, WhoWasAwayHearsOfANewOneFromThatOneAndIsNotFilled) {
  ASSERT_TRUE(cluster_.Stop(0).ok());
  const int joined = cluster_.AddJoining();
  cluster_.config(joined).seeds = {cluster_.config(1).self().peer_address};
  ASSERT_TRUE(cluster_.Start(joined).ok());
  ASSERT_TRUE(cluster_.Stop(1).ok());
  ASSERT_TRUE(cluster_.Stop(2).ok());
  ASSERT_TRUE(cluster_.Start(0).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return IsMember(0, "n3"); }));
  EXPECT_EQ(cluster_.Status(0).partitions_to_refill(), 0u);
  EXPECT_EQ(cluster_.Fatal(), "");
}

TEST_F(Members, WhoLostItsDiskWhileAllOthersWereExchangedTakesTheirDocument) {
  WriteAll(0, "value");
  for (const int gone : {1, 2}) {
    const int heir = cluster_.AddJoining();
    const std::string heir_is = "n" + std::to_string(heir);
    cluster_.config(heir).joining.state = MemberState::kWaiting;
    ASSERT_TRUE(cluster_.Start(heir).ok());
    ASSERT_TRUE(cluster_.Stop(gone).ok());
    const Answer replaced = ChangeMember(
        cluster_.Connect(0).get(), RequestOf(Change::REPLACE, "n" + std::to_string(gone), heir_is));
    ASSERT_TRUE(replaced.status.ok()) << replaced.status.error_message();
    ASSERT_TRUE(LocalCluster::Eventually([&] { return !IsMember(0, "n" + std::to_string(gone)); }));
  }
  ASSERT_TRUE(Settles(0, {"n0", "n3", "n4"}));
  ASSERT_TRUE(cluster_.Stop(0).ok());
  cluster_.config(0).data_dir += "-new";
  ASSERT_TRUE(cluster_.Start(0).ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    const v1::NodeStatusReply status = cluster_.Status(0);
    return status.peers_size() == 2 && status.partitions_to_fill() == 0 &&
           Held(0, "carts") == kKeys;
  })) << Held(0, "carts");
  ExpectAll(0, "value");
  EXPECT_EQ(cluster_.Fatal(), "");
}

}  // namespace
}  // namespace gyre
