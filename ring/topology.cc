#include "ring/topology.h"

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "ring/member_places.h"

namespace gyre {
namespace {

constexpr uint16_t kNoMoreTableIds = UINT16_MAX;

bool NameIsValid(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name[0] == '.' || name[0] == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  });
}

constexpr char kNameRule[] = ": 1 to 255 of A-Z a-z 0-9 _ . -, not starting with . or -";

bool SlicesAreValid(uint32_t slices) { return std::has_single_bit(slices) && slices <= kMaxSlices; }

const TableSpec* FindByName(const Topology& topology, std::string_view name) {
  for (const TableSpec& table : topology.tables) {
    if (table.name == name) return &table;
  }
  return nullptr;
}

// Gives the family of N its owners when no table of that N has been there before.
void AddFamily(Topology& topology, int replicas) {
  const auto it = std::find_if(topology.families.begin(), topology.families.end(),
                               [&](const Ownership& f) { return f.replicas >= replicas; });
  if (it != topology.families.end() && it->replicas == replicas) return;
  topology.families.insert(it, Claim(ActiveNodes(topology), replicas, topology.slices));
}

absl::Status Broken(std::string_view rule) {
  return absl::DataLossError(absl::StrCat("topology: ", std::string(rule)));
}

absl::Status ValidateMembers(const Topology& topology) {
  if (topology.members.empty() || topology.members.size() > kMaxMembers) {
    return Broken("number of members");
  }
  std::set<std::string_view> names;
  for (size_t i = 0; i < topology.members.size(); ++i) {
    const Member& member = topology.members[i];
    if (!NameIsValid(member.name)) return Broken("member name");
    if (member.zone.size() > kMaxNameBytes || member.client_address.size() > kMaxNameBytes ||
        member.peer_address.size() > kMaxNameBytes) {
      return Broken("zone or address of a member is too long");
    }
    if (member.id != NodeIdFromName(topology.cluster, member.name, member.key)) {
      return Broken("member id");
    }
    if (std::binary_search(topology.removed.begin(), topology.removed.end(), member.id)) {
      return Broken("a member that was removed");
    }
    if (i > 0 && topology.members[i - 1].id >= member.id) return Broken("order of members");
    if (!names.insert(member.name).second) return Broken("two members of one name");
  }
  if (ActiveNodes(topology).empty()) return Broken("no member is active");
  if (topology.removed.size() > kMaxRemoved) return Broken("number of removed members");
  const auto ascend = [](NodeId a, NodeId b) { return a >= b; };
  if (std::adjacent_find(topology.removed.begin(), topology.removed.end(), ascend) !=
      topology.removed.end()) {
    return Broken("order of removed members");
  }
  return absl::OkStatus();
}

