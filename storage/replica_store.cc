#include "storage/replica_store.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "ring/check.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

// Dots that the log of a partition may hold beside its written state. More spare writes, and cost
// whoever reads the state (an open, a clock answer) a log entry each.
constexpr uint64_t kDotsBesideState = 128;

// The next batch gets room for as much as the last one had, where that was no more than this.
constexpr size_t kReservedBytes = 1 << 20;

}  // namespace

ReplicaStore::ReplicaStore(Engine* engine, Options options, Random random)
    : engine_(engine),
      options_(options),
      random_(random),
      fill_what_is_new_(options.fill_what_is_new),
      records_(options.cached_bytes),
      writes_(options.remembered_writes) {}

absl::Status ReplicaStore::Open(const std::vector<PartitionId>& partitions, bool new_lives) {
  const std::unique_ptr<Snapshot> snapshot = engine_->TakeSnapshot();
  std::vector<Found> all;
  all.reserve(partitions.size());
  for (PartitionId id : partitions) {
    absl::StatusOr<Found> found = Found();
    if (IsDropping(id)) {
      found->is_new = true;
    } else {
      found = FindStored(*snapshot, id, options_.remembered_writes / partitions.size());
    }
    if (!found.ok()) return found.status();
    all.push_back(*std::move(found));
  }
  for (size_t i = 0; i < partitions.size(); ++i) {
    const PartitionId id = partitions[i];
    Partition& partition = partitions_[id];
    places_[id] = &partition;
    partition = std::move(all[i].partition);
    for (const Minted& write : all[i].writes) writes_.Add(write);
    expiry_.End(id, all[i].expires_ms);
    unsettled_ += partition.unsettled.size();
    // Its log may hold what came since; what was lost is said by the state alone.
    if (fill_what_is_new_ && all[i].is_new) {
      partition.state.filling = true;
      WriteState(id);
    }
    if (new_lives && partition.state.self != ReplicaId()) {
      partition.state.self = ReplicaId();
      WriteState(id);  // the end of the old life must outlast a clean stop
    }
    partition.inherited = partition.state.self != ReplicaId();
  }
  return absl::OkStatus();
}

absl::StatusOr<ReplicaStore::Found> ReplicaStore::FindStored(const Snapshot& snapshot,
                                                             PartitionId id, size_t share) {
  Found found;
  absl::StatusOr<PartitionState> state = ReadPartitionState(snapshot, id);
  if (!state.ok()) return state.status();
  found.partition.state = *std::move(state);
  found.is_new = !snapshot.Get(Family::kMeta, EncodeClockKey(id)).ok();
  if (absl::Status status = RecallWrites(snapshot, id, share, &found); !status.ok()) return status;
  if (absl::Status status = RecallPruned(snapshot, id, &found.partition); !status.ok()) {
    return status;
  }
  if (absl::Status status = RecallRemains(snapshot, id, &found.partition); !status.ok()) {
    return status;
  }
  const absl::StatusOr<ExpiryPage> first = ScanExpired(snapshot, {id, 0, 0});
  if (!first.ok()) return first.status();
  found.expires_ms = first->next_ms;
  return found;
}

// The newest writes of each replica id, `share` of them in all.
absl::Status ReplicaStore::RecallWrites(const Snapshot& snapshot, PartitionId id, size_t share,
                                        Found* found) {
  const PartitionClock& clock = found->partition.state.clock;
  const auto replicas = clock.entries();
  for (const PartitionClock::Entry& entry : replicas) {
    const uint64_t newest = clock.Highest(entry.replica);
    const uint64_t most = std::max<uint64_t>(1, share / replicas.size());
    const uint64_t first = newest > most ? newest - most + 1 : 1;
    absl::Status malformed;
    const absl::Status scanned =
        snapshot.Scan(Family::kDotLog, EncodeLogKey(id, {entry.replica, first}),
                      EncodeLogKey(id, {entry.replica, newest + 1}),
                      [&](std::string_view key, std::string_view value) {
                        const std::optional<LogKey> log_key = DecodeLogKey(key);
                        absl::StatusOr<LogEntry> logged = DecodeLogEntry(value);
                        if (!log_key.has_value() || !logged.ok()) {
                          malformed = absl::DataLossError("dot log: malformed entry");
                          return false;
                        }
                        found->writes.push_back({log_key->dot, logged->write, logged->attempt});
                        return true;
                      });
    if (!scanned.ok()) return scanned;
    if (!malformed.ok()) return malformed;
  }
  return absl::OkStatus();
}

