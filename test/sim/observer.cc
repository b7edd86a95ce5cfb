#include "test/sim/observer.h"

#include "storage/hint_log.h"
#include "storage/partition_state.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

std::string Name(Dot dot) {
  return "(" + std::to_string(dot.replica.value()) + ", " + std::to_string(dot.counter) + ")";
}

}  // namespace

std::optional<std::string> Observer::SeeDot(PartitionId partition, Dot dot, const ItemKey& item,
                                            EventId event) {
  auto [it, first] = dots_[partition].try_emplace(dot, Seen{item, event});
  Seen& seen = it->second;
  if (event != 0 && (first || seen.event == 0)) {
    auto [known, new_event] = first_dots_.try_emplace(event, dot);
    if (!new_event && known->second != dot) {
      if (known->second.replica == dot.replica) {
        return "event " + std::to_string(event) + " of " + item.key + " minted twice by one owner";
      }
      const Table& table = tables_.at(item.table);
      if (table.history != nullptr) table.history->OnMintedAgain({table.name, item.key}, event);
    }
  }
  if (first) return std::nullopt;
  if (seen.item != item) {
    return "dot " + Name(dot) + " minted twice: for " + seen.item.key + " and " + item.key;
  }
  if (seen.event == 0) seen.event = event;
  if (event != 0 && seen.event != event) {
    return "dot " + Name(dot) + " minted twice: for events " + std::to_string(seen.event) +
           " and " + std::to_string(event) + " of " + item.key;
  }
  return std::nullopt;
}

void Observer::OnPowerCut(int node, Time synced, Time cut) {
  for (auto& [id, table] : tables_) {
    if (table.history != nullptr && !table.durable) table.history->OnPowerCut(node, synced, cut);
  }
}

void Observer::OnClocksApart() {
  for (auto& [id, table] : tables_) {
    if (table.history != nullptr) table.history->OnClocksApart();
  }
}

std::optional<std::string> Observer::OnBatch(const WriteBatch& batch) {
  for (const WriteBatch::Change& change : batch.changes()) {
    if (change.kind != WriteBatch::Kind::kPut) continue;
    if (change.family == Family::kDotLog) {
      const std::optional<LogKey> key = DecodeLogKey(change.key);
      absl::StatusOr<LogEntry> entry = DecodeLogEntry(change.value);
      if (!key.has_value() || !entry.ok()) return "malformed dot-log entry";
      const ItemKey item{key->partition, entry->table, entry->key};
      if (auto wrong = SeeDot(key->partition, key->dot, item, entry->write.high)) return wrong;
    } else if (change.family == Family::kRecords) {
      const std::optional<ItemKey> item = DecodeItemKey(change.key);
      absl::StatusOr<Record> record = DecodeRecord(change.value);
      if (!item.has_value() || !record.ok()) return "malformed record";
      auto table = tables_.find(item->table);
      const bool judged = table != tables_.end() && table->second.history != nullptr;
      for (const Version& version : record->versions) {
        const EventId event = judged ? History::EventOf(version.value) : 0;
        if (auto wrong = SeeDot(item->partition, version.dot, *item, event)) return wrong;
      }
    } else if (change.family == Family::kHints) {
      // What a guest mints is in nobody's log yet.
      absl::StatusOr<KeptHint> hint = DecodeHint(change.key, change.value);
      if (!hint.ok()) return "malformed hint";
      const ItemKey& item = hint->key.item;
      for (const Minted& minted : hint->minted) {
        if (auto wrong = SeeDot(item.partition, minted.dot, item, minted.write.high)) return wrong;
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> Observer::JudgeClaims(PartitionId partition, const PartitionClock& clock,
                                                 const LoadFn& load) const {
  auto dots = dots_.find(partition);
  if (dots == dots_.end()) return std::nullopt;
  std::map<ItemKey, std::set<EventId>> claimed;
  for (const auto& [dot, seen] : dots->second) {
    if (seen.event != 0 && clock.Contains(dot)) claimed[seen.item].insert(seen.event);
  }
  for (const auto& [item, events] : claimed) {
    auto table = tables_.find(item.table);
    if (table == tables_.end() || table->second.history == nullptr) continue;
    const std::optional<Record> stored = load(item);
    if (!stored.has_value()) continue;
    std::set<EventId> shown;
    for (const Version& version : stored->versions) {
      shown.insert(History::EventOf(version.value));
    }
    auto wrong = table->second.history->JudgeEffects({table->second.name, item.key}, events, shown);
    if (wrong.has_value()) return item.key + ": " + *wrong;
  }
  return std::nullopt;
}

std::set<ItemKey> Observer::Items(PartitionId partition) const {
  std::set<ItemKey> items;
  if (auto dots = dots_.find(partition); dots != dots_.end()) {
    for (const auto& [dot, seen] : dots->second) items.insert(seen.item);
  }
  return items;
}

std::vector<Dot> Observer::Dots(const ItemKey& item) const {
  std::vector<Dot> seen;
  if (auto dots = dots_.find(item.partition); dots != dots_.end()) {
    for (const auto& [dot, what] : dots->second) {
      if (what.item == item) seen.push_back(dot);
    }
  }
  return seen;
}

std::vector<Dot> Observer::Dots(PartitionId partition) const {
  std::vector<Dot> seen;
  if (auto dots = dots_.find(partition); dots != dots_.end()) {
    for (const auto& [dot, what] : dots->second) seen.push_back(dot);
  }
  return seen;
}

}  // namespace gyre
