// Shard: owns a share of the partitions, steps the exchanges about them, serves the peers' messages
// about them, and keeps them in step with the other owners. Pure: it is stepped with events and a
// time, and what it wants done comes out of TakeEffects. The same code runs in gyred, where one
// thread owns it, and in the simulator.
//
// The order that everything rests on: whatever leaves a shard (a reply, a message) leaves only when
// the partition state it speaks of is durable. The shard holds it until then, so that whoever
// performs the effects may do so in any order and at once. Read-only work on a partition with
// nothing under way does not wait.
//
// Thread rule: one thread.

#ifndef GYRE_SERVER_SHARD_H_
#define GYRE_SERVER_SHARD_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "replication/clock_answer.h"
#include "replication/copy_page.h"
#include "replication/exchange.h"
#include "replication/message.h"
#include "replication/peer_pace.h"
#include "replication/request.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/rebalance.h"
#include "ring/rumour.h"
#include "ring/view.h"
#include "server/copy_pace.h"
#include "server/damaged_records.h"
#include "server/expiry_sweep.h"
#include "server/repair.h"
#include "server/scrub.h"
#include "server/stand_in.h"
#include "storage/hint_log.h"
#include "storage/record_cache.h"
#include "storage/replica_store.h"

namespace gyre {

// Names a client's request between the door and the shard; chosen by the door.
using Token = uint64_t;

struct ShardOptions {
  // Client requests and forwarded writes in flight; one more is answered kOverloaded. Default
  // 10,000. Each holds a few hundred bytes and its value. Forwarded ones have a half of it, so that
  // what peers send on leaves this node's own clients room.
  size_t max_exchanges = 10'000;
  RepairOptions repair;
  CopyPaceOptions copies;
  // How long a commit of a `periodic` table may stay unsynced. Default 1 s.
  Duration periodic_sync = Duration::Seconds(1);
  // Bytes of values that are not yet durable, or of peers and under way; and how many reads may
  // wait for the disk. While there are more, the disk does not keep up: peers' writes, or with too
  // many reads all that they ask, are answered kOverloaded, and repair finds them again. Defaults
  // 64 MiB and 10,000. What clients ask is the door's to bound.
  size_t max_unwritten_bytes = size_t{64} << 20;
  size_t max_waiting_reads = 10'000;
  ClockAnswerLimits clock_answers;
  PeerPaceOptions pace;
  ExpirySweepOptions expiry;
  ScrubOptions scrub;
  // The last process on this data ended in order. Then a peer that greets this node and does not
  // call it forgetful confirms the lives that it inherited. After any other end only the peers'
  // clocks do: a copy of a directory that was in use looks like it was left by a crash.
  bool clean_start = true;
  // Reads of this node's records are refused until OnHeardPeers: a peer may know that they are not
  // the newest that this node had.
  bool await_peers = false;
};

// What leaves a shard.
struct Departures {
  struct Reply {
    Token token = 0;
    Outcome outcome;
  };
  std::vector<Envelope> sends;
  std::vector<Reply> replies;
  std::vector<Repair::Effects::Listing> listings;  // ListItems; each ends in OnListed
  struct ClockScan {
    NodeId asker;
    ExchangeId exchange = 0;
    PartitionId partition;
    ClockAsk ask;
    bool filling = false;  // as it was asked for
    bool fills = false;    // the partition moves to the asker: what it is told is copied
  };
  struct CopyScan {
    NodeId asker;
    ExchangeId exchange = 0;
    PartitionId partition;
    CopyAsk ask;
    std::shared_ptr<const Snapshot> snapshot;  // null: one is to be taken, and given back
  };
  std::vector<ClockScan> clock_scans;  // BuildClockAnswer; ends in OnClockScan
  std::vector<CopyScan> copy_scans;    // BuildCopyPage; ends in OnCopyScan
};

// What a step wants done. Everything may be done at once and in any order.
struct ShardEffects : Departures {
  struct DiskRead {
    ItemKey item;
    uint64_t number = 0;  // of this shard's reads
  };
  // A slice that a peer asked for.
  struct SliceRead {
    NodeId asker;
    ExchangeId exchange = 0;
    PartitionId partition;
    SliceAsk ask;
  };
  std::optional<Commit> commit;      // Engine::Write; ends in OnCommitted. At most one under way.
  std::vector<DiskRead> disk_reads;  // Engine::Get of the item; ends in OnRead
  std::vector<HintScan> hint_scans;  // ScanHints; ends in OnHintScan
  std::vector<ExpiryScan> expiry_scans;              // ScanExpired; ends in OnExpiryScan
  std::vector<SliceRead> slice_reads;                // AnswerSlice; ends in OnSliceRead
  std::optional<SliceScan> scrub_scan;               // ReadSlice; ends in OnScrubScan
  std::optional<Scrub::ItemRead> scrub_read;         // ReadItems; ends in OnScrubRead
  std::vector<Scrub::Contradiction> contradictions;  // for the log
  std::vector<Repair::Effects::Miscount> miscounts;  // for the log
  Time wake = Time::Never();                         // call OnWake then
};

// Figures for metrics and status, as of now.
struct ShardFigures {
  uint64_t exchanges = 0;  // in flight
  RecordCache::Figures record_cache;
  uint64_t reads = 0;  // since start, and so are all below
  uint64_t writes = 0;
  uint64_t forwards = 0;
  uint64_t quorum_failures = 0;
  uint64_t overloads = 0;
  uint64_t read_repairs = 0;
  uint64_t late_attempts = 0;  // first attempts of writes that asked other owners, as retries do
  uint64_t sheds = 0;        // peers' questions refused: the disk is behind, or too many scans run
  uint64_t misdirected = 0;  // peers' messages that spoke of another partition or item: dropped
  uint64_t damaged = 0;      // records that failed their checks and have not been mended
  uint64_t mended = 0;       // since start, fetched again from the others; and so are all below
  uint64_t unreadable = 0;   // reads and scans that found a record damaged, or the disk failing
  uint64_t disk_reads = 0;
  uint64_t commits = 0;
  // What is kept here for others, as of a moment ago.
  std::vector<std::pair<NodeId, HintCount>> hints;
  StandIn::Figures stand_in;
  Repair::Figures repair;
  uint64_t copy_pace = 0;  // now: bytes a second to be taken of copies, and given
  PeerPace::Figures pace;
  Scrub::Figures scrub;
  uint64_t expired = 0;        // versions removed, for their time had come
  uint64_t expiry_lag_ms = 0;  // now: for how long the first of them should have been
};

class Shard {
 public:
  // `store` has been opened with the partitions of this shard. `random` also names this life: the
  // answers to an earlier one find nobody.
  Shard(ShardOptions options, ReplicaStore* store, std::shared_ptr<const View> view, Random random,
        HintLog hints = HintLog(HintLogOptions()));

