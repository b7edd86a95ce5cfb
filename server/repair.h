// Repair: keeps the partitions of one shard in step with their other owners. It asks each owner of
// each partition in turn what this node lacks (replication/clock_exchange.h): in a slow round that
// never ends, and at once, owner by owner, where one is back that may have what was missed. A
// question answers two: who is asked sees the asker's clock, and need not ask back where that holds
// nothing new.
//
// Pure, and stepped by its shard, which performs what it wants done.
//
// Thread rule: its shard's thread.

#ifndef GYRE_SERVER_REPAIR_H_
#define GYRE_SERVER_REPAIR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "replication/clock_exchange.h"
#include "replication/exchange.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/view.h"
#include "storage/replica_store.h"

namespace gyre {

struct RepairOptions {
  // Mean time between two questions about a partition. Default 10 s. Shorter finds a write that was
  // lost on the way sooner, and costs two messages a partition and round.
  Duration interval = Duration::Seconds(10);
  // In which all partitions are asked about once right after a start, or after a peer came back.
  // Default 1 s.
  Duration hurry = Duration::Seconds(1);
  // Exchanges under way at once, each way. Default 8: repair must not crowd clients out.
  size_t max_exchanges = 8;
};

class Repair {
 public:
  struct Effects {
    struct Ask {
      NodeId to;
      ExchangeId exchange = 0;
      PartitionId partition;
      PeerBody body;
    };
    struct Arrival {
      ExchangeId exchange = 0;
      ExplainedRecord change;
    };
    struct InStep {
      PartitionId partition;
      NodeId owner;
    };
    std::vector<Ask> asks;          // for when the state that they speak of is durable
    std::vector<Arrival> arrivals;  // to be taken in; each ends in OnTakenIn
    std::vector<InStep> in_step;    // this node has all that the owner had, and its bases
  };
  struct Figures {
    uint64_t missing_dots = 0;  // that some peer had and this node lacked, as of the last exchanges
    uint64_t exchanges = 0;     // since start, and so are all below
    uint64_t items = 0;         // taken in
    uint64_t log_cuts = 0;      // exchanges that found a peer's dot log cut
    uint64_t misdirected = 0;   // answers about another partition: dropped
  };

  // `first_exchange` begins a range of exchange ids that is repair's alone. Begins with a question
  // to every owner: whatever was missed while this node was away. REQUIRES: `store` outlives it.
  Repair(RepairOptions options, std::shared_ptr<const View> view, ReplicaStore* store,
         ExchangeId first_exchange, Random random);

  void OnView(std::shared_ptr<const View> view);
  void OnPeer(NodeId node, bool reachable, Instant now);
  // `owner` has shown its clock of the partition, and this node has all that is in it.
  void OnNothingNew(PartitionId partition, NodeId owner);
  void OnAnswer(ExchangeId id, NodeId from, PartitionId partition, ClockAnswer answer, Instant now,
                Effects* effects);
  // What was asked will not be answered.
  void OnRefused(ExchangeId id, NodeId from);
  // One of the arrivals has been taken in; or could not be, since the item is damaged here.
  void OnTakenIn(ExchangeId id, bool taken, Instant now, Effects* effects);
  void OnWake(Instant now, Effects* effects);
  // The disk failed: nothing is under way any more.
  void Stop();

  Time wake() const { return ask_at_; }
  Figures figures() const;

 private:
  struct UnderWay {
    ClockExchange exchange;
    size_t arriving = 0;  // items of the last answer that have not been taken in
  };

  void List();
  void AskNext(Instant now, Effects* effects);
  void Begin(PartitionId partition, NodeId peer, Instant now, Effects* effects);
  void Ask(ExchangeId id, const ClockExchange& exchange, Effects* effects);
  void EndAnswer(ExchangeId id, Effects* effects);
  bool Reachable(NodeId node) const { return !unreachable_.contains(node); }

  const RepairOptions options_;
  std::shared_ptr<const View> view_;
  ReplicaStore* const store_;
  const ExchangeId first_id_;
  uint64_t ids_ = 0;  // given out
  Random random_;

  std::vector<PartitionId> round_;
  size_t next_ = 0;                                      // in the round, over and over
  std::set<std::pair<NodeId, PartitionId>> in_a_hurry_;  // all of one owner before the next one's
  Time ask_at_;
  std::map<ExchangeId, UnderWay> under_way_;
  std::set<NodeId> unreachable_;
  std::map<PartitionId, uint64_t> missing_;
  Figures figures_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_REPAIR_H_