// Where the log of each replica id begins.
absl::Status ReplicaStore::RecallPruned(const Snapshot& snapshot, PartitionId id,
                                        Partition* partition) {
  const VersionVector bases = partition->state.clock.Bases();
  for (const Dot& base : bases.entries()) {
    uint64_t first = base.counter + 1;
    const absl::Status scanned = snapshot.Scan(
        Family::kDotLog, EncodeLogKey(id, {base.replica, 1}),
        EncodeLogKey(id, {base.replica, first}), [&](std::string_view key, std::string_view) {
          if (const std::optional<LogKey> log_key = DecodeLogKey(key)) {
            first = log_key->dot.counter;
          }
          return false;
        });
    if (!scanned.ok()) return scanned;
    if (first > 1) partition->pruned.RaiseTo({base.replica, first - 1});
  }
  return absl::OkStatus();
}

absl::Status ReplicaStore::RecallRemains(const Snapshot& snapshot, PartitionId id,
                                         Partition* partition) {
  absl::Status malformed;
  const absl::Status scanned =
      snapshot.Scan(Family::kMeta, RemainsBegin(id), RemainsEnd(id),
                    [&](std::string_view key, std::string_view value) {
                      std::optional<ItemKey> item = DecodeRemainsKey(key);
                      absl::StatusOr<VersionVector> context = DecodeVersionVector(value);
                      if (!item.has_value() || !context.ok()) {
                        malformed = absl::DataLossError("remains of an item: malformed");
                        return false;
                      }
                      partition->unsettled.insert_or_assign(*std::move(item),
                                                            Unsettled{*std::move(context), true});
                      return true;
                    });
  return scanned.ok() ? malformed : scanned;
}

void ReplicaStore::BeginMove(PartitionId id, Epoch since) {
  PartitionState& state = At(id).state;
  if (state.since == since) return;
  state.since = since;
  state.filling = true;
  WriteState(id);
  gathering_needs_sync_ = true;
}

void ReplicaStore::Drop(PartitionId id) {
  const auto of_it = [&](const PendingItem* item) { return item->second.partition == id; };
  std::erase_if(dirty_items_, of_it);
  std::set<PendingItem*> pinned;
  for (const auto& [seq, item] : pending_order_) {
    if (of_it(item)) pinned.insert(item);
  }
  std::erase_if(pending_order_, [&](const auto& one) { return of_it(one.second); });
  for (PendingItem* item : pinned) {
    item->second.stored = Record{};
    records_.Release(item);  // nothing is left of it
  }
  records_.DropPartition(id);
  expiry_.Drop(id);
  unsettled_ -= At(id).unsettled.size();
  dirty_partitions_.erase(id);
  places_.erase(id);
  partitions_.erase(id);
  EraseStored(id);
}

void ReplicaStore::EraseStored(PartitionId id) {
  dropping_[id] = CommitBeside(Durability::kPeriodic, [&](WriteBatch* batch) {
    for (const Family family : {Family::kRecords, Family::kDotLog, Family::kExpiry}) {
      batch->EraseRange(family, PartitionBegin(id), PartitionEnd(id));
    }
    batch->EraseRange(Family::kMeta, RemainsBegin(id), RemainsEnd(id));
    batch->Erase(Family::kMeta, EncodeClockKey(id));
  });
}

