// Partitioner: from a key to its place in the hash space, and from there to one of Q slices.
//
// WIRE CONTRACT. Every SDK routes with this function, so it never changes for a cluster's life:
//
//   hash  = XXH3_64bits(table id as 2 bytes big endian ++ partition key), seed 0, default secret
//   slice = the top log2(Q) bits of hash          (Q = 1: slice 0)
//
// docs/vectors/partitioner.txt holds test vectors for other implementations; ring_test checks them.
//
// Pure functions; any thread. Hash: Y. Collet, xxHash, XXH3.

#ifndef GYRE_RING_PARTITIONER_H_
#define GYRE_RING_PARTITIONER_H_

#include <bit>
#include <cstdint>
#include <string_view>

#include "ring/check.h"
#include "ring/ids.h"

namespace gyre {

uint64_t HashKey(TableId table, std::string_view partition_key);

// REQUIRES: slices is a power of two, 1 to kMaxSlices.
inline uint32_t SliceOf(uint64_t hash, uint32_t slices) {
  GYRE_CHECK(std::has_single_bit(slices) && slices <= kMaxSlices, "slices: a power of two");
  const int bits = std::countr_zero(slices);
  return bits == 0 ? 0 : static_cast<uint32_t>(hash >> (64 - bits));
}

}  // namespace gyre

#endif  // GYRE_RING_PARTITIONER_H_
