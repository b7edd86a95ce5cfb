#include "storage/record_cache.h"

#include "ring/check.h"
#include "storage/version/dot.h"

namespace gyre {
namespace {

// For which the budget has room at least: a larger one costs more others than it saves reads.
constexpr size_t kLeastRecords = 16;

// What the allocator gives for an entry beside key and values, and for each version beside its
// value, as measured with Debian's: node, hash slot, version list; counted string.
constexpr size_t kEntryBytes = 216;
constexpr size_t kVersionBytes = 112;

}  // namespace

size_t RecordCache::Charge(const std::string& key, const Record& stored) {
  return kEntryBytes + key.size() + stored.versions.size() * kVersionBytes + ValueBytes(stored) +
         stored.context.size() * sizeof(Dot);
}

const RecordCache::Entry* RecordCache::Find(const std::string& key) {
  Entry* const entry = const_cast<Entry*>(Peek(key));
  if (entry == nullptr) {
    ++figures_.misses;
    return nullptr;
  }
  ++figures_.hits;
  const size_t bytes = entry->second.bytes;
  if (bytes > 0 && entry != newest_) {
    Unlink(entry);
    Link(entry, bytes);
  }
  return entry;
}

const RecordCache::Entry* RecordCache::Peek(const std::string& key) const {
  const auto it = entries_.find(key);
  return it == entries_.end() || IsGone(*it) ? nullptr : &*it;
}

RecordCache::Entry& RecordCache::Pin(const ItemKey& item, const std::string& key) {
  Entry& entry = *entries_.try_emplace(key, item.partition, item.table).first;
  if (entry.second.bytes > 0) Unlink(&entry);
  return entry;
}

void RecordCache::Release(Entry* entry) {
  GYRE_CHECK(entry->second.bytes == 0, "only what is pinned is released");
  Record& stored = entry->second.stored;
  const size_t bytes = Charge(entry->first, stored);
  if (Erasable(stored) || !Takes(entry->second.table, bytes)) return Erase(entry);
  // Room for siblings and context that are gone is not charged.
  stored.versions.shrink_to_fit();
  stored.context.ShrinkToFit();
  Link(entry, bytes);
}

void RecordCache::Keep(const ItemKey& item, const std::string& key, const Record& stored) {
  const size_t bytes = Charge(key, stored);
  if (!Takes(item.table, bytes)) return;
  const auto [it, added] = entries_.try_emplace(key, item.partition, item.table);
  if (!added) return;
  it->second.stored = stored;
  Link(&*it, bytes);
}

void RecordCache::ForEachClean(absl::FunctionRef<void(const Entry&)> visit) const {
  for (const Entry* entry = newest_; entry != nullptr; entry = entry->second.older) {
    if (!IsGone(*entry)) visit(*entry);
  }
}

void RecordCache::DropPartition(PartitionId partition) {
  for (Entry* entry = newest_; entry != nullptr;) {
    Entry* const next = entry->second.older;
    if (entry->second.partition == partition) {
      Unlink(entry);
      Erase(entry);
    }
    entry = next;
  }
}

bool RecordCache::IsGone(const Entry& entry) const {
  return entry.second.bytes > 0 && dropped_.contains(entry.second.table);
}

bool RecordCache::Takes(TableId table, size_t bytes) const {
  return bytes <= budget_bytes_ / kLeastRecords && !dropped_.contains(table);
}

void RecordCache::Link(Entry* entry, size_t bytes) {
  entry->second.bytes = bytes;
  entry->second.newer = nullptr;
  entry->second.older = newest_;
  (newest_ == nullptr ? oldest_ : newest_->second.newer) = entry;
  newest_ = entry;
  figures_.bytes += bytes;
  while (figures_.bytes > budget_bytes_) {
    Entry* const last = oldest_;
    Unlink(last);
    Erase(last);
    ++figures_.evictions;
  }
}

void RecordCache::Unlink(Entry* entry) {
  Kept& kept = entry->second;
  (kept.newer == nullptr ? newest_ : kept.newer->second.older) = kept.older;
  (kept.older == nullptr ? oldest_ : kept.older->second.newer) = kept.newer;
  figures_.bytes -= kept.bytes;
  kept.bytes = 0;
}

void RecordCache::Erase(Entry* entry) { entries_.erase(entries_.find(entry->first)); }

}  // namespace gyre
