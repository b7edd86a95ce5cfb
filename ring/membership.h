// Membership: which of the cluster's members this node takes for alive. Each node probes one other
// at a time; what comes of it goes round by gossip.
//
//   probe a member -> it answers: alive
//        | no answer within half of probe_timeout: once more
//        | no answer within probe_timeout
//   ask `helpers` others to probe it -> one of them has an answer: alive
//        | nothing until probe_interval is over
//   suspect: said to all. It learns so itself and refutes, with a higher incarnation: alive
//        | a suspicion's time is over (ring/suspicion.h)
//   dead: said to all. It is probed now and then, so that one that is back, or two halves of a
//   cluster that are, find each other again.
//
// A suspicion changes where requests go, and nothing else: who owns what is the topology document's
// to say. Members are the document's; what is said of others, or by them, is ignored. A stranger's
// probe is answered, though: it may go by a newer document, or by an older one, and both live.
//
// Sources: SWIM (ring/rumours.h), sections 3 and 4: probes in a random round, helpers, suspicion,
// incarnations; gossip rides on probes, and goes by itself every gossip_interval while there is
// any. Lifeguard (ring/local_health.h): a node that gets few answers waits longer; helpers tell
// that they got none; a member is told of what is said of it with the first message to it.
// Ours: a node that was stopped itself, and notices, judges nobody by what it missed; the second
// probe, so that a lost message makes no suspect; who refutes its death, whom no gossip has reached
// meanwhile, asks for all that is known; and the last calls. Gossip reaches everybody but with a
// probability (ring/rumours.h): among 1,000 nodes of which 1 % stand still for seconds, somebody
// misses a refutation three times an hour. So the incarnation of who sends a message counts as said
// by it, and a suspect is probed itself, twice, before its suspicion ends. And who gets no word
// from any helper keeps its suspicion to itself: it may be the one whom messages do not reach, or
// do not leave, and then it would have all others suspect each other.
//
// Pure code: (event, now) -> effects. Belongs to one thread.
//
// Always holds: each message has at most Options::max_rumours rumours; a node sends no more than
// 3 + helpers messages of its own in a probe_interval and `gossip_to` in a gossip_interval, and
// answers a probe with one, a call for help with three, and whoever has forgotten what it said in
// an earlier life with one: so what it sends does not grow with the cluster. But for all that is
// known, which who refutes its death asks for; it is told ten times in a probe_interval at most.

#ifndef GYRE_RING_MEMBERSHIP_H_
#define GYRE_RING_MEMBERSHIP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "ring/ids.h"
#include "ring/local_health.h"
#include "ring/membership_message.h"
#include "ring/random.h"
#include "ring/rumour.h"
#include "ring/rumours.h"
#include "ring/suspicion.h"

namespace gyre {

struct MembershipOptions {
  // Between two probes of a node, and within which one must have been answered. Shorter finds the
  // dead sooner and costs traffic in proportion. Default 1 s.
  Duration probe_interval = Duration::Seconds(1);
  // Within which a member answers by itself; then helpers are asked. Should be several round trips,
  // and leave them time. Default 500 ms.
  Duration probe_timeout = Duration::Millis(500);
  // How many others are asked to probe for this node. Default 3.
  int helpers = 3;
  // Between two rounds of gossip, while there is any. Default 200 ms.
  Duration gossip_interval = Duration::Millis(200);
  // To how many others a round goes. Default 3.
  int gossip_to = 3;
  // Of a message, 2 to kMaxRumours. A rumour takes some 40 bytes. Default 30.
  size_t max_rumours = 30;
  // A suspicion lasts suspicion_least * digits(members) * probe_interval at least (12 s among 999
  // nodes), and suspicion_most times that while nobody confirms it. Less takes a node that pauses
  // for dead; more keeps asking one that is. Defaults 4 and 6.
  int suspicion_least = 4;
  int suspicion_most = 6;
  // Each so-manieth probe goes to a member that is taken for dead, where there is one. Default 8.
  int probes_of_the_dead = 8;
};

struct MembershipEffects {
  struct Send {
    NodeId to;
    MembershipMessage message;
  };
  struct Change {
    NodeId node;
    Liveness liveness;
  };
  struct Loaded {
    NodeId node;
    Load load;
    friend bool operator==(const Loaded&, const Loaded&) = default;
  };
  struct Newer {
    NodeId node;
    Epoch epoch;
    friend bool operator==(const Newer&, const Newer&) = default;
  };
  std::vector<Change> changes;  // in their order; what requests are routed by
  std::vector<Loaded> loads;    // in their order; who is asked last among those who are equal
  // Messages whose senders know a newer topology document than this node.
  std::vector<Newer> newer_epochs;
  std::vector<Send> sends;
  Time wake = Time::Never();
};

class Membership {
 public:
  Membership(NodeId self, MembershipOptions options, Random random);

