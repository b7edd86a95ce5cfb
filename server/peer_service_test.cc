#include "server/peer_service.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/proto/completion_thread.h"
#include "server/fake_peer.h"
#include "server/local_cluster.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

constexpr uint64_t kMe = 1;
constexpr uint64_t kPeer = FakePeer::kId;

peer::Hello HelloOf(uint64_t node, uint64_t boots = 1, uint64_t run = 1) {
  peer::Hello hello;
  hello.set_cluster(5);
  hello.set_node(node);
  hello.set_node_name("node-" + std::to_string(node));
  hello.set_instance(node);
  hello.set_version(kPeerProtocol);
  hello.set_boots(boots);
  hello.set_run(run);
  hello.set_slices(8);
  hello.add_places("here");
  return hello;
}

// A stream to the service, as a peer opens it.
class Greeter {
 public:
  Greeter(peer::Peer::Stub* stub, const peer::Hello& hello) : stream_(stub->Link(&context_)) {
    peer::PeerFrame frame;
    *frame.mutable_hello() = hello;
    stream_->Write(frame);
    if (stream_->Read(&frame)) answer_ = frame.hello();
  }

  const std::optional<peer::Hello>& answer() const { return answer_; }
  bool Write(const peer::PeerFrame& frame) { return stream_->Write(frame); }
  grpc::Status End() {
    stream_->WritesDone();
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<peer::PeerFrame, peer::PeerFrame>> stream_;
  std::optional<peer::Hello> answer_;
};

// The service of a node that remembers in `engine`.
class Served {
 public:
  explicit Served(MemoryEngine* engine, PeerService::Options options = {},
                  PeerLinks* links = nullptr)
      : service_(
            "test",
            {[] { return HelloOf(kMe); }, [](NodeId node) { return node == NodeId(kPeer); },
             [](const peer::JoinRequest&, PeerService::JoinDone done) {
               done(absl::UnavailableError("no majority"));
             },
             [this](const peer::Hello&) { ++strangers; }},
            links == nullptr ? &no_links_ : links,
            [this](NodeId, std::vector<PeerMessage> messages, std::shared_ptr<void>) {
              received += messages.size();
            },
            {*PeerRuns::Load(*engine),
             [engine](const WriteBatch& batch) {
               EXPECT_TRUE(engine->Write(batch, WalSync::kYes).ok());
             }},
            options) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.grpc_service());
    std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
    grpc::ServerCompletionQueue* const served = queue.get();
    wire_ = std::make_unique<CompletionThread>("wire", std::move(queue));
    server_ = builder.BuildAndStart();
    service_.Await(served);
    stub_ = peer::Peer::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                    grpc::InsecureChannelCredentials()));
  }
  ~Served() {
    server_->Shutdown();
    service_.AwaitEnd();
  }

  peer::Peer::Stub* stub() { return stub_.get(); }
  PeerService& service() { return service_; }
  // What a process that greets, and then ends its stream, is told.
  std::string Greet(const peer::Hello& hello) {
    // Its last stream may still be going away.
    for (;;) {
      Greeter greeter(stub(), hello);
      const grpc::Status status = greeter.End();
      if (status.error_code() == grpc::StatusCode::ALREADY_EXISTS) continue;
      if (!status.ok()) return status.error_message();
      return greeter.answer()->forgetful() ? "forgetful" : "welcome";
    }
  }

  std::atomic<size_t> received{0};
  std::atomic<size_t> strangers{0};

 private:
  PeerLinks no_links_{{}, {}, Random(1), {}};
  PeerService service_;
  std::unique_ptr<CompletionThread> wire_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<peer::Peer::Stub> stub_;
};

TEST(PeerService, WhoIsLetInIsToldTheTime) {
  MemoryEngine engine;
  Served served(&engine, {});
  Greeter greeter(served.stub(), HelloOf(kPeer));
  ASSERT_TRUE(greeter.answer().has_value());
  EXPECT_GT(greeter.answer()->wall_ms(), 0u);
}

TEST(PeerService, EndsAStreamThatSaysNoHelloAndKeepsOneThatDid) {
  MemoryEngine engine;
  PeerService::Options options;
  options.hello_timeout = Duration::Millis(1500);  // ample for the polite, also in a slow build
  Served served(&engine, options);
  Greeter polite(served.stub(), HelloOf(kPeer));
  ASSERT_TRUE(polite.answer().has_value());
  EXPECT_EQ(polite.answer()->node(), kMe);

  grpc::ClientContext silent_context;
  const auto silent = served.stub()->Link(&silent_context);
  peer::PeerFrame frame;
  EXPECT_FALSE(silent->Read(&frame));
  EXPECT_FALSE(silent->Finish().ok());

  frame.Clear();
  frame.add_messages()->mutable_topology_news();
  ASSERT_TRUE(polite.Write(frame));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return served.received == 1; }));
  EXPECT_TRUE(polite.End().ok());
}

