// FakePeer: a peer on loopback for tests of what speaks to peers.

#ifndef GYRE_SERVER_FAKE_PEER_H_
#define GYRE_SERVER_FAKE_PEER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "api/proto/gyre.grpc.pb.h"
#include "api/proto/peer.grpc.pb.h"
#include "ring/ids.h"
#include "ring/member.h"

namespace gyre {

// The other end of a link, as `answer` has it: it gets the number of the stream, from 0, and says
// whether to let it in; a stream that was let in stays until its caller ends it.
class FakePeer final : public peer::Peer::Service {
 public:
  static constexpr uint64_t kId = 7;

  using Stream = grpc::ServerReaderWriter<peer::PeerFrame, peer::PeerFrame>;
  using Answer = std::function<grpc::Status(int number, Stream* stream)>;

  explicit FakePeer(Answer answer) : answer_(std::move(answer)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    builder.RegisterService(&callbacks_);
    server_ = builder.BuildAndStart();
  }
  ~FakePeer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Link(grpc::ServerContext*, Stream* stream) override {
    peer::PeerFrame frame;
    if (!stream->Read(&frame)) return grpc::Status::OK;
    return answer_(streams_.fetch_add(1), stream);
  }

  static void Greet(Stream* stream) {
    peer::PeerFrame hello;
    hello.mutable_hello()->set_node(kId);
    stream->Write(hello);
  }
  // What comes until the caller ends the stream.
  static void TakeAll(Stream* stream) {
    peer::PeerFrame frame;
    while (stream->Read(&frame)) continue;
  }

  Member member() const {
    const std::string address = "127.0.0.1:" + std::to_string(port_);
    return {NodeId(kId), "peer", "zone", address, address};
  }

 private:
  const Answer answer_;
  // gRPC 1.51 keeps one completion queue for all callbacks of a process, ends it with the last
  // channel or server that uses it, and may break down when another comes just then. A server that
  // serves by callbacks, as every gyred has two, holds it.
  v1::Gyre::CallbackService callbacks_;
  std::atomic<int> streams_{0};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_FAKE_PEER_H_
