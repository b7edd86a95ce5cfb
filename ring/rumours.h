// Rumours: what a node passes on, and how often yet. A rumour is sent Limit(nodes) times, which
// reaches everybody but with a probability that falls with the power of kRepeats; those that were
// sent least go first. One of a member at a time: the newer replaces the older.
//
// Source: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group
// Membership Protocol" (DSN 2002), section 4.1.
//
// Bounded by the number of members. Belongs to one thread.

#ifndef GYRE_RING_RUMOURS_H_
#define GYRE_RING_RUMOURS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "ring/rumour.h"

namespace gyre {

class Rumours {
 public:
  static constexpr int kRepeats = 4;  // the paper's lambda; memberlist's RetransmitMult

  // kRepeats times the digits of `nodes`: 4 for up to 9 nodes, 12 for up to 999.
  static int Limit(size_t nodes);

  void Add(const Rumour& rumour);
  // At most `most` of them for one message; they count as sent once more.
  std::vector<Rumour> Take(size_t most, size_t nodes);
  // Of a node that is no member any more.
  void Drop(NodeId node);
  bool empty() const { return rumours_.empty(); }
  size_t size() const { return rumours_.size(); }

 private:
  // Sent so often; the newest first among those.
  using Place = std::tuple<int, uint64_t, NodeId>;
  struct Kept {
    Rumour rumour;
    Place place;
  };

  uint64_t added_ = 0;
  std::map<NodeId, Kept> rumours_;
  std::set<Place> order_;
};

}  // namespace gyre

#endif  // GYRE_RING_RUMOURS_H_