absl::Status ValidateFamily(const Topology& topology, const MemberPlaces& places,
                            const Ownership& family) {
  if (family.replicas < 1 || family.replicas > kMaxReplicas) return Broken("N of a family");
  if (family.slices != topology.slices) return Broken("slices of a family");
  const size_t each = static_cast<size_t>(family.effective_replicas());
  if (each < 1 || each > static_cast<size_t>(family.replicas) ||
      family.owners.size() != each * family.slices) {
    return Broken("number of owners");
  }
  for (uint32_t slice = 0; slice < family.slices; ++slice) {
    const auto owners = family.OwnersOf(slice);
    for (size_t rank = 0; rank < each; ++rank) {
      if (std::find(owners.begin(), owners.begin() + rank, owners[rank]) != owners.begin() + rank) {
        return Broken("an owner named twice in a slice");
      }
      if (places.Of(owners[rank]) == MemberPlaces::kNone) {
        return Broken("an owner that is no member");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateMoves(const Topology& topology) {
  for (size_t i = 0; i < topology.moves.size(); ++i) {
    const Move& move = topology.moves[i];
    if (i > 0 && topology.moves[i - 1].partition >= move.partition) return Broken("order of moves");
    const Ownership* const family = FindFamily(topology, move.partition.replicas());
    if (family == nullptr || move.partition.slice() >= family->slices) {
      return Broken("a move of no partition");
    }
    const bool switched = move.step == MoveStep::kSwitched;
    if (move.since == Epoch() || move.since > topology.epoch || move.switched > topology.epoch ||
        (switched ? move.switched <= move.since : move.switched != Epoch())) {
      return Broken("epoch of a move");
    }
    const absl::Span<const NodeId> owners = family->OwnersOf(move.partition.slice());
    const auto owns = [&](NodeId node) {
      return std::find(owners.begin(), owners.end(), node) != owners.end();
    };
    if (!owns(move.stands_for()) || owns(move.beside()) ||
        FindMember(topology, move.beside()) == nullptr) {
      return Broken("who moves a partition to whom");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateVoters(const Topology& topology) {
  if (topology.voters.empty()) return Broken("no voters");
  for (const std::vector<Voter>* voters : {&topology.voters, &topology.voters_before}) {
    if (voters->size() > kMaxVoters) return Broken("number of voters");
    for (size_t i = 0; i < voters->size(); ++i) {
      const NodeId node = (*voters)[i].node;
      if (i > 0 && (*voters)[i - 1].node >= node) return Broken("order of voters");
      if (FindMember(topology, node) == nullptr) return Broken("a voter that is no member");
    }
  }
  if (topology.voters_before == topology.voters) return Broken("voters before the same");
  return absl::OkStatus();
}

absl::Status ValidateTables(const Topology& topology) {
  if (topology.tables.size() > kMaxTables) return Broken("number of tables");
  if (topology.next_table_id == TableId()) return Broken("next table id");
  std::set<std::string_view> names;
  for (size_t i = 0; i < topology.tables.size(); ++i) {
    const TableSpec& table = topology.tables[i];
    if (!ValidateTableSpec(table).ok()) return Broken("table specification");
    if (table.id == TableId() || table.id >= topology.next_table_id) return Broken("table id");
    if (i > 0 && topology.tables[i - 1].id >= table.id) return Broken("order of tables");
    if (!names.insert(table.name).second) return Broken("two tables of one name");
    const bool placed =
        std::any_of(topology.families.begin(), topology.families.end(),
                    [&](const Ownership& f) { return f.replicas == table.replicas; });
    if (!placed) return Broken("a table without its family");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Topology> InitialTopology(std::string_view cluster_name, uint32_t slices,
                                         std::vector<Member> members) {
  if (!NameIsValid(cluster_name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cluster name '", std::string(cluster_name), "'", kNameRule));
  }
  if (!SlicesAreValid(slices)) {
    return absl::InvalidArgumentError(
        absl::StrCat("slices: ", slices, " is not a power of two from 1 to ", kMaxSlices));
  }
  if (members.empty() || members.size() > kMaxMembers) {
    return absl::InvalidArgumentError(
        absl::StrCat("members: ", members.size(), ", allowed are 1 to ", kMaxMembers));
  }
  Topology topology;
  topology.epoch = Epoch(1);
  topology.cluster = ClusterIdFromName(cluster_name);
  topology.cluster_name = std::string(cluster_name);
  topology.slices = slices;
  for (Member& member : members) {
    if (absl::Status status = ValidateMember(member); !status.ok()) return status;
    member.id = NodeIdFromName(topology.cluster, member.name, member.key);
  }
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  for (size_t i = 1; i < members.size(); ++i) {
    if (members[i - 1].id != members[i].id) continue;
    return absl::InvalidArgumentError(absl::StrCat("node names '", members[i - 1].name, "' and '",
                                                   members[i].name, "' mean the same node"));
  }
  topology.members = std::move(members);
  if (ActiveNodes(topology).empty()) {
    return absl::InvalidArgumentError("members: none of them is active");
  }
  for (const Member& member : topology.members) {
    if (topology.voters.size() < kMaxVoters) topology.voters.push_back({member.id, member.life});
  }
  return topology;
}

Topology NextOf(const Topology& topology) {
  Topology next = topology;
  next.epoch = Epoch(topology.epoch.value() + 1);
  next.voters_before.clear();
  return next;
}

Topology RaiseLevel(const Topology& topology, const std::map<NodeId, BuildLevel>& levels) {
  BuildLevel level = kBuildLevel;
  for (const Member& member : topology.members) {
    if (member.state == MemberState::kDead) continue;
    const auto said = levels.find(member.id);
    level = std::min(level, said == levels.end() ? kFirstLevel : said->second);
  }
  if (level <= topology.level) return topology;
  Topology next = NextOf(topology);
  next.level = level;
  return next;
}

const Member* FindMember(const Topology& topology, NodeId id) {
  const auto it =
      std::lower_bound(topology.members.begin(), topology.members.end(), id,
                       [](const Member& member, NodeId wanted) { return member.id < wanted; });
  return it != topology.members.end() && it->id == id ? &*it : nullptr;
}

const Member* FindMember(const Topology& topology, std::string_view name) {
  for (const Member& member : topology.members) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

const Move* FindMove(const Topology& topology, PartitionId partition) {
  const auto it = std::lower_bound(
      topology.moves.begin(), topology.moves.end(), partition,
      [](const Move& move, PartitionId wanted) { return move.partition < wanted; });
  return it != topology.moves.end() && it->partition == partition ? &*it : nullptr;
}

const Ownership* FindFamily(const Topology& topology, int replicas) {
  for (const Ownership& family : topology.families) {
    if (family.replicas == replicas) return &family;
  }
  return nullptr;
}

std::vector<ClaimNode> ActiveNodes(const Topology& topology) {
  std::vector<ClaimNode> nodes;
  for (const Member& member : topology.members) {
    if (member.state == MemberState::kActive) nodes.push_back({member.id, member.zone});
  }
  return nodes;
}

absl::Status ValidateMember(const Member& member) {
  if (!NameIsValid(member.name)) {
    return absl::InvalidArgumentError(absl::StrCat("node name '", member.name, "'", kNameRule));
  }
  for (const std::string* text : {&member.zone, &member.client_address, &member.peer_address}) {
    if (text->size() <= kMaxNameBytes) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("node '", member.name, "': a zone or address is longer than ", kMaxNameBytes));
  }
  return absl::OkStatus();
}

absl::Status ValidateTableSpec(const TableSpec& spec) {
  if (!NameIsValid(spec.name)) {
    return absl::InvalidArgumentError(absl::StrCat("table name '", spec.name, "'", kNameRule));
  }
  if (spec.replicas < 1 || spec.replicas > kMaxReplicas) {
    return absl::InvalidArgumentError(
        absl::StrCat("replicas: ", spec.replicas, ", allowed are 1 to ", kMaxReplicas));
  }
  const std::pair<const char*, int> quorums[] = {{"read_quorum", spec.read_quorum},
                                                 {"write_quorum", spec.write_quorum}};
  for (const auto& [field, quorum] : quorums) {
    if (quorum >= 1 && quorum <= spec.replicas) continue;
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", quorum, ", allowed are 1 to ",
                                                   spec.replicas, " (the table's replicas)"));
  }
  if (spec.ttl_ms > kMaxTtlMs) {
    return absl::InvalidArgumentError(
        absl::StrCat("ttl_ms: ", spec.ttl_ms, ", allowed are 0 to ", kMaxTtlMs));
  }
  return absl::OkStatus();
}

absl::StatusOr<Topology> CreateTable(const Topology& topology, TableSpec wanted) {
  if (absl::Status status = ValidateTableSpec(wanted); !status.ok()) return status;
  if (const TableSpec* existing = FindByName(topology, wanted.name)) {
    wanted.id = existing->id;
    if (wanted == *existing) return topology;
    return absl::AlreadyExistsError(
        absl::StrCat("table '", wanted.name, "' exists with another specification"));
  }
  const size_t active = ActiveNodes(topology).size();
  if (static_cast<size_t>(wanted.replicas) > active) {
    return absl::FailedPreconditionError(absl::StrCat("table '", wanted.name, "' wants ",
                                                      wanted.replicas, " replicas; there are ",
                                                      active, " nodes"));
  }
  if (topology.tables.size() >= kMaxTables) {
    return absl::ResourceExhaustedError(absl::StrCat("there are ", kMaxTables, " tables already"));
  }
  if (topology.next_table_id.value() == kNoMoreTableIds) {
    return absl::ResourceExhaustedError("every table id has been used");
  }
  Topology next = NextOf(topology);
  wanted.id = topology.next_table_id;
  next.next_table_id = TableId(static_cast<uint16_t>(wanted.id.value() + 1));
  AddFamily(next, wanted.replicas);
  next.tables.push_back(std::move(wanted));
  return next;
}

bool WasDropped(const Topology& topology, TableId table) {
  if (table >= topology.next_table_id) return false;
  const auto it = std::lower_bound(topology.tables.begin(), topology.tables.end(), table,
                                   [](const TableSpec& a, TableId b) { return a.id < b; });
  return it == topology.tables.end() || it->id != table;
}

absl::StatusOr<Topology> DropTable(const Topology& topology, std::string_view name) {
  const TableSpec* table = FindByName(topology, name);
  if (table == nullptr) {
    return absl::NotFoundError(absl::StrCat("no table '", std::string(name), "'"));
  }
  Topology next = NextOf(topology);
  next.tables.erase(next.tables.begin() + (table - topology.tables.data()));
  return next;
}

absl::Status ValidateTopology(const Topology& topology) {
  if (topology.epoch == Epoch()) return Broken("epoch 0");
  if (!NameIsValid(topology.cluster_name)) return Broken("cluster name");
  if (topology.cluster != ClusterIdFromName(topology.cluster_name)) return Broken("cluster id");
  if (!SlicesAreValid(topology.slices)) return Broken("slices");
  if (topology.level < kFirstLevel || topology.level > kBuildLevel) return Broken("level");
  if (absl::Status status = ValidateMembers(topology); !status.ok()) return status;
  const MemberPlaces places(topology.members);
  for (size_t i = 0; i < topology.families.size(); ++i) {
    const absl::Status status = ValidateFamily(topology, places, topology.families[i]);
    if (!status.ok()) return status;
    if (i > 0 && topology.families[i - 1].replicas >= topology.families[i].replicas) {
      return Broken("order of families");
    }
  }
  if (absl::Status status = ValidateMoves(topology); !status.ok()) return status;
  if (absl::Status status = ValidateVoters(topology); !status.ok()) return status;
  return ValidateTables(topology);
}

}  // namespace gyre
