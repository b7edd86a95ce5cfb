// BuildLevel: what a build can say to other nodes, and understands, as one number that grows.
//
//   1: builds that announce nothing. Documents travel whole; each node proposes the steps of the
//      moves to itself.
//   2: deltas of documents and questions about them (TopologyNews in replication/message.h),
//      MovesDue, and the cluster's level in the document.
//   3: deltas also in the register's messages, and in what a request under an older epoch is
//      refused with.
//
// Nodes say their level as they connect. The document says which level all of them are of
// (Topology::level): what a level brings is used where the document is of that level, and so never
// meets a node that does not know it. The document's level is raised once every member has said a
// higher one, and never lowered; a node of a lower level is let in no more (decision 0017).
//
// A new level is made for each change of what travels between nodes, or of the document, that an
// older build would not understand. Values; any thread.

#ifndef GYRE_RING_BUILD_LEVEL_H_
#define GYRE_RING_BUILD_LEVEL_H_

#include <algorithm>
#include <cstdint>
#include <string>

namespace gyre {

using BuildLevel = uint16_t;

inline constexpr BuildLevel kFirstLevel = 1;
inline constexpr BuildLevel kBuildLevel = 3;  // of this build

// From which on the cluster uses what.
inline constexpr BuildLevel kLevelOfDeltas = 2;
inline constexpr BuildLevel kLevelOfMovesDue = 2;
inline constexpr BuildLevel kLevelOfDeltasEverywhere = 3;

// As a peer said it; 0: it said nothing, as builds of the first level.
inline BuildLevel LevelSaid(uint32_t wire) {
  return static_cast<BuildLevel>(std::clamp<uint32_t>(wire, kFirstLevel, UINT16_MAX));
}

// Why a node of that level cannot be of a cluster of the other, and what to do.
inline std::string OutgrownWords(BuildLevel node, BuildLevel cluster) {
  return "is of level " + std::to_string(node) + ", and the cluster of level " +
         std::to_string(cluster) +
         ", which no node goes back from: start it with a build of that level or newer, and "
         "without a lower `level` in its configuration";
}

}  // namespace gyre

#endif  // GYRE_RING_BUILD_LEVEL_H_
