#include "server/peer_service.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/local_cluster.h"

namespace gyre {
namespace {

constexpr uint64_t kMe = 1;
constexpr uint64_t kPeer = 7;

peer::Hello HelloOf(uint64_t node) {
  peer::Hello hello;
  hello.set_cluster(5);
  hello.set_node(node);
  hello.set_instance(node);
  hello.set_version(kPeerProtocol);
  return hello;
}

TEST(PeerService, EndsAStreamThatSaysNoHelloAndKeepsOneThatDid) {
  std::atomic<size_t> received{0};
  PeerLinks links({}, {}, Random(1));
  PeerService::Options options;
  options.hello_timeout = Duration::Millis(20);
  PeerService service(
      "test", {{NodeId(kPeer), "peer", "z", "h:1", "h:2"}}, [] { return HelloOf(kMe); }, &links,
      [&](NodeId, std::vector<PeerMessage> messages, std::shared_ptr<void>) {
        received += messages.size();
      },
      options);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = peer::Peer::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));

  grpc::ClientContext polite_context;
  const auto polite = stub->Link(&polite_context);
  peer::PeerFrame frame;
  *frame.mutable_hello() = HelloOf(kPeer);
  ASSERT_TRUE(polite->Write(frame));
  ASSERT_TRUE(polite->Read(&frame));
  EXPECT_EQ(frame.hello().node(), kMe);

  grpc::ClientContext silent_context;
  const auto silent = stub->Link(&silent_context);
  EXPECT_FALSE(silent->Read(&frame));
  EXPECT_FALSE(silent->Finish().ok());

  frame.Clear();
  frame.add_messages()->mutable_topology_news();
  ASSERT_TRUE(polite->Write(frame));
  EXPECT_TRUE(LocalCluster::Eventually([&] { return received == 1; }));
  polite->WritesDone();
  EXPECT_TRUE(polite->Finish().ok());
  server->Shutdown();
}

}  // namespace
}  // namespace gyre
