// SpreadRanks: puts the owners of each slice into preference order so that every rank, and so the
// primary too, is spread evenly. It moves no data.
//
// Rank by rank: of the k slices in which a node is not placed yet, with m ranks still open, it gets
// floor(k/m) or ceil(k/m) of this rank. That can always be met (each open owner taking 1/m of each
// slice meets it, and flows of whole units exist where fractional ones do). Starts from the order
// at hand and shifts along shortest paths, so that few primaries change hands.
//
// Pure function; any thread.

#ifndef GYRE_RING_CLAIM_RANKS_H_
#define GYRE_RING_CLAIM_RANKS_H_

#include <vector>

namespace gyre {

// `owners` is slice-major with `owners_each` node indexes, all below `nodes`, a slice.
void SpreadRanks(std::vector<int>& owners, int owners_each, int nodes);

}  // namespace gyre

#endif  // GYRE_RING_CLAIM_RANKS_H_
