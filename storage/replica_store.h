// ReplicaStore: the state of the partitions that one shard owns, and the only place where a write
// changes it. Mint and Apply each turn into one set of changes — record and dot-log entry — that
// goes into one batch: a clock, which is what was written of it and the dots logged since, never
// claims a dot whose effect is not stored with it (design 3, rule 2).
//
// Changes gather in memory. The shard takes them as one batch (TakeCommit), has it written, and
// says so (OnCommitted); meanwhile later operations see them. Whatever leaves the shard and rests
// on a partition's state must wait until the commit that LastChange names is durable: this is how a
// dot leaves its minter only after it is durable there (rule 1), and it is the shard's part.
//
// Records are stored stripped and returned filled (Gonçalves et al., DottedDB, SRDS 2017, section
// III).
//
// The store alone changes its partitions' records, so it may keep some of them decoded
// (RecordCache) and needs to ask the engine for the others only.
//
// Thread rule: owned and called by one shard's thread. Pure but for the Engine that it is given, of
// which it uses TryGet only (and Scan in Open).

#ifndef GYRE_STORAGE_REPLICA_STORE_H_
#define GYRE_STORAGE_REPLICA_STORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/table.h"
#include "storage/engine.h"
#include "storage/expiry_index.h"
#include "storage/keys.h"
#include "storage/minting.h"
#include "storage/partition_state.h"
#include "storage/record_cache.h"
#include "storage/remembered_writes.h"
#include "storage/version/causal_context.h"
#include "storage/version/dot.h"
#include "storage/version/record.h"
#include "storage/version/version_vector.h"

namespace gyre {

// Number of a commit of one shard, from 1, in the order in which they become durable.
using CommitSeq = uint64_t;

// A batch to be written, and how.
struct Commit {
  CommitSeq seq = 0;
  WriteBatch batch;
  WalSync sync = WalSync::kYes;
};

class ReplicaStore {
 public:
  struct Options {
    MintLimits limits = {};
    // Log entries of a replica id in a partition that stay although every owner has seen them, for
    // log_age: they tell a retry after a restart of all owners. At 20,000 writes a second over 256
    // partitions and 3 minters, the default of 1,024 is 40 seconds. And how many are dropped at
    // once: an erased range is not free to keep.
    uint64_t log_kept = 1024;
    // How many writes are remembered by their idempotency key, over all partitions of the shard.
    // Formula: writes a second × the longest retry, here 13 s at 20,000/s. Too small, and a late
    // retry becomes a sibling of itself; each takes about 60 bytes once used.
    size_t remembered_writes = 262'144;
    // How many items are remembered, over all partitions of the shard, whose stored record still
    // has a context that a base will cover in time. Each takes about 100 bytes. One that does not
    // fit keeps some 10 bytes a replica id until it is written again; so does one that has versions
    // and is forgotten in a restart. Of what was deleted a restart forgets nothing.
    size_t unsettled_items = 65'536;
    // Bytes of decoded records that are kept as the engine holds them, so that a read, and the look
    // that every write takes at the record it replaces, need neither the engine nor the disk.
    // Formula: items in use × (330 + bytes of key and value). Too small, and records are decoded,
    // and read from the disk, again and again; too large, and the engine's own cache and the page
    // cache lack it. A record larger than a sixteenth of it is not kept; with 0 none is.
    size_t cached_bytes = size_t{32} << 20;
    // The data directory may be a lost one's successor: a partition of which it holds nothing yet
    // is to be filled.
    bool fill_what_is_new = false;
    // For how long a log entry that every owner has seen stays, for retries of its write that meet
    // owners which have restarted. Default 10 min; a client's retries last a minute. Sooner it goes
    // only where log_kept newer ones of its replica id are there. Longer keeps the key of what was
    // deleted on the disk for longer.
    Duration log_age = Duration::Seconds(600);
    // Log entries of a replica id in a partition that stay although some owner has not seen them:
    // while it is away the log grows. Past this the oldest go, log_kept at a time, and that owner
    // takes a whole copy of the partition when it is back. Default 131,072, which at 20,000 writes
    // a second over 256 partitions and 3 minters is 84 minutes, and at most some 6 GB on the disk.
    // Smaller, and an owner takes copies where a part would do; larger, and an owner that never
    // comes back costs more of every other one's disk. REQUIRES: no less than log_kept.
    uint64_t log_most = 131'072;
  };

  // `random` gives new replica ids. REQUIRES: engine outlives the store.
  ReplicaStore(Engine* engine, Options options, Random random);

