// RingDrawing: a picture of who owns what, from a topology.
//
// The hash space is a circle, from the top clockwise. Each owner of a slice is a band of it: the
// first owner outermost, the last innermost; each point has the colour of the node that owns the
// slice there. On a terminal without colours, nodes are letters.
//
// Pure.

#ifndef GYRE_API_CLI_RING_DRAWING_H_
#define GYRE_API_CLI_RING_DRAWING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/cli/terminal.h"
#include "api/proto/gyre.pb.h"

namespace gyre {

// How much of one family of slices a node holds.
struct NodeShare {
  uint32_t first = 0;   // slices of which it is the first owner
  uint32_t copies = 0;  // slices of which it is any owner
  double share = 0;     // copies of all copies, 0 to 1
};

// In the order of topology.members(). REQUIRES: the family is complete and its owners are members.
[[nodiscard]] std::vector<NodeShare> SharesOf(const v1::GetTopologyReply& topology,
                                              const v1::PartitionFamily& family);

// The family of tables with N = `replicas`; 0: the one with the largest N. NOT_FOUND says which
// there are; INTERNAL that it does not hold together.
[[nodiscard]] absl::StatusOr<v1::PartitionFamily> FamilyOf(const v1::GetTopologyReply& topology,
                                                           uint32_t replicas);

[[nodiscard]] std::string DrawRing(const v1::GetTopologyReply& topology,
                                   const v1::PartitionFamily& family, const Terminal& terminal);

}  // namespace gyre

#endif  // GYRE_API_CLI_RING_DRAWING_H_
