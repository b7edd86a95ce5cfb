// MembershipSeat: Membership on lane 0's thread, with what it wants done performed: its messages go
// to the peers, what it takes a peer for, and how busy that is, to every shard, and word of a newer
// topology to Control. It looks at how busy this node's lanes are, and Membership tells the others.
// Its messages carry this node's clock, as greetings do, and what their senders' clocks come to,
// the cluster's time, goes to every shard.
//
// Its messages are never sent twice nor waited for: one to a peer without a stream is lost, which
// is what it is there to find out.
//
// Thread rule: lane 0's thread, but for the constructor, Attach, LivenessOf, LoadOf, load,
// incarnation and time. Attach before the lanes start.

#ifndef GYRE_SERVER_MEMBERSHIP_SEAT_H_
#define GYRE_SERVER_MEMBERSHIP_SEAT_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "ring/ids.h"
#include "ring/membership.h"
#include "ring/rumour.h"
#include "ring/view.h"
#include "server/node.h"
#include "server/peer_links.h"

namespace gyre {

class Lane;

class MembershipSeat {
 public:
  // REQUIRES: both outlive the seat.
  MembershipSeat(Node* node, PeerLinks* peers) : node_(node), peers_(peers) {}

  // `lanes`: all of them; `view` is in force at their start.
  void Attach(std::vector<Lane*> lanes, const View& view, Instant now);

  // A newer view is in force.
  void OnView(const View& view, Time now) { node_->SetMembers(view, now); }
  void OnMessage(NodeId from, const MembershipMessage& message, Time now) {
    node_->OnMembership(from, message, now);
    heard_ = true;
  }
  void OnClock(NodeId from, uint64_t wall_ms, Time now) {
    node_->OnClock(from, wall_ms, now);
    heard_ = true;
  }
  void OnWake(Time now) { node_->membership().OnWake(now); }
  // Before Control's effects are performed: it may have been told of a newer topology.
  Time Perform(Instant now);

  // What the peer is taken for here, and how busy it says that it is. Any thread.
  Liveness LivenessOf(NodeId node) const;
  Load LoadOf(NodeId node) const;
  // How busy this node says that it is. Any thread.
  Load load() const;

  struct TimeFigures {
    bool known = false;          // the cluster's time is; otherwise there are zeroes
    int64_t clock_ahead_ms = 0;  // of it, this node's wall clock
    int64_t offset_ms = 0;       // of the monotonic clock, the cluster's time
  };
  // Any thread.
  TimeFigures time() const;
  // What Membership counts of this node. Any thread.
  uint64_t incarnation() const;

 private:
  // Less is not worth telling the shards.
  static constexpr int64_t kWorthTellingMs = 10;
  static constexpr Duration kLookAtClock = Duration::Seconds(1);
  // Two intervals of AdmissionLimit by default; five times in NodeLoadOptions::rise_after.
  static constexpr Duration kLookAtLoad = Duration::Millis(200);

  void LookAtLoad(Time now);
  void Tell(const MembershipEffects::Change& change);
  void Tell(const MembershipEffects::Loaded& loaded);
  void TellTime(Instant now);

  Node* const node_;
  PeerLinks* const peers_;
  std::vector<Lane*> lanes_;
  bool heard_ = true;  // what may change the time
  Time look_at_;       // at this node's clock, though nobody was heard
  std::optional<int64_t> told_;
  Time look_at_load_;

  mutable std::mutex mutex_;
  std::map<NodeId, Liveness> liveness_;  // guarded by mutex_; of those that have changed ever
  std::map<NodeId, Load> loads_;         // guarded by mutex_; likewise
  Load load_ = Load::kIdle;              // guarded by mutex_
  uint64_t incarnation_ = 0;             // guarded by mutex_
  TimeFigures time_;                     // guarded by mutex_
};

}  // namespace gyre

#endif  // GYRE_SERVER_MEMBERSHIP_SEAT_H_
