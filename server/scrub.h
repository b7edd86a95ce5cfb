// Scrub: the backstop against silent corruption. It walks slowly through all that one shard owns,
// whether anybody reads it or not: each record is read from the store, where its checksum is
// verified, and is compared by digests (replication/slice.h) with what another owner holds. In
// which one owner each partition is compared changes from pass to pass, and so that in each pass
// every owner is asked by another one.
//
// What fails its checks is mended as whatever a read meets is (Shard::NoteDamaged). Where a run of
// the store cannot be scanned, the other owner says which items lie there, and each is read by
// itself. What differs is judged item by item (replication/judge_exchange.h): most of that is a
// write on its way. A contradiction is counted, told once, and stands until the owners agree; an
// owner that is not to mend it tells those that it contradicts, so that they look at once, and not
// when their own walk comes by.
//
// Pure, and stepped by its shard, which performs what it wants done.
//
// Thread rule: its shard's thread.

#ifndef GYRE_SERVER_SCRUB_H_
#define GYRE_SERVER_SCRUB_H_

#include <cstddef>
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
#include "replication/judgement.h"
#include "replication/message.h"
#include "replication/slice.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/view.h"
#include "storage/keys.h"
#include "storage/replica_store.h"

namespace gyre {

struct ScrubOptions {
  // Over which a pass through all that the shard owns is spread, partition by partition. Default
  // 3 days. Corruption is found within a pass. Shorter costs more of the disk, up to
  // `bytes_each_s`; longer gives a second fault more time to meet the first.
  Duration pass = Duration::Seconds(3 * 86'400);
  // Records read, at most, in bytes a second; as many are read at the owner that is compared with.
  // Default 1 MiB. Where that is too little for a pass, a pass takes longer. Too much is in the way
  // of compactions.
  uint64_t bytes_each_s = uint64_t{1} << 20;
  SliceLimits slices = {};
  // Of a slice that a peer asks for. Each item takes its key and 20 bytes of the answer.
  SliceLimits answers = {.max_items = 1024, .max_bytes = size_t{4} << 20};
  // Slices that are read for peers at once; one more is refused. Default 2.
  size_t max_answers = 2;
  // Versions that expire within this are not compared. Default 1 h. Less than what nodes' times
  // differ by, and one that has removed what another still shows is taken for corrupt.
  Duration expiry_slack = Duration::Seconds(3600);
};

class Scrub {
 public:
  // For the log: each contradiction once, and of each pass the first hundred.
  struct Contradiction {
    ItemKey item;
    std::vector<NodeId> against;
    bool mended = false;     // here: this owner was wrong
    bool undecided = false;  // no majority says who is wrong
  };
  struct ItemRead {
    PartitionId partition;
    std::vector<ItemKey> items;
    uint64_t expired_by_ms = 0;
  };
  struct Effects {
    std::optional<SliceScan> scan;  // ReadSlice of the own store; ends in OnSlice
    std::optional<ItemRead> read;   // ReadItems likewise; ends in OnItems
    struct Ask {
      NodeId to;
      ExchangeId exchange = 0;
      PartitionId partition;
      SliceAsk body;
    };
    std::optional<Ask> ask;                          // ends in OnAnswer or OnRefused, or in nothing
    std::vector<ItemKey> judge;                      // a JudgeExchange each; ends in OnJudgeEnd
    std::vector<std::pair<NodeId, ItemKey>> doubts;  // Doubt
    std::vector<ItemKey> damaged;                    // fetch these again
    std::vector<Contradiction> told;                 // for the log
  };
  struct Figures {
    uint64_t partitions = 0;  // that it walks through
    uint64_t standing = 0;    // contradictions found, and not yet seen gone
    uint64_t passes = 0;      // through all partitions, since start; and so are all below
    uint64_t items = 0;       // read
    uint64_t bytes = 0;
    uint64_t slices = 0;          // compared with another owner
    uint64_t uncompared = 0;      // slices read while no other owner answered, where there is one
    uint64_t differing = 0;       // items judged, for their digests differ
    uint64_t contradictions = 0;  // items in which owners contradict each other
    uint64_t amended = 0;         // of those, records put right here
    uint64_t dropped = 0;         // items that differ, and could not be remembered: a later pass

