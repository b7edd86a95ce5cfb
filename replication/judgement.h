// Judge: do the owners of an item contradict each other, and is it this owner that is wrong?
//
// Owners that differ need not: a write is on its way. What an owner has seen of an item is told by
// its filled record's context, and by the clock of its partition. Where an owner a has seen all
// that an owner b has, by both, whatever b has dropped a has dropped, too. So if a holds a version
// whose dot b's context covers, and b does not, the two contradict each other: one of them has lost
// a version, or a delete. This holds of any two moments. A dot with two contents is a contradiction
// at once.
//
// The context is for what replaces and deletes: a record may tell of a write whose dot has not come
// yet. The clock is for attempts of one write that were minted twice: the one that gives way is
// dropped by who knows both dots and the write's key, which come with the dots alone.
//
// Who is right, the majority of all owners says, and each owner changes only what itself holds:
//
//   * it takes a version in that a majority holds, each of them having seen all that it has;
//   * it drops one that a majority has seen and holds no more, itself having seen all they have;
//   * of a dot with two contents it takes the one that a majority holds.
//
// Where no majority says so, all stays as it is. The argument: decision 0012.
//
// Pure.

#ifndef GYRE_REPLICATION_JUDGEMENT_H_
#define GYRE_REPLICATION_JUDGEMENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "storage/version/dot.h"
#include "storage/version/partition_clock.h"
#include "storage/version/record.h"

namespace gyre {

// What another owner holds of the item, and its clock, of the same moment. Filled.
struct OwnersRecord {
  NodeId owner;
  RecordPtr record;
  std::vector<Minted> minted;  // dots of its versions
  PartitionClock clock;
};

struct Judgement {
  std::vector<NodeId> against;  // who contradicts this owner; in the order of the others
  // They differ where they need not contradict each other: ask again, and it may be gone, or told.
  bool unsettled = false;
  bool undecided = false;  // no majority says who is right
  // What this owner is to hold, where it is wrong; and the dots of what it gains.
  std::optional<Record> mended;
  std::vector<Minted> minted;
};

// `mine`: filled, and of this moment, as is `clock`. `owners`: how many the item has, this one
// included, whether they have answered or not. Versions whose moment of expiry is `expired_by_ms`
// or earlier, of whoever holds them, are not judged.
Judgement Judge(const Record& mine, const PartitionClock& clock,
                absl::Span<const OwnersRecord> others, size_t owners, uint64_t expired_by_ms);

}  // namespace gyre

#endif  // GYRE_REPLICATION_JUDGEMENT_H_