// What the links of a served node said of its peer.
class News {
 public:
  PeerLink::Events Events() {
    PeerLink::Events events;
    events.hello = [] { return HelloOf(kMe); };
    events.on_level = [](NodeId, BuildLevel) {};
    events.on_peer = [this](NodeId, bool reachable) {
      std::lock_guard<std::mutex> lock(mutex_);
      text_ += reachable ? "up " : "down ";
    };
    return events;
  }
  std::string text() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;  // guarded by mutex_
};

// Otherwise it would be asked what it has nowhere to answer to, and the asker would wait in vain.
TEST(PeerService, OfANodeThatLeavesEndsItsStreamsAndTellsWhoComesWhy) {
  MemoryEngine engine;
  Served served(&engine);
  Greeter greeter(served.stub(), HelloOf(kPeer));
  ASSERT_TRUE(greeter.answer().has_value());
  served.service().Leave("the disk failed");
  EXPECT_EQ(greeter.End().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(served.Greet(HelloOf(kPeer)), "the disk failed");
  EXPECT_EQ(served.service().figures().refused, 0u) << "who is refused is at fault itself";
}

TEST(PeerService, CountsAPeerAsThereOnceItKnowsThatItWasLetIn) {
  FakePeer peer([](int, FakePeer::Stream* stream) { return FakePeer::LetIn(stream); });
  News news;
  CompletionThread wire("wire");
  PeerLinks links({}, {peer.member()}, Random(1), news.Events());
  links.Start({wire.queue()});
  ASSERT_TRUE(LocalCluster::Eventually([&] { return links.figures().front().connects == 1; }));
  MemoryEngine engine;
  Served served(&engine, {}, &links);
  Greeter first(served.stub(), HelloOf(kPeer));
  ASSERT_TRUE(first.answer().has_value());
  EXPECT_EQ(news.text(), "");
  ASSERT_TRUE(first.Write({}));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return news.text() == "up "; }));
  // What it had to say on a stream that it replaces may be lost.
  Greeter second(served.stub(), HelloOf(kPeer));
  ASSERT_TRUE(second.answer().has_value());
  EXPECT_EQ(news.text(), "up down ");
  ASSERT_TRUE(second.Write({}));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return news.text() == "up down up "; }));
  EXPECT_TRUE(second.End().ok());
  EXPECT_TRUE(LocalCluster::Eventually([&] { return news.text() == "up down up down "; }));
  links.Stop();
}

TEST(PeerService, TellsAPeerThatHadAnotherDirectoryBefore) {
  MemoryEngine engine;
  Served served(&engine);
  peer::Hello successor = HelloOf(kPeer);
  successor.set_unproven(true);
  EXPECT_EQ(served.Greet(successor), "welcome") << "it has met none";
  successor.set_instance(77);
  EXPECT_EQ(served.Greet(successor), "forgetful");
  EXPECT_EQ(served.Greet(successor), "forgetful") << "until it says that it knows";
  successor.set_unproven(false);
  EXPECT_EQ(served.Greet(successor), "welcome");
}

TEST(PeerService, TellsAPeerWhoseDataItHasMetInALaterState) {
  MemoryEngine engine;
  {
    Served served(&engine);
    EXPECT_EQ(served.Greet(HelloOf(kPeer, 5, 51)), "welcome");
    EXPECT_EQ(served.Greet(HelloOf(kPeer, 5, 51)), "welcome") << "it connected again";
    EXPECT_EQ(served.Greet(HelloOf(kPeer, 5, 52)), "forgetful");
  }
  Served again(&engine);
  EXPECT_EQ(again.Greet(HelloOf(kPeer, 5, 52)), "forgetful");
  EXPECT_EQ(again.Greet(HelloOf(kPeer, 4, 53)), "forgetful");
  EXPECT_EQ(again.Greet(HelloOf(kPeer, 6, 61)), "welcome");
  EXPECT_EQ(again.Greet(HelloOf(kPeer, 5, 51)), "forgetful");
}

TEST(PeerService, RefusesAnotherRingAndNamesTheDifference) {
  MemoryEngine engine;
  Served served(&engine);
  peer::Hello other = HelloOf(kPeer);
  other.set_slices(16);
  EXPECT_EQ(served.Greet(other),
            "node \"node-7\" is configured with 16 partitions, node \"node-1\" with 8");
  other = HelloOf(kPeer);
  other.set_places(0, "there");
  EXPECT_EQ(served.Greet(other),
            "node \"node-7\" and node \"node-1\" are configured with other members: "
            "only node-7: there; only node-1: here");
  EXPECT_EQ(served.Greet(HelloOf(kPeer)), "welcome");
}

