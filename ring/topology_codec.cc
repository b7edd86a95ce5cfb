// The bytes of a topology document.
//
//   document := format:u16 [level:u16] epoch:u64 cluster:u64 cluster_name:str slices:u32
//   next_table_id:u16
//               members:u16 member*  tables:u16 table*  families:u8 family*
//               moves:u32 move*  removed:u16 node:u64*
//               voters:u8 voter*  voters_before:u8 voter*
//   member   := name:str zone:str client_address:str peer_address:str state:u8 key:u64 life:u64
//   table    := id:u16 name:str replicas:u8 read_quorum:u8 write_quorum:u8
//               conflict:u8 durability:u8 quorum:u8 ttl_ms:u64
//   family   := replicas:u8 owners_each:u8 member_index:u16*   (slices * owners_each, slice-major)
//   move     := partition:u32 from_index:u16 to_index:u16 since:u64 switched:u64
//   voter    := member_index:u16 life:u64
//   str      := size:u32 byte*
//
// Integers are big endian. format is 6, with level, where the level is 2 or more; else it is 5, and
// no level is there: builds of level 1 read that. A member's id is the hash of its name and key and
// not written; a move is switched where the epoch of that is not 0. A valid document has exactly
// one encoding. Formats 1 to 4 are read and not written: in 4 there are no lives and no voters, for
// the first seven of the configuration's members always voted; in 3 members have no state and no
// key, and nothing moves, for members and owners never changed; in 2 tables have no ttl_ms, for
// nothing expired, and in 1 no quorum either, for there were strict ones only.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/bytes.h"
#include "ring/check.h"
#include "ring/member_places.h"
#include "ring/topology.h"

