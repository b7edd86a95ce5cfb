// PartitionClock: the dots whose effect one owner of a partition has durably taken in.
//
// For each replica id a base b (all of 1 … b are in) and the dots above it, as words of 64 bits
// keyed by counter / 64. A word without bits is not kept, so that a few dots far above the base (a
// hole of a dead life, see the design) cost 16 bytes each and not a bitmap over the gap.
//
//   PartitionClock mine, theirs;
//   mine.Add({a, 1});  mine.Add({a, 2});  mine.Add({a, 9});       // base 2, above {9}
//   mine.MissingFrom(theirs, 100).ranges                         // {a, 1, 2}, {a, 9, 9}
//
// A clock never claims a dot whose effect is not in the store: it changes in the same batch as the
// record, and bases of a peer are joined only after the last record of an exchange is durable.
//
// Always (so that equal sets are equal values): entries are sorted by replica id; no entry is
// empty; words are sorted, not 0, and hold only dots above base; the dot base + 1 is not in. Not
// synchronised: the shard that owns the partition is the only writer.
//
// Source: Gonçalves, Almeida, Baquero, Fonte, "DottedDB: Anti-Entropy without Merkle Trees, Deletes
// without Tombstones" (SRDS 2017), section III (node logical clock).

#ifndef GYRE_STORAGE_VERSION_PARTITION_CLOCK_H_
#define GYRE_STORAGE_VERSION_PARTITION_CLOCK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "ring/ids.h"
#include "storage/version/dot.h"
#include "storage/version/version_vector.h"

namespace gyre {

// The dots first … last of one replica id, both included.
struct DotRange {
  ReplicaId replica;
  uint64_t first = 0;
  uint64_t last = 0;

  friend bool operator==(const DotRange&, const DotRange&) = default;
};

struct MissingDots {
  std::vector<DotRange> ranges;  // sorted, disjoint, not adjacent
  bool complete = true;          // false: there are more after the last range
};

class PartitionClock {
 public:
  // The dots 64 * index … 64 * index + 63 of a replica id: bit k stands for 64 * index + k.
  struct Word {
    uint64_t index = 0;
    uint64_t bits = 0;

    friend bool operator==(const Word&, const Word&) = default;
  };

  struct Entry {
    ReplicaId replica;
    uint64_t base = 0;
    std::vector<Word> above;

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  // Takes in a dot. Returns whether it is new. REQUIRES: 0 < dot.counter < kMaxCounter.
  bool Add(const Dot& dot);

  bool Contains(const Dot& dot) const;

  // Up to where everything of `replica` is in.
  uint64_t Base(ReplicaId replica) const;

  // The highest dot of `replica` that is in; 0 where there is none.
  uint64_t Highest(ReplicaId replica) const;

  // The bases alone: what an owner reports, and what fills a record. Ids whose base is 0 are left
  // out.
  VersionVector Bases() const;

  // Raises bases. Only after every record of the exchange that brought them is durable.
  void JoinBases(const VersionVector& bases);

  // Takes in everything that `other` holds, bitmap included: the end of a whole copy of a
  // partition.
  void JoinAll(const PartitionClock& other);

  // The dots that this clock holds and `theirs` lacks, in order, from the first one after `after`.
  // At most max_ranges ranges: `complete` tells whether that was all, and the next call goes on
  // with after = {last range's replica, its last}.
  MissingDots MissingFrom(const PartitionClock& theirs, size_t max_ranges,
                          const Dot& after = Dot{}) const;

  bool ContainsAll(const PartitionClock& other) const;

  bool empty() const { return entries_.empty(); }
  absl::Span<const Entry> entries() const { return entries_; }

  // A clock out of its entries; nothing where they break what always holds (see above).
  static std::optional<PartitionClock> FromEntries(std::vector<Entry> entries);

  friend bool operator==(const PartitionClock&, const PartitionClock&) = default;

 private:
  const Entry* Find(ReplicaId replica) const;
  Entry* FindOrInsert(ReplicaId replica);

  std::vector<Entry> entries_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_PARTITION_CLOCK_H_
