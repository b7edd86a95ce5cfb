// Voter: who votes on the topology document (ring/register.h): a node, in one of its lives as an
// acceptor.
//
// A node whose acceptor lost what it had promised, or some of it, is another voter from then on: it
// takes a new life, and votes again once a document names that one (docs/decisions/0016-*).
//
// A plain value. Any thread.

#ifndef GYRE_RING_VOTER_H_
#define GYRE_RING_VOTER_H_

#include <cstdint>

#include "ring/ids.h"

namespace gyre {

struct Voter {
  NodeId node;
  uint64_t life = 0;  // 0: of the node's first data directory; any other was drawn
  friend constexpr auto operator<=>(const Voter&, const Voter&) = default;
};

}  // namespace gyre

#endif  // GYRE_RING_VOTER_H_
