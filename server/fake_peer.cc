#include "server/fake_peer.h"

#include <chrono>
#include <string>
#include <utility>

#include "ring/ids.h"

namespace gyre {

FakePeer::FakePeer(Answer answer) : FakePeer(std::move(answer), nullptr) {}

FakePeer::FakePeer(Welcome welcome) : FakePeer(nullptr, std::move(welcome)) {}

FakePeer::FakePeer(Answer answer, Welcome welcome)
    : answer_(std::move(answer)), welcome_(std::move(welcome)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakePeer::~FakePeer() { server_->Shutdown(std::chrono::system_clock::now()); }

grpc::Status FakePeer::Join(grpc::ServerContext* context, const peer::JoinRequest* request,
                            peer::JoinReply* reply) {
  if (!welcome_) return {grpc::StatusCode::UNIMPLEMENTED, "this peer is no seed"};
  return welcome_(joins_.fetch_add(1), context, *request, reply);
}

grpc::Status FakePeer::Link(grpc::ServerContext*, Stream* stream) {
  if (!answer_) return {grpc::StatusCode::UNAVAILABLE, "this peer takes no streams in"};
  peer::PeerFrame frame;
  if (!stream->Read(&frame)) return grpc::Status::OK;
  wanted_ = frame.hello().wanted();
  return answer_(streams_.fetch_add(1), stream);
}

void FakePeer::Greet(Stream* stream) {
  peer::PeerFrame hello;
  hello.mutable_hello()->set_node(kId);
  stream->Write(hello);
}

void FakePeer::TakeAll(Stream* stream) {
  peer::PeerFrame frame;
  while (stream->Read(&frame)) continue;
}

grpc::Status FakePeer::LetIn(Stream* stream) {
  Greet(stream);
  TakeAll(stream);
  return grpc::Status::OK;
}

Member FakePeer::member() const {
  const std::string address = "127.0.0.1:" + std::to_string(port_);
  return {NodeId(kId), "peer", "zone", address, address};
}

}  // namespace gyre