  // Loads the states of `partitions` and the writes that their dot logs remember. With `new_lives`
  // (the last stop was unclean and some acknowledged writes were not synced) every partition takes
  // a new replica id before it mints again. Where one of them cannot be read, none is the store's
  // and nothing has changed.
  absl::Status Open(const std::vector<PartitionId>& partitions, bool new_lives);

  // This node is to own the partition by the move that began with the epoch `since`: until
  // EndFilling it is to be filled, unless it has been since then. What is there of earlier times
  // stays, for it may be what is to come.
  void BeginMove(PartitionId partition, Epoch since);
  // By which move it came here, if by any.
  Epoch MovedSince(PartitionId partition) const { return At(partition).state.since; }
  // The partition is this store's no more, and nothing of it is kept. REQUIRES: nobody waits for
  // what was asked of it.
  void Drop(PartitionId partition);
  // The same of every partition of which there is anything in the store, but those that are open
  // and those that `mine` denies: what was to be dropped as the process ended. Reads the engine;
  // for a start.
  absl::Status DropOthers(absl::FunctionRef<bool(PartitionId)> mine);

  const Options& options() const { return options_; }
  bool Owns(PartitionId partition) const { return Find(partition) != nullptr; }

  // ---- records. Load, then at once Filled, Mint, Apply or Settle with what it gave.

  // The stored (stripped) record, an empty one when the item has none, or nothing when only the
  // disk knows: then read it there and TakeRead. DATA_LOSS when it cannot be decoded.
  absl::StatusOr<std::optional<Record>> Load(const ItemKey& item);

  // The same where it is kept in memory, and nothing otherwise: what was changed and is not yet
  // durable always is. For who looks again.
  std::optional<Record> AtHand(const ItemKey& item) const;

  // Takes in what Engine::Get answered for the item, and decodes it: ready for Mint or Apply.
  // REQUIRES: nobody changed the item since the read was asked for, but by EraseTable.
  absl::StatusOr<Record> TakeRead(const ItemKey& item, absl::StatusOr<std::string> from_disk);

  // What Engine::Get answered, decoded; an empty record where it found none.
  static absl::StatusOr<Record> Decode(absl::StatusOr<std::string> from_disk);

  // The record as others may see it. It rests on the partition's state: mind LastChange.
  Record Filled(PartitionId partition, Record stored) const;

  // Mints a dot for `intent` on top of `stored`. Its wall clock feeds last-write-wins
  // only.
  MintOutcome Mint(const ItemKey& item, Record stored, WriteIntent intent, Instant now);

  // Merges `incoming` (filled, with the dots that explain it) into `stored`.
  void Apply(const ItemKey& item, Record stored, const Record& incoming,
             absl::Span<const Minted> minted, Durability durability);

  // Puts `record` (filled, with the dots that explain it) in the place of one that is damaged. This
  // owner's clock covers what was there, so it must be all that anybody has of the item.
  void Restore(const ItemKey& item, Record record, absl::Span<const Minted> minted);

  // Puts `record` (filled, with the dots of what it gains) in the place of `stored`, with which
  // other owners contradict this one: a decision about what was silently lost or came back, not a
  // merge. REQUIRES: this owner's clock and `stored` cover all that the record has.
  void Amend(const ItemKey& item, const Record& stored, Record record,
             absl::Span<const Minted> minted);

  // Items, at most `most`, whose record was stored while a base was behind and of whose context the
  // bases cover something by now. Load each and Settle it: it is stored again without, or erased if
  // nothing is left.
  std::vector<ItemKey> Settleable(PartitionId partition, size_t most) const;
  void Settle(const ItemKey& item, Record stored);

  // Removes the versions of an item that have expired by `time_ms`, and the entry that told so;
  // answers how many they were. Losing this in a power cut loses nothing.
  size_t RemoveExpired(const ExpiryKey& entry, Record stored, uint64_t time_ms);
  // What expires when, of all partitions.
  ExpiryIndex& expiry() { return expiry_; }
  const ExpiryIndex& expiry() const { return expiry_; }

  // Erases every item of a table that is no more. The clock stays: that there is nothing left is
  // what its dots came to.
  void EraseTable(PartitionId partition, TableId table);
  // The same for every table in the store that `exists` denies: what was dropped while this node
  // was away, or as it stopped. Reads the engine; for a start.
  absl::Status EraseTablesBut(absl::FunctionRef<bool(TableId)> exists);

  // The dots of the record's versions, each with the write that minted it where that is remembered.
  std::vector<Minted> Explain(const Record& record) const;