// A partition that took little in has no state of its own yet: what it logged says it all.
absl::Status ReplicaStore::DropOthers(absl::FunctionRef<bool(PartitionId)> mine) {
  const std::unique_ptr<Snapshot> snapshot = engine_->TakeSnapshot();
  std::set<PartitionId> others;
  const auto note = [&](std::optional<PartitionId> id) {
    if (id.has_value() && mine(*id) && !Owns(*id)) others.insert(*id);
  };
  absl::Status scanned = snapshot->Scan(Family::kMeta, EncodeClockKey(PartitionId::FromValue(0)),
                                        EncodeClockKey(PartitionId::FromValue(UINT32_MAX)),
                                        [&](std::string_view key, std::string_view) {
                                          note(DecodeClockKey(key));
                                          return true;
                                        });
  if (!scanned.ok()) return scanned;
  for (const Family family : {Family::kRecords, Family::kDotLog, Family::kExpiry}) {
    std::string from;
    for (bool found = true; found;) {  // from partition to partition
      std::optional<PartitionId> next;
      scanned = snapshot->Scan(family, from, "", [&](std::string_view key, std::string_view) {
        next = PartitionOfKey(key);
        return false;
      });
      // What lies behind damage a later start finds.
      if (absl::IsDataLoss(scanned)) break;
      if (!scanned.ok()) return scanned;
      note(next);
      found = next.has_value();
      if (found) from = PartitionEnd(*next);
    }
  }
  for (PartitionId id : others) EraseStored(id);
  return absl::OkStatus();
}

ReplicaStore::Partition& ReplicaStore::At(PartitionId partition) {
  Partition* const found = Find(partition);
  GYRE_CHECK(found != nullptr, "the shard owns the partition");
  return *found;
}

const ReplicaStore::Partition& ReplicaStore::At(PartitionId partition) const {
  const Partition* const found = Find(partition);
  GYRE_CHECK(found != nullptr, "the shard owns the partition");
  return *found;
}

// ---------------------------------------------------------------------------------------- records

absl::StatusOr<std::optional<Record>> ReplicaStore::Load(const ItemKey& item) {
  const std::string& key = KeyOf(item);
  if (const RecordCache::Entry* kept = records_.Find(key); kept != nullptr) {
    return std::optional(kept->second.stored);
  }
  if (IsDropping(item.partition)) return std::optional<Record>(Record{});
  std::string bytes;
  switch (engine_->TryGet(Family::kRecords, key, &bytes)) {
    case Peek::kNeedsDisk:
      return std::optional<Record>();
    case Peek::kAbsent:
      return std::optional<Record>(Record{});
    case Peek::kFound:
      break;
  }
  absl::StatusOr<Record> record = DecodeRecord(bytes);
  if (!record.ok()) return record.status();
  records_.Keep(item, key, *record);
  return std::optional<Record>(*std::move(record));
}

std::optional<Record> ReplicaStore::AtHand(const ItemKey& item) const {
  const RecordCache::Entry* const kept = records_.Peek(KeyOf(item));
  if (kept == nullptr) return std::nullopt;
  return kept->second.stored;
}

absl::StatusOr<Record> ReplicaStore::TakeRead(const ItemKey& item,
                                              absl::StatusOr<std::string> from_disk) {
  const bool found = from_disk.ok();
  absl::StatusOr<Record> record = Decode(std::move(from_disk));
  if (found && record.ok()) records_.Keep(item, KeyOf(item), *record);
  return record;
}

const std::string& ReplicaStore::KeyOf(const ItemKey& item) const {
  key_.clear();
  AppendItemKey(item, &key_);
  return key_;
}

absl::StatusOr<Record> ReplicaStore::Decode(absl::StatusOr<std::string> from_disk) {
  if (absl::IsNotFound(from_disk.status())) return Record{};
  if (!from_disk.ok()) return from_disk.status();
  return DecodeRecord(*from_disk);
}

Record ReplicaStore::Filled(PartitionId partition, Record stored) const {
  Fill(&stored, At(partition).state.clock);
  return stored;
}

