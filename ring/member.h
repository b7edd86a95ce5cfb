// Member: one node of the cluster as the topology document knows it, and the ids that names map to.
//
// Ids are hashes of names, so every node computes the same ids from the same configuration and no
// one hands them out. A Member is a plain value; the functions are pure. Any thread.

#ifndef GYRE_RING_MEMBER_H_
#define GYRE_RING_MEMBER_H_

#include <string>
#include <string_view>
#include <vector>

#include "ring/ids.h"

namespace gyre {

struct Member {
  NodeId id;                   // NodeIdFromName(cluster, name)
  std::string name;            // unique in the cluster
  std::string zone;            // failure domain; "" is a zone like any other
  std::string client_address;  // host:port where clients reach it
  std::string peer_address;    // host:port where other nodes reach it

  friend bool operator==(const Member&, const Member&) = default;
};

// XXH3-64 over the name; 1 where that is 0.
ClusterId ClusterIdFromName(std::string_view name);

// XXH3-64 over (cluster id as 8 bytes big endian, name); 1 where that is 0. Two names of a cluster
// may collide in theory; InitialTopology refuses such a configuration.
NodeId NodeIdFromName(ClusterId cluster, std::string_view name);

// What placement rests on: each member with its zone, as `"name" in zone "zone"`, sorted.
std::vector<std::string> PlacesOf(const std::vector<Member>& members);

// What only one of two such lists has: `only MINE: a, b; only THEIRS: c`. "" where they are equal.
std::string PlacesDifference(std::string_view mine_is, const std::vector<std::string>& mine,
                             std::string_view theirs_is, const std::vector<std::string>& theirs);

}  // namespace gyre

#endif  // GYRE_RING_MEMBER_H_
