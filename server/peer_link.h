// PeerLink: this node's outgoing stream to one peer. Messages wait in two bounded queues (clients'
// first, repair's in a lane of its own), and everything that waits while a frame is being written
// leaves in the next one. A stream that ends is opened again after a jittered pause.
//
// A peer counts as reachable while both directions stand: what is asked on ours is answered on its.
// A stream stands once its caller knows that it was let in, and says so with a first frame after
// the hello; before, the caller has nowhere to send an answer. Whoever waits for an answer is told
// of the loss at once, through on_peer.
//
// Thread rule: every method from any thread, but Tend and Stop, which belong to PeerLinks' thread
// and owner. Callbacks must only post.

#ifndef GYRE_SERVER_PEER_LINK_H_
#define GYRE_SERVER_PEER_LINK_H_

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/limits.h"
#include "api/proto/peer.grpc.pb.h"
#include "replication/message.h"
#include "ring/build_level.h"
#include "ring/ids.h"
#include "ring/random.h"

namespace gyre {

// Memory that each end of a peers' stream keeps for the messages of a frame, beside their values.
inline constexpr size_t kKeptPeerFrameBytes = 32 << 10;

struct PeerLinkOptions {
  // Bytes that may wait for a peer. Beyond: a client's message is dropped (its exchange asks
  // another owner or times out), and of repair the oldest (it is found again). Too small drops
  // under bursts; the sum over all peers is memory.
  size_t max_queue_bytes = size_t{64} << 20;
  size_t max_repair_bytes = size_t{16} << 20;
  // Where a frame is full. Larger ones delay what comes behind them.
  size_t frame_bytes = size_t{1} << 20;
  // What a frame never passes: the peer would end the stream. A message that does so by itself is
  // dropped. Below kMaxPeerMessageBytes, since sizes are counted roughly.
  size_t max_frame_bytes = kMaxPeerMessageBytes - kMaxPeerMessageBytes / 8;
  // Pause before the stream is opened again: a draw from [base/2, base * 2^k], at most cap.
  Duration retry_base = Duration::Millis(50);
  Duration retry_cap = Duration::Seconds(1);
  // The same, where another node is at the peer's address: nothing mends that but news of where the
  // peer is, and with those the next attempt is made at once. Shorter, and each node of the cluster
  // calls at a wrong door that often; longer, and a peer that comes back there, and cannot reach
  // this node to say so, is met that much later.
  Duration astray_cap = Duration::Seconds(30);
  // A stream on which the peer has not said hello by then is given up.
  Duration hello_timeout = Duration::Seconds(2);
  // A peer that is silent for keepalive_time is asked, and lost after keepalive_timeout more.
  Duration keepalive_time = Duration::Seconds(1);
  Duration keepalive_timeout = Duration::Seconds(1);
  // For how long "another node has your name" is put down to a stream of our own last life.
  Duration name_taken_patience = Duration::Seconds(3);
};

// The longest pause after so many attempts in a row that failed; `astray`: the last one met another
// node than the peer.
Duration LongestPause(const PeerLinkOptions& options, int attempts, bool astray);

// Why the two who say these hellos are not of one cluster, by the levels that they name; "" where
// they may be.
std::string LevelObjection(const peer::Hello& one, const peer::Hello& other);

class PeerLink {
 public:
  struct Events {
    std::function<void(NodeId, bool reachable)> on_peer;
    // Of which level the peer is. Said before each time that on_peer says that it is reachable.
    std::function<void(NodeId, BuildLevel)> on_level;
    // The peer has met this node's data in a later state. Said before on_peer says that it is
    // reachable.
    std::function<void()> on_forgetful;
    // The peer's wall clock stood so when it let this node in. Said before on_peer, likewise.
    std::function<void(NodeId, uint64_t wall_ms)> on_clock;
    // This node cannot be of the cluster, and was never let in; why. By PeerLinks where it is
    // for all peers to say so.
    std::function<void(std::string)> on_refused;
    // shut_out() is no longer "".
    std::function<void()> on_shut_out;
    // Tend has something to do.
    std::function<void()> kick;
    // What this node says first.
    std::function<peer::Hello()> hello;
  };
  struct Figures {
    NodeId id;
    std::string name;
    bool connected = false;
    uint64_t queued_bytes = 0;
    uint64_t frames = 0;
    uint64_t messages = 0;
    uint64_t dropped = 0;  // messages of clients' requests and of the node
    uint64_t dropped_repair = 0;
    uint64_t connects = 0;
  };

