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

// What is told of a node that is declared dead, and so not asked for what it has any more.
void AddDangers(const View& now, const Member& buried, const std::set<NodeId>& away,
                std::vector<std::string>* out) {
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

Objections ObjectionsTo(const View& now, const Topology& next, const std::set<NodeId>& away) {
  Objections objections;
  size_t replicas = 0;
  for (const TableSpec& table : next.tables) {
    replicas = std::max(replicas, static_cast<size_t>(table.replicas));
  }
  for (const Member& member : now.topology().members) {
    const bool dead = StateOf(next, member.id) == MemberState::kDead;
    if (dead && member.state != MemberState::kDead) {
      AddDangers(now, member, away, &objections.dangers);
    }
    // Nothing is to go to it or from it.
    const bool idle =
        OwnsNothing(next, member.id) && StateOf(next, member.id) != MemberState::kActive;
    if (dead || idle || !away.contains(member.id)) continue;
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
