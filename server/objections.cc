#include "server/objections.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "ring/rebalance.h"

namespace gyre {
namespace {

// Who is no member any more was dead, or has left.
MemberState StateOf(const Topology& topology, NodeId id) {
  const Member* const member = FindMember(topology, id);
  return member == nullptr ? MemberState::kDead : member->state;
}

// Of the owners of a partition, those whose copies are gone: who was declared dead, or is about to
// be, and who has yet to be filled.
size_t CopiesGone(const View& now, const Topology& next, PartitionId partition,
                  const std::set<NodeId>& filling) {
  const Move* const move = now.FindMove(partition);
  const absl::Span<const NodeId> owners = now.Owners(partition);
  return static_cast<size_t>(std::count_if(owners.begin(), owners.end(), [&](NodeId owner) {
    if (filling.contains(owner)) return true;
    if (StateOf(next, owner) != MemberState::kDead) return false;
    // Who gave it its copy, and still takes every write, is an owner again in its place.
    const bool another = move != nullptr && move->step == MoveStep::kSwitched &&
                         move->stands_for() == owner && !filling.contains(move->beside()) &&
                         StateOf(next, move->beside()) != MemberState::kDead;
    return !another;
  }));
}

// What is told of a node that is declared dead, and so not asked for what it has any more.
void AddDangers(const View& now, const Topology& next, const Member& buried,
                const Whereabouts& known, std::vector<std::string>* out) {
  const std::set<NodeId>& away = known.away;
  if (!away.contains(buried.id)) {
    out->push_back(absl::StrCat("node '", buried.name,
                                "' answers, and what only it has is lost: where it leaves "
                                "instead, all is copied from it before it goes"));
  }
  uint64_t alone = 0;
  for (PartitionId partition : now.OwnedBy(buried.id)) {
    const absl::Span<const NodeId> owners = now.Owners(partition);
    alone += std::all_of(owners.begin(), owners.end(),
                         [&](NodeId owner) { return owner == buried.id || away.contains(owner); });
  }
  if (alone > 0) {
    out->push_back(absl::StrCat(alone,
                                " of its partitions have no other owner that can be reached: what "
                                "they hold may be lost"));
  }
  for (const TableSpec& table : now.topology().tables) {
    const auto enough = static_cast<size_t>(table.write_quorum);
    uint64_t gone = 0;
    for (PartitionId partition : now.OwnedBy(buried.id)) {
      if (enough < 2 || partition.replicas() != table.replicas) continue;
      gone += CopiesGone(now, next, partition, known.filling) >= enough;
    }
    if (gone > 0) {
      out->push_back(absl::StrCat(
          "of ", gone, gone == 1 ? " partition" : " partitions", " of table '", table.name,
          "' it is not the only owner that is dead or has yet to be filled: writes that no other ",
          "than these acknowledged (W = ", enough, ") are lost"));
    }
    if (table.write_quorum > 1 || table.replicas == 1) continue;
    out->push_back(absl::StrCat("writes of table '", table.name,
                                "' are acknowledged by one node (W = 1): those that it alone has "
                                "are lost"));
  }
}

// Over which the copies of partitions are spread.
size_t ZonesOf(const Topology& topology) {
  std::set<std::string> zones;
  for (const Member& member : topology.members) {
    if (member.state == MemberState::kActive) zones.insert(member.zone);
  }
  return zones.size();
}

}  // namespace

Objections ObjectionsTo(const View& now, const Topology& next, const Whereabouts& known) {
  Objections objections;
  size_t replicas = 0;
  for (const TableSpec& table : next.tables) {
    replicas = std::max(replicas, static_cast<size_t>(table.replicas));
  }
  for (const Member& member : now.topology().members) {
    const bool dead = StateOf(next, member.id) == MemberState::kDead;
    if (dead && member.state != MemberState::kDead) {
      AddDangers(now, next, member, known, &objections.dangers);
    }
    // Nothing is to go to it or from it.
    const bool idle =
        OwnsNothing(next, member.id) && StateOf(next, member.id) != MemberState::kActive;
    if (dead || idle || !known.away.contains(member.id)) continue;
    objections.warnings.push_back(absl::StrCat(
        "node '", member.name, "' cannot be reached: what moves from it or to it waits for it"));
  }
  const size_t zones = ZonesOf(next);
  if (zones < replicas && zones < ZonesOf(now.topology())) {
    objections.warnings.push_back(
        absl::StrCat("those that own something are in ", zones, zones == 1 ? " zone" : " zones",
                     " then, fewer than N = ", replicas, ": copies of a partition share a zone"));
  }
  return objections;
}

}  // namespace gyre
