// The bytes of a topology document.
//
//   document := format:u16 epoch:u64 cluster:u64 cluster_name:str slices:u32 next_table_id:u16
//               members:u16 member*  tables:u16 table*  families:u8 family*
//   member   := name:str zone:str client_address:str peer_address:str
//   table    := id:u16 name:str replicas:u8 read_quorum:u8 write_quorum:u8
//               conflict:u8 durability:u8 quorum:u8 ttl_ms:u64
//   family   := replicas:u8 owners_each:u8 member_index:u16*   (slices * owners_each, slice-major)
//   str      := size:u32 byte*
//
// Integers are big endian. format is 3. A member's id is the hash of its name and not written. A
// valid document has exactly one encoding. Formats 1 and 2 are read and not written: in 2 tables
// have no ttl_ms, for nothing expired, and in 1 no quorum either, for there were strict ones only.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/bytes.h"
#include "ring/check.h"
#include "ring/topology.h"

namespace gyre {
namespace {

constexpr uint16_t kFormat = 3;
constexpr uint16_t kFormatWithoutTtl = 2;
constexpr uint16_t kFormatWithoutQuorum = 1;

size_t MemberIndex(const Topology& topology, NodeId id) {
  const auto it =
      std::lower_bound(topology.members.begin(), topology.members.end(), id,
                       [](const Member& member, NodeId wanted) { return member.id < wanted; });
  GYRE_CHECK(it != topology.members.end() && it->id == id, "owners are members");
  return static_cast<size_t>(it - topology.members.begin());
}

Member GetMember(ByteReader& in, ClusterId cluster) {
  Member member;
  member.name = std::string(in.GetString());
  member.zone = std::string(in.GetString());
  member.client_address = std::string(in.GetString());
  member.peer_address = std::string(in.GetString());
  member.id = NodeIdFromName(cluster, member.name);
  return member;
}

// False for an enumerator that this format does not have.
bool GetTable(ByteReader& in, uint16_t format, TableSpec& table) {
  table.id = TableId(in.Get<uint16_t>());
  table.name = std::string(in.GetString());
  table.replicas = in.Get<uint8_t>();
  table.read_quorum = in.Get<uint8_t>();
  table.write_quorum = in.Get<uint8_t>();
  const uint8_t conflict = in.Get<uint8_t>();
  const uint8_t durability = in.Get<uint8_t>();
  const uint8_t quorum = format == kFormatWithoutQuorum ? static_cast<uint8_t>(QuorumKind::kStrict)
                                                        : in.Get<uint8_t>();
  table.conflict = static_cast<ConflictPolicy>(conflict);
  table.durability = static_cast<Durability>(durability);
  table.quorum = static_cast<QuorumKind>(quorum);
  table.ttl_ms = format <= kFormatWithoutTtl ? 0 : in.Get<uint64_t>();
  return conflict <= static_cast<uint8_t>(ConflictPolicy::kLastWriteWins) &&
         durability <= static_cast<uint8_t>(Durability::kPeriodic) &&
         quorum <= static_cast<uint8_t>(QuorumKind::kStrict);
}

// False where an owner is no member or the owners cannot all be there.
bool GetFamily(ByteReader& in, const Topology& topology, Ownership& family) {
  family.replicas = in.Get<uint8_t>();
  family.slices = topology.slices;
  const size_t count = size_t{in.Get<uint8_t>()} * family.slices;
  if (count > in.remaining() / sizeof(uint16_t)) return false;  // before anything is reserved
  family.owners.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t index = in.Get<uint16_t>();
    if (index >= topology.members.size()) return false;
    family.owners.push_back(topology.members[index].id);
  }
  return true;
}

}  // namespace

std::string EncodeTopology(const Topology& topology) {
  GYRE_CHECK(ValidateTopology(topology).ok(), "only valid documents are written");
  ByteWriter out;
  out.Put(kFormat);
  out.Put(topology.epoch.value());
  out.Put(topology.cluster.value());
  out.PutString(topology.cluster_name);
  out.Put(topology.slices);
  out.Put(topology.next_table_id.value());
  out.Put(static_cast<uint16_t>(topology.members.size()));
  for (const Member& member : topology.members) {
    out.PutString(member.name);
    out.PutString(member.zone);
    out.PutString(member.client_address);
    out.PutString(member.peer_address);
  }
  out.Put(static_cast<uint16_t>(topology.tables.size()));
  for (const TableSpec& table : topology.tables) {
    out.Put(table.id.value());
    out.PutString(table.name);
    out.Put(static_cast<uint8_t>(table.replicas));
    out.Put(static_cast<uint8_t>(table.read_quorum));
    out.Put(static_cast<uint8_t>(table.write_quorum));
    out.Put(static_cast<uint8_t>(table.conflict));
    out.Put(static_cast<uint8_t>(table.durability));
    out.Put(static_cast<uint8_t>(table.quorum));
    out.Put(table.ttl_ms);
  }
  out.Put(static_cast<uint8_t>(topology.families.size()));
  for (const Ownership& family : topology.families) {
    out.Put(static_cast<uint8_t>(family.replicas));
    out.Put(static_cast<uint8_t>(family.effective_replicas()));
    for (const NodeId owner : family.owners) {
      out.Put(static_cast<uint16_t>(MemberIndex(topology, owner)));
    }
  }
  return out.Take();
}

absl::StatusOr<Topology> DecodeTopology(std::string_view bytes) {
  const absl::Status garbage = absl::DataLossError("topology: the bytes are no document");
  ByteReader in(bytes);
  const uint16_t format = in.Get<uint16_t>();
  if (format > kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("topology: format ", format, " is newer than ", kFormat, ", the one known"));
  }
  if (format < kFormatWithoutQuorum) return garbage;
  Topology topology;
  topology.epoch = Epoch(in.Get<uint64_t>());
  topology.cluster = ClusterId(in.Get<uint64_t>());
  topology.cluster_name = std::string(in.GetString());
  topology.slices = in.Get<uint32_t>();
  if (topology.slices > kMaxSlices) return garbage;
  topology.next_table_id = TableId(in.Get<uint16_t>());
  for (uint16_t left = in.Get<uint16_t>(); left > 0 && !in.failed(); --left) {
    topology.members.push_back(GetMember(in, topology.cluster));
  }
  for (uint16_t left = in.Get<uint16_t>(); left > 0 && !in.failed(); --left) {
    if (!GetTable(in, format, topology.tables.emplace_back())) return garbage;
  }
  for (uint8_t left = in.Get<uint8_t>(); left > 0 && !in.failed(); --left) {
    if (!GetFamily(in, topology, topology.families.emplace_back())) return garbage;
  }
  if (!in.finished()) return garbage;
  if (absl::Status status = ValidateTopology(topology); !status.ok()) return status;
  return topology;
}

}  // namespace gyre