  // The other members from now on; those that are new count as alive until a probe tells otherwise.
  // Of whoever is none any more and did not count as alive a change says that it does, and of whose
  // load was heard that it is idle.
  void SetMembers(const std::vector<NodeId>& others, Time now);
  void SetEpoch(Epoch epoch) { epoch_ = epoch; }
  // Told to all where it has changed, at most once in a probe_interval.
  void SetLoad(Load load) { load_ = load; }

  void OnMessage(NodeId from, const MembershipMessage& message, Time now);
  void OnWake(Time now);
  MembershipEffects TakeEffects(Time now);

  // kDead for who is no member.
  Liveness LivenessOf(NodeId node) const;
  // As it last said itself; kIdle for who is no member.
  Load LoadOf(NodeId node) const;
  const LocalHealth& health() const { return health_; }
  // How often this node has refuted that it is dead or suspect, and its earlier lives have, since
  // the cluster was made. Beyond 2^40 it is no count: somebody forged, or damaged, a rumour.
  uint64_t incarnation() const { return self_rumour_.incarnation; }

 private:
  struct Peer {
    Rumour known;
    std::optional<Suspicion> suspicion;
    Time suspected_at;
    Time dead_at = Time::Never();  // when the suspicion ends
    size_t called = 0;             // probed in it since it was about to end
    bool kept = false;             // the liveness is this node's own word, and told to nobody
    Rumour Told() const {
      Rumour told = known;
      if (kept) told.liveness = Liveness::kAlive;
      return told;
    }
  };
  struct Probe {
    NodeId target;
    uint64_t sequence = 0;
    bool answered = false;
    bool repeated = false;
    bool helped = false;  // helpers were asked
    int helpers_asked = 0;
    int nones_missing = 0;  // of those
    Time repeat_at;
    Time help_at;
    Time ends_at;
  };
  // What this node probes for another.
  struct Favour {
    NodeId asker;
    NodeId about;
    uint64_t sequence = 0;  // the asker's
    Time none_at;
    bool told_none = false;
    Time ends_at;
  };

  size_t nodes() const { return peers_.size() + 1; }
  void Send(NodeId to, MembershipMessage::Kind kind, uint64_t sequence, NodeId about = NodeId());
  void AnswerFavour(const Favour& favour);
  void Withdraw(NodeId node);
  // It has answered, and its count is at its end.
  void Revive(Peer* peer);
  void BeginProbe(Time now);
  void EndProbe(Time now);
  void AskHelpers();
  NodeId NextTarget(Time now);
  std::optional<NodeId> LastCall(Time now);
  void Help(NodeId asker, const MembershipMessage& message, Time now);
  // Different ones, drawn from those that are not taken for dead; fewer where there are.
  std::vector<NodeId> SomeOf(int count, NodeId except);
  void Gossip(Time now);
  MembershipMessage NewMessage(MembershipMessage::Kind kind) const;
  void TellAll(NodeId to);
  void Hear(NodeId from, const Rumour& rumour, Time now);
  void HearLoad(Peer* peer, uint64_t version, Load load);
  void HearOfSelf(NodeId from, const Rumour& rumour, Time now);
  void AnswerStranger(NodeId from, const MembershipMessage& message);
  // Kept where it is not to be told.
  void Suspect(NodeId node, uint64_t incarnation, NodeId by, bool kept, Time now);
  void Confirm(Peer* peer, NodeId by, bool kept, Time now);
  void Believe(Peer* peer, const Rumour& rumour, bool kept = false);
  void EndSuspicions(Time now);
  void TendFavours(Time now);
  void SetDeadAt(Peer* peer, Time at);

  const NodeId self_;
  const MembershipOptions options_;
  Random random_;
  Epoch epoch_;
  Load load_ = Load::kIdle;
  Rumour self_rumour_;

  std::map<NodeId, Peer> peers_;
  std::vector<NodeId> ids_;                   // of peers_, for draws
  std::set<std::pair<Time, NodeId>> ending_;  // suspicions, by their end
  Rumours rumours_;
  LocalHealth health_;

  std::vector<NodeId> round_;  // who is still to be probed in it
  uint64_t probes_ = 0;
  uint64_t next_sequence_ = 1;
  std::optional<Probe> probe_;
  int alls_told_ = 0;  // in this probe interval
  Time judge_from_;    // nobody is taken for dead before: this node stood still
  Time probe_at_;
  Time ask_all_at_;                     // not before
  Time gossip_at_;                      // Never while there is nothing to tell
  Time wake_;                           // as last told
  std::map<uint64_t, Favour> favours_;  // by the sequence of this node's own probe
  MembershipEffects out_;
};

}  // namespace gyre

#endif  // GYRE_RING_MEMBERSHIP_H_
