// TopologyDelta: what turns the encoding of one topology document into that of the next one, for
// the wire. From one document to the next little changes, and the whole of a large cluster is
// hundreds of kilobytes: the delta is the next one compressed with the base as the dictionary
// (zstd's refPrefix, which is how its `--patch-from` works). Without a base it is the whole,
// compressed.
//
//   delta := format:u8 base_epoch:u64 base_check:u64 size:u32 check:u64
//            come:u16 id:u64*  gone:u16 id:u64*  frame:byte*
//
// Integers are big endian; format is 1; base_epoch and base_check are 0 where there is no base;
// size and check are of the result; a check is the XXH3-64 of the bytes. frame is one frame of zstd
// (RFC 8878). come and gone are the members that differ. A document names owners by their place
// among its members, so that one member more changes nearly all of its bytes; therefore the
// dictionary is the base and, where members differ, behind it once more the owners and moves of
// the base, in the places of the next one.
//
// A delta names its base, so that one which is applied to another base is found out, and is not
// taken for what its sender meant. Deltas come from the wire: nothing is allocated beyond
// kMaxDocumentBytes and what the base takes, whatever they say.
//
// Pure functions; any thread.

#ifndef GYRE_RING_TOPOLOGY_DELTA_H_
#define GYRE_RING_TOPOLOGY_DELTA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ring/document.h"
#include "ring/ids.h"

namespace gyre {

// Over what the largest valid document takes.
inline constexpr size_t kMaxDocumentBytes = size_t{32} << 20;

uint64_t CheckOf(std::string_view encoded);

// Which document a delta is made from; epoch 0: none.
struct DeltaBase {
  Epoch epoch;
  uint64_t check = 0;
  friend bool operator==(const DeltaBase&, const DeltaBase&) = default;
};

// `base` null: from nothing. REQUIRES: both are at most kMaxDocumentBytes.
std::string EncodeDelta(const Document* base, const Document& next);

// DataLoss: no delta. FailedPrecondition: of a newer format.
absl::StatusOr<DeltaBase> BaseOf(std::string_view delta);

// The encoding of the next. Besides: FailedPrecondition where `base` is not the base.
// ResourceExhausted: it says that its result is larger than a document can be. DataLoss: the result
// is not what it says.
absl::StatusOr<std::string> ApplyDelta(const Document* base, std::string_view delta);

}  // namespace gyre

#endif  // GYRE_RING_TOPOLOGY_DELTA_H_
