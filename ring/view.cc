#include "ring/view.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"
#include "ring/partitioner.h"

namespace gyre {

std::shared_ptr<const View> View::Create(Topology topology, NodeId self) {
  GYRE_CHECK(ValidateTopology(topology).ok(), "a View is made of a valid document");
  return std::shared_ptr<const View>(
      new View(std::make_shared<const Topology>(std::move(topology)), self));
}

std::shared_ptr<const View> View::Create(std::shared_ptr<const Document> document, NodeId self,
                                         std::shared_ptr<const std::string> delta) {
  const Topology* const topology = &document->topology;
  return std::shared_ptr<const View>(new View(
      std::shared_ptr<const Topology>(std::move(document), topology), self, std::move(delta)));
}

View::View(std::shared_ptr<const Topology> topology, NodeId self,
           std::shared_ptr<const std::string> delta)
    : topology_(std::move(topology)), delta_(std::move(delta)), self_(self) {
  for (const Ownership& ownership : topology_->families) {
    families_[static_cast<size_t>(ownership.replicas)] = {
        ownership.owners.data(), static_cast<size_t>(ownership.effective_replicas())};
  }
  for (const TableSpec& table : topology_->tables) tables_by_name_.push_back(&table);
  std::sort(tables_by_name_.begin(), tables_by_name_.end(),
            [](const TableSpec* a, const TableSpec* b) { return a->name < b->name; });
}

const TableSpec* View::FindTable(std::string_view name) const {
  const auto it = std::lower_bound(
      tables_by_name_.begin(), tables_by_name_.end(), name,
      [](const TableSpec* table, std::string_view wanted) { return table->name < wanted; });
  return it != tables_by_name_.end() && (*it)->name == name ? *it : nullptr;
}

const TableSpec* View::FindTable(TableId id) const {
  const auto it =
      std::lower_bound(topology_->tables.begin(), topology_->tables.end(), id,
                       [](const TableSpec& table, TableId wanted) { return table.id < wanted; });
  return it != topology_->tables.end() && it->id == id ? &*it : nullptr;
}

const Member* View::FindMember(NodeId id) const { return gyre::FindMember(*topology_, id); }

PartitionId View::Locate(const TableSpec& table, std::string_view partition_key) const {
  return PartitionId(table.replicas, SliceOf(HashKey(table.id, partition_key), topology_->slices));
}

bool View::IsOwner(PartitionId partition, NodeId node) const {
  const absl::Span<const NodeId> owners = Owners(partition);
  return std::find(owners.begin(), owners.end(), node) != owners.end();
}

std::vector<PartitionId> View::OwnedBy(NodeId node) const {
  std::vector<PartitionId> owned;
  for (const Ownership& ownership : topology_->families) {
    for (uint32_t slice = 0; slice < ownership.slices; ++slice) {
      const PartitionId partition(ownership.replicas, slice);
      if (IsOwner(partition, node)) owned.push_back(partition);
    }
  }
  return owned;
}

View::Nodes View::Replicas(PartitionId partition) const {
  const absl::Span<const NodeId> owners = Owners(partition);
  Nodes nodes(owners.begin(), owners.end());
  if (const Move* const move = FindMove(partition)) nodes.push_back(move->beside());
  return nodes;
}

bool View::PlacesLike(const View& other, PartitionId partition) const {
  const Move* const mine = FindMove(partition);
  const Move* const theirs = other.FindMove(partition);
  const bool moves_alike = mine == nullptr || theirs == nullptr ? mine == theirs : *mine == *theirs;
  return moves_alike && Owners(partition) == other.Owners(partition);
}

View::Nodes View::PeersOf(PartitionId partition) const {
  Nodes nodes = Replicas(partition);
  const auto end = std::remove_if(nodes.begin(), nodes.end(), [&](NodeId node) {
    return node == self_ || FindMember(node)->state == MemberState::kDead;
  });
  nodes.erase(end, nodes.end());
  return nodes;
}

std::vector<PartitionId> View::KeptBy(NodeId node) const {
  std::vector<PartitionId> kept = OwnedBy(node);
  const size_t owned = kept.size();
  for (const Move& move : topology_->moves) {
    if (move.beside() == node) kept.push_back(move.partition);
  }
  std::inplace_merge(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(owned), kept.end());
  return kept;
}

std::vector<NodeId> View::StandIns(PartitionId partition, size_t most,
                                   absl::FunctionRef<bool(NodeId)> fit) const {
  std::vector<NodeId> list;
  const absl::Span<const NodeId> owners = Owners(partition);
  if (owners.empty()) return list;
  const std::vector<Member>& members = topology_->members;
  std::vector<bool> met(members.size(), false);
  size_t left = members.size();
  const auto meet = [&](size_t index) {
    if (met[index]) return;
    met[index] = true;
    --left;
    const NodeId node = members[index].id;
    if (list.size() < most && !IsReplica(partition, node) && fit(node)) list.push_back(node);
  };
  for (uint32_t step = 0; step < topology_->slices && left > 0 && list.size() < most; ++step) {
    const uint32_t slice = (partition.slice() + step) % topology_->slices;
    for (const NodeId owner : Owners(PartitionId(partition.replicas(), slice))) {
      meet(static_cast<size_t>(FindMember(owner) - members.data()));
    }
  }
  // With more nodes than slices to own, some own nothing of this family.
  for (size_t index = 0; index < members.size() && left > 0; ++index) meet(index);
  return list;
}

}  // namespace gyre
