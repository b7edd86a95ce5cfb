// What a SimCluster judges of its nodes (docs/testing.md, "What is judged").

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ring/check.h"
#include "storage/partition_state.h"
#include "storage/version/version_codec.h"
#include "test/sim/sim_cluster.h"

namespace gyre {

void SimCluster::Violate(std::string what) {
  Trace("VIOLATION " + what);
  if (!violation_.has_value()) violation_ = std::move(what);
}

void SimCluster::JudgeClaims() {
  for (SimNode& node : nodes_) {
    if (node.node == nullptr) continue;
    const std::unique_ptr<MemoryEngine> written = node.engine->Copy();  // damaged or not
    const std::unique_ptr<Snapshot> snapshot = written->TakeSnapshot();
    const auto load = [&](const ItemKey& item) -> std::optional<Record> {
      const absl::StatusOr<std::string> stored =
          snapshot->Get(Family::kRecords, EncodeItemKey(item));
      if (stored.ok() && MemoryEngine::IsGarbled(*stored)) return std::nullopt;
      absl::StatusOr<Record> read = ReplicaStore::Decode(stored);
      if (!read.ok()) Violate("a record cannot be read");
      return read.value_or(Record{});
    };
    for (PartitionId id : node.node->control().view()->KeptBy(node.id)) {
      const absl::StatusOr<PartitionState> state = ReadPartitionState(*snapshot, id);
      if (!state.ok()) return Violate("a partition's state cannot be read");
      if (auto wrong = observer_.JudgeClaims(id, state->clock, load)) {
        Violate(NodeName(node.id) + " claims too much: " + *wrong);
      }
    }
  }
}

void SimCluster::JudgeKept() {
  for (SimNode& node : nodes_) {
    if (node.node == nullptr) continue;
    for (int shard = 0; shard < options_.shards; ++shard) {
      node.node->shard(shard).store().cache().ForEachClean([&](const RecordCache::Entry& kept) {
        const absl::StatusOr<std::string> stored = node.engine->Get(Family::kRecords, kept.first);
        if (absl::IsDataLoss(stored.status()) && node.engine->damaged() > 0) return;
        if (stored.ok() && MemoryEngine::IsGarbled(*stored)) return;
        const absl::StatusOr<Record> held = ReplicaStore::Decode(stored);
        if (!held.ok() || *held != kept.second.stored) {
          Violate(NodeName(node.id) + " keeps what its store does not hold of " +
                  DecodeItemKey(kept.first)->key);
        }
      });
    }
  }
}

void SimCluster::JudgeConvergence() {
  std::shared_ptr<const View> first;
  for (const SimNode& node : nodes_) {
    if (!TakesPart(node)) continue;
    const std::shared_ptr<const View>& its = node.node->control().view();
    if (first == nullptr) first = its;
    if (its->epoch() != first->epoch()) return Violate("nodes serve under different epochs");
  }
  const View& view = *first;
  std::set<PartitionId> partitions;
  for (SimNode& node : nodes_) {
    for (PartitionId id : view.OwnedBy(node.id)) partitions.insert(id);
  }
  for (PartitionId id : partitions) {
    JudgeSameClocks(view, id);
    for (const ItemKey& item : observer_.Items(id)) JudgeSameRecord(view, item);
  }
}

void SimCluster::JudgePlaced() {
  const std::shared_ptr<const View> newest = NewestView();
  if (newest == nullptr) return Violate("no member is up");
  if (!AtRest()) {
    const View& view = *newest;
    for (const Move& move : view.topology().moves) {
      return Violate("partition " + std::to_string(move.partition.slice()) +
                     " is still on its way from " + NodeName(move.from) + " to " +
                     NodeName(move.to) +
                     (move.step == MoveStep::kFilling ? ", filling" : ", switched"));
    }
    return Violate(std::to_string(MakePlan(view.topology()).moves) + " are still to move");
  }
  for (const Member& member : newest->topology().members) {
    if (!up(IndexOf(member.id))) return Violate(member.name + " is a member and has ended");
  }
  for (const SimNode& node : nodes_) {
    if (node.node == nullptr) continue;
    const std::shared_ptr<const View>& view = node.node->control().view();
    const std::unique_ptr<MemoryEngine> written = node.engine->Copy();  // damaged or not
    const std::unique_ptr<Snapshot> snapshot = written->TakeSnapshot();
    std::set<PartitionId> held;
    const auto hold = [&](std::string_view key, std::string_view) {
      if (const std::optional<ItemKey> item = DecodeItemKey(key)) held.insert(item->partition);
      return true;
    };
    const auto hold_state = [&](std::string_view key, std::string_view) {
      if (const std::optional<PartitionId> id = DecodeClockKey(key)) held.insert(*id);
      return true;
    };
    if (!snapshot->Scan(Family::kRecords, "", "", hold).ok() ||
        !snapshot->Scan(Family::kMeta, "", "", hold_state).ok()) {
      return Violate("a store cannot be scanned");
    }
    for (PartitionId id : held) {
      if (view->IsOwner(id, node.id)) continue;
      return Violate(NodeName(node.id) + " still holds partition " + std::to_string(id.slice()));
    }
    for (PartitionId id : view->OwnedBy(node.id)) {
      const ReplicaStore& store = StoreOf(node.id, id);
      if (!store.Owns(id) || store.Filling(id)) {
        return Violate(NodeName(node.id) + " is not filled with what it owns");
      }
    }
  }
}

void SimCluster::JudgeHandedOver() {
  for (const SimNode& node : nodes_) {
    if (IsOutside(node)) continue;
    const uint64_t hints = node.engine->EstimateKeys(Family::kHints);
    if (hints == 0) continue;
    std::string of;
    const absl::Status scanned = node.engine->TakeSnapshot()->Scan(
        Family::kHints, "", "", [&](std::string_view key, std::string_view) {
          if (const std::optional<HintKey> hint = DecodeHintKey(key)) {
            of = "for " + NodeName(hint->owner) + ", of partition " +
                 std::to_string(hint->item.partition.slice());
          }
          return false;
        });
    if (!scanned.ok()) return Violate("hints cannot be scanned");
    return Violate(NodeName(node.id) + " still keeps " + std::to_string(hints) + " hints, one " +
                   of);
  }
}

void SimCluster::JudgeSwept() {
  for (const SimNode& node : nodes_) {
    if (!IsOutside(node)) JudgeSwept(node);
  }
}

void SimCluster::JudgeSwept(const SimNode& node) {
  const std::optional<uint64_t> time_ms = node.node->shard(0).TimeMs(NowAt(node));
  if (!time_ms.has_value()) return Violate(NodeName(node.id) + " does not know the time");
  const auto long_ago_ms =
      static_cast<uint64_t>((options_.expiry_margin + Duration::Seconds(15)).millis());
  const std::unique_ptr<Snapshot> snapshot = node.engine->TakeSnapshot();
  // What a damaged record had entered goes when its time comes.
  const bool some_damaged = Figures().mended > 0;
  absl::Status scanned =
      snapshot->Scan(Family::kRecords, "", "", [&](std::string_view key, std::string_view value) {
        const std::optional<ItemKey> item = DecodeItemKey(key);
        const absl::StatusOr<Record> record = DecodeRecord(value);
        if (!record.ok()) {
          Violate(NodeName(node.id) + " holds a damaged record of " + item->key);
          return false;
        }
        for (const uint64_t moment : ExpiryIndex::MomentsOf(*record)) {
          if (moment + long_ago_ms < *time_ms) {
            Violate(NodeName(node.id) + " still holds what expired of " + item->key);
          }
          const std::string entry = EncodeExpiryKey({moment, *item});
          if (!snapshot->Get(Family::kExpiry, entry).ok()) {
            Violate(NodeName(node.id) + " would never remove what expires of " + item->key);
          }
        }
        return true;
      });
  if (scanned.ok()) {
    scanned = snapshot->Scan(Family::kExpiry, "", "", [&](std::string_view key, std::string_view) {
      const ExpiryKey entry = *DecodeExpiryKey(key);
      const absl::StatusOr<Record> record =
          ReplicaStore::Decode(snapshot->Get(Family::kRecords, EncodeItemKey(entry.item)));
      const ExpiryIndex::Moments moments =
          record.ok() ? ExpiryIndex::MomentsOf(*record) : ExpiryIndex::Moments();
      const bool is_there = std::binary_search(moments.begin(), moments.end(), entry.expires_ms);
      const bool may_wait = some_damaged && entry.expires_ms + long_ago_ms >= *time_ms;
      if (!is_there && !may_wait) {
        Violate(NodeName(node.id) + " has entered what is not there of " + entry.item.key);
      }
      return true;
    });
  }
  if (!scanned.ok()) Violate("a store cannot be scanned");
}

void SimCluster::JudgeLiveness() {
  for (SimNode& node : nodes_) {
    if (IsOutside(node)) continue;
    for (const SimNode& other : nodes_) {
      if (other.id == node.id || IsOutside(other)) continue;
      const Liveness liveness = node.node->membership().LivenessOf(other.id);
      if (liveness == Liveness::kAlive) continue;
      Violate(NodeName(node.id) + " takes " + NodeName(other.id) + " for " +
              LivenessName(liveness) + " though all is healed");
    }
  }
}

void SimCluster::JudgeSameClocks(const View& view, PartitionId id) {
  const ReplicaStore* first = nullptr;
  for (NodeId owner : view.Owners(id)) {
    const ReplicaStore& store = StoreOf(owner, id);
    if (first == nullptr) first = &store;
    if (store.Clock(id) != first->Clock(id)) {
      return Violate("owners of slice " + std::to_string(id.slice()) + " have different clocks");
    }
  }
}

void SimCluster::JudgeSameRecord(const View& view, const ItemKey& item) {
  const std::string key = EncodeItemKey(item);
  std::optional<Record> first;
  for (NodeId owner : view.Owners(item.partition)) {
    const SimNode& node = nodes_[IndexOf(owner)];
    const PartitionClock& clock = StoreOf(owner, item.partition).Clock(item.partition);
    absl::StatusOr<Record> stored = ReplicaStore::Decode(node.engine->Get(Family::kRecords, key));
    if (!stored.ok()) return Violate("a record cannot be read");
    Record stripped = *stored;
    Strip(&stripped, clock);
    // A restart forgets which records are still to be settled, but for those of which nothing else
    // is left; the next write of the item does it.
    if (stripped != *stored && (stored->versions.empty() || node.stored.contains(key))) {
      return Violate(NodeName(owner) + " keeps what its clock says by now with " + item.key);
    }
    // What has expired each owner removes in its own time; and whose time was far from the others',
    // it may have removed what they still have.
    const auto skew_ms = static_cast<uint64_t>(History::kSkew.millis());
    const uint64_t time_ms = node.node->shard(0).TimeMs(NowAt(node)).value_or(0);
    DropExpired(&*stored, TimesApart() > History::kSkew ? UINT64_MAX : time_ms + skew_ms);
    Fill(&*stored, clock);
    if (!first.has_value()) first = *stored;
    // Of dots that only a lost disk had, some records' contexts still tell, and no clock ever will.
    if (disk_lost_) stored->context = first->context;
    if (*first != *stored) return Violate("owners hold different records of " + item.key);
  }
}

const ReplicaStore& SimCluster::StoreOf(NodeId owner, PartitionId partition) {
  Node& node = *nodes_[IndexOf(owner)].node;
  return node.shard(node.ShardOf(partition)).store();
}

std::vector<std::string> SimCluster::Settled(const std::string& table, const std::string& key) {
  const std::shared_ptr<const View> newest = NewestView();
  GYRE_CHECK(newest != nullptr, "all is healed");
  const View& view = *newest;
  const TableSpec* spec = view.FindTable(table);
  GYRE_CHECK(spec != nullptr, "workloads read their own tables");
  const PartitionId partition = view.Locate(*spec, key);
  SimNode& node = nodes_[IndexOf(view.Owners(partition).front())];
  absl::StatusOr<Record> record = ReplicaStore::Decode(
      node.engine->Get(Family::kRecords, EncodeItemKey({partition, spec->id, key})));
  std::vector<std::string> values;
  if (!record.ok()) return values;
  DropExpired(&*record, node.node->shard(0).TimeMs(NowAt(node)).value_or(0));
  KeepLast(&*record);
  for (const Version& version : record->versions) values.emplace_back(version.value);
  return values;
}

}  // namespace gyre