  PeerLink(PeerLinkOptions options, NodeId id, std::string name, std::string address, Events events,
           Random random);
  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;
  ~PeerLink();

  NodeId id() const { return id_; }

  // Where its streams are from now on, before the first Tend. REQUIRES: it is polled until Stop has
  // returned.
  void Attach(grpc::CompletionQueue* queue) { completions_ = queue; }

  // Queues; Flush sends. Without a connection the message is dropped, as if the network had lost
  // it.
  void Queue(PeerMessage message);
  void Flush();
  // The peer said hello: there is no need to wait longer with a stream to it.
  void OnGreeted();
  // It is there from now on; a stream that stands stays.
  void SetAddress(const std::string& address);
  // The peer's stream to this node stands, or does no longer.
  void OnIncoming(bool up);
  Figures figures() const;
  // Why the peer refuses this node in a way that no waiting mends; "" where it does not, or has let
  // it in before.
  std::string shut_out() const;
  // The peer can be reached, and on_peer was told so, or the last attempt found that it cannot.
  // False: that is still open.
  bool settled() const;

  // Opens or gives up the stream where that is due; answers when to call again.
  Time Tend(Time now);
  // Ends the stream for good. Any thread.
  void Leave();
  // The same, and waits for its last callback.
  void Stop();

 private:
  class Call;

  // Why the stream is not to stand, by the peer's hello; "" where it is.
  std::string ObjectionTo(const peer::Hello& hello) const;
  std::vector<PeerMessage> TakeFrame();  // REQUIRES: mutex_ held
  void Write(std::unique_lock<std::mutex> lock);
  void OnHello(const peer::PeerFrame& frame);
  void OnWritten(bool ok);
  void OnClosed();
  void OnDone(const std::string& why, int code);
  void Report();

  const PeerLinkOptions options_;
  const NodeId id_;
  const std::string name_;
  const Events events_;
  grpc::CompletionQueue* completions_ = nullptr;

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  Random random_;  // guarded by mutex_, and so are the rest
  std::string address_;
  std::unique_ptr<Call> call_;
  std::shared_ptr<grpc::Channel> channel_;  // of the newest call
  bool established_ = false;                // the peer let the stream in
  bool confirmed_ = false;                  // and was told that this is known here
  bool turned_away_ = false;                // by the last attempt, or nobody answered it
  bool astray_ = false;                     // the last attempt met another node
  bool turned_back_ = false;                // this node ended it, and said why
  bool greeted_ = false;                    // by the peer, since the last attempt began
  bool writing_ = false;
  bool closing_ = false;
  BuildLevel level_ = kFirstLevel;  // of the peer, by its last hello
  bool incoming_ = false;
  bool stopping_ = false;
  Time opened_at_;
  Time next_attempt_;
  Time name_taken_since_ = Time::Never();
  int attempts_ = 0;
  std::string last_failure_;
  std::string shut_out_;
  std::deque<PeerMessage> queue_;
  std::deque<PeerMessage> repair_;
  size_t queue_bytes_ = 0;
  size_t repair_bytes_ = 0;
  bool repair_waited_ = false;  // the last frame had no room for any repair
  Figures figures_;

  mutable std::mutex report_mutex_;  // before mutex_
  bool reported_ = false;            // guarded by report_mutex_
};

}  // namespace gyre

#endif  // GYRE_SERVER_PEER_LINK_H_
