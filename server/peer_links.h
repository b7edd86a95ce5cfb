// PeerLinks: the outgoing streams to all peers, and the thread that opens them again. Peers come
// and go while it runs; what is sent to one that is none is lost, as the network loses it.
//
// Thread rule: Start and Stop from the owner, all others from any thread.

#ifndef GYRE_SERVER_PEER_LINKS_H_
#define GYRE_SERVER_PEER_LINKS_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
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
  // `peers`: the other members, at the start. Every peer counts as unreachable until on_peer says
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
  // The other members from now on, where the newest document has them. One that is none any more is
  // said to be unreachable, if it was not, and then its link ends; all that soon, on a thread of
  // its own.
  void SetMembers(std::vector<Member> peers);
  // The peer itself says that it is there.
  void SetAddress(NodeId node, const std::string& address);
  // This node speaks to nobody any more: its streams end, and none is opened again. Any thread.
  void Leave();
  void Stop();

  void Send(std::vector<Envelope> envelopes);
  void OnGreeted(NodeId node);
  void OnIncoming(NodeId node, bool up);
  std::vector<PeerLink::Figures> figures() const;

 private:
  using Links = std::vector<std::shared_ptr<PeerLink>>;

  void Run();
  void Kick();
  // What SetMembers was told last.
  void FollowMembers();
  std::shared_ptr<PeerLink> Make(const Member& peer);
  std::shared_ptr<const Links> links() const {
    std::lock_guard<std::mutex> lock(links_mutex_);
    return links_;
  }
  // A peer shuts this node out. When all do, it cannot be of this cluster.
  void OnShutOut(const std::function<void(std::string)>& on_refused) const;
  std::shared_ptr<PeerLink> Find(NodeId id) const;

  const PeerLinkOptions options_;
  PeerLink::Events events_;
  Random random_;                               // of the constructor, then of the thread
  std::vector<grpc::CompletionQueue*> queues_;  // likewise, and so is the next
  std::map<NodeId, std::string> documented_;    // addresses, as SetMembers said last

  mutable std::mutex links_mutex_;
  std::shared_ptr<const Links> links_;  // guarded by links_mutex_, and so are the next two
  std::set<NodeId> incoming_;           // whose streams to this node stand
  bool left_ = false;

  std::mutex mutex_;
  std::condition_variable kicked_;
  bool kick_ = false;  // guarded by mutex_, and so are the rest; the thread has something to do
  uint64_t kicks_ = 0;
  std::optional<std::vector<Member>> members_;  // that are to be followed
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_PEER_LINKS_H_