  // The dot that a write of the partition has, if it is remembered, and its effect is here: what
  // was known of a partition before it was dropped is not.
  const Minted* FindWrite(PartitionId partition, const WriteId& write) const {
    const Minted* const known = writes_.Find(write);
    const bool is_here = known != nullptr && At(partition).state.clock.Contains(known->dot);
    return is_here ? known : nullptr;
  }

  // ---- clocks

  const PartitionClock& Clock(PartitionId partition) const { return At(partition).state.clock; }
  // A peer knows these dots. If it knows more of this owner's than this owner does, this owner has
  // forgotten them, and takes a new replica id before it mints again (rule 1). To be told of
  // whatever a peer says, before anything else is done with it.
  void NoteSeen(PartitionId partition, const VersionVector& seen);
  void NoteSeen(PartitionId partition, const PartitionClock& seen);
  // Takes over a peer's bases at the end of an exchange. REQUIRES: every record of the exchange has
  // been applied before (rule 2).
  void JoinBases(PartitionId partition, const VersionVector& bases);
  // Takes over a dot of another owner's log, at the end of a whole copy: its effect has come with
  // the copy's records, of which the last has been applied.
  void TakeOver(const ItemKey& item, const Minted& minted);
  // Takes over the clock of a copy, bitmap included. REQUIRES: likewise.
  void JoinAll(PartitionId partition, const PartitionClock& clock);
  // Owner `owner` durably holds everything up to `bases`. When all of `owners` have said so, log
  // entries that they all have seen are dropped: those that they had seen log_age ago, and sooner
  // all but the newest. A sole owner reports to itself.
  void OnReport(PartitionId partition, NodeId owner, const VersionVector& bases,
                absl::Span<const NodeId> other_owners, Time now);
  // Drops what is beyond log_most of the log, whoever has not seen it; answers how many entries.
  // To be called for each partition every now and then.
  uint64_t BoundLog(PartitionId partition);
  // What `owner` reported holds no longer: it may have lost its state (rule 4).
  void ForgetReports(NodeId owner);
  // The same of one partition, of which it has no copy any more.
  void ForgetReport(PartitionId partition, NodeId owner) { At(partition).reports.erase(owner); }
  // The bases as far as they would survive a power cut, or nothing while a part is not synced.
  std::optional<VersionVector> DurableBases(PartitionId partition) const;
  ReplicaId Self(PartitionId partition) const { return At(partition).state.self; }
  // Whether the partition's life was begun by an earlier process: what that one minted may be more
  // than what this one found.
  bool Inherited(PartitionId partition) const { return At(partition).inherited; }
  // Whether the partition's data were lost here, and have not been brought back: what it holds says
  // nothing of what there is.
  bool Filling(PartitionId partition) const { return At(partition).state.filling; }
  // From now on, and after a restart, until EndFilling; for all partitions, also those of which it
  // hears only later. What is there stays.
  void BeginFilling();
  void EndFilling(PartitionId partition);
  // Nothing was lost: no partition is to be filled, and none that is opened later, but those that
  // move here.
  void EndAllFilling();
  // Begins a new life: the next dot has a new replica id.
  void StartLife(PartitionId partition);
  // The same for all partitions whose life is inherited.
  void EndInheritedLives();

  // ---- commits

  bool dirty() const {
    return !dirty_items_.empty() || !dirty_partitions_.empty() || beside_bytes_ > 0;
  }
  // Has `add` put changes that are not of the store's records and clocks into the next commit;
  // answers which one that is.
  CommitSeq CommitBeside(Durability durability, absl::FunctionRef<void(WriteBatch*)> add);
  // Whether something was committed without a sync since the last synced commit.
  bool unsynced() const { return last_unsynced_ > last_synced_; }
  // REQUIRES: no commit is under way.
  Commit TakeCommit();
  // A commit that only syncs what was committed before. REQUIRES: no commit is under way.
  Commit TakeSync();
  void OnCommitted(CommitSeq seq);
  // The commit that holds the newest change of a partition's state; 0: none since Open, or the
  // partition is not one of the store's.
  CommitSeq LastChange(PartitionId partition) const {
    const Partition* const found = Find(partition);
    return found == nullptr ? 0 : found->last_change;
  }
  CommitSeq durable() const { return durable_; }
  // Keys and values of the changes that are not yet durable. An item that changed twice counts
  // twice.
  size_t uncommitted_bytes() const { return gathering_bytes_ + in_flight_bytes_; }

  // What is kept in memory of the records. What is clean there is what the engine holds.
  const RecordCache& cache() const { return records_; }

