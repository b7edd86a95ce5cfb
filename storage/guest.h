// Guest: mints for items of which this node is no owner, where no owner can be reached (design 3,
// rule 6). What it mints is kept as hints, for every owner.
//
// A guest mints for each partition under a replica id of its own, which it draws at random, keeps
// in memory only, and gives up as soon as a hint of the partition leaves this node (Forget), or
// when it has minted more than it remembers. Under one id it always builds on what it has minted
// for the item before, for a later dot covers an earlier one: a guest that had forgotten that would
// take it away (the model's `guest` rule).
//
// Thread rule: one thread. Pure.

#ifndef GYRE_STORAGE_GUEST_H_
#define GYRE_STORAGE_GUEST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "ring/ids.h"
#include "ring/random.h"
#include "storage/keys.h"
#include "storage/minting.h"
#include "storage/version/dot.h"
#include "storage/version/record.h"

namespace gyre {

class Guest {
 public:
  // How much of what it minted a guest remembers before it takes new ids: items, bytes of their
  // keys and values, and dots of one item.
  static constexpr size_t kMostItems = 65'536;
  static constexpr size_t kMostBytes = size_t{32} << 20;
  static constexpr size_t kMostDots = 256;

  Guest(MintLimits limits, Random random) : limits_(limits), random_(random) {}

  // Mints a dot for `intent` on top of `known` (filled), which is what this node has heard of the
  // item, with the dots that explain that. kAlreadyKnown where the write is among those, or was
  // minted here before. `wall_ms` feeds last-write-wins only.
  MintOutcome Mint(const ItemKey& item, Record known, std::vector<Minted> explained,
                   WriteIntent intent, uint64_t wall_ms);

  // A hint of the partition has left this node.
  void Forget(PartitionId partition);

 private:
  struct Work {
    Record record;
    std::vector<Minted> minted;
  };
  struct Life {
    ReplicaId id;
    uint64_t minted = 0;
    std::map<ItemKey, Work> works;
    size_t bytes = 0;
  };

  const Work* Find(const ItemKey& item) const;  // null: nothing under the present id

  const MintLimits limits_;
  Random random_;
  std::map<PartitionId, Life> lives_;
  size_t items_ = 0;  // over all lives
  size_t bytes_ = 0;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_GUEST_H_
