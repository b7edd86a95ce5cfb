// ExpiryIndex: which versions expire when, so that they are removed from the disk without anybody
// reading them. In the store there is an entry for each item and moment at which one of its
// versions expires (family kExpiry), written in the batch of the record; in memory, for each
// partition, a moment before which nothing of it expires. Records without such versions cost
// nothing.
//
//   ExpiryIndex index;
//   auto first = ScanExpired(snapshot, {partition});            // for each partition
//   index.End(partition, first->next_ms);
//   index.OnStored(item, before, record, seq, &batch);          // with every record that is stored
//   auto due = index.Next();                                    // nothing expires before that
//   auto scan = index.Begin(due->partition, now_ms, most, durable);
//   auto page = ScanExpired(snapshot, scan);                    // off the thread
//   index.End(scan.partition, page->next_ms);
//
// Always: an entry that is stored is of a moment at or after what Next says of its partition, but
// for those that a look was handed and could not remove, until they are put back. A version that
// expires has an entry; an entry without a version (of a table that was dropped) is erased by who
// finds it (Forget).
//
// Thread rule: one thread, but for ScanExpired, which is pure but for its snapshot.

#ifndef GYRE_STORAGE_EXPIRY_INDEX_H_
#define GYRE_STORAGE_EXPIRY_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/version/record.h"
#include "storage/write_batch.h"

namespace gyre {

// What to read of a partition: entries of up to `by_ms`, `most` of them, behind `after` where that
// is given.
struct ExpiryScan {
  PartitionId partition;
  uint64_t by_ms = 0;
  size_t most = 0;
  std::optional<ExpiryKey> after = {};
};
struct ExpiryPage {
  std::vector<ExpiryKey> due;  // in the order of their moments
  uint64_t next_ms = 0;        // of the first entry behind these; 0: there is none
};

class ExpiryIndex {
 public:
  // Moments at which versions of one record expire, ascending, each once; of most records none.
  using Moments = std::vector<uint64_t>;
  static Moments MomentsOf(const Record& record);

  // A record takes the place of one whose versions expired at `before`, in the commit `seq`, whose
  // batch this is.
  void OnStored(const ItemKey& item, const Moments& before, const Record& record, uint64_t seq,
                WriteBatch* batch);
  // Erases an entry for which there is no version.
  static void Forget(const ExpiryKey& key, WriteBatch* batch);

  struct Due {
    uint64_t expires_ms = 0;
    PartitionId partition;
  };
  // The partition of which something expires first, and not before when.
  std::optional<Due> Next() const;

  // A look at the store as of the commit `durable` begins; and has ended: `next_ms` as of the page.
  // The first look at a partition is one at everything, of which nothing is asked for, and ends
  // without a Begin. REQUIRES: one of a partition at a time.
  ExpiryScan Begin(PartitionId partition, uint64_t by_ms, size_t most, uint64_t durable);
  void End(PartitionId partition, uint64_t next_ms);
  // Nothing of the partition expires any more. No look at it may be under way.
  void Drop(PartitionId partition);
  // Entries of this moment and later are still there, though a look that has ended met them, or
  // failed.
  void PutBack(PartitionId partition, uint64_t expires_ms);

 private:
  static constexpr uint64_t kNever = UINT64_MAX;
  struct Place {
    uint64_t looked_ms = kNever;  // as of the last look
    uint64_t since_ms = kNever;   // of what that look may have missed
    uint64_t since_seq = 0;       // the newest commit that holds any of it
    uint64_t first() const { return looked_ms < since_ms ? looked_ms : since_ms; }
  };
  template <typename Change>
  void Alter(PartitionId partition, Change change);

  std::map<PartitionId, Place> places_;
  absl::btree_set<std::pair<uint64_t, PartitionId>> order_;  // by first(), where there is one
};

// DATA_LOSS for a malformed entry.
absl::StatusOr<ExpiryPage> ScanExpired(const Snapshot& snapshot, const ExpiryScan& scan);

}  // namespace gyre

#endif  // GYRE_STORAGE_EXPIRY_INDEX_H_
