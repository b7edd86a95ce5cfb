#include "api/error_translation.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/statusor.h"
#include "ring/rebalance.h"
#include "ring/topology.h"

namespace gyre {
namespace {

v1::ErrorDetail::Reason ReasonOf(const absl::Status& status) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  EXPECT_TRUE(detail.has_value()) << status;
  return detail.has_value() ? detail->reason() : v1::ErrorDetail::REASON_UNSPECIFIED;
}

Topology OneNode() { return *InitialTopology("test", 1, {{{}, "n", "z", "h:1", "h:2"}}); }

TableSpec Table(int replicas) {
  TableSpec table;
  table.name = "carts";
  table.replicas = table.read_quorum = table.write_quorum = replicas;
  return table;
}

TEST(ErrorTranslation, WhateverATopologyRefusesHasItsReason) {
  const auto reason = [](const absl::StatusOr<Topology>& refused) {
    return ReasonOf(FromTopologyError(refused.status(), false));
  };
  Topology topology = OneNode();
  EXPECT_EQ(reason(CreateTable(topology, Table(0))), v1::ErrorDetail::INVALID_FIELD);
  EXPECT_EQ(reason(CreateTable(topology, Table(3))), v1::ErrorDetail::NOT_ENOUGH_NODES);
  EXPECT_EQ(reason(DropTable(topology, "carts")), v1::ErrorDetail::UNKNOWN_TABLE);
  topology.tables.resize(kMaxTables);
  EXPECT_EQ(reason(CreateTable(topology, Table(1))), v1::ErrorDetail::TOO_MANY_TABLES);
  topology = *CreateTable(OneNode(), Table(1));
  TableSpec other = Table(1);
  other.conflict = ConflictPolicy::kLastWriteWins;
  EXPECT_EQ(reason(CreateTable(topology, other)), v1::ErrorDetail::TABLE_EXISTS);
}

TEST(ErrorTranslation, WhateverAChangeOfMembersRefusesHasItsReason) {
  const auto reason = [](const absl::StatusOr<Topology>& refused) {
    EXPECT_FALSE(refused.ok());
    return ReasonOf(FromTopologyError(refused.status(), false, Changed::kMembers));
  };
  Topology topology = OneNode();
  Member member{{}, "m", "z", "h:3", "h:4", MemberState::kActive, 7};
  EXPECT_EQ(reason(LeaveMember(topology, "nobody")), v1::ErrorDetail::UNKNOWN_NODE);
  EXPECT_EQ(reason(LeaveMember(topology, "n")), v1::ErrorDetail::NODE_STATE);
  EXPECT_EQ(reason(ReplaceMember(topology, "n", "nobody")), v1::ErrorDetail::UNKNOWN_NODE);
  EXPECT_EQ(reason(SetZone(topology, "n", std::string(256, 'z'))), v1::ErrorDetail::INVALID_FIELD);
  member.key = 0;
  EXPECT_EQ(reason(AddMember(topology, member)), v1::ErrorDetail::INVALID_FIELD);
  member.key = 7;
  member.name = "n";
  EXPECT_EQ(reason(AddMember(topology, member)), v1::ErrorDetail::NODE_EXISTS);
  topology =
      *BuryMember(*AddMember(topology, {{}, "m", "z", "h:3", "h:4", MemberState::kActive, 7}), "m");
  member.name = "m";
  EXPECT_EQ(reason(AddMember(topology, member)), v1::ErrorDetail::NODE_STATE) << "it was removed";
  member.key = 8;
  topology.members.resize(kMaxMembers);
  EXPECT_EQ(reason(AddMember(topology, member)), v1::ErrorDetail::TOO_MANY_NODES);
}

TEST(ErrorTranslation, AChangeThatFailedSaysWhetherItMayStillTakeEffect) {
  for (const bool unknown : {false, true}) {
    const absl::Status late = FromTopologyError(absl::UnavailableError("no majority"), unknown);
    EXPECT_EQ(ReasonOf(late), v1::ErrorDetail::QUORUM_NOT_MET);
    EXPECT_EQ(DetailOf(late)->outcome_unknown(), unknown);
    const absl::Status broken = FromTopologyError(absl::InternalError("the disk"), unknown);
    EXPECT_EQ(ReasonOf(broken), v1::ErrorDetail::STORAGE_FAILED);
    EXPECT_EQ(DetailOf(broken)->outcome_unknown(), unknown);
  }
}

TEST(ErrorTranslation, ANodeThatDoesNotKnowTheTimeIsUnavailable) {
  Outcome outcome;
  outcome.code = Outcome::Code::kTimeUnknown;
  const absl::Status status = FromOutcome(outcome, "");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), v1::ErrorDetail::TIME_UNKNOWN);
}

TEST(ErrorTranslation, AnyErrorCarriesADetail) {
  EXPECT_EQ(ReasonOf(FromTopologyError(absl::DataLossError("topology: torn"), false)),
            v1::ErrorDetail::STORAGE_FAILED);
  EXPECT_EQ(ReasonOf(FromTopologyError(absl::UnknownError("?"), false)),
            v1::ErrorDetail::REASON_UNSPECIFIED);
  for (int code = 1; code <= static_cast<int>(Outcome::Code::kTimeUnknown); ++code) {
    Outcome outcome;
    outcome.code = static_cast<Outcome::Code>(code);
    EXPECT_NE(ReasonOf(FromOutcome(outcome, "")), v1::ErrorDetail::REASON_UNSPECIFIED) << code;
  }
}

}  // namespace
}  // namespace gyre
