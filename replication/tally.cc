#include "replication/tally.h"

#include "ring/check.h"

namespace gyre {

Tally::Tally(absl::Span<const NodeId> replicas, int needed) : needed_(needed) {
  GYRE_CHECK(needed >= 1, "a quorum needs at least one");
  slots_.reserve(replicas.size());
  for (NodeId replica : replicas) {
    GYRE_CHECK(Find(replica) == nullptr, "replicas are distinct");
    slots_.push_back({replica, Part::kNotAsked, Time(), Duration()});
  }
}

Tally::Slot* Tally::Find(NodeId replica) {
  for (Slot& slot : slots_) {
    if (slot.node == replica) return &slot;
  }
  return nullptr;
}

const Tally::Slot* Tally::Find(NodeId replica) const {
  return const_cast<Tally*>(this)->Find(replica);
}

void Tally::Ask(NodeId replica, Time now) {
  Slot* slot = Find(replica);
  if (slot == nullptr || HasAnswered(*slot)) return;
  slot->part = Part::kNoAnswer;
  slot->asked = now;
}

bool Tally::Answer(NodeId replica, Part part, Time now) {
  Slot* slot = Find(replica);
  if (slot == nullptr || HasAnswered(*slot)) return false;
  slot->took = slot->part == Part::kNotAsked ? Duration() : now - slot->asked;
  slot->part = part;
  ++answered_;
  return true;
}

void Tally::Fail(NodeId replica, Part part) {
  Slot* slot = Find(replica);
  if (slot != nullptr && !HasAnswered(*slot)) slot->part = part;
}

void Tally::Repaired(NodeId replica) {
  Slot* slot = Find(replica);
  if (slot != nullptr && slot->part == Part::kAnswered) slot->part = Part::kRepaired;
}

bool Tally::Impossible() const {
  int possible = 0;
  for (const Slot& slot : slots_) {
    if (slot.part != Part::kUnreachable && slot.part != Part::kRefused) ++possible;
  }
  return possible < needed_;
}

bool Tally::Asked(NodeId replica) const {
  const Slot* slot = Find(replica);
  return slot != nullptr && slot->part != Part::kNotAsked;
}

std::vector<NodeId> Tally::NotAsked() const {
  std::vector<NodeId> nodes;
  for (const Slot& slot : slots_) {
    if (slot.part == Part::kNotAsked) nodes.push_back(slot.node);
  }
  return nodes;
}

std::vector<ReplicaPart> Tally::Parts() const {
  std::vector<ReplicaPart> parts;
  parts.reserve(slots_.size());
  for (const Slot& slot : slots_) parts.push_back({slot.node, slot.part, slot.took});
  return parts;
}

}  // namespace gyre
