// The named limits of the door, enforced before a request reaches a shard. They are part of the
// contract in api/proto/gyre.proto and are documented in README.md; an error names the one that was
// hit.
//
// Constants; any thread.

#ifndef GYRE_API_LIMITS_H_
#define GYRE_API_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace gyre {

inline constexpr size_t kMaxKeyBytes = 2048;
inline constexpr size_t kMaxValueBytes = size_t{1} << 20;
inline constexpr size_t kMaxSiblings = 64;
// A client's message, either way. Longer replies are cut into items that say so.
inline constexpr size_t kMaxMessageBytes = size_t{4} << 20;
// What a message may be longer than that on the wire: field tags around values at their limit.
inline constexpr size_t kMessageSlackBytes = size_t{64} << 10;
// The values of one reply, so that its message keeps to the limit.
inline constexpr size_t kMaxReplyValueBytes = kMaxMessageBytes - kMessageSlackBytes;
// The values of one item together. One sibling more is refused like one too many.
inline constexpr size_t kMaxRecordValueBytes = kMaxReplyValueBytes;
// A frame between peers. It holds a record that each of up to five owners has brought to its limit
// before it heard of the others; the rest is for what else shares the frame.
inline constexpr size_t kMaxPeerMessageBytes = 8 * kMaxRecordValueBytes;
// Requests of one frame of the pipelined stream. Beyond, the stream is ended.
inline constexpr int kMaxFrameRequests = 10'000;
inline constexpr int kMaxMultiItems = 1000;
inline constexpr uint32_t kMaxTimeoutMs = 60'000;
inline constexpr uint32_t kDefaultTimeoutMs = 2'000;
inline constexpr uint32_t kMaxAttempt = 65'535;
// Names a write of one item: the door binds it to the table and the key.
inline constexpr size_t kIdempotencyKeyBytes = 16;
// A context of one entry for each replica id that ever wrote the item; 24 bytes each.
inline constexpr size_t kMaxContextBytes = size_t{64} << 10;
inline constexpr uint32_t kMaxScanItems = 1000;
inline constexpr uint32_t kDefaultScanItems = 100;

}  // namespace gyre

#endif  // GYRE_API_LIMITS_H_