MintOutcome ReplicaStore::Mint(const ItemKey& item, Record stored, WriteIntent intent,
                               Instant now) {
  const ExpiryIndex::Moments expiring = ExpiryIndex::MomentsOf(stored);
  // Context that its clock does not say: the record reflects dots that have not come here.
  Strip(&stored, At(item.partition).state.clock);
  const bool behind = !stored.context.empty();
  Record record = Filled(item.partition, std::move(stored));
  const Minted* const known =
      intent.write.empty() ? nullptr : FindWrite(item.partition, intent.write);
  if (known != nullptr) {
    std::vector<Minted> minted = Explain(record);
    minted.push_back(*known);
    CausalContext seen =
        SeenByWriter(record, minted.back().dot, VectorOf(std::move(intent.context)));
    return {MintOutcome::Kind::kAlreadyKnown,
            std::move(record),
            std::move(seen),
            std::move(minted),
            {}};
  }
  const uint64_t stamp = NextStamp(record, now.wall_ms);
  const bool last_wins = intent.conflict == ConflictPolicy::kLastWriteWins;
  const bool replaces_all = ReplacesAll(intent);
  const bool late = now.monotonic >= intent.fresh_until && !record.versions.empty();
  if (intent.unless_behind && (behind || late) && replaces_all) {
    return {MintOutcome::Kind::kBehind, std::move(record), {}, {}, std::move(intent)};
  }
  if (intent.context.has_value()) {
    DiscardSeen(item.partition, *intent.context, &record);
  }
  if (replaces_all) record.versions.clear();  // the filled context covers them all
  if (intent.kind == WriteKind::kPut && IsFull(record, intent.value.size(), options_.limits)) {
    CausalContext all{record.context, {}};
    return {MintOutcome::Kind::kTooManySiblings, std::move(record), std::move(all), {}, {}};
  }
  Partition& partition = At(item.partition);
  if (partition.state.self == ReplicaId()) StartLife(item.partition);
  const ReplicaId self = partition.state.self;
  // A write without an idempotency key cannot be tried again, whatever its client counts.
  const Minted minted{{self, partition.state.clock.Highest(self) + 1},
                      intent.write,
                      intent.write.empty() ? 0 : intent.attempt};
  GYRE_CHECK(!record.context.Covers(minted.dot), "nobody has seen a dot before it is minted");
  AddMinted(minted.dot, last_wins ? stamp : 0, &intent, &record);
  partition.state.clock.Add(minted.dot);
  Log(item, minted);
  writes_.Add(minted);
  Store(item, record, intent.durability, expiring);
  std::vector<Minted> explained = Explain(record);
  if (intent.kind == WriteKind::kDelete) explained.push_back(minted);
  CausalContext seen = SeenByWriter(record, minted.dot, VectorOf(std::move(intent.context)));
  return {MintOutcome::Kind::kMinted, std::move(record), std::move(seen), std::move(explained), {}};
}

void ReplicaStore::DiscardSeen(PartitionId id, const CausalContext& seen, Record* record) {
  NoteSeen(id, seen.vector);
  if (seen.has_beside()) NoteSeen(id, VersionVector{seen.beside});
  gyre::DiscardSeen(seen, record);
}

void ReplicaStore::Apply(const ItemKey& item, Record stored, const Record& incoming,
                         absl::Span<const Minted> minted, Durability durability) {
  NoteSeen(item.partition, incoming.context);
  for (const Minted& one : minted) NoteSeen(item.partition, VersionVector{one.dot});
  Partition& partition = At(item.partition);
  const ExpiryIndex::Moments expiring = ExpiryIndex::MomentsOf(stored);
  Record record = Sync(Filled(item.partition, std::move(stored)), incoming);
  for (const Minted& one : minted) {
    DropSuperseded(item.partition, &record, one);
    if (partition.state.clock.Add(one.dot)) Log(item, one);
    writes_.Add(one);
  }
  Store(item, std::move(record), durability, expiring);
}

void ReplicaStore::Restore(const ItemKey& item, Record record, absl::Span<const Minted> minted) {
  NoteSeen(item.partition, record.context);
  for (const Minted& one : minted) NoteSeen(item.partition, VersionVector{one.dot});
  Partition& partition = At(item.partition);
  Fill(&record, partition.state.clock);
  for (const Minted& one : minted) {
    DropSuperseded(item.partition, &record, one);
    if (partition.state.clock.Add(one.dot)) Log(item, one);
    writes_.Add(one);
  }
  // What the damaged one had entered of expiry is erased by who finds it.
  Store(item, std::move(record), Durability::kFsync, /*expiring=*/{});
}

