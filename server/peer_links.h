// PeerLinks: the outgoing streams to all peers, and the thread that opens them again.
//
// Thread rule: Start and Stop from the owner, all others from any thread.

#ifndef GYRE_SERVER_PEER_LINKS_H_
#define GYRE_SERVER_PEER_LINKS_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "replication/message.h"
#include "ring/ids.h"
#include "ring/member.h"
#include "ring/random.h"
#include "server/peer_link.h"

namespace gyre {

class PeerLinks {
 public:
  // `peers`: the members without this node. Every peer counts as unreachable until on_peer says
  // otherwise, which it does not before Start, but for what OnIncoming is told. The links' own
  // events, `kick` and `on_shut_out`, are set here.
  PeerLinks(PeerLinkOptions options, const std::vector<Member>& peers, Random random,
            PeerLink::Events events);
  PeerLinks(const PeerLinks&) = delete;
  PeerLinks& operator=(const PeerLinks&) = delete;
  ~PeerLinks();

  // Opens the streams, on these queues by turns. REQUIRES: they are polled until Stop has returned.
  void Start(const std::vector<grpc::CompletionQueue*>& queues);
  // Returns when every peer can be reached or was found to be away, and after `patience` or at Stop
  // in any case. REQUIRES: Start was called.
  void WaitUntilSettled(Duration patience);
  // This node speaks to nobody any more: its streams end, and none is opened again. Any thread.
  void Leave();
  void Stop();

  void Send(std::vector<Envelope> envelopes);
  void OnGreeted(NodeId node);
  void OnIncoming(NodeId node, bool up);
  std::vector<PeerLink::Figures> figures() const;

 private:
  void Run();
  void Kick();
  // A peer shuts this node out. When all do, it cannot be of this cluster.
  void OnShutOut(const std::function<void(std::string)>& on_refused) const;
  PeerLink* Find(NodeId id) const;

  std::vector<std::unique_ptr<PeerLink>> links_;  // never changed: anybody may look for one

  std::mutex mutex_;
  std::condition_variable kicked_;
  bool kick_ = false;  // guarded by mutex_, and so are the rest; the thread has something to do
  uint64_t kicks_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_PEER_LINKS_H_
