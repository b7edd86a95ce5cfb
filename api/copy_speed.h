// How fast a node is taken to be given partitions where no copy of one has been seen to end: for
// estimates, of the server and of who asks it (v1::MoveOutlook).
//
// A constant; any thread.

#ifndef GYRE_API_COPY_SPEED_H_
#define GYRE_API_COPY_SPEED_H_

#include <cstdint>

namespace gyre {

inline constexpr uint64_t kAssumedCopyMibEachS = 16;
inline constexpr uint64_t kAssumedCopyBytesEachS = kAssumedCopyMibEachS << 20;

}  // namespace gyre

#endif  // GYRE_API_COPY_SPEED_H_
