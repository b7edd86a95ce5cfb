#include "server/peer_links.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/proto/completion_thread.h"
#include "server/fake_peer.h"
#include "server/held_port.h"
#include "server/local_cluster.h"

namespace gyre {
namespace {

// The links of a node that has no peers at first, and what they say of each.
class Linked {
 public:
  Linked() : links_(Options(), {}, Random(1), Events()) { links_.Start({wire_.queue()}); }
  ~Linked() { links_.Stop(); }

  PeerLinks& operator*() { return links_; }
  std::string news(NodeId node) const {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto it = news_.find(node);
    return it == news_.end() ? "" : it->second;
  }
  testing::AssertionResult Hears(NodeId node, const std::string& news) const {
    if (LocalCluster::Eventually([&] { return this->news(node) == news; })) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "heard: " << this->news(node);
  }

 private:
  static PeerLinkOptions Options() {
    PeerLinkOptions options;
    options.retry_base = options.retry_cap = Duration::Millis(2);
    return options;
  }
  PeerLink::Events Events() {
    PeerLink::Events events;
    events.on_peer = [this](NodeId node, bool reachable) {
      std::lock_guard<std::mutex> lock(mutex_);
      news_[node] += reachable ? "up " : "down ";
    };
    events.on_forgetful = [] {};
    events.on_clock = [](NodeId, uint64_t) {};
    events.on_level = [](NodeId, BuildLevel) {};
    events.on_refused = [](const std::string&) {};
    events.hello = [] { return peer::Hello(); };
    return events;
  }

  mutable std::mutex mutex_;
  std::map<NodeId, std::string> news_;  // guarded by mutex_
  CompletionThread wire_{"wire"};
  PeerLinks links_;
};

// Another peer: node 8.
grpc::Status LetInAsAnother(FakePeer::Stream* stream) {
  peer::PeerFrame hello;
  hello.mutable_hello()->set_node(8);
  stream->Write(hello);
  FakePeer::TakeAll(stream);
  return grpc::Status::OK;
}
Member AnotherAt(const FakePeer& peer) {
  Member member = peer.member();
  member.id = NodeId(8);
  member.name = "another";
  return member;
}
Member At(Member member, const std::string& address) {
  member.peer_address = address;
  return member;
}

TEST(PeerLinks, OpenALinkToWhoIsNew) {
  FakePeer peer([](int, FakePeer::Stream* stream) { return FakePeer::LetIn(stream); });
  FakePeer another([](int, FakePeer::Stream* stream) { return LetInAsAnother(stream); });
  Linked links;
  EXPECT_TRUE((*links).figures().empty());
  (*links).OnIncoming(NodeId(7), true);  // it was faster
  (*links).SetMembers({peer.member()});
  EXPECT_TRUE(links.Hears(NodeId(7), "up "));
  (*links).SetMembers({peer.member(), AnotherAt(another)});
  (*links).OnIncoming(NodeId(8), true);
  EXPECT_TRUE(links.Hears(NodeId(8), "up "));
  EXPECT_EQ(links.news(NodeId(7)), "up ") << "who stays is left alone";
  EXPECT_EQ((*links).figures().size(), 2u);
}

TEST(PeerLinks, WhoIsNoMemberAnyMoreIsAwayAndItsLinkEnds) {
  FakePeer peer([](int, FakePeer::Stream* stream) { return FakePeer::LetIn(stream); });
  Linked links;
  (*links).SetMembers({peer.member()});
  (*links).OnIncoming(NodeId(7), true);
  ASSERT_TRUE(links.Hears(NodeId(7), "up "));
  (*links).SetMembers({});
  EXPECT_TRUE(links.Hears(NodeId(7), "up down "));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return (*links).figures().empty(); }));
  std::vector<Envelope> late;
  late.push_back({NodeId(7), PeerMessage()});
  (*links).Send(std::move(late));  // as if the network had lost it
}

TEST(PeerLinks, FollowAnAddressThatTheDocumentChanges) {
  FakePeer peer([](int, FakePeer::Stream* stream) { return FakePeer::LetIn(stream); });
  const HeldPort nobody;
  Linked links;
  (*links).OnIncoming(NodeId(7), true);
  (*links).SetMembers({At(peer.member(), nobody.address().ToString())});
  ASSERT_TRUE(LocalCluster::Eventually([&] { return (*links).figures().size() == 1; }));
  EXPECT_EQ(links.news(NodeId(7)), "");
  (*links).SetMembers({peer.member()});
  EXPECT_TRUE(links.Hears(NodeId(7), "up "));
}

TEST(PeerLinks, WhatTheDocumentRepeatsDoesNotUndoWhatThePeerSaid) {
  std::atomic<bool> breaks{false};
  FakePeer peer([&](int number, FakePeer::Stream* stream) {
    if (number > 0) return FakePeer::LetIn(stream);
    FakePeer::Greet(stream);
    while (!breaks) std::this_thread::yield();
    return grpc::Status::OK;
  });
  FakePeer another([](int, FakePeer::Stream* stream) { return LetInAsAnother(stream); });
  const HeldPort nobody;
  const Member outdated = At(peer.member(), nobody.address().ToString());
  Linked links;
  (*links).OnIncoming(NodeId(7), true);
  (*links).OnIncoming(NodeId(8), true);
  (*links).SetMembers({outdated});
  EXPECT_TRUE(LocalCluster::Eventually([&] { return (*links).figures().size() == 1; }));
  (*links).SetAddress(NodeId(7), peer.member().peer_address);
  EXPECT_TRUE(links.Hears(NodeId(7), "up "));
  (*links).SetMembers({outdated, AnotherAt(another)});
  EXPECT_TRUE(links.Hears(NodeId(8), "up ")) << "the document was followed";
  EXPECT_EQ(links.news(NodeId(7)), "up ");
  breaks = true;
  EXPECT_TRUE(links.Hears(NodeId(7), "up down up ")) << "where the peer said that it is";
}

TEST(PeerLinks, WhoHasLeftSpeaksToNobodyThatIsNew) {
  FakePeer peer([](int, FakePeer::Stream* stream) { return FakePeer::LetIn(stream); });
  Linked links;
  (*links).Leave();
  (*links).OnIncoming(NodeId(7), true);
  (*links).SetMembers({peer.member()});
  ASSERT_TRUE(LocalCluster::Eventually([&] { return (*links).figures().size() == 1; }));
  EXPECT_EQ((*links).figures().front().connects, 0u);
  EXPECT_EQ(links.news(NodeId(7)), "");
}

}  // namespace
}  // namespace gyre
