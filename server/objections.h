// Objections: what speaks against a change of a member that an operator is about to make, or has
// made, for people: what of the data may be lost by it, what it will wait for, and what the cluster
// bears less of behind it than before.
//
// A pure function. Any thread.

#ifndef GYRE_SERVER_OBJECTIONS_H_
#define GYRE_SERVER_OBJECTIONS_H_

#include <set>
#include <string>
#include <vector>

#include "ring/ids.h"
#include "ring/topology.h"
#include "ring/view.h"

namespace gyre {

struct Objections {
  std::vector<std::string> dangers = {};   // data may be lost; none: it is safe
  std::vector<std::string> warnings = {};  // all else
};

// What a node knows of the others, and of itself.
struct Whereabouts {
  std::set<NodeId> away = {};     // members that it cannot reach
  std::set<NodeId> filling = {};  // those that lost what they own, and do not have it all yet
};

// From the document of `now` to `next`.
Objections ObjectionsTo(const View& now, const Topology& next, const Whereabouts& known);

}  // namespace gyre

#endif  // GYRE_SERVER_OBJECTIONS_H_
