// Topology: the one epoch-numbered document that says who is in the cluster, which tables there are
// and who owns which partition (design section 4).
//
// A plain value. Changes are pure functions from one document to the next with epoch + 1; the
// caller commits the result by compare-and-set (ring/register.h) and spreads it. Any thread.
//
// Always holds for a document made by InitialTopology, by a change function or by DecodeTopology
// (ValidateTopology says so in code):
//   - members sorted by id, ids and names distinct, id = NodeIdFromName(cluster, name, key), none
//     of them among `removed`, and at least one of them active
//   - tables sorted by id, names distinct, every id below next_table_id: ids are never used again
//   - one family for each N of a table, sorted by N, with owners that are distinct members. A
//     family outlives its last table, so that its partitions never change owners unnoticed.
//   - moves sorted by partition, one for each at most; until it is switched `from` is an owner and
//     `to` is none, and from then on the other way round; both are members
//   - voters ascending by node, 1 to 7 of them; voters_before likewise, but for a document that has
//     the same voters as the one before it, which has none; all of them are members, but not
//     always in the lives that those have now
//   - a level that this build knows, of which all members but the dead were as it was reached
//
// Changes of members and owners: ring/rebalance.h.

#ifndef GYRE_RING_TOPOLOGY_H_
#define GYRE_RING_TOPOLOGY_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ring/build_level.h"
#include "ring/claim.h"
#include "ring/ids.h"
#include "ring/member.h"
#include "ring/move.h"
#include "ring/table.h"
#include "ring/voter.h"

namespace gyre {

struct Topology {
  Epoch epoch;
  ClusterId cluster;
  std::string cluster_name;
  uint32_t slices = 0;  // Q: a power of two, 1 to kMaxSlices, fixed for the cluster's life
  std::vector<Member> members;
  TableId next_table_id = TableId(1);
  std::vector<TableSpec> tables;
  std::vector<Ownership> families;
  std::vector<Move> moves;
  std::vector<NodeId> removed;  // members once, and never again; sorted
  // Who holds the register that this document is in, and, where the document before it had others,
  // those: both have to agree to it (ring/register.h).
  std::vector<Voter> voters;
  std::vector<Voter> voters_before;
  // Of which all nodes are, and so what they may use among each other (ring/build_level.h).
  BuildLevel level = kFirstLevel;

  friend bool operator==(const Topology&, const Topology&) = default;
};

inline constexpr size_t kMaxMembers = 16'384;
inline constexpr size_t kMaxTables = 4096;
inline constexpr size_t kMaxRemoved = UINT16_MAX;
inline constexpr size_t kMaxVoters = 7;
inline constexpr size_t kMaxNameBytes = 255;  // of a cluster, node, zone, table or address

// The document of epoch 1, the same on every node that has the same configuration, whatever the
// order of `members`. Fills in member ids; the first 7 by id are its voters. InvalidArgument: no or
// too many members, a bad or repeated name, slices not a power of two.
absl::StatusOr<Topology> InitialTopology(std::string_view cluster_name, uint32_t slices,
                                         std::vector<Member> members);

// The highest level of which every member but the dead is, by what they have said (`levels`), where
// that is above the document's and known to this build. Else the document unchanged, with its
// epoch: also where one has said nothing.
Topology RaiseLevel(const Topology& topology, const std::map<NodeId, BuildLevel>& levels);

// What every change begins with: the document of the next epoch, with the same voters.
Topology NextOf(const Topology& topology);

// Null where there is none.
const Member* FindMember(const Topology& topology, NodeId id);
const Member* FindMember(const Topology& topology, std::string_view name);
const Move* FindMove(const Topology& topology, PartitionId partition);
const Ownership* FindFamily(const Topology& topology, int replicas);

// Members that are to own something, as Claim takes them.
std::vector<ClaimNode> ActiveNodes(const Topology& topology);

// InvalidArgument unless its name, zone and addresses are within bounds.
absl::Status ValidateMember(const Member& member);

// Adds a table. `wanted.id` is ignored; the new table has the old document's next_table_id. The
// same spec under the same name again returns the document unchanged, with its epoch.
// InvalidArgument: name or quorums. FailedPrecondition: N over the number of active members.
// AlreadyExists: the name has another spec. ResourceExhausted: too many tables, or ids used up.
absl::StatusOr<Topology> CreateTable(const Topology& topology, TableSpec wanted);

// Whether there was a table of that id, and is none any more: ids are never given again.
bool WasDropped(const Topology& topology, TableId table);

// Removes a table. NotFound: there is none of that name.
absl::StatusOr<Topology> DropTable(const Topology& topology, std::string_view name);

// InvalidArgument unless the name, 1 <= N <= kMaxReplicas, 1 <= R, W <= N and ttl_ms <= kMaxTtlMs
// hold.
absl::Status ValidateTableSpec(const TableSpec& spec);

// DataLoss, with the rule that is broken, unless everything at the top of this file holds.
absl::Status ValidateTopology(const Topology& topology);

// Grammar: at the top of topology_codec.cc. Decode answers DataLoss for bytes that are not a valid
// document and FailedPrecondition for a newer format, or of a level that this build is not of.
std::string EncodeTopology(const Topology& topology);
absl::StatusOr<Topology> DecodeTopology(std::string_view bytes);

}  // namespace gyre

#endif  // GYRE_RING_TOPOLOGY_H_
