// FillHoles: completes a placement at the least cost, where a (slice, node) pair that the previous
// placement had costs nothing and any other costs one copy of a partition.
//
// Weighted matroid intersection by successive shortest augmenting paths (Frank, "A Weighted Matroid
// Intersection Algorithm", 1981). A path "v, a, b, hole" reads: v takes a slot of a, a takes one of
// b, b fills the hole; only v's load grows. Among the cheapest paths one with the fewest steps is
// taken; that is what makes steps in one slice compatible, and the result the cheapest of its size.
//
// Pure function; any thread.

#ifndef GYRE_RING_CLAIM_PATHS_H_
#define GYRE_RING_CLAIM_PATHS_H_

#include "ring/claim_slices.h"

namespace gyre {

// REQUIRES: the pairs in `table` cost nothing, or all pairs cost the same; no load is over its
// target; targets sum to slots and can be met. ENSURES: no holes, and every load is its target.
void FillHoles(SliceTable& table);

}  // namespace gyre

#endif  // GYRE_RING_CLAIM_PATHS_H_
