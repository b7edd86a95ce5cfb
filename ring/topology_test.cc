#include "ring/topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "ring/random.h"
#include "ring/rebalance.h"

namespace gyre {
namespace {

std::vector<Member> Members(int count) {
  std::vector<Member> members;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    const std::string host = "10.0.0." + n;
    members.push_back(
        {NodeId(), "node-" + n, "zone-" + std::to_string(i % 3), host + ":70", host + ":71"});
  }
  return members;
}

Topology Initial(int members = 3, uint32_t slices = 64) {
  absl::StatusOr<Topology> topology = InitialTopology("shop", slices, Members(members));
  GYRE_CHECK(topology.ok(), "a good configuration");
  return *std::move(topology);
}

TableSpec Table(std::string name, int replicas = 3) {
  TableSpec spec;
  spec.name = std::move(name);
  spec.replicas = replicas;
  spec.read_quorum = spec.write_quorum = replicas / 2 + 1;
  return spec;
}

Topology With(const Topology& topology, TableSpec spec) {
  absl::StatusOr<Topology> next = CreateTable(topology, std::move(spec));
  GYRE_CHECK(next.ok(), "a good table");
  return *std::move(next);
}

TEST(Topology, IsTheSameForTheSameConfigurationInAnyOrder) {
  std::vector<Member> reversed = Members(5);
  std::reverse(reversed.begin(), reversed.end());
  const auto topology = InitialTopology("shop", 64, reversed);
  ASSERT_TRUE(topology.ok());
  EXPECT_EQ(*topology, Initial(5));
  EXPECT_EQ(topology->epoch, Epoch(1));
  EXPECT_EQ(topology->cluster, ClusterIdFromName("shop"));
  EXPECT_TRUE(ValidateTopology(*topology).ok());
}

TEST(Topology, RefusesABadConfiguration) {
  const auto code = [](std::string_view cluster, uint32_t slices, std::vector<Member> members) {
    return InitialTopology(cluster, slices, std::move(members)).status().code();
  };
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code("", 64, Members(3)), kInvalid);
  EXPECT_EQ(code("shop", 0, Members(3)), kInvalid);
  EXPECT_EQ(code("shop", 100, Members(3)), kInvalid);
  EXPECT_EQ(code("shop", kMaxSlices * 2, Members(3)), kInvalid);
  EXPECT_EQ(code("shop", 64, {}), kInvalid);
  EXPECT_EQ(code("shop", 64, Members(kMaxMembers + 1)), kInvalid);
  std::vector<Member> members = Members(3);
  members[2].name = members[0].name;
  const absl::Status twice = InitialTopology("shop", 64, members).status();
  EXPECT_EQ(twice.code(), kInvalid);
  EXPECT_NE(twice.ToString().find("node-0"), std::string::npos) << twice;
  members[2].name = "two words";
  EXPECT_EQ(code("shop", 64, members), kInvalid);
  members[2].name = "ok";
  members[2].zone = std::string(kMaxNameBytes + 1, 'z');
  EXPECT_EQ(code("shop", 64, members), kInvalid);
}

TEST(Topology, CreatingATableAdvancesTheEpochAndPlacesItsFamily) {
  const Topology before = Initial();
  const Topology after = With(before, Table("carts"));
  EXPECT_EQ(after.epoch, Epoch(2));
  ASSERT_EQ(after.tables.size(), 1u);
  EXPECT_EQ(after.tables[0].id, TableId(1));
  ASSERT_EQ(after.families.size(), 1u);
  EXPECT_EQ(after.families[0].replicas, 3);
  EXPECT_TRUE(ValidateTopology(after).ok());
  EXPECT_TRUE(before.tables.empty());
}

TEST(Topology, TablesOfOneNShareAFamilyAndFamiliesAreSorted) {
  Topology topology = Initial(5);
  for (const int replicas : {3, 1, 5, 3, 2}) {
    topology = With(topology, Table("t" + std::to_string(topology.tables.size()), replicas));
  }
  std::vector<int> families;
  for (const Ownership& family : topology.families) families.push_back(family.replicas);
  EXPECT_EQ(families, (std::vector<int>{1, 2, 3, 5}));
  EXPECT_TRUE(ValidateTopology(topology).ok());
}

TEST(Topology, CreatingTheSameTableAgainChangesNothing) {
  const Topology topology = With(Initial(), Table("carts"));
  const auto again = CreateTable(topology, Table("carts"));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, topology);
}