void ReplicaStore::Amend(const ItemKey& item, const Record& stored, Record record,
                         absl::Span<const Minted> minted) {
  for (const Minted& one : minted) writes_.Add(one);
  Store(item, std::move(record), Durability::kFsync, ExpiryIndex::MomentsOf(stored));
}

// A retry that minted again because nobody it could reach knew the first attempt replaces it, as if
// its context had covered the first attempt's dot. Every owner learns both dots with their write,
// and so comes to the same end.
void ReplicaStore::DropSuperseded(PartitionId partition, Record* record,
                                  const Minted& minted) const {
  if (minted.write.empty()) return;
  const Minted* known = FindWrite(partition, minted.write);
  if (known == nullptr || known->dot == minted.dot) return;
  const Dot loser = GivesWay(*known, minted) ? known->dot : minted.dot;
  std::erase_if(record->versions, [&](const Version& version) { return version.dot == loser; });
}

void ReplicaStore::NoteSeen(PartitionId id, const VersionVector& seen) {
  const PartitionState& state = At(id).state;
  if (state.self == ReplicaId()) return;
  if (seen.Get(state.self) > state.clock.Highest(state.self)) StartLife(id);
}

void ReplicaStore::NoteSeen(PartitionId id, const PartitionClock& seen) {
  const PartitionState& state = At(id).state;
  if (state.self == ReplicaId()) return;
  if (seen.Highest(state.self) > state.clock.Highest(state.self)) StartLife(id);
}

void ReplicaStore::EndInheritedLives() {
  for (const auto& [id, partition] : partitions_) {
    if (partition.inherited) StartLife(id);
  }
}

void ReplicaStore::BeginFilling() {
  fill_what_is_new_ = true;  // the document may have been lost as well
  for (auto& [id, partition] : partitions_) {
    partition.state.filling = true;
    WriteState(id);
  }
  gathering_needs_sync_ = true;  // who is told so is told once
}

void ReplicaStore::EndFilling(PartitionId id) {
  At(id).state.filling = false;
  WriteState(id);
}

void ReplicaStore::EndAllFilling() {
  fill_what_is_new_ = false;
  for (const auto& [id, partition] : partitions_) {
    if (partition.state.filling && partition.state.since == Epoch()) EndFilling(id);
  }
}

void ReplicaStore::StartLife(PartitionId id) {
  PartitionState& state = At(id).state;
  At(id).inherited = false;
  do {
    state.self = ReplicaId(random_.Next());
  } while (state.self == ReplicaId());
  WriteState(id);
}

void ReplicaStore::Store(const ItemKey& item, Record record, Durability durability,
                         const ExpiryIndex::Moments& expiring) {
  expiry_.OnStored(item, expiring, record, next_seq(), &gathering_);
  Strip(&record, At(item.partition).state.clock);
  gathering_bytes_ += item.key.size() + ValueBytes(record);
  PendingItem& pending = records_.Pin(item, KeyOf(item));
  pending.second.stored = std::move(record);
  if (pending.second.seq != next_seq()) {
    pending.second.seq = next_seq();
    dirty_items_.push_back(&pending);
    pending_order_.emplace_back(next_seq(), &pending);
  }
  if (durability == Durability::kFsync) gathering_needs_sync_ = true;
  Touch(item.partition);
}

void ReplicaStore::NoteUnsettled(const ItemKey& item, const Record& stored, WriteBatch* batch) {
  std::map<ItemKey, Unsettled>& unsettled = At(item.partition).unsettled;
  auto it = unsettled.find(item);
  if (it == unsettled.end()) {
    if (stored.context.empty() || unsettled_ >= options_.unsettled_items) return;
    it = unsettled.try_emplace(item).first;
    ++unsettled_;
  }
  it->second.context = stored.context;
  const bool remains = stored.versions.empty() && !stored.context.empty();
  if (remains) {
    batch->Put(Family::kMeta, EncodeRemainsKey(item), EncodeVersionVector(stored.context));
  } else if (it->second.noted) {
    batch->Erase(Family::kMeta, EncodeRemainsKey(item));
  }
  it->second.noted = remains;
  if (!stored.context.empty()) return;
  unsettled.erase(it);
  --unsettled_;
}

