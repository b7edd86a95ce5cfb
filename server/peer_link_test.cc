#include "server/peer_link.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "api/proto/completion_thread.h"
#include "server/fake_peer.h"
#include "server/local_cluster.h"
#include "server/peer_links.h"

namespace gyre {
namespace {

PeerLinkOptions Impatient() {
  PeerLinkOptions options;
  options.retry_base = Duration::Millis(2);
  options.retry_cap = Duration::Millis(2);
  options.name_taken_patience = Duration();
  return options;
}

// The links of a node whose only peer is `peer`.
class Links {
 public:
  Links(const PeerLinkOptions& options, const FakePeer& peer)
      : Links(options, std::vector<Member>{peer.member()}) {}
  Links(const PeerLinkOptions& options, const std::vector<Member>& peers)
      : links_(options, peers, Random(1), Events()) {}
  ~Links() { links_.Stop(); }

  // On its way from the peer before the links are open.
  Links& AfterIncoming() {
    links_.OnIncoming(NodeId(FakePeer::kId), true);
    return *this;
  }
  Links& Start() {
    links_.Start({wire_.queue()});
    return *this;
  }
  PeerLinks& operator*() { return links_; }
  PeerLink::Figures figures() const { return links_.figures().front(); }
  std::string refused() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return refused_;
  }
  // What the links said of the peer, in order.
  std::string news() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return news_;
  }

 private:
  PeerLink::Events Events() {
    PeerLink::Events events;
    events.on_peer = [this](NodeId, bool reachable) { Note(reachable ? "up" : "down"); };
    events.on_level = [](NodeId, BuildLevel) {};
    events.on_forgetful = [this] { Note("forgetful"); };
    events.on_clock = [this](NodeId, uint64_t wall_ms) {
      Note("its clock shows " + std::to_string(wall_ms));
    };
    events.on_refused = [this](const std::string& why) {
      std::lock_guard<std::mutex> lock(mutex_);
      refused_ = why;
    };
    events.hello = [] { return peer::Hello(); };
    return events;
  }
  void Note(const std::string& what) {
    std::lock_guard<std::mutex> lock(mutex_);
    news_ += (news_.empty() ? "" : ", ") + what;
  }

  mutable std::mutex mutex_;
  std::string refused_;  // guarded by mutex_, and so is the rest
  std::string news_;
  CompletionThread wire_{"wire"};
  PeerLinks links_;
};

grpc::Status NameTaken() { return {grpc::StatusCode::ALREADY_EXISTS, "another has your name"}; }

TEST(PeerLink, ANameThatIsTakenEndsANodeThatWasNeverLetIn) {
  FakePeer peer([](int, FakePeer::Stream*) { return NameTaken(); });
  Links links(Impatient(), peer);
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.refused() == "another has your name"; }));
}

TEST(PeerLink, ANameThatIsTakenEndsNoNodeThatHadBeenLetIn) {
  FakePeer peer([](int number, FakePeer::Stream* stream) {
    if (number >= 1 && number <= 5) return NameTaken();
    FakePeer::Greet(stream);
    if (number > 5) FakePeer::TakeAll(stream);
    return grpc::Status::OK;
  });
  Links links(Impatient(), peer);
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.figures().connects == 2; }));
  EXPECT_EQ(links.refused(), "");
}

PeerMessage FetchOf(size_t key_bytes) {
  const PartitionId partition(3, 5);
  return {1, Epoch(1), partition, Fetch{{partition, TableId(1), std::string(key_bytes, 'k')}}};
}
// A message of the repair lane.
PeerMessage RepairOf(size_t key_bytes) {
  const PartitionId partition(3, 5);
  return {0, Epoch(1), partition,
          Apply{{{partition, TableId(1), std::string(key_bytes, 'k')},
                 std::make_shared<const Record>(),
                 {}}}};
}

TEST(PeerLink, WhatNodesSayOfWhoIsAliveDoesNotWaitBehindRepair) {
  FakePeer peer([](int, FakePeer::Stream*) { return grpc::Status::OK; });
  Links links(Impatient(), peer);  // never started: what is queued is dropped, by its lane
  (*links).Send({{NodeId(FakePeer::kId), {0, Epoch(1), PartitionId(), MembershipMessage()}}});
  EXPECT_EQ(links.figures().dropped, 1u);
  EXPECT_EQ(links.figures().dropped_repair, 0u);
}

