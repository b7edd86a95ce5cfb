// MembershipMessage: what nodes say to each other of who is alive (ring/membership.h), as a value.
// Its wire form is api/proto/peer.proto.
//
// Values; any thread.

#ifndef GYRE_RING_MEMBERSHIP_MESSAGE_H_
#define GYRE_RING_MEMBERSHIP_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ring/ids.h"
#include "ring/rumour.h"

namespace gyre {

// Of one message; no node sends more.
inline constexpr size_t kMaxRumours = 64;

struct MembershipMessage {
  enum class Kind : uint8_t {
    kProbe = 0,   // answered by kAnswer
    kHelp = 1,    // probe `about` for me; answered by kAnswer or kNone
    kAnswer = 2,  // to a probe, one's own or for which one has asked
    kNone = 3,    // `about` did not answer the helper yet
    kGossip = 4,  // not answered
    kAskAll = 5,  // answered by as much gossip as it takes
  };
  Kind kind = Kind::kGossip;
  uint64_t sequence = 0;  // of the probe; an answer repeats it
  NodeId about;           // kHelp
  Epoch epoch;            // of the topology document that the sender knows
  // What the sender knows of itself: who has heard of more reminds it. So its load need not reach
  // everybody by gossip: whoever missed that hears it with the sender's next message.
  uint64_t incarnation = 0;
  uint64_t load_version = 0;
  Load load = Load::kIdle;
  // The sender's wall clock as the message left: what it adds to ClusterTime. Whoever performs
  // Membership sets it; 0: not known.
  uint64_t wall_ms = {};
  std::vector<Rumour> rumours = {};  // at most kMaxRumours
};

}  // namespace gyre

#endif  // GYRE_RING_MEMBERSHIP_MESSAGE_H_
