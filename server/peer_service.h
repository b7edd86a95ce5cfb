// PeerService: the incoming streams of peers, and who wants to be one. It lets in whoever says a
// fitting hello, refuses other clusters, other protocols, other rings, levels that the cluster has
// left behind, who is no member, who wanted another node and a second node of one name, tells a
// peer whose data directory it has met in a later state, and hands over what the frames bring.
//
// A peer that sends faster than the shards take in is read more slowly: a stream has at most a few
// frames in process.
//
// Thread rule: the threads that poll the queues which Await was given; `sink` must only post.

#ifndef GYRE_SERVER_PEER_SERVICE_H_
#define GYRE_SERVER_PEER_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "api/proto/peer.grpc.pb.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "server/call_count.h"
#include "server/peer_links.h"
#include "storage/peer_runs.h"

namespace gyre {

inline constexpr uint32_t kPeerProtocol = 7;

class PeerService {
 public:
  // Whoever takes the messages in lets go of `ticket` afterwards.
  using Sink = std::function<void(NodeId from, std::vector<PeerMessage> messages,
                                  std::shared_ptr<void> ticket)>;
  struct Figures {
    uint64_t frames = 0;
    uint64_t messages = 0;
    uint64_t malformed = 0;
    uint64_t refused = 0;
  };

  // What is known of the peers' runs, and who writes it down. `persist` is told before anything
  // that such a peer sends is handed over: in the order of a store's commits, that is enough.
  struct Memory {
    PeerRuns met;
    std::function<void(WriteBatch)> persist;
  };

  using JoinDone = absl::AnyInvocable<void(absl::StatusOr<peer::JoinReply>)>;
  // What this node says of itself, and of others. Each from any thread.
  struct Questions {
    std::function<peer::Hello()> hello;
    std::function<bool(NodeId)> is_member;
    std::function<void(const peer::JoinRequest&, JoinDone)> join;
    // Who is no member calls, and says that it has a newer document. Null: it is no matter.
    std::function<void(const peer::Hello&)> on_stranger = {};
  };

  struct Options {
    // A stream that has said no hello by then is ended: until then it costs memory and nobody knows
    // whose it is. Shorter and a peer on a slow network does not get in.
    Duration hello_timeout = Duration::Seconds(5);
  };

  // REQUIRES: links outlives it.
  PeerService(std::string cluster_name, Questions questions, PeerLinks* links, Sink sink,
              Memory memory, Options options);
  PeerService(const PeerService&) = delete;
  PeerService& operator=(const PeerService&) = delete;
  ~PeerService();

  // To be registered with a server.
  grpc::Service* grpc_service() { return &service_; }
  // Takes streams and calls in on that queue, one after another, from the server's start to its
  // end. Without it none comes.
  void Await(grpc::ServerCompletionQueue* queue);
  // Nobody is listened to any more: the streams end, and who comes is told why. Any thread.
  void Leave(std::string why);
  // Waits for the end of the last stream. REQUIRES: the server is shut down, and the queues are
  // still polled.
  void AwaitEnd() { open_.AwaitNone(); }

  Figures figures() const;

 private:
  class Incoming;
  void AwaitLink(grpc::ServerCompletionQueue* queue);
  void AwaitJoin(grpc::ServerCompletionQueue* queue);
  // The streams that have not said hello, by number. Alarms share it, for they may come late.
  struct Strangers {
    std::mutex mutex;
    uint64_t next = 1;                      // guarded by mutex, and so is the rest
    std::map<uint64_t, Incoming*> streams;  // each until its hello or its end
  };
  struct Entry {
    PeerRun run;
    Incoming* stream = nullptr;
  };

  // OK: the stream is the node's from now on, and `answer` what it is to be told.
  grpc::Status Admit(const peer::Hello& hello, Incoming* stream, peer::Hello* answer);
  // Who wanted to reach another node. Said in the log once in a while.
  grpc::Status TurnAway(const peer::Hello& hello, const peer::Hello& mine);
  // By this node's document it is no member, and it has a newer one.
  grpc::Status AskToComeAgain(const peer::Hello& hello, const peer::Hello& mine);
  // REQUIRES: mutex_ held
  bool IsForgetful(const peer::Hello& hello);
  // The node of a stream that was let in knows that it was.
  void Confirm(NodeId node, Incoming* stream);
  void Leave(NodeId node, Incoming* stream);

  peer::Peer::AsyncService service_;
  CallCount open_;
  const std::string cluster_name_;
  const Questions questions_;
  PeerLinks* const links_;
  const Sink sink_;
  const Options options_;
  const std::shared_ptr<Strangers> strangers_ = std::make_shared<Strangers>();

  const std::function<void(WriteBatch)> persist_;
  std::mutex mutex_;
  std::map<NodeId, Entry> streams_;  // guarded by mutex_, and so are the rest
  PeerRuns met_;
  std::string left_;  // why; "" while it listens
  std::optional<Time> told_of_strays_at_;
  std::optional<Time> told_of_strangers_at_;

  std::atomic<uint64_t> frames_{0};
  std::atomic<uint64_t> messages_{0};
  std::atomic<uint64_t> malformed_{0};
  std::atomic<uint64_t> refused_{0};
};

}  // namespace gyre

#endif  // GYRE_SERVER_PEER_SERVICE_H_
