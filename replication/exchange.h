// Exchange: one request in flight, as a pure state machine. It is started once, then stepped with
// what arrives, and each step says what it wants done. It knows no clock, no socket and no store,
// and it is owned and stepped by one shard's thread.
//
// Why step-and-output rather than callbacks: a step can be replayed from its inputs, and the order
// of its effects is data that a test can read (etcd/raft's Ready, ScyllaDB's raft/fsm.hh argue the
// same).

#ifndef GYRE_REPLICATION_EXCHANGE_H_
#define GYRE_REPLICATION_EXCHANGE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "replication/judgement.h"
#include "replication/message.h"
#include "replication/peer_pace.h"
#include "replication/request.h"
#include "ring/check.h"
#include "ring/ids.h"
#include "ring/move.h"

namespace gyre {

// What a guest mints on top of: all that was heard of the item, with the dots that explain it.
struct GuestWork {
  Record known;
  std::vector<Minted> explained;
};

// What a step wants done, in the order in which it must happen.
struct Effects {
  // First what changes this node's own state, for everything below speaks of the state after it.
  // At most one of these is set; both need the item's record, so they end in a later step.
  std::optional<WriteIntent> mint;  // ends in OnMinted
  std::optional<ExplainedRecord>
      adopt;  // take in a record found elsewhere, then mint; ends in OnMinted

  // Put this in the place of the item's record, which is damaged here. Ends in nothing.
  std::optional<ExplainedRecord> restore;

  // What other owners hold of the item: is what this owner holds right? It is put right where it is
  // not. Ends in OnJudged.
  std::optional<std::vector<OwnersRecord>> judge;

  // With `mint`: this node is no owner, and mints as a guest. Then it needs no record.
  std::optional<GuestWork> guest;

  // Who stands in for the item's owners? Ends at once in OnStandIns, behind all below.
  bool stand_ins = false;

  // Then the questions to others. The shard sends them when what they speak of is durable. A
  // message to this node itself is served here, by the same code that serves a peer's.
  std::vector<std::pair<NodeId, PeerBody>> sends;

  // Then the end: the reply goes out when what it speaks of is durable, and the exchange is
  // destroyed.
  std::optional<Outcome> outcome;

  // Otherwise: when to be woken, if nothing else happens. Each step sets it anew.
  Time wake = Time::Never();
};

// What an exchange knows of its surroundings when it starts.
struct Surroundings {
  NodeId self;
  Epoch epoch;
  absl::Span<const NodeId> owners;  // of the item's partition, in preference order
  // Streams to it stand: what is asked of it arrives, or its loss is told (OnUnreachable).
  absl::FunctionRef<bool(NodeId)> reachable;
  // Reachable, and taken for alive (ring/membership.h). For the order in which owners are asked,
  // and never a reason to give up on one: who is under suspicion may answer all the same.
  absl::FunctionRef<bool(NodeId)> healthy;
  // The item's record as this node holds it, where it is an owner and has it in memory.
  absl::FunctionRef<std::optional<Record>()> at_hand;
  // How soon peers answer. Not null; it outlives the exchange.
  PeerPace* pace;
  // The cluster's time in milliseconds, where it is known: what has expired by it is not shown.
  std::optional<uint64_t> time_ms = {};
  // Of the item's partition, or null: then a write goes to one replica beside the owners as well.
  const Move* move = nullptr;
};

// How gladly `node` is asked, 0 the most: this node itself, then the healthy that are not slow,
// then those that are, then whoever can be reached, then the rest; and among each of these those
// that say that they are busy last.
inline int AskingRank(const Surroundings& around, NodeId node, Time now) {
  if (node == around.self) return 0;
  int rank = 4;
  if (around.healthy(node)) {
    rank = around.pace->IsPrompt(node, now) ? 1 : 2;
  } else if (around.reachable(node)) {
    rank = 3;
  }
  return rank * (PeerPace::kMostBurden + 1) + around.pace->Burden(node);
}

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void Start(const Surroundings& around, Time now, Effects* effects) = 0;
  virtual void OnMinted(MintOutcome minted, Time now, Effects* effects) = 0;
  virtual void OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) = 0;
  // The connection to `node` is gone: what was asked of it will not be answered.
  virtual void OnUnreachable(NodeId node, Time now, Effects* effects) = 0;
  virtual void OnWake(Time now, Effects* effects) = 0;
  // Nodes that can be reached and are no owners, the first to be asked first. Only for who asked.
  virtual void OnStandIns(std::vector<NodeId>, Time, Effects*) {
    GYRE_CHECK(false, "nobody asked for stand-ins");
  }
  // Only for who asked.
  virtual void OnJudged(const Judgement&, Time, Effects*) {
    GYRE_CHECK(false, "nobody asked for a judgement");
  }
  // This node's own record could not be read or written.
  virtual void OnLocalFailure(Outcome::Code code, Time now, Effects* effects) = 0;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_EXCHANGE_H_