TEST(Topology, RefusesAnotherSpecificationUnderATakenName) {
  const Topology topology = With(Initial(), Table("carts"));
  TableSpec other = Table("carts");
  other.conflict = ConflictPolicy::kLastWriteWins;
  EXPECT_EQ(CreateTable(topology, other).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST(Topology, RefusesATableThatCannotBe) {
  const Topology topology = Initial();
  const auto code = [&](TableSpec spec) { return CreateTable(topology, spec).status().code(); };
  for (const std::string& name : {std::string(), std::string("a b"), std::string("-x"),
                                  std::string(".x"), std::string("a/b"), std::string(256, 'x')}) {
    EXPECT_EQ(code(Table(name)), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(code(Table(std::string(255, 'x'))), absl::StatusCode::kOk);
  for (const int replicas : {0, -1, kMaxReplicas + 1}) {
    EXPECT_EQ(code(Table("t", replicas)), absl::StatusCode::kInvalidArgument) << replicas;
  }
  for (const int quorum : {0, -1, 4}) {
    TableSpec spec = Table("t");
    spec.read_quorum = quorum;
    EXPECT_EQ(code(spec), absl::StatusCode::kInvalidArgument) << quorum;
    spec = Table("t");
    spec.write_quorum = quorum;
    EXPECT_EQ(code(spec), absl::StatusCode::kInvalidArgument) << quorum;
  }
  EXPECT_EQ(code(Table("t", 4)), absl::StatusCode::kFailedPrecondition);
}

TEST(Topology, NeverUsesATableIdAgain) {
  Topology topology = With(Initial(), Table("a"));
  const auto dropped = DropTable(topology, "a");
  ASSERT_TRUE(dropped.ok());
  EXPECT_EQ(dropped->epoch, Epoch(3));
  EXPECT_TRUE(dropped->tables.empty());
  EXPECT_EQ(dropped->families, topology.families);
  topology = With(*dropped, Table("a"));
  EXPECT_EQ(topology.tables[0].id, TableId(2));
  topology.next_table_id = TableId(UINT16_MAX);
  EXPECT_EQ(CreateTable(topology, Table("b")).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Topology, RefusesMoreTablesThanTheLimit) {
  Topology topology = Initial();
  while (topology.tables.size() < kMaxTables) {
    TableSpec spec = Table("t" + std::to_string(topology.tables.size()));
    spec.id = topology.next_table_id;
    topology.next_table_id = TableId(static_cast<uint16_t>(spec.id.value() + 1));
    topology.tables.push_back(spec);
  }
  EXPECT_EQ(CreateTable(topology, Table("more")).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Topology, ATableWasDroppedOnlyIfItsIdHasBeenGivenAndIsGone) {
  Topology topology = With(With(Initial(), Table("a")), Table("b"));
  EXPECT_FALSE(WasDropped(topology, TableId(1)));
  EXPECT_FALSE(WasDropped(topology, TableId(3))) << "a newer document may have it";
  topology = *DropTable(topology, "a");
  EXPECT_TRUE(WasDropped(topology, TableId(1)));
  EXPECT_FALSE(WasDropped(topology, TableId(2)));
}

TEST(Topology, DroppingAnUnknownTableIsNotFound) {
  EXPECT_EQ(DropTable(Initial(), "nope").status().code(), absl::StatusCode::kNotFound);
}

TEST(Topology, ValidationNamesEachBrokenRule) {
  const Topology good = With(With(Initial(4, 8), Table("a")), Table("b", 2));
  ASSERT_TRUE(ValidateTopology(good).ok());
  const auto broken = [&](void (*spoil)(Topology&)) {
    Topology topology = good;
    spoil(topology);
    return ValidateTopology(topology).code() == absl::StatusCode::kDataLoss;
  };
  EXPECT_TRUE(broken([](Topology& t) { t.epoch = Epoch(); }));
  EXPECT_TRUE(broken([](Topology& t) { t.cluster = ClusterId(5); }));
  EXPECT_TRUE(broken([](Topology& t) { t.slices = 12; }));
  EXPECT_TRUE(broken([](Topology& t) { std::swap(t.members[0], t.members[1]); }));
  EXPECT_TRUE(broken([](Topology& t) { t.members[0].id = NodeId(1); }));
  EXPECT_TRUE(broken([](Topology& t) { t.members[1] = t.members[0]; }));
  EXPECT_TRUE(broken([](Topology& t) { std::swap(t.tables[0], t.tables[1]); }));
  EXPECT_TRUE(broken([](Topology& t) { t.tables[1].name = "a"; }));
  EXPECT_TRUE(broken([](Topology& t) { t.tables[1].read_quorum = 9; }));
  EXPECT_TRUE(broken([](Topology& t) { t.next_table_id = TableId(2); }));
  EXPECT_TRUE(broken([](Topology& t) { t.families.pop_back(); }));
  EXPECT_TRUE(broken([](Topology& t) { std::swap(t.families[0], t.families[1]); }));
  EXPECT_TRUE(broken([](Topology& t) { t.families[0].owners.pop_back(); }));
  EXPECT_TRUE(broken([](Topology& t) { t.families[0].owners[0] = NodeId(1); }));
  EXPECT_TRUE(broken([](Topology& t) { t.families[0].owners[1] = t.families[0].owners[0]; }));
  EXPECT_TRUE(broken([](Topology& t) { t.removed = {t.members[0].id}; }));
  EXPECT_TRUE(broken([](Topology& t) { t.voters.clear(); }));
  EXPECT_TRUE(broken([](Topology& t) { std::swap(t.voters[0], t.voters[1]); }));
  EXPECT_TRUE(broken([](Topology& t) { t.voters[0].node = NodeId(1); }));
  EXPECT_TRUE(broken([](Topology& t) { t.voters_before = t.voters; }));
  EXPECT_TRUE(broken([](Topology& t) { t.voters_before = {Voter{NodeId(1)}}; }));
  EXPECT_TRUE(broken([](Topology& t) {  // two lives of a node
    t.voters[1] = {t.voters[0].node, 7};
  }));
  EXPECT_TRUE(broken([](Topology& t) { t.removed = {NodeId(2), NodeId(1)}; }));
  EXPECT_TRUE(broken([](Topology& t) {
    for (Member& member : t.members) member.state = MemberState::kWaiting;
  }));
  // Of the family of N = 2, its first partition, to the first node that does not own it.
  const Ownership& pairs = good.families[0];
  const auto moved = [&](void (*spoil)(Move&)) {
    Topology topology = good;
    const Member* to = topology.members.data();
    while (to->id == pairs.owners[0] || to->id == pairs.owners[1]) ++to;
    topology.moves.push_back({PartitionId(2, 0), pairs.owners[0], to->id, topology.epoch});
    spoil(topology.moves[0]);
    return ValidateTopology(topology);
  };
  EXPECT_TRUE(moved([](Move&) {}).ok());
  EXPECT_FALSE(moved([](Move& m) { m.partition = PartitionId(1, 0); }).ok());
  EXPECT_FALSE(moved([](Move& m) { m.partition = PartitionId(2, 8); }).ok());
  EXPECT_FALSE(moved([](Move& m) { m.since = Epoch(); }).ok());
  EXPECT_FALSE(moved([](Move& m) { m.since = Epoch(100); }).ok());
  EXPECT_FALSE(moved([](Move& m) { m.switched = m.since; }).ok());
  EXPECT_FALSE(moved([](Move& m) { std::swap(m.from, m.to); }).ok());
  EXPECT_FALSE(moved([](Move& m) { m.to = m.from; }).ok());
  EXPECT_FALSE(moved([](Move& m) { m.to = NodeId(5); }).ok());
  EXPECT_FALSE(moved([](Move& m) { m.step = MoveStep::kSwitched; }).ok());
}

TEST(TopologyCodec, RoundTripsEveryDocument) {
  Topology topology = Initial(5);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(*DecodeTopology(EncodeTopology(topology)), topology) << i;
    TableSpec spec = Table("t" + std::to_string(i), i % kMaxReplicas + 1);
    spec.conflict = i % 2 == 0 ? ConflictPolicy::kSiblings : ConflictPolicy::kLastWriteWins;
    spec.durability = i % 3 == 0 ? Durability::kPeriodic : Durability::kFsync;
    spec.quorum = i % 4 < 2 ? QuorumKind::kSloppy : QuorumKind::kStrict;
    spec.ttl_ms = i % 5 == 0 ? kMaxTtlMs : i;
    topology = With(topology, spec);
  }
}

// What the document was in an older format, but for its tables.
std::string InOlderFormat(const Topology& topology, char format) {
  std::string bytes = EncodeTopology(topology);
  bytes[1] = format;
  for (const Member& member : topology.members) {  // behind each: state, key and life
    const size_t behind = bytes.find(member.peer_address) + member.peer_address.size();
    bytes.erase(format < 4 ? behind : behind + 1 + 8, format < 4 ? 1 + 8 + 8 : 8);
  }
  bytes.erase(bytes.size() - 2 - 10 * topology.voters.size());  // the voters
  if (format < 4) bytes.erase(bytes.size() - 6);                // no moves, and nobody removed
  return bytes;
}

// A node that has joined since has a key.
TEST(TopologyCodec, InTheFormatThatHadNoVotersTheFirstOfTheConfigurationVote) {
  const Topology first = Initial(9);
  const Topology topology =
      *AddMember(first, {{}, "late", "zone-0", "late:70", "late:71", MemberState::kActive, 12});
  const Topology read = *DecodeTopology(InOlderFormat(topology, 4));
  EXPECT_EQ(read.voters.size(), kMaxVoters);
  EXPECT_EQ(read.voters, first.voters);
  EXPECT_EQ(read, topology);
}

TEST(TopologyCodec, InTheFormatThatHadNoMovesEveryMemberIsActive) {
  const Topology topology = With(Initial(), Table("carts"));
  EXPECT_EQ(*DecodeTopology(InOlderFormat(topology, 3)), topology);
}

// Behind the name of a table: replicas, two quorums, conflict, durability, quorum, and ttl_ms.
TEST(TopologyCodec, InTablesOfTheFormatThatHadNoTtlNothingExpires) {
  TableSpec spec = Table("carts");
  spec.ttl_ms = 5000;
  std::string bytes = InOlderFormat(With(Initial(), spec), 2);
  bytes.erase(bytes.rfind("carts") + 5 + 6, 8);
  EXPECT_EQ(*DecodeTopology(bytes), With(Initial(), Table("carts")));
}

TEST(TopologyCodec, TablesOfTheFormatThatHadNoQuorumAreStrict) {
  TableSpec spec = Table("carts");
  const Topology sloppy = With(Initial(), spec);
  spec.quorum = QuorumKind::kStrict;
  std::string bytes = InOlderFormat(sloppy, 1);
  bytes.erase(bytes.rfind("carts") + 5 + 5, 1 + 8);
  EXPECT_EQ(*DecodeTopology(bytes), With(Initial(), spec));
}

// Partitions of both kinds of step, a member of each state, and one that was removed.
Topology Moving() {
  Topology topology = With(With(Initial(6, 16), Table("a")), Table("b", 2));
  const auto change = [&](absl::StatusOr<Topology> next) {
    GYRE_CHECK(next.ok(), "a good change");
    topology = *std::move(next);
  };
  change(AddMember(topology, {{}, "late", "zone-0", "c", "p", MemberState::kWaiting, 7}));
  change(AddMember(topology, {{}, "gone", "zone-0", "d", "q", MemberState::kWaiting, 8}));
  change(BuryMember(topology, "gone"));
  change(LeaveMember(topology, "node-0"));
  change(BuryMember(topology, "node-1"));
  change(BeginMoves(topology, MakePlan(topology), {}));
  change(SwitchMoves(topology, {{{topology.moves[0].partition, topology.moves[0].since}}}));
  for (size_t i = 0; i < topology.members.size(); i += 2) {
    change(SetLife(topology, topology.members[i].id, uint64_t{1} << 60 | i));
  }
  return ElectVoters(topology);
}

TEST(TopologyCodec, RoundTripsADocumentInTheMiddleOfMoves) {
  const Topology topology = Moving();
  ASSERT_GT(topology.moves.size(), 3u);
  ASSERT_EQ(topology.removed.size(), 1u);
  ASSERT_EQ(topology.moves[0].step, MoveStep::kSwitched);
  ASSERT_FALSE(topology.voters_before.empty());
  EXPECT_EQ(*DecodeTopology(EncodeTopology(topology)), topology);
}

TEST(TopologyCodec, RefusesEveryTruncationAndAnyExtraByte) {
  const std::string bytes = EncodeTopology(Moving());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeTopology(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  EXPECT_EQ(DecodeTopology(bytes + '\0').status().code(), absl::StatusCode::kDataLoss);
}

TEST(TopologyCodec, RefusesANewerFormatAndSaysSo) {
  std::string bytes = EncodeTopology(Initial());
  bytes[1] = 7;
  EXPECT_EQ(DecodeTopology(bytes).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(TopologyCodec, OfTheFirstLevelItIsAsBuildsOfThatLevelReadIt) {
  const std::string bytes = EncodeTopology(Moving());
  EXPECT_EQ(bytes.substr(0, 2), std::string("\0\5", 2));
  std::string leveled = bytes;
  leveled[1] = 6;
  leveled.insert(2, std::string("\0\1", 2));
  EXPECT_EQ(DecodeTopology(leveled).status().code(), absl::StatusCode::kDataLoss)
      << "a document has one encoding";
}

TEST(TopologyCodec, OfALaterLevelItSaysSoAndIsOtherwiseTheSame) {
  Topology topology = Moving();
  std::string bytes = EncodeTopology(topology);
  topology.level = 2;
  bytes[1] = 6;
  bytes.insert(2, std::string("\0\2", 2));
  EXPECT_EQ(EncodeTopology(topology), bytes);
  EXPECT_EQ(*DecodeTopology(bytes), topology);
}

TEST(TopologyCodec, RefusesALevelThatThisBuildIsNotOfAndSaysWhatToDo) {
  Topology topology = Initial();
  topology.level = kBuildLevel;
  std::string bytes = EncodeTopology(topology);
  bytes[3] = static_cast<char>(kBuildLevel + 1);
  const absl::Status status = DecodeTopology(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("start it with a build of that level"), std::string::npos)
      << status;
}

TEST(Topology, TheLevelIsRaisedOnceEveryMemberButTheDeadHasSaidSo) {
  Topology topology = *BuryMember(With(Initial(4), Table("carts")), "node-3");
  std::map<NodeId, BuildLevel> levels;
  for (const Member& member : topology.members) {
    if (member.state == MemberState::kDead) continue;
    EXPECT_EQ(RaiseLevel(topology, levels), topology) << "one has said nothing";
    levels[member.id] = 9;
  }
  NodeId last = levels.rbegin()->first;
  levels[last] = 1;
  EXPECT_EQ(RaiseLevel(topology, levels), topology) << "one is of the first level";
  levels[last] = 2;
  const Topology raised = RaiseLevel(topology, levels);
  EXPECT_EQ(raised.level, 2);
  EXPECT_EQ(raised.epoch, NextOf(topology).epoch);
  EXPECT_EQ(RaiseLevel(raised, levels), raised);
  levels[last] = 9;
  EXPECT_EQ(RaiseLevel(raised, levels).level, kBuildLevel) << "no further than this build knows";
  levels[last] = 1;
  EXPECT_EQ(RaiseLevel(raised, levels), raised) << "it is never lowered";
}

TEST(Topology, WhoIsOfALowerLevelThanTheClusterDoesNotJoinIt) {
  Topology topology = Initial();
  const Member late = {{}, "late", "zone-0", "c", "p", MemberState::kWaiting, 7};
  EXPECT_TRUE(AddMember(topology, late, 1).ok());
  topology.level = 2;
  EXPECT_EQ(AddMember(topology, late, 1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(AddMember(topology, late, 2)->level, 2);
}

TEST(TopologyCodec, AnswersMutatedBytesWithAnErrorOrAValidDocument) {
  const std::string bytes = EncodeTopology(Moving());
  Random random(11);
  int accepted = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string mutated = bytes;
    for (uint64_t changes = random.Below(4) + 1; changes > 0; --changes) {
      const size_t at = random.Below(mutated.size());
      switch (random.Below(4)) {
        case 0:
          mutated[at] = static_cast<char>(random.Below(256));
          break;
        case 1:
          mutated[at] = static_cast<char>(mutated[at] ^ (1 << random.Below(8)));
          break;
        case 2:
          mutated.erase(at, random.Below(8));
          break;
        default:
          mutated.insert(at, random.Below(8), static_cast<char>(random.Below(256)));
      }
      if (mutated.empty()) mutated.push_back('\0');
    }
    const auto decoded = DecodeTopology(mutated);
    if (!decoded.ok()) continue;
    ++accepted;
    ASSERT_TRUE(ValidateTopology(*decoded).ok());
    if (mutated[1] < 5) continue;  // an older format is read, and not written
    ASSERT_EQ(EncodeTopology(*decoded), mutated) << "a document has one encoding";
  }
  EXPECT_GT(accepted, 0);
}

TEST(TopologyCodec, SurvivesRandomBytes) {
  Random random(12);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random.Below(200), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Below(256));
    if (bytes.size() > 1) bytes[0] = 0, bytes[1] = static_cast<char>(round % 2 + 1);
    EXPECT_FALSE(DecodeTopology(bytes).ok());
  }
}

}  // namespace
}  // namespace gyre
