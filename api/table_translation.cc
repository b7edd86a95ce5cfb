#include "api/table_translation.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/error_translation.h"
#include "api/member_translation.h"
#include "ring/check.h"

namespace gyre {
namespace {

absl::StatusOr<int> OneTo(const char* field, uint32_t wanted, int most) {
  if (wanted == 0 || wanted > static_cast<uint32_t>(most)) {
    return InvalidField(field, absl::StrCat(wanted, "; 1 to ", most, " are allowed"));
  }
  return static_cast<int>(wanted);
}

}  // namespace

void ToProto(const TableSpec& table, v1::Table* out) {
  out->set_name(table.name);
  out->set_id(table.id.value());
  out->set_replicas(static_cast<uint32_t>(table.replicas));
  out->set_read_quorum(static_cast<uint32_t>(table.read_quorum));
  out->set_write_quorum(static_cast<uint32_t>(table.write_quorum));
  out->set_conflict(static_cast<v1::ConflictPolicy>(table.conflict));
  out->set_durability(static_cast<v1::Durability>(table.durability));
  out->set_quorum(static_cast<v1::QuorumKind>(table.quorum));
  out->set_ttl_ms(table.ttl_ms);
}

absl::StatusOr<TableSpec> WantedTable(const v1::Table& table, size_t members) {
  TableSpec spec;
  spec.name = table.name();
  absl::StatusOr<int> replicas = table.has_replicas()
                                     ? OneTo("table.replicas", table.replicas(), kMaxReplicas)
                                     : static_cast<int>(std::min<size_t>(3, members));
  if (!replicas.ok()) return replicas.status();
  spec.replicas = *replicas;
  const int majority = spec.replicas / 2 + 1;
  absl::StatusOr<int> read = table.has_read_quorum()
                                 ? OneTo("table.read_quorum", table.read_quorum(), spec.replicas)
                                 : majority;
  if (!read.ok()) return read.status();
  spec.read_quorum = *read;
  absl::StatusOr<int> write = table.has_write_quorum()
                                  ? OneTo("table.write_quorum", table.write_quorum(), spec.replicas)
                                  : majority;
  if (!write.ok()) return write.status();
  spec.write_quorum = *write;
  if (!v1::ConflictPolicy_IsValid(table.conflict())) {
    return InvalidField("table.conflict", "siblings and last-write-wins are allowed");
  }
  spec.conflict = static_cast<ConflictPolicy>(table.conflict());
  if (!v1::Durability_IsValid(table.durability())) {
    return InvalidField("table.durability", "fsync and periodic are allowed");
  }
  spec.durability = static_cast<Durability>(table.durability());
  if (!v1::QuorumKind_IsValid(table.quorum())) {
    return InvalidField("table.quorum", "sloppy and strict are allowed");
  }
  spec.quorum = static_cast<QuorumKind>(table.quorum());
  if (table.ttl_ms() > kMaxTtlMs) {
    return InvalidField("table.ttl_ms", absl::StrCat(table.ttl_ms(), "; at most ", kMaxTtlMs,
                                                     " are allowed, or 0 for ever"));
  }
  spec.ttl_ms = table.ttl_ms();
  if (absl::Status status = ValidateTableSpec(spec); !status.ok()) {
    return InvalidField("table.name", std::string(status.message()));
  }
  return spec;
}

void ToProto(const Topology& topology, v1::GetTopologyReply* out) {
  out->set_epoch(topology.epoch.value());
  out->set_cluster_name(topology.cluster_name);
  out->set_slices(topology.slices);
  std::map<NodeId, uint32_t> index;
  for (const Member& member : topology.members) {
    index.emplace(member.id, static_cast<uint32_t>(index.size()));
    ToProto(member, out->add_members());
  }
  for (const TableSpec& table : topology.tables) ToProto(table, out->add_tables());
  for (const Ownership& family : topology.families) {
    v1::PartitionFamily* wire = out->add_families();
    wire->set_replicas(static_cast<uint32_t>(family.replicas));
    wire->set_per_slice(static_cast<uint32_t>(family.effective_replicas()));
    wire->mutable_owners()->Reserve(static_cast<int>(family.owners.size()));
    for (NodeId owner : family.owners) {
      auto it = index.find(owner);
      GYRE_CHECK(it != index.end(), "owners are members: ValidateTopology");
      wire->add_owners(it->second);
    }
  }
}

}  // namespace gyre