  // ---- events
  void Write(Token token, WriteRequest request, Instant now);
  void Read(Token token, ReadRequest request, Instant now);
  void OnMessage(NodeId from, PeerMessage message, Instant now);
  void OnRead(const ShardEffects::DiskRead& read, absl::StatusOr<std::string> bytes, Instant now);
  void OnClockScan(const ShardEffects::ClockScan& scan, absl::StatusOr<ClockAnswer> answer,
                   Instant now);
  void OnCopyScan(ShardEffects::CopyScan scan, absl::StatusOr<CopyPage> page, Instant now);
  void OnListed(ExchangeId id, absl::StatusOr<ItemList> list, Instant now);
  void OnHintScan(uint64_t id, absl::StatusOr<HintPage> page, Instant now);
  void OnExpiryScan(const ExpiryScan& scan, absl::StatusOr<ExpiryPage> page, Instant now);
  void OnSliceRead(const ShardEffects::SliceRead& read, absl::StatusOr<SliceAnswer> answer,
                   Instant now);
  void OnScrubScan(const SliceScan& scan, absl::StatusOr<Slice> slice, Instant now);
  void OnScrubRead(PartitionId partition, absl::StatusOr<Slice> slice, Instant now);
  // A commit ended. That it failed says what OnDiskFailed says.
  void OnCommitted(CommitSeq seq, const absl::Status& status, Instant now);
  // The disk has failed, under this shard or another part of the node. What waits for it is
  // answered so, and from then on everything that is asked is refused.
  void OnDiskFailed(Instant now);
  void OnWake(Instant now);
  // REQUIRES: the store holds the partitions of which this node is a replica.
  void OnView(std::shared_ptr<const View> view, Instant now);
  void OnPeer(NodeId node, bool reachable, Instant now);
  // What membership takes a peer for, from the next exchange on; until then, alive. Nothing that is
  // under way ends by it: only a connection that is lost does that.
  void OnLiveness(NodeId node, Liveness liveness);
  // How busy a peer says that it is, from the next exchange on; until then, idle. Among owners, and
  // among stand-ins, that are as good otherwise, the busy are asked last; and that is all.
  void OnLoad(NodeId node, Load load) { pace_.OnLoad(node, load); }
  // How far the cluster's time (ring/cluster_time.h) is ahead of the monotonic clock; nothing, and
  // so it is at the start: it is not known. Then what expires is neither written nor read.
  void OnClusterTime(std::optional<int64_t> offset_ms);
  // The cluster's time in milliseconds.
  std::optional<uint64_t> TimeMs(Instant now) const;
  // What this node found of itself is less than what it had: a peer has met its data in a later
  // state, or other data under its name. It mints under none of the ids that it found, and is
  // filled again before it answers reads (design 3, rules 1 and 4).
  void OnForgetful(Instant now);
  // Every peer that can be reached has said what it knows of this node's data directory.
  void OnHeardPeers() { heard_peers_ = true; }
  // This node's data directory is its first: there is nothing that it could have lost.
  void OnProven();

