// Rumour: what a node says of one member, itself or another, as it goes round by gossip.
//
// Two parts, each with an order of its own in which the later replaces the earlier:
//   - liveness, by (incarnation, liveness). The incarnation is the member's: it alone raises it, to
//     refute what others say of it.
//   - load, by its version, which the member counts.
//
// Values; any thread.

#ifndef GYRE_RING_RUMOUR_H_
#define GYRE_RING_RUMOUR_H_

#include <cstdint>

#include "ring/ids.h"

namespace gyre {

// In the order in which one replaces the other within one incarnation.
enum class Liveness : uint8_t {
  kAlive = 0,
  kSuspect = 1,  // did not answer: others are asked first
  kDead = 2,     // nobody had an answer for as long as a suspicion lasts
};

// As operators read it.
inline const char* LivenessName(Liveness liveness) {
  switch (liveness) {
    case Liveness::kAlive:
      return "alive";
    case Liveness::kSuspect:
      return "suspect";
    case Liveness::kDead:
      break;
  }
  return "dead";
}

// How busy a member is, in quarters of what it can do. For routing, and never more than a hint.
enum class Load : uint8_t { kIdle = 0, kLight = 1, kBusy = 2, kFull = 3 };

// As operators read it.
inline const char* LoadName(Load load) {
  switch (load) {
    case Load::kIdle:
      return "idle";
    case Load::kLight:
      return "light";
    case Load::kBusy:
      return "busy";
    case Load::kFull:
      break;
  }
  return "full";
}

struct Rumour {
  NodeId node;
  Liveness liveness = Liveness::kAlive;
  uint64_t incarnation = 0;
  NodeId by;  // who suspected it, or took it for dead; itself where it is alive
  uint64_t load_version = 0;
  Load load = Load::kIdle;

  // Whether this says something newer of the liveness than `known` does.
  bool Supersedes(const Rumour& known) const {
    if (incarnation != known.incarnation) return incarnation > known.incarnation;
    return liveness > known.liveness;
  }
  friend bool operator==(const Rumour&, const Rumour&) = default;
};

}  // namespace gyre

#endif  // GYRE_RING_RUMOUR_H_
