// StandIn: what a shard does for owners that cannot be reached. It keeps hints, tells what it keeps
// of an item, and hands the hints over when their owner is back: partition by partition, several at
// once, as many as the owner takes well (replication/handoff_window.h), in the lane of repair. A
// hint is dropped when its owner has synced it, when it is too old, when its table is no more, or
// when it cannot be decoded any more.
// One whose owner owns its partition no longer becomes a hint for each of today's owners.
//
// Pure, and stepped by its shard, which performs what it wants done.
//
// Thread rule: its shard's thread.

#ifndef GYRE_SERVER_STAND_IN_H_
#define GYRE_SERVER_STAND_IN_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "replication/exchange.h"
#include "replication/handoff_window.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "ring/view.h"
#include "storage/guest.h"
#include "storage/hint_log.h"
#include "storage/replica_store.h"

namespace gyre {

class StandIn {
 public:
  // How long a hint that was handed over may stay unanswered before it is left to the next pass;
  // with each that does, twice as long, so that an owner that is slow gets ahead all the same.
  static constexpr Duration kPatience = Duration::Seconds(10);
  static constexpr Duration kLongestPatience = Duration::Seconds(40);
  // Between two passes over the hints for one owner.
  static constexpr Duration kRest = Duration::Seconds(1);
  // And after as many that brought nothing.
  static constexpr Duration kLongestRest = Duration::Seconds(30);
  // Where a pass has to wait for the commit of what the one before dropped.
  static constexpr Duration kShortRest = Duration::Millis(10);
  // Between two looks for hints that have grown too old.
  static constexpr Duration kSweep = Duration::Seconds(60);

  // Of hints that are under way to one owner at once, and questions that are being looked up.
  static constexpr size_t kMostBytes = size_t{4} << 20;
  static constexpr size_t kMostLooks = 256;

  struct Effects {
    struct Send {
      NodeId to;
      ExchangeId exchange = 0;
      PartitionId partition;
      PeerBody body;
      CommitSeq after = 0;  // not before this commit is durable
    };
    std::vector<Send> sends;
    std::vector<HintScan> scans;  // ScanHints of a durable snapshot; each ends in OnScan
  };
  struct Figures {
    uint64_t kept = 0;  // since start, and so are all
    uint64_t delivered = 0;
    uint64_t expired = 0;
    uint64_t refused = 0;  // for want of room
    uint64_t guests = 0;   // writes minted as a guest
    uint64_t damaged = 0;  // dropped, for they cannot be decoded
  };

  // `first_exchange` begins a range of exchange ids that is the stand-in's alone. REQUIRES: `store`
  // outlives it; `log` is open.
  StandIn(NodeId self, HintLog log, Guest guest, ReplicaStore* store, ExchangeId first_exchange);

  void OnHint(NodeId from, ExchangeId exchange, Hint hint, Instant now, Effects* effects);
  void OnFetchHints(NodeId from, ExchangeId exchange, const ItemKey& item, Effects* effects);
  // Mints for an item whose owners are all away. What comes of it is to be kept as hints.
  MintOutcome Mint(const ItemKey& item, GuestWork work, WriteIntent intent, Instant now);
  // An answer to an id of the stand-in's.
  void OnReply(NodeId from, ExchangeId exchange, const PeerBody& body, Instant now,
               Effects* effects);
  void OnScan(uint64_t id, absl::StatusOr<HintPage> page, const View& view, Instant now,
              Effects* effects);
  void OnPeer(NodeId node, bool reachable, Instant now);
  void OnView(const View& before, const View& view);
  // How far the cluster's time is ahead of the monotonic clock; nothing, and so it is at the start:
  // it is not known. Until then no hint grows old.
  void OnClusterTime(std::optional<int64_t> offset_ms) { time_offset_ms_ = offset_ms; }
  void OnWake(Instant now, Effects* effects);
  Time wake() const;

  // Looks that wait for the disk, as clients' reads do.
  size_t looks() const { return looks_.size(); }
  const HintLog& log() const { return log_; }
  const Figures& figures() const { return figures_; }

 private:
  struct UnderWay {
    KeptHint hint;
    Time give_up_at;
  };
  // One pass over what is kept for one owner.
  struct Pass {
    Pass() {}  // clang takes no implicit one within an optional of the enclosing class
    // Nothing more is read nor sent: the pass ends with what is under way. A page that is still
    // being read is nobody's, and is dropped.
    void Stop() {
      waiting.clear();
      partition.reset();
      scan = 0;
    }

    std::optional<PartitionId> partition;  // that is being read; none: all are read, or it stopped
    std::string from;                      // where to read on in it; empty: from its beginning
    uint64_t scan = 0;                     // the one under way; 0: none
    // Of what is kept in the partition, as far as it is read: all of it, and what may grow too old.
    std::optional<uint64_t> oldest_ms;
    uint64_t ageing_ms = HintCount::kNever;
    std::deque<KeptHint> waiting;
    std::map<ExchangeId, UnderWay> under_way;
    size_t bytes_under_way = 0;
    bool delivered = false;  // anything
  };
  struct Errand {
    HandoffWindow window;
    std::optional<Pass> pass;
    Time next_pass;         // not before
    Duration rest = kRest;  // before that
    Duration patience = kPatience;
    bool look_through = false;  // though the owner cannot be reached
  };
  // Who waits for what is kept of an item.
  struct Look {
    NodeId from;
    ExchangeId exchange = 0;
    ItemKey item;
    std::vector<HintScan::Range> ranges;  // still to be read
    Record merged;
    std::vector<Minted> minted;
  };

  std::optional<uint64_t> TimeMs(Instant now) const;
  bool Reachable(NodeId owner) const { return owner == self_ || reachable_.contains(owner); }
  // What was dropped must be gone from the store before it is read anew: it would be dropped twice.
  bool MayBegin() const { return store_->durable() >= last_drop_; }
  bool OwnsAllKept(NodeId owner, const View& view) const;
  bool IsDue(NodeId owner, const Errand& errand) const {
    return errand.look_through || Reachable(owner);
  }
  // Sends what the window allows and reads on; ends the pass when all is done.
  void Pump(NodeId owner, Instant now, Effects* effects);
  void Read(NodeId owner, Pass* pass, Effects* effects);
  // Reads on at the first partition from `from` on.
  void TurnPage(NodeId owner, PartitionId from, Pass* pass);
  // What is to become of a hint that was read. `time_ms`: the cluster's time, if it is known.
  void Sort(KeptHint hint, const View& view, std::optional<uint64_t> time_ms, Pass* pass);
  // Makes it a hint for each of `owners`.
  void Redirect(const KeptHint& hint, absl::Span<const NodeId> owners);
  void Drop(const KeptHint& hint);
  void DropDamaged(const DamagedHint& hint);
  void LookOn(Look look, Effects* effects);
  void OnLooked(Look look, const HintPage& page, Effects* effects);
  void Answer(Look look, Effects* effects);
  static bool MaySend(const Errand& errand);

  const NodeId self_;
  HintLog log_;
  Guest guest_;
  ReplicaStore* const store_;
  ExchangeId next_id_;
  std::optional<int64_t> time_offset_ms_;
  std::set<NodeId> reachable_;
  std::map<NodeId, Errand> errands_;   // for whom something is kept
  std::map<uint64_t, NodeId> passes_;  // by their scan
  std::map<uint64_t, Look> looks_;     // likewise
  CommitSeq last_drop_ = 0;
  Time sweep_at_;
  Figures figures_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_STAND_IN_H_