  // Moves to this node that may take their next step, as far as this shard's partitions go, and
  // what says so is durable (ring/rebalance.h).
  std::vector<MoveRef> MovesToStep(MoveStep from) const;

  // This node leaves, as this shard has it under that epoch or a later one, and as far as the shard
  // goes it keeps nothing for others, nor takes anything in any more.
  bool MayDepart(Epoch epoch) const;

  // What the events since the last call want done.
  ShardEffects TakeEffects(Instant now);

  const ReplicaStore& store() const { return *store_; }
  const ShardFigures& figures() const { return figures_; }
  bool failed() const { return failed_; }
  // How much of what it takes in from peers, until it refuses them, is taken: bytes that are not
  // durable or under way, or reads that wait for the disk, whichever is more. 0 to 100 and beyond.
  int load_percent() const;
  // How busy its lane is, in percent, and by the wait alone (AdmissionLimit): from a half on,
  // hand-overs of hints have a pace, and by the wait reads ask nobody else.
  void OnLoad(int load_percent, int wait_percent);
  // Whether no partition's life, of those that an earlier process began, still waits for an owner
  // to confirm it.
  bool AllConfirmed() const;

 private:
  // Whom a request is from: a client of this node, or a node that forwards.
  struct Origin {
    Token token;
    NodeId node;
    ExchangeId exchange;
  };
  struct Live {
    std::unique_ptr<Exchange> exchange;
    Origin origin;
    ItemKey item;
    size_t forwarded_bytes = 0;  // of its value, where another node forwarded it
    Time begun;
    Time wake = Time::Never();
  };
  // What waits for a commit.
  struct Held {
    CommitSeq after;
    Departures what;
  };
  using WithRecordFn = absl::AnyInvocable<void(const ItemKey&, absl::StatusOr<Record>, Instant)>;

  // Whether it owns the partition, and nothing of it was lost here: what it holds is what it ever
  // took in.
  bool Holds(PartitionId partition) const {
    return heard_peers_ && store_->Owns(partition) && !store_->Filling(partition);
  }
  bool OtherOwnersAreLost(PartitionId partition) const;
  // Whether it may begin to keep hints, as far as this node's view goes.
  bool MayKeep(NodeId node) const;
  // Then a stand-in takes writes in as a guest.
  bool NoOwnerIsHealthy(PartitionId partition) const;
  void StartWrite(Origin origin, WriteRequest request, Instant now);
  void Begin(Origin origin, ItemKey item, int needed, std::unique_ptr<Exchange> exchange,
             Instant now, size_t forwarded_bytes = 0);
  void Perform(ExchangeId id, Effects&& effects, Instant now);
  // What the other nodes have of a record that was found damaged takes its place, if it still is.
  void PerformRestore(ExchangeId id, ExplainedRecord fetched, Instant now);
  void PerformMint(ExchangeId id, Effects&& effects, Instant now);
  MintOutcome Mint(const ItemKey& item, Record stored, WriteIntent intent, Instant now);
  void PerformJudge(ExchangeId id, std::vector<OwnersRecord> others, Instant now);
  // The item's record failed its checks: it is served to nobody, and fetched again; or written
  // again at once, where it is whole in memory.
  void NoteDamaged(const ItemKey& item, Instant now);
  // A scan of the store has left these out, and `more` that it could not name.
  void NoteUnread(const std::vector<ItemKey>& damaged, bool more, Instant now);
  // A record of it is whole again.
  void NoteMended(PartitionId partition);
  // It is this node's, and its table is there.
  bool MayWrite(const ItemKey& item) const;
  // It was read after all: it was written again, or is whole in memory.
  void NoteWhole(const ItemKey& item);
  void Mend(Instant now);
  void Finish(ExchangeId id, Outcome outcome, Instant now);
  void Answer(const Origin& origin, const ItemKey& item, Outcome outcome);
  void SetWake(ExchangeId id, Live* live, Time wake);
  ExchangeId NextExchange();
  template <typename Step>
  void StepExchange(ExchangeId id, Instant now, Step step);

