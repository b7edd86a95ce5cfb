// Member: one node of the cluster as the topology document knows it, and the ids that names map to.
//
// Ids are hashes of names, so every node computes the same ids from the same configuration and no
// one hands them out. A node that joins a running cluster draws a key once, and keeps it in its
// data directory; so a second node of a name has another id than the first. A Member is a plain
// value; the functions are pure. Any thread.

#ifndef GYRE_RING_MEMBER_H_
#define GYRE_RING_MEMBER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ring/ids.h"

namespace gyre {

enum class MemberState : uint8_t {
  kActive = 0,   // owns its share of the partitions, or is about to
  kWaiting = 1,  // has joined, and is to own nothing before it is told to
  kLeaving = 2,  // gives away what it owns and keeps for others; a member until it has neither
  kDead = 3,     // will not come back, by an operator's word: others are filled without it
};

struct Member {
  NodeId id;                   // NodeIdFromName(cluster, name, key)
  std::string name;            // unique in the cluster
  std::string zone;            // failure domain; "" is a zone like any other
  std::string client_address;  // host:port where clients reach it
  std::string peer_address;    // host:port where other nodes reach it
  MemberState state = MemberState::kActive;
  uint64_t key = 0;   // that it drew as it joined; 0: it is one of the configuration's
  uint64_t life = 0;  // in which it may vote on the document (ring/voter.h)

  friend bool operator==(const Member&, const Member&) = default;
};

// Whether it may begin to keep something for others: it is not about to be gone.
inline bool KeepsHints(const Member& member) {
  return member.state == MemberState::kActive || member.state == MemberState::kWaiting;
}

// XXH3-64 over the name; 1 where that is 0.
ClusterId ClusterIdFromName(std::string_view name);

// XXH3-64 over (cluster id as 8 bytes big endian, name), and behind them the key, likewise, where
// it is not 0; 1 where that is 0. Two names of a cluster may collide in theory; InitialTopology and
// AddMember refuse the second.
NodeId NodeIdFromName(ClusterId cluster, std::string_view name, uint64_t key = 0);

// What placement rests on: each member with its zone, as `"name" in zone "zone"`, sorted.
std::vector<std::string> PlacesOf(const std::vector<Member>& members);

// What only one of two such lists has: `only MINE: a, b; only THEIRS: c`. "" where they are equal.
std::string PlacesDifference(std::string_view mine_is, const std::vector<std::string>& mine,
                             std::string_view theirs_is, const std::vector<std::string>& theirs);

}  // namespace gyre

#endif  // GYRE_RING_MEMBER_H_
