// Slice: a run of a partition's items in the order of their keys, told by digests, so that two
// owners find out what they hold differently without sending it. Read out of one snapshot.
//
//   SliceScan scan{partition, /*after=*/"", /*upto=*/"", expired_by_ms};
//   absl::StatusOr<Slice> mine = ReadSlice(*engine.TakeSnapshot(), scan, SliceLimits());
//
// A digest is XXH3-128 over what owners that have seen the same hold the same of an item: its
// versions, each with dot, stamp, moment of expiry and value. Not its context, which each owner
// stores as far as its own clock does not say it. And not what has expired, which each owner
// removes in its own time (decision 0011); an item of which nothing is left is not in the slice.
//
// It guards against what disks and memories do, not against a forger.
//
// Pure over the snapshot; any thread.

#ifndef GYRE_REPLICATION_SLICE_H_
#define GYRE_REPLICATION_SLICE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/version/record.h"

namespace gyre {

struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;

  friend bool operator==(const Digest&, const Digest&) = default;
};

struct ItemDigest {
  ItemKey item;
  Digest digest;

  friend bool operator==(const ItemDigest&, const ItemDigest&) = default;
};

// Items behind `after` and up to `upto`, both keys of the store (EncodeItemKey); empty: from the
// partition's begin, to its end.
struct SliceScan {
  PartitionId partition;
  std::string after;
  std::string upto;
  uint64_t expired_by_ms = 0;  // versions whose moment is this or earlier are left out
};

struct SliceLimits {
  // Items a slice, and bytes of their records. Larger ones spend fewer rounds, smaller ones keep a
  // thread and memory for less time; a slice holds at least one item however large.
  size_t max_items = 512;
  size_t max_bytes = size_t{1} << 20;
};

struct Slice {
  std::vector<ItemDigest> items;
  std::string upto;              // where it ends; empty: with the partition
  bool complete = true;          // it holds all that was asked for: `upto` is the scan's
  size_t bytes = 0;              // of the records read
  std::vector<ItemKey> damaged;  // records that fail their checks, and have no digest
};

// Where the store fails a checksum, the slice ends before it; where it begins with that, DATA_LOSS.
// INVALID_ARGUMENT for a range that is none of the partition's.
absl::StatusOr<Slice> ReadSlice(const Snapshot& snapshot, const SliceScan& scan,
                                const SliceLimits& limits);

// The named items, each read by itself: for a run of which a part can be read and a scan cannot.
// They are in the order in which they are named.
absl::StatusOr<Slice> ReadItems(const Snapshot& snapshot, const std::vector<ItemKey>& items,
                                uint64_t expired_by_ms);

// Of all items of a slice together, and of one item; the latter of a record with nothing but
// versions that have expired is that of an empty one.
Digest DigestOf(const std::vector<ItemDigest>& items);
Digest DigestOf(const ItemKey& item, const Record& record, uint64_t expired_by_ms);

}  // namespace gyre

#endif  // GYRE_REPLICATION_SLICE_H_
