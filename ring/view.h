// View: one topology document as seen by one node, indexed for the request path.
//
// Immutable after Create and shared as shared_ptr<const View>: any thread may read it, and a change
// of topology is a new View. A request holds one View from start to end.

#ifndef GYRE_RING_VIEW_H_
#define GYRE_RING_VIEW_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "ring/document.h"
#include "ring/ids.h"
#include "ring/member.h"
#include "ring/move.h"
#include "ring/table.h"
#include "ring/topology.h"

namespace gyre {

class View {
 public:
  // REQUIRES: ValidateTopology(topology).ok(). `self` need not be a member (a node that has left).
  static std::shared_ptr<const View> Create(Topology topology, NodeId self);
  // The same, of a document that others hold as well. Valid is what a Document is. `delta`: what
  // tells others of it (ring/topology_delta.h), from the document before; null where they are to be
  // told the whole.
  static std::shared_ptr<const View> Create(std::shared_ptr<const Document> document, NodeId self,
                                            std::shared_ptr<const std::string> delta = nullptr);

  View(const View&) = delete;
  View& operator=(const View&) = delete;

  Epoch epoch() const { return topology_->epoch; }
  const Topology& topology() const { return *topology_; }
  const std::string* delta() const { return delta_.get(); }
  NodeId self() const { return self_; }

  // Null when there is none. The pointer lives as long as the View.
  const TableSpec* FindTable(std::string_view name) const;
  const TableSpec* FindTable(TableId id) const;
  const Member* FindMember(NodeId id) const;

  // The partition of a key: the table's family, the key's slice.
  PartitionId Locate(const TableSpec& table, std::string_view partition_key) const;

  // Owners in preference order; empty for a partition that this topology does not have (ids arrive
  // from the wire). The span lives as long as the View. Constant time.
  absl::Span<const NodeId> Owners(PartitionId partition) const {
    const size_t family = static_cast<size_t>(partition.replicas());
    if (family >= families_.size() || families_[family].data == nullptr ||
        partition.slice() >= topology_->slices) {
      return {};
    }
    const Family& f = families_[family];
    return absl::MakeConstSpan(f.data + partition.slice() * f.owners_each, f.owners_each);
  }

  bool IsOwner(PartitionId partition, NodeId node) const;

  // Null where the partition is not on its way to another owner.
  const Move* FindMove(PartitionId partition) const {
    return topology_->moves.empty() ? nullptr : gyre::FindMove(*topology_, partition);
  }

  // Who takes its writes: the owners and, last, the one beside them while the partition moves.
  using Nodes = absl::InlinedVector<NodeId, kMaxReplicas + 1>;
  Nodes Replicas(PartitionId partition) const;
  bool IsReplica(PartitionId partition, NodeId node) const {
    const Move* const move = FindMove(partition);
    return IsOwner(partition, node) || (move != nullptr && move->beside() == node);
  }

  // Whether the partition has the same owners in both, and is on the same way, if on any.
  bool PlacesLike(const View& other, PartitionId partition) const;

  // The replicas but this node and those that are dead: who may tell of the partition.
  Nodes PeersOf(PartitionId partition) const;

  // Every partition, of all families, that `node` owns; ascending.
  std::vector<PartitionId> OwnedBy(NodeId node) const;
  // Every partition of which it is a replica; ascending.
  std::vector<PartitionId> KeptBy(NodeId node) const;

  // The first `most` nodes that stand in for the partition's replicas, in the order in which they
  // do: none of them, and `fit`. Ring order: walk the slices after this one and take each owner as
  // it first appears, so stand-ins of different partitions spread over the cluster. Walks no
  // further than it must. Empty where Owners() is.
  std::vector<NodeId> StandIns(PartitionId partition, size_t most,
                               absl::FunctionRef<bool(NodeId)> fit) const;

 private:
  struct Family {
    const NodeId* data = nullptr;
    size_t owners_each = 0;
  };

  View(std::shared_ptr<const Topology> topology, NodeId self,
       std::shared_ptr<const std::string> delta = nullptr);

  const std::shared_ptr<const Topology> topology_;
  const std::shared_ptr<const std::string> delta_;
  const NodeId self_;
  std::array<Family, kMaxReplicas + 1> families_;  // by N, into topology_.families
  std::vector<const TableSpec*> tables_by_name_;   // sorted by name, into topology_.tables
};

}  // namespace gyre

#endif  // GYRE_RING_VIEW_H_
