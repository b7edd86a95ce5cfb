// FakePeer: a peer on loopback, for tests of what speaks to peers. It takes streams in by a
// function of the test's.

#ifndef GYRE_SERVER_FAKE_PEER_H_
#define GYRE_SERVER_FAKE_PEER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "api/proto/peer.grpc.pb.h"
#include "ring/member.h"

namespace gyre {

// The other end of a link, as `answer` has it: it gets the number of the stream, from 0, once the
// caller has said hello, and says whether to let it in; a stream that was let in stays until its
// caller ends it.
class FakePeer final : public peer::Peer::Service {
 public:
  static constexpr uint64_t kId = 7;

  using Stream = grpc::ServerReaderWriter<peer::PeerFrame, peer::PeerFrame>;
  using Answer = std::function<grpc::Status(int number, Stream* stream)>;

  // What it answers who wants to join; `number`: from 0.
  using Welcome =
      std::function<grpc::Status(int number, grpc::ServerContext* context,
                                 const peer::JoinRequest& request, peer::JoinReply* reply)>;

  explicit FakePeer(Answer answer);
  // A seed: it takes no streams in.
  explicit FakePeer(Welcome welcome);
  ~FakePeer() override;

  grpc::Status Link(grpc::ServerContext* context, Stream* stream) override;
  grpc::Status Join(grpc::ServerContext* context, const peer::JoinRequest* request,
                    peer::JoinReply* reply) override;

  static void Greet(Stream* stream);
  // What comes until the caller ends the stream.
  static void TakeAll(Stream* stream);
  // Both: an answer.
  static grpc::Status LetIn(Stream* stream);

  Member member() const;
  int port() const { return port_; }
  int joins() const { return joins_; }  // calls of Join
  // Whom who called last took it for.
  uint64_t wanted() const { return wanted_; }

 private:
  FakePeer(Answer answer, Welcome welcome);

  const Answer answer_;
  const Welcome welcome_;
  std::atomic<int> joins_{0};
  std::atomic<int> streams_{0};
  std::atomic<uint64_t> wanted_{0};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_FAKE_PEER_H_