std::vector<ItemKey> ReplicaStore::Settleable(PartitionId id, size_t most) const {
  const Partition& partition = At(id);
  const VersionVector bases = partition.state.clock.Bases();
  std::vector<ItemKey> items;
  for (const auto& [item, unsettled] : partition.unsettled) {
    if (items.size() == most) break;
    if (bases.CoversAny(unsettled.context)) items.push_back(item);
  }
  return items;
}

void ReplicaStore::Settle(const ItemKey& item, Record stored) {
  const size_t entries = stored.context.size();
  Strip(&stored, At(item.partition).state.clock);
  if (stored.context.size() == entries) {
    // Nothing to store. What is remembered of the item may be of an earlier record, though.
    const auto it = At(item.partition).unsettled.find(item);
    if (it == At(item.partition).unsettled.end()) return;
    if (entries > 0) {
      it->second.context = stored.context;
      return;
    }
  }
  // Losing this in a power cut loses nothing: no sync.
  const ExpiryIndex::Moments expiring = ExpiryIndex::MomentsOf(stored);
  Store(item, std::move(stored), Durability::kPeriodic, expiring);
}

size_t ReplicaStore::RemoveExpired(const ExpiryKey& entry, Record stored, uint64_t time_ms) {
  const ExpiryIndex::Moments expiring = ExpiryIndex::MomentsOf(stored);
  if (!std::binary_search(expiring.begin(), expiring.end(), entry.expires_ms)) {
    CommitBeside(Durability::kPeriodic,
                 [&](WriteBatch* batch) { ExpiryIndex::Forget(entry, batch); });
    Touch(entry.item.partition);
  }
  const size_t removed = DropExpired(&stored, time_ms);
  if (removed > 0) Store(entry.item, std::move(stored), Durability::kPeriodic, expiring);
  return removed;
}

void ReplicaStore::EraseTable(PartitionId id, TableId table) {
  const std::string begin = TableBegin(id, table), end = TableEnd(id, table);
  gathering_.EraseRange(Family::kRecords, begin, end);
  unsettled_ -= std::erase_if(At(id).unsettled, [&](const auto& one) {
    if (one.first.table != table) return false;
    if (one.second.noted) gathering_.Erase(Family::kMeta, EncodeRemainsKey(one.first));
    return true;
  });
  // The items that gather are written after the range.
  for (PendingItem* pending : dirty_items_) {
    if (pending->first >= begin && pending->first < end) pending->second.stored = Record{};
  }
  records_.DropTable(table);
  WriteState(id);
}

absl::Status ReplicaStore::EraseTablesBut(absl::FunctionRef<bool(TableId)> exists) {
  const std::unique_ptr<Snapshot> snapshot = engine_->TakeSnapshot();
  for (const auto& [id, partition] : partitions_) {
    std::string from = PartitionBegin(id);
    for (bool found = true; found;) {
      found = false;
      std::optional<ItemKey> first;
      const absl::Status scanned = snapshot->Scan(Family::kRecords, from, PartitionEnd(id),
                                                  [&](std::string_view key, std::string_view) {
                                                    found = true;
                                                    first = DecodeItemKey(key);
                                                    return false;
                                                  });
      // What is damaged is served to nobody, and fetched again; what may be left there of a table
      // that is no more, a later start erases.
      if (absl::IsDataLoss(scanned)) break;
      if (!scanned.ok()) return scanned;
      if (!found) break;
      if (!first.has_value()) return absl::DataLossError("records: malformed key");
      if (!exists(first->table)) EraseTable(id, first->table);
      from = TableEnd(id, first->table);
    }
  }
  return absl::OkStatus();
}

void ReplicaStore::Log(const ItemKey& item, const Minted& minted) {
  gathering_.Build(
      Family::kDotLog, [&](std::string* out) { AppendLogKey(item.partition, minted.dot, out); },
      [&](std::string* out) {
        AppendLogEntry(item.table, item.key, minted.write, minted.attempt, out);
      });
  if (++At(item.partition).logged >= kDotsBesideState) WriteState(item.partition);
}