  // Visits the clocks of all partitions in their order.
  void ForEachClock(
      absl::FunctionRef<void(PartitionId, ReplicaId, const PartitionClock&)> visit) const;

 private:
  // An item whose stored record has a context that a base will cover in time.
  struct Unsettled {
    VersionVector context;
    bool noted = false;  // in the store, for the next process: nothing but the context is left
  };
  struct Partition {
    PartitionState state;
    bool inherited = false;
    uint64_t logged = 0;  // dots, since the state was written
    CommitSeq last_change = 0;
    std::map<NodeId, VersionVector> reports;
    VersionVector pruned;       // up to where the log has been dropped
    VersionVector seen_before;  // by all owners, log_age ago at least
    VersionVector seen_lately;  // and as of the last turn of the two
    Time seen_turn;             // the next one
    std::map<ItemKey, Unsettled> unsettled;
  };
  using PendingItem = RecordCache::Entry;

  // Null: not one of the store's.
  Partition* Find(PartitionId partition) const {
    const auto it = places_.find(partition);
    return it == places_.end() ? nullptr : it->second;
  }
  Partition& At(PartitionId partition);
  const Partition& At(PartitionId partition) const;
  // The key of an item in the store, until the next call.
  const std::string& KeyOf(const ItemKey& item) const;
  CommitSeq next_seq() const { return taken_ + 1; }
  void Touch(PartitionId partition);
  void WriteState(PartitionId partition);
  // `expiring`: of the record whose place it takes.
  void Store(const ItemKey& item, Record record, Durability durability,
             const ExpiryIndex::Moments& expiring);
  // `batch`: that stores the record.
  void NoteUnsettled(const ItemKey& item, const Record& stored, WriteBatch* batch);
  void DropLog(PartitionId partition, ReplicaId replica, uint64_t last);
  void Log(const ItemKey& item, const Minted& minted);
  // All owners have seen `low`.
  void PruneLog(PartitionId id, const VersionVector& low, Time now);
  void DiscardSeen(PartitionId partition, const CausalContext& seen, Record* record);
  void DropSuperseded(PartitionId partition, Record* record, const Minted& minted) const;

  // What a partition is opened with.
  struct Found {
    Partition partition;
    bool is_new = false;         // it has no state yet
    std::vector<Minted> writes;  // the newest of each replica id
    uint64_t expires_ms = 0;     // first of all, as in ExpiryPage::next_ms
  };
  // `share`: of writes, at most, in all. These change nothing, whatever they meet.
  static absl::StatusOr<Found> FindStored(const Snapshot& snapshot, PartitionId id, size_t share);
  // What is on the disk of it is not, any more: it is being dropped.
  bool IsDropping(PartitionId id) const { return !dropping_.empty() && dropping_.contains(id); }
  void EraseStored(PartitionId id);
  static absl::Status RecallWrites(const Snapshot& snapshot, PartitionId id, size_t share,
                                   Found* found);
  static absl::Status RecallPruned(const Snapshot& snapshot, PartitionId id, Partition* partition);
  static absl::Status RecallRemains(const Snapshot& snapshot, PartitionId id, Partition* partition);

  Engine* const engine_;
  const Options options_;
  Random random_;
  bool fill_what_is_new_;

  std::map<PartitionId, Partition> partitions_;
  absl::flat_hash_map<PartitionId, Partition*> places_;  // in partitions_; never iterated
  std::map<PartitionId, CommitSeq> dropping_;            // until which commit is durable
  size_t unsettled_ = 0;                                 // items, over all partitions
  ExpiryIndex expiry_;
  RecordCache records_;  // pinned: what is not yet durable
  // The pinned ones with the commit that changed them, oldest first. An item is released with the
  // last of its commits.
  std::deque<std::pair<CommitSeq, PendingItem*>> pending_order_;
  // The batch that gathers.
  std::vector<PendingItem*> dirty_items_;
  absl::btree_set<PartitionId> dirty_partitions_;
  WriteBatch gathering_;
  mutable std::string key_;  // KeyOf
  bool gathering_needs_sync_ = false;
  size_t gathering_bytes_ = 0;
  size_t beside_bytes_ = 0;  // of the batch: CommitBeside

  CommitSeq taken_ = 0;
  CommitSeq durable_ = 0;
  CommitSeq last_synced_ = 0;
  CommitSeq last_unsynced_ = 0;
  Commit in_flight_;  // seq and sync only
  size_t in_flight_bytes_ = 0;
  bool busy_ = false;

  RememberedWrites writes_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_REPLICA_STORE_H_
