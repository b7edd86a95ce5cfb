#include "api/reply_translation.h"

#include <gtest/gtest.h>

#include <string>

#include "api/context_codec.h"
#include "api/error_translation.h"
#include "api/limits.h"
#include "api/table_translation.h"
#include "ring/topology.h"

namespace gyre {
namespace {

constexpr RepliedItem kItem{TableId(3), 42};

std::shared_ptr<const View> MakeView() {
  const Topology topology = *InitialTopology("test", 64, {{NodeId(), "n1", "z", "h:1", "h:2"}});
  return View::Create(topology, NodeIdFromName(topology.cluster, "n1"));
}

Outcome Found(std::vector<std::string> values) {
  Outcome outcome;
  uint64_t counter = 0;
  for (std::string& value : values) {
    AddVersion(&outcome.record, {{ReplicaId(1), ++counter}, 0, std::move(value)});
  }
  outcome.context.vector = outcome.record.context;
  outcome.needed = 2;
  outcome.answered = 2;
  outcome.epoch = Epoch(5);
  return outcome;
}

TEST(ReplyTranslation, ShowsSiblingsAndAContextThatCoversThem) {
  v1::GetReply reply;
  ASSERT_TRUE(TranslateGetReply(Found({"a", "b"}), kItem, *MakeView(), &reply).ok());
  EXPECT_TRUE(reply.found());
  ASSERT_EQ(reply.values_size(), 2);
  EXPECT_EQ(reply.values(0), "a");
  EXPECT_EQ(reply.info().epoch(), 5u);
  const absl::StatusOr<CausalContext> context =
      DecodeContext(reply.context(), kItem.table, kItem.key_hash);
  ASSERT_TRUE(context.ok());
  EXPECT_TRUE(context->vector.Covers({ReplicaId(1), 2}));
}

TEST(ReplyTranslation, SaysForHowLongEachValueLivesOnWhereOneExpires) {
  Outcome outcome = Found({"for ever", "for a while"});
  outcome.record.versions[1].expires_ms = 10'500;
  outcome.time_ms = 10'000;
  v1::GetReply reply;
  ASSERT_TRUE(TranslateGetReply(outcome, kItem, *MakeView(), &reply).ok());
  ASSERT_EQ(reply.ttl_left_ms_size(), 2);
  EXPECT_EQ(reply.ttl_left_ms(0), 0u);
  EXPECT_EQ(reply.ttl_left_ms(1), 500u);
  v1::GetReply other;
  ASSERT_TRUE(TranslateGetReply(Found({"for ever"}), kItem, *MakeView(), &other).ok());
  EXPECT_EQ(other.ttl_left_ms_size(), 0);
}

TEST(ReplyTranslation, AMissingKeyIsNoError) {
  v1::GetReply reply;
  ASSERT_TRUE(TranslateGetReply(Found({}), kItem, *MakeView(), &reply).ok());
  EXPECT_FALSE(reply.found());
  EXPECT_FALSE(reply.context().empty());
}

TEST(ReplyTranslation, ValuesThatDoNotFitAMessageAreAnErrorWithTheirContext) {
  const std::string large(kMaxValueBytes, 'x');
  v1::GetReply reply;
  const absl::Status status =
      TranslateGetReply(Found({large, large, large, large}), kItem, *MakeView(), &reply);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(DetailOf(status).has_value());
  EXPECT_EQ(DetailOf(status)->reason(), v1::ErrorDetail::TOO_LARGE);
  EXPECT_TRUE(DecodeContext(DetailOf(status)->context(), kItem.table, kItem.key_hash).ok());
}

TEST(ReplyTranslation, NamesTheReplicasWhereExplainWasAskedFor) {
  const std::shared_ptr<const View> view = MakeView();
  Outcome outcome = Found({"a"});
  outcome.coordinator = view->self();
  outcome.parts = {{view->self(), Part::kCoordinator, Duration::Micros(7)},
                   {NodeId(12345), Part::kNoAnswer, Duration::Micros(-1)}};
  v1::GetReply reply;
  ASSERT_TRUE(TranslateGetReply(outcome, kItem, *view, &reply).ok());
  ASSERT_EQ(reply.info().replicas_size(), 2);
  EXPECT_EQ(reply.info().replicas(0).node(), "n1");
  EXPECT_EQ(reply.info().replicas(0).part(), v1::ReplicaPart::PART_COORDINATOR);
  EXPECT_EQ(reply.info().replicas(0).micros(), 7u);
  EXPECT_EQ(reply.info().replicas(1).micros(), 0u);
  EXPECT_EQ(reply.info().coordinator(), "n1");
}

TEST(ErrorTranslation, AQuorumThatIsNotMetSaysHowManyAnswered) {
  Outcome outcome;
  outcome.code = Outcome::Code::kTimedOut;
  outcome.needed = 3;
  outcome.answered = 1;
  outcome.outcome_unknown = true;
  v1::PutReply reply;
  const absl::Status status = TranslatePutReply(outcome, kItem, *MakeView(), &reply);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  const v1::ErrorDetail detail = DetailOf(status).value();
  EXPECT_EQ(detail.reason(), v1::ErrorDetail::QUORUM_NOT_MET);
  EXPECT_EQ(detail.needed(), 3u);
  EXPECT_EQ(detail.answered(), 1u);
  EXPECT_TRUE(detail.outcome_unknown());
}

TEST(ErrorTranslation, TooManySiblingsCarryTheContextThatMendsThem) {
  Outcome outcome = Found({"a"});
  outcome.code = Outcome::Code::kTooManySiblings;
  v1::PutReply reply;
  const absl::Status status = TranslatePutReply(outcome, kItem, *MakeView(), &reply);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  const absl::StatusOr<CausalContext> context =
      DecodeContext(DetailOf(status)->context(), kItem.table, kItem.key_hash);
  ASSERT_TRUE(context.ok());
  EXPECT_TRUE(context->vector.Covers({ReplicaId(1), 1}));
}

TEST(ErrorTranslation, EveryOutcomeButOkIsAnErrorWithAReason) {
  for (int code = 1; code <= static_cast<int>(Outcome::Code::kFilling); ++code) {
    Outcome outcome;
    outcome.code = static_cast<Outcome::Code>(code);
    const absl::Status status = FromOutcome(outcome, "");
    EXPECT_FALSE(status.ok()) << code;
    ASSERT_TRUE(DetailOf(status).has_value()) << code;
    EXPECT_NE(DetailOf(status)->reason(), v1::ErrorDetail::REASON_UNSPECIFIED) << code;
  }
}

TEST(ErrorTranslation, EveryFailureOfAWriteSaysWhetherItMayStillTakeEffect) {
  for (uint8_t code = 1; code <= static_cast<uint8_t>(Outcome::Code::kFilling); ++code) {
    for (const bool unknown : {false, true}) {
      Outcome outcome;
      outcome.code = static_cast<Outcome::Code>(code);
      outcome.outcome_unknown = unknown;
      const absl::Status status = FromOutcome(outcome, "");
      EXPECT_EQ(DetailOf(status)->outcome_unknown(), unknown) << status;
    }
  }
}

TEST(ErrorTranslation, SurvivesTheWireAndKeepsItsDetail) {
  const absl::Status status = Overloaded(50, "too many");
  v1::Status wire;
  ToProto(status, &wire);
  const absl::Status back = FromProto(wire);
  EXPECT_EQ(back.code(), status.code());
  EXPECT_EQ(back.message(), status.message());
  EXPECT_EQ(DetailOf(back)->retry_after_ms(), 50u);
  EXPECT_EQ(ToGrpc(status).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(TableTranslation, FillsInWhatACreationLeavesOut) {
  v1::Table table;
  table.set_name("carts");
  EXPECT_EQ(WantedTable(table, 1)->replicas, 1);
  EXPECT_EQ(WantedTable(table, 2)->replicas, 2);
  const absl::StatusOr<TableSpec> spec = WantedTable(table, 7);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->replicas, 3);
  EXPECT_EQ(spec->read_quorum, 2);
  EXPECT_EQ(spec->write_quorum, 2);
}

TEST(TableTranslation, RefusesWhatIsOutOfRangeAndNamesTheField) {
  const auto field = [](const v1::Table& table) {
    const absl::Status status = WantedTable(table, 3).status();
    return status.ok() ? "" : DetailOf(status)->field();
  };
  v1::Table table;
  table.set_name("carts");
  for (uint32_t wrong : {0, 6}) {
    table.set_replicas(wrong);
    EXPECT_EQ(field(table), "table.replicas");
  }
  table.set_replicas(3);
  for (uint32_t wrong : {0, 4}) {
    table.set_read_quorum(wrong);
    EXPECT_EQ(field(table), "table.read_quorum");
  }
  table.clear_read_quorum();
  for (uint32_t wrong : {0, 9}) {
    table.set_write_quorum(wrong);
    EXPECT_EQ(field(table), "table.write_quorum");
  }
  table.clear_write_quorum();
  table.set_conflict(static_cast<v1::ConflictPolicy>(5));
  EXPECT_EQ(field(table), "table.conflict");
  table.set_conflict(v1::CONFLICT_POLICY_SIBLINGS);
  table.set_name(".hidden");
  EXPECT_EQ(field(table), "table.name");
}

TEST(TableTranslation, TheTopologysOwnersAreIndicesIntoItsMembers) {
  Topology topology = *InitialTopology(
      "test", 8, {{NodeId(), "n1", "a", "h:1", "h:2"}, {NodeId(), "n2", "b", "h:3", "h:4"}});
  TableSpec spec;
  spec.name = "t";
  spec.replicas = 2;
  topology = *CreateTable(topology, spec);
  v1::GetTopologyReply reply;
  ToProto(topology, &reply);
  ASSERT_EQ(reply.families_size(), 1);
  const v1::PartitionFamily& family = reply.families(0);
  EXPECT_EQ(family.per_slice(), 2u);
  ASSERT_EQ(family.owners_size(), 16);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(topology.members[family.owners(i)].id, topology.families[0].owners[i]);
  }
}

}  // namespace
}  // namespace gyre