void ReplicaStore::Touch(PartitionId partition) { At(partition).last_change = next_seq(); }

void ReplicaStore::WriteState(PartitionId partition) {
  dirty_partitions_.insert(partition);
  Touch(partition);
}

// ---------------------------------------------------------------------------------- idempotency

std::vector<Minted> ReplicaStore::Explain(const Record& record) const {
  std::vector<Minted> minted;
  minted.reserve(record.versions.size() + 1);
  for (const Version& version : record.versions) {
    const Minted* const known = writes_.Find(version.dot);
    minted.push_back(known == nullptr ? Minted{version.dot, {}, 0} : *known);
  }
  return minted;
}

// ----------------------------------------------------------------------------------------- clocks

void ReplicaStore::JoinBases(PartitionId id, const VersionVector& bases) {
  NoteSeen(id, bases);
  Partition& partition = At(id);
  PartitionClock joined = partition.state.clock;
  joined.JoinBases(bases);
  if (joined == partition.state.clock) return;
  partition.state.clock = std::move(joined);
  WriteState(id);
}

void ReplicaStore::TakeOver(const ItemKey& item, const Minted& minted) {
  NoteSeen(item.partition, VersionVector({{minted.dot.replica, minted.dot.counter}}));
  if (!At(item.partition).state.clock.Add(minted.dot)) return;
  Log(item, minted);
  WriteState(item.partition);
  writes_.Add(minted);
}

void ReplicaStore::JoinAll(PartitionId id, const PartitionClock& clock) {
  NoteSeen(id, clock);
  Partition& partition = At(id);
  PartitionClock joined = partition.state.clock;
  joined.JoinAll(clock);
  if (joined == partition.state.clock) return;
  partition.state.clock = std::move(joined);
  WriteState(id);
}

void ReplicaStore::OnReport(PartitionId id, NodeId owner, const VersionVector& bases,
                            absl::Span<const NodeId> other_owners, Time now) {
  Partition& partition = At(id);
  partition.reports[owner] = bases;
  VersionVector low = partition.state.clock.Bases();
  for (NodeId other : other_owners) {
    auto report = partition.reports.find(other);
    if (report == partition.reports.end()) return;
    VersionVector meet;
    for (const auto& entry : low.entries()) {
      const uint64_t counter = std::min(entry.counter, report->second.Get(entry.replica));
      if (counter > 0) meet.RaiseTo({entry.replica, counter});
    }
    low = std::move(meet);
  }
  PruneLog(id, low, now);
}

void ReplicaStore::PruneLog(PartitionId id, const VersionVector& low, Time now) {
  Partition& partition = At(id);
  if (now >= partition.seen_turn) {
    partition.seen_turn = now + options_.log_age;
    partition.seen_before = std::exchange(partition.seen_lately, low);
  }
  for (const auto& entry : low.entries()) {
    const uint64_t pruned = partition.pruned.Get(entry.replica);
    // An owner that lost its state since then is not to miss what it had.
    uint64_t last = std::min(partition.seen_before.Get(entry.replica), entry.counter);
    if (entry.counter >= pruned + 2 * options_.log_kept) {
      last = std::max(last, entry.counter - options_.log_kept);
    }
    if (last > pruned) DropLog(id, entry.replica, last);
  }
}

uint64_t ReplicaStore::BoundLog(PartitionId id) {
  const Partition& partition = At(id);
  uint64_t dropped = 0;
  const VersionVector bases = partition.state.clock.Bases();
  for (const Dot& base : bases.entries()) {
    const uint64_t pruned = partition.pruned.Get(base.replica);
    if (base.counter < pruned + options_.log_most + options_.log_kept) continue;
    const uint64_t last = base.counter - options_.log_most;
    dropped += last - pruned;
    DropLog(id, base.replica, last);
  }
  return dropped;
}

void ReplicaStore::DropLog(PartitionId id, ReplicaId replica, uint64_t last) {
  Partition& partition = At(id);
  const uint64_t first = partition.pruned.Get(replica) + 1;
  gathering_.EraseRange(Family::kDotLog, EncodeLogKey(id, {replica, first}),
                        EncodeLogKey(id, {replica, last + 1}));
  partition.pruned.RaiseTo({replica, last});
  WriteState(id);  // what the log has told so far
}

