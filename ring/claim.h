// Claim: which nodes own which slice, for one replication factor N.
//
// What always holds of the answer, in this order where two of them pull apart:
//   1. The owners of a slice are distinct nodes, effective n = min(N, members) of them.
//   2. They spread over zones as evenly as the zones' sizes allow: distinct zones where there are
//      at least n, otherwise no zone holds two more owners of a slice than another zone that still
//      has a node to give.
//   3. Load (owned slices, any rank) is even: floor or ceil of Q*n/members for every node. Zones
//      win over evenness: where rule 2 forces a zone to carry more or less than its share, the
//      nodes inside one zone are even among themselves, and so are all zones that rule 2 does not
//      bind.
//   4. The fewest (slice, node) pairs are new against `previous`, for the loads that rule 3 chose;
//      those loads are chosen so that nodes keep what they have.
//   5. Every rank, and so the primary too, is spread as evenly as load: floor or ceil of a node's
//      load / n are primaries. Reordering owners inside a slice moves no data.
//
// Deterministic: the answer depends on the arguments only, not on the order of `members`.
//
// Method: a hole that a node which lacks load can take as it is, at the cost of one copy that it
// needs in any case, is given to it. The rest is a minimum-cost intersection of two matroids (zone
// rules of each slice; load of each node) by successive shortest augmenting paths (Frank, "A
// Weighted Matroid Intersection Algorithm", 1981), where a pair that `previous` had costs nothing
// and any other costs one. Rules 1 to 3 can always be met together since the even fractional
// placement meets them and the polytope is integral.
//
// Pure functions; any thread. Well under a second for Q = 4096 and 64 nodes.

#ifndef GYRE_RING_CLAIM_H_
#define GYRE_RING_CLAIM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "ring/ids.h"

namespace gyre {

// Who owns each slice of the family of N, in preference order.
struct Ownership {
  int replicas = 0;            // N as wanted by the tables of this family
  uint32_t slices = 0;         // Q
  std::vector<NodeId> owners;  // slice-major: owners[slice * effective_replicas() + rank]

  // min(N, members when it was made).
  int effective_replicas() const {
    return slices == 0 ? 0 : static_cast<int>(owners.size() / slices);
  }
  // REQUIRES: slice < slices.
  absl::Span<const NodeId> OwnersOf(uint32_t slice) const {
    const size_t n = static_cast<size_t>(effective_replicas());
    return absl::MakeConstSpan(owners.data() + slice * n, n);
  }

  friend bool operator==(const Ownership&, const Ownership&) = default;
};

struct ClaimNode {
  NodeId id;
  std::string zone;
};

// REQUIRES: at least one member, ids distinct and not 0; 1 <= replicas <= kMaxReplicas; slices a
// power of two up to kMaxSlices. `previous` is null (a new cluster) or has the same number of
// slices; it may name nodes that are no longer members and have another effective n.
Ownership Claim(const std::vector<ClaimNode>& members, int replicas, uint32_t slices,
                const Ownership* previous = nullptr);

// How many (slice, node) pairs of `after` are not in `before`: the partition copies that the change
// costs. REQUIRES: the same number of slices.
uint64_t MovesBetween(const Ownership& before, const Ownership& after);

}  // namespace gyre

#endif  // GYRE_RING_CLAIM_H_