  // Whether every other owner has confirmed, since this process began, that it knows no more of the
  // partition's inherited life than this node.
  bool Confirmed(PartitionId partition) const;
  void NoteShown(PartitionId partition, NodeId owner);

  // Calls `then`, a WithRecordFn, with the item's stored record or why it cannot be read: at once
  // where it is at hand, otherwise when the disk has answered.
  template <typename Then>
  void WithRecord(const ItemKey& item, Instant now, Then then);

  // What a peer, or this node itself, asks of this node as an owner.
  void Serve(NodeId from, ExchangeId exchange, PeerBody body, Instant now);
  // What this node coordinates ends so, here and now.
  Outcome Ended(Outcome::Code code) const {
    return Outcome::Of(code, view_->epoch(), view_->self());
  }
  // Nodes that may stand in for the partition's owners, the first to be asked first.
  std::vector<NodeId> StandInsFor(PartitionId partition) const;
  size_t UnwrittenBytes() const {
    return store_->uncommitted_bytes() + waiting_bytes_ + forwarded_bytes_;
  }
  // Of single items, and of hints of one item.
  size_t WaitingReads() const { return waiting_reads_ + stand_in_.looks(); }
  // Whether the disk, or for what can wait the lane, is so far behind that this may not be taken in
  // from a peer.
  bool Crowded(const PeerBody& body, Time now) const;
  void Shed(NodeId from, ExchangeId exchange, PartitionId partition, PeerBody answer);
  void ServeApply(NodeId from, ExchangeId exchange, Apply apply, Instant now);
  void ServeFetch(NodeId from, ExchangeId exchange, Fetch fetch, Instant now);
  void ServeLookup(NodeId from, ExchangeId exchange, Lookup lookup, Instant now);
  // What a peer, or this node itself, asks of this node as a stand-in.
  void ServeHint(NodeId from, ExchangeId exchange, Hint hint, Instant now);
  void ServeHandoff(NodeId from, ExchangeId exchange, Handoff handoff, Instant now);
  template <typename Step>
  void StepStandIn(Instant now, Step step);
  void ServeClockAsk(NodeId from, const PeerMessage& message, ClockAsk ask, Instant now);
  // Under way, which the pace bounds.
  size_t CopiesGiven() const;
  // Ends the one that was given first, where too many are over.
  void BoundCopiesOver();
  // What a request under an older epoch is refused with.
  Refused Outdated() const;
  void ServeCopyAsk(NodeId from, ExchangeId exchange, PartitionId partition, CopyAsk ask,
                    Instant now);
  bool GivesNow(Time now) const { return resting_.empty() && gives_at_ <= now + kLeastRest; }
  void RestAfter(size_t bytes, Instant now);
  void Give(ShardEffects::CopyScan scan);
  void Give(ShardEffects::ClockScan scan);
  void ServeSliceAsk(NodeId from, ExchangeId exchange, PartitionId partition, SliceAsk ask);
  void PerformRepair(Repair::Effects&& effects, Instant now);
  void PerformScrub(Scrub::Effects&& effects, Instant now);
  void WakeScrub(Instant now);
  // Repair and the like stand back while it is.
  bool IsBehind() const;
  void RefuseWhileFilling(NodeId to, ExchangeId exchange, const ItemKey& item, Instant now);
  void Respond(NodeId to, ExchangeId exchange, PartitionId partition, PeerBody body, Instant now);
  // The item could not be read.
  void RespondFailure(NodeId to, ExchangeId exchange, PartitionId partition, Instant now);
  // Whether it may tell a peer what it has.
  bool MayTell(const Fetch& fetch) const;
  // What a peer asks of a node whose disk failed.
  void RefuseToServe(NodeId from, PeerMessage message, Instant now);