namespace gyre {
namespace {

constexpr uint16_t kFormat = 6;
constexpr uint16_t kFormatWithoutLevel = 5;
constexpr uint16_t kFormatWithoutVoters = 4;
constexpr uint16_t kFormatWithoutMoves = 3;
constexpr uint16_t kFormatWithoutTtl = 2;
constexpr uint16_t kFormatWithoutQuorum = 1;

uint16_t MemberIndex(const Topology& topology, NodeId id) {
  const Member* const member = FindMember(topology, id);
  GYRE_CHECK(member != nullptr, "owners are members");
  return static_cast<uint16_t>(member - topology.members.data());
}

// False for a state that there is not.
bool GetMember(ByteReader& in, uint16_t format, ClusterId cluster, Member& member) {
  member.name = std::string(in.GetString());
  member.zone = std::string(in.GetString());
  member.client_address = std::string(in.GetString());
  member.peer_address = std::string(in.GetString());
  const uint8_t state = format <= kFormatWithoutMoves ? 0 : in.Get<uint8_t>();
  member.state = static_cast<MemberState>(state);
  member.key = format <= kFormatWithoutMoves ? 0 : in.Get<uint64_t>();
  member.life = format <= kFormatWithoutVoters ? 0 : in.Get<uint64_t>();
  member.id = NodeIdFromName(cluster, member.name, member.key);
  return state <= static_cast<uint8_t>(MemberState::kDead);
}

// False where one of the two is no member.
bool GetMove(ByteReader& in, const Topology& topology, Move& move) {
  move.partition = PartitionId::FromValue(in.Get<uint32_t>());
  const size_t from = in.Get<uint16_t>();
  const size_t to = in.Get<uint16_t>();
  if (from >= topology.members.size() || to >= topology.members.size()) return false;
  move.from = topology.members[from].id;
  move.to = topology.members[to].id;
  move.since = Epoch(in.Get<uint64_t>());
  move.switched = Epoch(in.Get<uint64_t>());
  move.step = move.switched == Epoch() ? MoveStep::kFilling : MoveStep::kSwitched;
  return true;
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

// False where one of them is no member.
bool GetVoters(ByteReader& in, const Topology& topology, std::vector<Voter>& voters) {
  for (uint8_t left = in.Get<uint8_t>(); left > 0; --left) {
    const size_t index = in.Get<uint16_t>();
    if (in.failed() || index >= topology.members.size()) return false;
    voters.push_back({topology.members[index].id, in.Get<uint64_t>()});
  }
  return true;
}

// Those that always voted: of the configuration's members, who have no key, the first by id. Every
// node comes to the same.
void SetFirstVoters(Topology* topology) {
  for (const Member& member : topology->members) {
    const bool of_the_first = member.key == 0 && topology->voters.size() < kMaxVoters;
    if (of_the_first) topology->voters.push_back({member.id});
  }
}

}  // namespace

std::string EncodeTopology(const Topology& topology) {
  GYRE_CHECK(ValidateTopology(topology).ok(), "only valid documents are written");
  ByteWriter out;
  const bool leveled = topology.level > kFirstLevel;
  out.Put(leveled ? kFormat : kFormatWithoutLevel);
  if (leveled) out.Put(topology.level);
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
    out.Put(static_cast<uint8_t>(member.state));
    out.Put(member.key);
    out.Put(member.life);
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
  const MemberPlaces places(topology.members);
  out.Put(static_cast<uint8_t>(topology.families.size()));
  for (const Ownership& family : topology.families) {
    out.Put(static_cast<uint8_t>(family.replicas));
    out.Put(static_cast<uint8_t>(family.effective_replicas()));
    for (const NodeId owner : family.owners) {
      const size_t place = places.Of(owner);
      GYRE_CHECK(place != MemberPlaces::kNone, "owners are members");
      out.Put(static_cast<uint16_t>(place));
    }
  }
  out.Put(static_cast<uint32_t>(topology.moves.size()));
  for (const Move& move : topology.moves) {
    out.Put(move.partition.value());
    out.Put(MemberIndex(topology, move.from));
    out.Put(MemberIndex(topology, move.to));
    out.Put(move.since.value());
    out.Put(move.switched.value());
  }
  out.Put(static_cast<uint16_t>(topology.removed.size()));
  for (const NodeId id : topology.removed) out.Put(id.value());
  for (const std::vector<Voter>* voters : {&topology.voters, &topology.voters_before}) {
    out.Put(static_cast<uint8_t>(voters->size()));
    for (const Voter& voter : *voters) {
      out.Put(MemberIndex(topology, voter.node));
      out.Put(voter.life);
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
  if (format > kFormatWithoutLevel) {
    topology.level = in.Get<uint16_t>();
    if (in.failed() || topology.level <= kFirstLevel) return garbage;
    if (topology.level > kBuildLevel) {
      return absl::FailedPreconditionError(
          absl::StrCat("topology: this build ", OutgrownWords(kBuildLevel, topology.level)));
    }
  }
  topology.epoch = Epoch(in.Get<uint64_t>());
  topology.cluster = ClusterId(in.Get<uint64_t>());
  topology.cluster_name = std::string(in.GetString());
  topology.slices = in.Get<uint32_t>();
  if (topology.slices > kMaxSlices) return garbage;
  topology.next_table_id = TableId(in.Get<uint16_t>());
  for (uint16_t left = in.Get<uint16_t>(); left > 0 && !in.failed(); --left) {
    if (!GetMember(in, format, topology.cluster, topology.members.emplace_back())) return garbage;
  }
  for (uint16_t left = in.Get<uint16_t>(); left > 0 && !in.failed(); --left) {
    if (!GetTable(in, format, topology.tables.emplace_back())) return garbage;
  }
  for (uint8_t left = in.Get<uint8_t>(); left > 0 && !in.failed(); --left) {
    if (!GetFamily(in, topology, topology.families.emplace_back())) return garbage;
  }
  if (format > kFormatWithoutMoves) {
    for (uint32_t left = in.Get<uint32_t>(); left > 0 && !in.failed(); --left) {
      if (!GetMove(in, topology, topology.moves.emplace_back())) return garbage;
    }
    for (uint16_t left = in.Get<uint16_t>(); left > 0 && !in.failed(); --left) {
      topology.removed.emplace_back(in.Get<uint64_t>());
    }
  }
  if (format <= kFormatWithoutVoters) {
    SetFirstVoters(&topology);
  } else if (!GetVoters(in, topology, topology.voters) ||
             !GetVoters(in, topology, topology.voters_before)) {
    return garbage;
  }
  if (!in.finished()) return garbage;
  if (absl::Status status = ValidateTopology(topology); !status.ok()) return status;
  return topology;
}

}  // namespace gyre