void ReplicaStore::ForgetReports(NodeId owner) {
  for (auto& [id, partition] : partitions_) partition.reports.erase(owner);
}

std::optional<VersionVector> ReplicaStore::DurableBases(PartitionId id) const {
  const Partition& partition = At(id);
  if (partition.last_change > last_synced_) return std::nullopt;
  return partition.state.clock.Bases();
}

void ReplicaStore::ForEachClock(
    absl::FunctionRef<void(PartitionId, ReplicaId, const PartitionClock&)> visit) const {
  for (const auto& [id, partition] : partitions_) {
    visit(id, partition.state.self, partition.state.clock);
  }
}

// ---------------------------------------------------------------------------------------- commits

CommitSeq ReplicaStore::CommitBeside(Durability durability,
                                     absl::FunctionRef<void(WriteBatch*)> add) {
  const size_t before = gathering_.size_bytes();
  add(&gathering_);
  const size_t bytes = gathering_.size_bytes() - before;
  beside_bytes_ += bytes;
  gathering_bytes_ += bytes;
  if (durability == Durability::kFsync && bytes > 0) gathering_needs_sync_ = true;
  return next_seq();
}

Commit ReplicaStore::TakeCommit() {
  GYRE_CHECK(!busy_, "one commit at a time");
  Commit commit;
  commit.seq = ++taken_;
  commit.batch = std::exchange(gathering_, {});
  in_flight_bytes_ = std::exchange(gathering_bytes_, 0);
  // In the order of their keys each finds its place in the memtable beside the one before it.
  std::sort(dirty_items_.begin(), dirty_items_.end(),
            [](const PendingItem* a, const PendingItem* b) { return a->first < b->first; });
  for (auto* pending : dirty_items_) {
    const std::string& key = pending->first;
    RecordCache::Kept& item = pending->second;
    const Partition& partition = At(item.partition);
    Strip(&item.stored, partition.state.clock);
    if (!item.stored.context.empty() || !partition.unsettled.empty()) {
      NoteUnsettled(*DecodeItemKey(key), item.stored, &commit.batch);
    }
    if (Erasable(item.stored)) {
      commit.batch.Erase(Family::kRecords, key);
    } else {
      commit.batch.Build(
          Family::kRecords, [&](std::string* out) { out->append(key); },
          [&](std::string* out) { AppendRecord(item.stored, out); });
    }
  }
  for (PartitionId id : dirty_partitions_) {
    Partition& partition = At(id);
    commit.batch.Put(Family::kMeta, EncodeClockKey(id), EncodePartitionState(partition.state));
    partition.logged = 0;
  }
  if (commit.batch.size_bytes() <= kReservedBytes) gathering_.ReserveLike(commit.batch);
  commit.sync = gathering_needs_sync_ ? WalSync::kYes : WalSync::kNo;
  dirty_items_.clear();
  dirty_partitions_.clear();
  gathering_needs_sync_ = false;
  beside_bytes_ = 0;
  busy_ = true;
  in_flight_ = {commit.seq, {}, commit.sync};
  return commit;
}

Commit ReplicaStore::TakeSync() {
  gathering_needs_sync_ = true;
  return TakeCommit();
}

void ReplicaStore::OnCommitted(CommitSeq seq) {
  GYRE_CHECK(busy_ && seq == in_flight_.seq, "commits end in the order in which they were taken");
  busy_ = false;
  in_flight_bytes_ = 0;
  durable_ = seq;
  if (in_flight_.sync == WalSync::kYes) {
    last_synced_ = seq;
  } else {
    last_unsynced_ = seq;
  }
  while (!pending_order_.empty() && pending_order_.front().first <= seq) {
    PendingItem* const pending = pending_order_.front().second;
    pending_order_.pop_front();
    if (pending->second.seq <= seq) records_.Release(pending);
  }
  std::erase_if(dropping_, [&](const auto& one) { return one.second <= seq; });
}

}  // namespace gyre