// What arrives of five messages of one lane, behind a thousand of the other, which has no room.
size_t ArrivesBehindAFullLane(bool repair_is_full, PeerLink::Figures* figures) {
  std::mutex mutex;
  size_t arrived = 0;  // guarded by mutex
  FakePeer peer([&](int, FakePeer::Stream* stream) {
    FakePeer::Greet(stream);
    peer::PeerFrame frame;
    while (stream->Read(&frame)) {
      std::lock_guard<std::mutex> lock(mutex);
      for (const peer::PeerMessage& message : frame.messages()) {
        if (message.has_fetch() == repair_is_full) ++arrived;
      }
    }
    return grpc::Status::OK;
  });
  PeerLinkOptions options = Impatient();
  (repair_is_full ? options.max_repair_bytes : options.max_queue_bytes) = 10'000;
  Links links(options, peer);
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.figures().connects == 1; }));
  std::vector<Envelope> envelopes;
  for (int i = 0; i < 1'005; ++i) {
    const bool repair = (i < 1'000) == repair_is_full;
    envelopes.push_back({NodeId(FakePeer::kId), repair ? RepairOf(600) : FetchOf(600)});
  }
  (*links).Send(std::move(envelopes));
  LocalCluster::Eventually([&] {
    std::lock_guard<std::mutex> lock(mutex);
    return arrived == 5;
  });
  *figures = links.figures();
  std::lock_guard<std::mutex> lock(mutex);
  return arrived;
}

TEST(PeerLink, AFullLaneDropsNothingOfTheOther) {
  PeerLink::Figures figures;
  EXPECT_EQ(ArrivesBehindAFullLane(/*repair_is_full=*/true, &figures), 5u);
  EXPECT_EQ(figures.dropped, 0u);
  EXPECT_GT(figures.dropped_repair, 0u);
  EXPECT_EQ(ArrivesBehindAFullLane(/*repair_is_full=*/false, &figures), 5u);
  EXPECT_GT(figures.dropped, 0u);
  EXPECT_EQ(figures.dropped_repair, 0u);
}

TEST(PeerLink, NoFrameIsLargerThanAPeerTakes) {
  std::mutex mutex;
  std::vector<size_t> frames;  // bytes; guarded by mutex
  size_t messages = 0;         // guarded by mutex
  FakePeer peer([&](int, FakePeer::Stream* stream) {
    FakePeer::Greet(stream);
    peer::PeerFrame frame;
    while (stream->Read(&frame)) {
      std::lock_guard<std::mutex> lock(mutex);
      frames.push_back(frame.ByteSizeLong());
      messages += frame.messages_size();
    }
    return grpc::Status::OK;
  });
  PeerLinkOptions options = Impatient();
  options.max_frame_bytes = 1000;
  Links links(options, peer);
  links.Start();
  ASSERT_TRUE(LocalCluster::Eventually([&] { return links.figures().connects == 1; }));
  std::vector<Envelope> envelopes;
  for (int i = 0; i < 5; ++i) {
    envelopes.push_back({NodeId(FakePeer::kId), FetchOf(600)});
    envelopes.push_back({NodeId(FakePeer::kId), RepairOf(600)});
  }
  envelopes.push_back({NodeId(FakePeer::kId), FetchOf(1500)});
  (*links).Send(std::move(envelopes));
  EXPECT_TRUE(LocalCluster::Eventually([&] {
    std::lock_guard<std::mutex> lock(mutex);
    return messages == 10;
  }));
  EXPECT_EQ(links.figures().dropped, 1u) << "the one that fits into no frame";
  std::lock_guard<std::mutex> lock(mutex);
  for (const size_t bytes : frames) EXPECT_LE(bytes, options.max_frame_bytes);
}

grpc::Status ShutOut() { return {grpc::StatusCode::FAILED_PRECONDITION, "another ring"}; }

TEST(PeerLink, ANodeThatAllItsPeersShutOutEnds) {
  FakePeer one([](int, FakePeer::Stream*) { return ShutOut(); });
  FakePeer two([](int, FakePeer::Stream*) {
    return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no member");
  });
  Links links(Impatient(), {one.member(), two.member()});
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return !links.refused().empty(); }));
  EXPECT_EQ(links.refused(), "another ring; no member");
}

// It may be that another node has the peer's address; that says nothing of this one.
TEST(PeerLink, ANodeThatMeetsAnotherThanItsPeerRunsOnAndSaysWhomItWanted) {
  std::atomic<int> met{0};
  FakePeer stranger([&](int, FakePeer::Stream*) {
    ++met;
    return grpc::Status{grpc::StatusCode::NOT_FOUND, "this is another"};
  });
  Links links(Impatient(), stranger);
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return met >= 3; }));
  EXPECT_EQ(stranger.wanted(), FakePeer::kId);
  EXPECT_EQ(links.refused(), "");
}

TEST(PeerLink, CallsLessAndLessOftenWhereItMeetsAnotherThanItsPeer) {
  const PeerLinkOptions options;
  EXPECT_EQ(LongestPause(options, 0, true), options.retry_base);
  EXPECT_EQ(LongestPause(options, 1, true), LongestPause(options, 1, false));
  EXPECT_EQ(LongestPause(options, 40, false), options.retry_cap);
  EXPECT_EQ(LongestPause(options, 40, true), options.astray_cap);
  EXPECT_GE(options.astray_cap, options.retry_cap * 10);
}

TEST(PeerLink, ANodeThatOnePeerLetsInOrDoesNotAnswerRunsOn) {
  std::atomic<int> refusals{0};
  FakePeer one([&](int, FakePeer::Stream*) {
    ++refusals;
    return ShutOut();
  });
  FakePeer two(
      [](int, FakePeer::Stream*) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"); });
  Links links(Impatient(), {one.member(), two.member()});
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return refusals > 10; }));
  EXPECT_EQ(links.refused(), "");
}