    // Those of another shard of the node. It has passed through all that it owns as often as the
    // shard that has done so least, of those that own anything.
    void Add(const Figures& shard);
  };

  // `first_exchange` begins a range of exchange ids that is the scrub's alone. REQUIRES: `store`
  // outlives it.
  Scrub(ScrubOptions options, std::shared_ptr<const View> view, ReplicaStore* store,
        ExchangeId first_exchange, Random random);

  void OnView(std::shared_ptr<const View> view);
  void OnPeer(NodeId node, bool reachable);
  void OnClusterTime(std::optional<int64_t> offset_ms) { offset_ms_ = offset_ms; }

  // `behind`: the disk is.
  void OnWake(bool behind, Instant now, Effects* effects);
  void OnSlice(const SliceScan& scan, absl::StatusOr<Slice> slice, Instant now, Effects* effects);
  void OnItems(PartitionId partition, absl::StatusOr<Slice> slice, Instant now, Effects* effects);
  void OnAnswer(ExchangeId id, NodeId from, PartitionId partition, SliceAnswer answer, Instant now,
                Effects* effects);
  // What was asked will not be answered.
  void OnRefused(ExchangeId id, NodeId from, Instant now);
  // An owner of the item contradicts this one.
  void OnDoubt(const ItemKey& item) { Suspect(item, /*doubted=*/true); }
  // What the item's owners hold was judged; maybe not for the last time.
  void OnJudged(const ItemKey& item, const Judgement& judgement, Instant now, Effects* effects);
  void OnJudgeEnd(const ItemKey& item) { judging_.erase(item); }
  // The disk failed: nothing is under way any more.
  void Stop();

  // Versions that expire by then are left out.
  uint64_t expired_by(Instant now) const;
  // When there is something to do, if nothing else happens.
  Time wake() const;
  const Figures& figures();

 private:
  enum class Phase : uint8_t { kResting, kScanning, kReading, kAsking };

  void List();
  // Where the next partition's first slice, or this one's next slice, is read.
  void Go(Instant now, Effects* effects);
  void EndPartition(Instant now);
  void EndSlice(Instant now);
  std::optional<NodeId> Peer(PartitionId partition) const;
  // Asks the peer what it has of the slice that was read, or where nothing could be.
  void Ask(Instant now, Effects* effects);
  void Compare(const std::vector<ItemDigest>& theirs);
  void Suspect(ItemKey item, bool doubted);
  void LookAgain(Instant now);
  void JudgeNext(Effects* effects);
  bool MayHold(const ItemKey& item) const;

  const ScrubOptions options_;
  std::shared_ptr<const View> view_;
  ReplicaStore* const store_;
  const ExchangeId first_id_;
  uint64_t ids_ = 0;
  Random random_;
  std::optional<int64_t> offset_ms_;

  std::vector<PartitionId> round_;
  size_t next_ = 0;    // in the round
  size_t left_ = 0;    // partitions of this pass that have not been begun
  uint64_t turn_ = 0;  // which of the other owners is asked
  Time partition_at_;  // when the next partition is due
  std::set<NodeId> unreachable_;

  Phase phase_ = Phase::kResting;
  Time begin_at_;        // of the next slice
  Time began_;           // this one
  SliceScan scan_;       // of this one, and of the next while resting within a partition
  bool within_ = false;  // a partition
  Slice mine_;
  bool unreadable_ = false;  // the store cannot be scanned there
  SliceAnswer answer_;       // then: what the other owner has there
  NodeId asked_;
  ExchangeId asked_id_ = 0;
  Time deadline_ = Time::Never();

  // Items that differ, and whether a peer said so; to be judged in this order.
  std::deque<std::pair<ItemKey, bool>> suspects_;
  std::map<ItemKey, bool> judging_;
  std::set<ItemKey> standing_;
  std::optional<ItemKey> looked_at_;  // the last that was looked at again, of those
  Time look_at_ = Time::Never();
  uint64_t told_ = 0;  // in this pass
  Figures figures_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_SCRUB_H_
