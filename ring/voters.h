// Voters: which members hold the register of the topology document (ring/register.h).
//
// Pure functions. Any thread.

#ifndef GYRE_RING_VOTERS_H_
#define GYRE_RING_VOTERS_H_

#include <set>
#include <vector>

#include "ring/register.h"
#include "ring/topology.h"
#include "ring/voter.h"

namespace gyre {

// Whose agreement the document needs.
VoterSets VoterSetsOf(const Topology& topology);

// Who should vote: active members, 7 at most, as evenly over the zones as those allow, and of all
// such choices the one with the most of those who vote now. An odd number, for one more than that
// survives no more failures. Each in the life that the document says it has. Ascending by node; of
// its own answer it changes nothing.
std::vector<Voter> ChooseVoters(const Topology& topology);
// Whether more than half of the voters are none of those; true where there are no voters.
bool HaveMajorityWithout(const std::vector<Voter>& voters, const std::set<NodeId>& absent);

}  // namespace gyre

#endif  // GYRE_RING_VOTERS_H_