// It calls at the address of a node that it takes to be another: that is no other attempt at the
// stream that it has here.
TEST(PeerService, WhoWantedAnotherNodeIsTurnedAwayAndKeepsItsStream) {
  MemoryEngine engine;
  Served served(&engine);
  peer::Hello hello = HelloOf(kPeer);
  hello.set_wanted(kMe);
  Greeter stands(served.stub(), hello);
  ASSERT_TRUE(stands.answer().has_value());
  hello.set_wanted(3);
  for (int i = 0; i < 2; ++i) {
    Greeter stray(served.stub(), hello);
    EXPECT_FALSE(stray.answer().has_value());
    EXPECT_EQ(stray.End().error_code(), grpc::StatusCode::NOT_FOUND);
  }
  peer::PeerFrame frame;
  frame.add_messages()->mutable_topology_news();
  ASSERT_TRUE(stands.Write(frame));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return served.received == 1; }));
  EXPECT_TRUE(stands.End().ok()) << "it stood all the while";
  EXPECT_EQ(served.service().figures().refused, 2u);
}

// It may be this node that does not know of it.
TEST(PeerService, AStrangerWithANewerDocumentIsToldOfAndNotShutOut) {
  MemoryEngine engine;
  Served served(&engine);
  peer::Hello stranger = HelloOf(3);
  const auto code = [&] { return Greeter(served.stub(), stranger).End().error_code(); };
  EXPECT_EQ(code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(served.strangers, 0u);
  stranger.set_epoch(2);
  EXPECT_EQ(code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(served.strangers, 1u);
  stranger.set_cluster(6);
  EXPECT_EQ(code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(served.strangers, 1u) << "of another cluster nothing is to be heard";
}

TEST(PeerService, ANodeThatMeetsItselfWhereItWantedAnotherIsNotAtFault) {
  MemoryEngine engine;
  Served served(&engine);
  peer::Hello own = HelloOf(kMe);
  EXPECT_NE(served.Greet(own).find("speaks to itself"), std::string::npos);
  own.set_wanted(3);
  Greeter stray(served.stub(), own);
  EXPECT_EQ(stray.End().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(PeerService, RefusesALevelThatTheClusterHasLeftBehind) {
  MemoryEngine engine;
  Served served(&engine);
  peer::Hello other = HelloOf(kPeer);
  other.set_level(7);
  EXPECT_EQ(served.Greet(other), "welcome") << "the cluster is still of the first level";
  other.set_cluster_level(kBuildLevel);
  EXPECT_NE(served.Greet(other).find("node \"node-1\" " + OutgrownWords(1, kBuildLevel)),
            std::string::npos);
}

TEST(PeerLink, WhoIsOfALevelBelowTheClustersIsNoPeer) {
  peer::Hello mine = HelloOf(kMe);
  peer::Hello theirs = HelloOf(kPeer);
  EXPECT_EQ(LevelObjection(mine, theirs), "") << "neither says anything: both are of level 1";
  mine.set_level(2);
  EXPECT_EQ(LevelObjection(mine, theirs), "");
  mine.set_cluster_level(2);
  for (const std::string& why : {LevelObjection(mine, theirs), LevelObjection(theirs, mine)}) {
    EXPECT_EQ(why.find("node \"node-7\" is of level 1, and the cluster of level 2"), 0u) << why;
  }
  theirs.set_level(3);
  EXPECT_EQ(LevelObjection(mine, theirs), "");
}

TEST(PeerService, RefusesAnotherProcessOfANodeWhileTheFirstOneIsConnected) {
  MemoryEngine engine;
  Served served(&engine);
  Greeter first(served.stub(), HelloOf(kPeer, 5, 51));
  for (const uint64_t boots : {4, 5, 6}) {
    Greeter second(served.stub(), HelloOf(kPeer, boots, 52));
    EXPECT_FALSE(second.answer().has_value());
    EXPECT_EQ(second.End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  }
  peer::PeerFrame frame;
  frame.add_messages()->mutable_topology_news();
  ASSERT_TRUE(first.Write(frame));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return served.received == 1; }));
  EXPECT_TRUE(first.End().ok()) << "it stood all the while";
  EXPECT_EQ(served.Greet(HelloOf(kPeer, 6, 61)), "welcome") << "the next start";
}

}  // namespace
}  // namespace gyre
