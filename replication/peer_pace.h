// PeerPace: how soon peers answer what reads ask of them, and what follows from it: whom a read
// asks first, when it asks somebody else too, and how often reads may do so.
//
//   hedge     a read asks another owner once it has waited for as long as that one takes for 95 of
//             100 of its answers (Dean and Barroso, "The Tail at Scale", CACM 2013): by then the
//             other is likely the sooner. Not after the p95 of whom it asked, which a slow peer
//             would put off for itself.
//   budget    each read puts a tenth of a token in, each hedge takes one out, so that hedges are at
//             most a tenth of the reads, and a cluster that is slow as a whole is asked little
//             more.
//   breaker   a peer that is silent for that long several times in a row, or says that it is
//             overloaded, is slow: owners that are not are asked before it. It is tried again by
//             one read after a while, twice as long each time, until it answers one in time
//             (Nygard, "Release It!", 2007). It is a matter of order only: who is slow is asked
//             where nobody better is there.
//
//   load      of those that are not slow, the ones that say of themselves that they are busy are
//             asked last: seen by nobody yet, for it is asked by others. A matter of order as well.
//
//   prompt --silences in a row--> slow --time--> one read tries it --in time--> prompt
//                                   ^--------------silence--------------'
//
// The SDK has a breaker and a budget of its own (api/client/), of nodes that are gone and of what
// it retries; it includes nothing of ours, nor we of it.
//
// Pure; one thread. A shard has one, and its exchanges tell it what they see.

#ifndef GYRE_REPLICATION_PEER_PACE_H_
#define GYRE_REPLICATION_PEER_PACE_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "replication/recent_times.h"
#include "ring/ids.h"
#include "ring/rumour.h"

namespace gyre {

struct PeerPaceOptions {
  // When another is asked of whom too little is known. Default 20 ms.
  Duration hedge_unknown = Duration::Millis(20);
  // Never sooner. Default 1 ms: a round of a busy shard.
  Duration hedge_least = Duration::Millis(1);
  // Hedges of 100 reads. Default 10. 0: only what the budget begins with; 100: a slow cluster is
  // asked twice as much.
  int hedge_percent = 10;
  // Hedges that the budget begins with, and that quiet times save up. Defaults 10 and 100.
  int hedges_first = 10;
  int hedges_most = 100;
  // Silences without an answer in time between them. Default 5. Fewer: one pause of a peer sends
  // what it could have answered elsewhere.
  int silences_to_slow = 5;
  // For how long a slow peer is left alone at first, and at most. Defaults 100 ms and 3 s. Longer,
  // and a peer that has recovered goes unused.
  Duration slow_least = Duration::Millis(100);
  Duration slow_most = Duration::Seconds(3);
};

class PeerPace {
 public:
  struct Figures {
    uint64_t slow = 0;     // peers, now
    uint64_t slowed = 0;   // times that a peer became slow, since start; and so are all below
    uint64_t tries = 0;    // of slow peers
    uint64_t hedges = 0;   // reads that asked another owner, since one was late
    uint64_t refused = 0;  // that would have, but for the budget or for what this node has to do
  };

  explicit PeerPace(PeerPaceOptions options = {});

  // ---- of reads
  void OnRead() { tokens_ = tokens_ + gain_ < most_ ? tokens_ + gain_ : most_; }
  // How long a read waits before it asks `other`.
  Duration HedgeAfter(NodeId other) const;
  // Takes a token. False: there is none, or this node is busy itself, and the read waits on.
  [[nodiscard]] bool TryHedge();
  // Whether this node has so much to do that who is late may be late for want of its own time.
  void OnOwnLoad(bool busy) { busy_ = busy; }

  // ---- of peers
  // Whether to ask it before those who are not: it is not slow, or it is time to try it again.
  bool IsPrompt(NodeId peer, Time now) const {
    return figures_.slow == 0 || !IsLeftAlone(peer, now);
  }
  // It is asked. Where it is slow and was to be tried again, this is the try.
  void OnAsked(NodeId peer, Time now) {
    if (figures_.slow > 0) NoteTry(peer, now);
  }
  // It says, by gossip, that it is so busy.
  void OnLoad(NodeId peer, Load load);
  // How much later than others that are as prompt it is to be asked: 0 up to half of what it can
  // do, so that a cluster that is not busy keeps its order, then 1, then 2.
  int Burden(NodeId peer) const { return burdens_.empty() ? 0 : BurdenOf(peer); }
  static constexpr int kMostBurden = 2;
  // It answered, not before others were asked too where `late`.
  void OnAnswer(NodeId peer, Duration took, bool late);
  // It did not answer in time, or refused for it has too much to do.
  void OnSilence(NodeId peer, Time now);

  const Figures& figures() const { return figures_; }

 private:
  struct Peer {
    RecentTimes times;
    int silences = 0;  // in a row
    bool slow = false;
    bool tried = false;  // slow: a read has asked it to see
    Time until;          // slow: when it is tried again
    Duration slow_for;   // the next time
  };
  bool IsLeftAlone(NodeId peer, Time now) const;
  int BurdenOf(NodeId peer) const;
  void NoteTry(NodeId peer, Time now);

  const PeerPaceOptions options_;
  const int64_t gain_;  // of a read, in hundredths of a token, as is all below
  const int64_t most_;
  int64_t tokens_;
  bool busy_ = false;
  absl::flat_hash_map<NodeId, Peer> peers_;   // looked up, never walked over
  absl::flat_hash_map<NodeId, int> burdens_;  // likewise; of those that have any
  Figures figures_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_PEER_PACE_H_