TEST(PeerLink, ANodeThatHadBeenLetInRunsOnWhenItIsShutOut) {
  std::atomic<int> refusals{0};
  FakePeer peer([&](int number, FakePeer::Stream* stream) {
    if (number > 0) {
      ++refusals;
      return ShutOut();
    }
    FakePeer::Greet(stream);
    return grpc::Status::OK;
  });
  Links links(Impatient(), peer);
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return refusals > 10; }));
  EXPECT_EQ(links.refused(), "");
}

TEST(PeerLink, SaysThatTheNodeIsForgetfulBeforeThatThePeerIsThere) {
  FakePeer peer([](int, FakePeer::Stream* stream) {
    peer::PeerFrame hello;
    hello.mutable_hello()->set_node(FakePeer::kId);
    hello.mutable_hello()->set_forgetful(true);
    stream->Write(hello);
    FakePeer::TakeAll(stream);
    return grpc::Status::OK;
  });
  Links links(Impatient(), peer);
  links.AfterIncoming().Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.news() == "forgetful, up"; }));
}

TEST(PeerLink, TellsWhatThePeersClockShowsBeforeThatThePeerIsThere) {
  FakePeer peer([](int, FakePeer::Stream* stream) {
    peer::PeerFrame hello;
    hello.mutable_hello()->set_node(FakePeer::kId);
    hello.mutable_hello()->set_wall_ms(1234);
    stream->Write(hello);
    FakePeer::TakeAll(stream);
    return grpc::Status::OK;
  });
  Links links(Impatient(), peer);
  links.AfterIncoming().Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.news() == "its clock shows 1234, up"; }));
}

TEST(PeerLink, TellsThePeerThatItKnowsItWasLetIn) {
  std::atomic<int> empty_frames{0};
  FakePeer peer([&](int, FakePeer::Stream* stream) {
    FakePeer::Greet(stream);
    peer::PeerFrame frame;
    while (stream->Read(&frame)) empty_frames += frame.messages().empty() ? 1 : 0;
    return grpc::Status::OK;
  });
  Links links(Impatient(), peer);
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return empty_frames == 1; }));
}

constexpr Duration kEver = Duration::Seconds(600);

TEST(PeerLink, IsSettledOnceThePeerIsThere) {
  FakePeer peer([](int number, FakePeer::Stream* stream) {
    if (number < 2) return NameTaken();  // the stream of this node's last life
    return FakePeer::LetIn(stream);
  });
  Links links(Impatient(), peer);
  links.AfterIncoming().Start();
  (*links).WaitUntilSettled(kEver);
  EXPECT_EQ(links.news(), "up");
}

TEST(PeerLink, IsSettledOnceThePeerWasFoundAway) {
  FakePeer peer(
      [](int, FakePeer::Stream*) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"); });
  Links links(Impatient(), peer);
  links.Start();
  (*links).WaitUntilSettled(kEver);
  EXPECT_EQ(links.news(), "");
}

TEST(PeerLink, WaitsNoLongerThanItsPatienceForAPeerThatOpensNoStream) {
  FakePeer peer([](int, FakePeer::Stream* stream) { return FakePeer::LetIn(stream); });
  Links links(Impatient(), peer);
  links.Start();
  (*links).WaitUntilSettled(Duration::Millis(20));
  EXPECT_EQ(links.news(), "");
}

TEST(PeerLink, APeerThatSaysHelloIsCalledAtOnce) {
  FakePeer peer([](int number, FakePeer::Stream* stream) {
    if (number == 0) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "away");
    return FakePeer::LetIn(stream);
  });
  PeerLinkOptions options;
  options.retry_base = options.retry_cap = kEver;
  Links links(options, peer);
  links.Start();
  (*links).WaitUntilSettled(kEver);
  (*links).OnGreeted(NodeId(FakePeer::kId));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.figures().connects == 1; }));
}

TEST(PeerLink, OfANodeThatLeavesEndsAndIsNotOpenedAgain) {
  std::atomic<int> streams = 0;
  FakePeer peer([&](int, FakePeer::Stream* stream) {
    ++streams;
    return FakePeer::LetIn(stream);
  });
  Links links(Impatient(), peer);
  links.AfterIncoming().Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.news() == "up"; }));
  (*links).Leave();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.news() == "up, down"; }));
  (*links).OnGreeted(NodeId(FakePeer::kId));  // which calls a peer at once, otherwise
  (*links).Stop();
  EXPECT_EQ(streams, 1);
}

TEST(PeerLink, APeerThatGreetsBeforeTheStreamsAreOpenedIsThereOnceTheyAre) {
  FakePeer peer([](int, FakePeer::Stream* stream) { return FakePeer::LetIn(stream); });
  Links links(Impatient(), peer);
  links.AfterIncoming();
  EXPECT_EQ(links.news(), "");
  links.Start();
  EXPECT_TRUE(LocalCluster::Eventually([&] { return links.news() == "up"; }));
}

}  // namespace
}  // namespace gyre
