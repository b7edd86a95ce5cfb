// RecordCache: the decoded records that one shard keeps in memory, by the key under which they are
// stored. An entry is either *pinned*, for it says more than the engine holds, or *clean*, for it
// says the same. The pinned ones all stay; of the clean ones those that were used last, up to a
// budget of bytes.
//
//   RecordCache cache(budget_bytes);
//   if (const RecordCache::Entry* entry = cache.Find(key)) return entry->second.stored;
//   cache.Keep(item, key, record);                      // as the engine holds it
//   RecordCache::Entry& entry = cache.Pin(item, key);   // it is about to change
//   entry.second.stored = changed;
//   cache.Release(&entry);                              // the engine holds it now
//
// Always: the clean entries take no more bytes than the budget; what is clean is what its caller
// said the engine holds. That an item has no record is not remembered. Whoever uses a record makes
// it the newest, repair too: a node that is refilled keeps what came last.
//
// Thread rule: one thread. An entry stays where it is while it is pinned; a clean one until the
// next call that is not Find or Peek.

#ifndef GYRE_STORAGE_RECORD_CACHE_H_
#define GYRE_STORAGE_RECORD_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/functional/function_ref.h"
#include "ring/ids.h"
#include "storage/keys.h"
#include "storage/version/record.h"

namespace gyre {

class RecordCache {
 public:
  class Kept;
  using Entry = std::pair<const std::string, Kept>;  // by the item's key in the store

  class Kept {
   public:
    Kept(PartitionId of, TableId in) : partition(of), table(in) {}

    const PartitionId partition;
    const TableId table;
    Record stored;
    uint64_t seq = 0;  // for who pins it: the newest commit that changes it

   private:
    friend class RecordCache;
    size_t bytes = 0;        // that it is charged with; 0: pinned
    Entry* newer = nullptr;  // of the clean ones
    Entry* older = nullptr;
  };

  // Bytes for what is clean; 0: nothing clean is kept. What is pinned is its pinner's to bound.
  explicit RecordCache(size_t budget_bytes) : budget_bytes_(budget_bytes) {}
  RecordCache(const RecordCache&) = delete;
  RecordCache& operator=(const RecordCache&) = delete;

  // The item's entry, which has been used just now, or null. Counted.
  const Entry* Find(const std::string& key);
  // The same, neither counted nor used.
  const Entry* Peek(const std::string& key) const;

  // The item's entry, made where there is none, and pinned.
  Entry& Pin(const ItemKey& item, const std::string& key);
  // What a pinned entry says is what the engine holds: it is clean from now on, or leaves: where
  // nothing is left of the record, or Keep would not take it. REQUIRES: pinned.
  void Release(Entry* entry);

  // Enters what the engine holds, clean. Does nothing where there is an entry, where the record is
  // larger than a sixteenth of the budget, which would drive out too many others, or where its
  // table was dropped.
  void Keep(const ItemKey& item, const std::string& key, const Record& stored);

  // Of a table, whose id no other will have, nothing clean is found any more, and nothing is kept:
  // when it is erased the engine may still answer what it held. What there was leaves with age.
  void DropTable(TableId table) { dropped_.insert(table); }

  // Nothing clean of the partition is kept. Looks at all that is.
  void DropPartition(PartitionId partition);

  struct Figures {
    uint64_t hits = 0;       // of Find, since start, and so are the next two
    uint64_t misses = 0;     // the same
    uint64_t evictions = 0;  // clean entries that left for others
    size_t bytes = 0;        // of the clean entries, now
  };
  const Figures& figures() const { return figures_; }
  size_t budget_bytes() const { return budget_bytes_; }

  // Visits the clean entries, but those of dropped tables, the one that was used last first.
  void ForEachClean(absl::FunctionRef<void(const Entry&)> visit) const;

  // What a clean entry is charged with: key, values and context, and what holds them together.
  static size_t Charge(const std::string& key, const Record& stored);

 private:
  bool IsGone(const Entry& entry) const;  // clean, of a dropped table
  bool Takes(TableId table, size_t bytes) const;
  void Link(Entry* entry, size_t bytes);  // as the newest; what the budget does not hold leaves
  void Unlink(Entry* entry);
  void Erase(Entry* entry);

  const size_t budget_bytes_;
  Figures figures_;
  absl::node_hash_map<std::string, Kept> entries_;  // never iterated
  Entry* newest_ = nullptr;
  Entry* oldest_ = nullptr;
  absl::flat_hash_set<TableId> dropped_;  // at most one for each id; never iterated
};

}  // namespace gyre

#endif  // GYRE_STORAGE_RECORD_CACHE_H_