  // Whether what was sent under that epoch may count on other replicas than there are.
  bool IsStale(PartitionId partition, Epoch epoch) const;
  // What is under way on partitions that have other replicas than before, or other owners, ends;
  // and what is no longer this node's goes.
  void FollowMoves(const View& before, Instant now);
  void DropPartition(PartitionId partition, Instant now);
  // The exchanges that are so end with kStaleEpoch.
  template <typename IsSo>
  void EndStale(IsSo is_so, Instant now);
  void EraseTable(const TableSpec& table, Instant now);
  void TakeIn(const ItemKey& item, const ExplainedRecord& change, Record stored,
              Durability durability);
  void SettleRecords(PartitionId partition, Instant now);
  void SweepExpired(Instant now);

  void Send(NodeId to, ExchangeId exchange, PartitionId partition, PeerBody body);
  // Where goes what speaks of the partition's present state: out, or among what waits for the
  // commit that makes it durable.
  Departures& DeparturesOf(PartitionId partition);
  Departures& DeparturesAfter(CommitSeq after);
  bool Reachable(NodeId node) const { return !unreachable_.contains(node); }
  bool Healthy(NodeId node) const { return Reachable(node) && !suspected_.contains(node); }

  const ShardOptions options_;
  ReplicaStore* const store_;
  std::shared_ptr<const View> view_;
  Random random_;

  ExchangeId next_exchange_;
  absl::btree_map<ExchangeId, Live> live_;
  absl::btree_set<std::pair<Time, ExchangeId>> wakes_;
  size_t clock_scans_under_way_ = 0;
  size_t slice_reads_under_way_ = 0;
  // Whole copies that others take from here. One that is asked about no more ends after a while.
  struct CopyGiven {
    PartitionId of;
    std::shared_ptr<const Snapshot> snapshot = nullptr;  // null: being taken
    Time until = {};
    bool busy = true;
    bool over = false;     // all is given: only items that are named may be asked for yet
    uint32_t counted = 0;  // number of the last page of records that is counted
    uint64_t records = 0;  // of the pages up to there
  };
  std::map<std::pair<NodeId, ExchangeId>, CopyGiven> copies_given_;
  // What is copied from here to who fills a partition, once it is time.
  std::deque<std::variant<ShardEffects::CopyScan, ShardEffects::ClockScan>> resting_;
  Time gives_at_;  // the next of them
  // Who waits for a read of the disk.
  struct Loading {
    uint64_t read = 0;  // its number
    std::vector<WithRecordFn> waiting = {};
  };
  std::map<ItemKey, Loading> loading_;
  uint64_t last_read_ = 0;
  size_t waiting_reads_ = 0;    // in loading_
  size_t waiting_bytes_ = 0;    // of peers' values among those
  size_t forwarded_ = 0;        // exchanges of writes that peers forwarded
  size_t forwarded_bytes_ = 0;  // of those
  int lane_load_percent_ = 0;
  Time next_handoff_;  // of a busy lane
  std::set<NodeId> unreachable_;
  std::set<NodeId> suspected_;  // or taken for dead
  PeerPace pace_;
  std::set<NodeId> greeted_;                        // peers that were reachable at least once
  std::set<std::pair<PartitionId, NodeId>> shown_;  // whose clock, of an inherited life
  std::map<PartitionId, Epoch> moved_;  // when replicas or owners changed last, since start

  Time sync_at_ = Time::Never();

  Repair repair_;
  CopyPace copy_pace_;
  StandIn stand_in_;
  Time hints_told_at_;

  ExpirySweep sweep_;
  Scrub scrub_;
  std::optional<int64_t> time_offset_ms_;

  std::deque<Held> held_;  // `after` ascends
  ShardEffects out_;
  bool commit_under_way_ = false;
  bool heard_peers_;
  bool failed_ = false;
  DamagedRecords damaged_;
  std::map<PartitionId, uint64_t> mended_;  // records that were damaged, since start
  Time mend_at_ = Time::Never();
  ShardFigures figures_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_SHARD_H_
