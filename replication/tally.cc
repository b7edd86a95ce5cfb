#include "replication/tally.h"

#include <algorithm>

#include "ring/check.h"

namespace gyre {

Tally::Tally(absl::Span<const NodeId> replicas, int needed, const Move* move) : needed_(needed) {
  GYRE_CHECK(needed >= 1, "a quorum needs at least one");
  slots_.reserve(replicas.size() + 1);
  for (NodeId replica : replicas) {
    GYRE_CHECK(Find(replica) == nullptr, "replicas are distinct");
    if (move != nullptr && replica == move->stands_for()) stood_for_ = slots_.size();
    slots_.push_back({replica, Part::kNotAsked, Time(), Duration()});
  }
  if (move == nullptr) return;
  GYRE_CHECK(stood_for_.has_value() && Find(move->beside()) == nullptr, "it is of these owners");
  slots_.push_back({move->beside(), Part::kNotAsked, Time(), Duration()});
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
  if (slot == nullptr) return false;
  const bool stood_in_for = slot->part == Part::kStoodInFor;
  if (HasAnswered(*slot) && (!stood_in_for || part == Part::kStoodInFor)) return false;
  slot->took = slot->part == Part::kNotAsked ? Duration() : now - slot->asked;
  slot->part = part;
  slot->stand_in = NodeId();
  return true;
}

bool Tally::AnswerFor(NodeId replica, NodeId stand_in, Time now) {
  if (!Answer(replica, Part::kStoodInFor, now)) return false;
  Find(replica)->stand_in = stand_in;
  return true;
}

int Tally::stand_ins() const {
  const auto stood_in_for = [](const Slot& slot) { return slot.part == Part::kStoodInFor; };
  int count = static_cast<int>(std::count_if(slots_.begin(), slots_.end(), stood_in_for));
  if (!stood_for_.has_value()) return count;
  const Slot& one = slots_[*stood_for_];
  const Slot& other = slots_.back();
  count -= stood_in_for(one) + stood_in_for(other);
  const bool both = HasAnswered(one) && HasAnswered(other);
  return count + (both && (stood_in_for(one) || stood_in_for(other)) ? 1 : 0);
}

std::vector<NodeId> Tally::Unanswered() const {
  std::vector<NodeId> nodes;
  for (const Slot& slot : slots_) {
    if (!HasAnswered(slot)) nodes.push_back(slot.node);
  }
  return nodes;
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
  return Count([](const Slot& slot) {
           return slot.part != Part::kUnreachable && slot.part != Part::kRefused;
         }) < needed_;
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
  for (const Slot& slot : slots_) {
    parts.push_back({slot.node, slot.part, slot.took, slot.stand_in});
  }
  return parts;
}

}  // namespace gyre
