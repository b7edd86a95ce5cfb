#include "api/request_translation.h"

#include <gtest/gtest.h>

#include <string>

#include "api/context_codec.h"
#include "api/error_translation.h"
#include "api/limits.h"
#include "ring/partitioner.h"
#include "ring/topology.h"

namespace gyre {
namespace {

std::shared_ptr<const View> MakeView() {
  Topology topology = *InitialTopology("test", 64,
                                       {{NodeId(), "n1", "z", "h:1", "h:2"},
                                        {NodeId(), "n2", "z", "h:3", "h:4"},
                                        {NodeId(), "n3", "z", "h:5", "h:6"}});
  TableSpec carts;
  carts.name = "carts";
  topology = *CreateTable(topology, carts);
  TableSpec names;
  names.name = "names";
  names.conflict = ConflictPolicy::kLastWriteWins;
  names.durability = Durability::kPeriodic;
  names.quorum = QuorumKind::kStrict;
  names.ttl_ms = 60'000;
  topology = *CreateTable(topology, names);
  return View::Create(topology, NodeIdFromName(topology.cluster, "n1"));
}

class RequestTranslation : public ::testing::Test {
 protected:
  v1::PutRequest Put() const {
    v1::PutRequest put;
    put.set_table("carts");
    put.set_key("anna");
    put.set_value("apples");
    return put;
  }
  v1::GetRequest Get() const {
    v1::GetRequest get;
    get.set_table("carts");
    get.set_key("anna");
    return get;
  }
  // The reason and field of the error of a put, "" where it passes.
  std::string Refusal(v1::PutRequest put) const { return Describe(TranslatePut(&put, *view_)); }
  std::string Refusal(v1::GetRequest get) const { return Describe(TranslateGet(&get, *view_)); }

  template <typename T>
  static std::string Describe(const absl::StatusOr<T>& result) {
    if (result.ok()) return "";
    const v1::ErrorDetail detail = DetailOf(result.status()).value_or(v1::ErrorDetail());
    return v1::ErrorDetail::Reason_Name(detail.reason()) + " " + detail.field();
  }

  const std::shared_ptr<const View> view_ = MakeView();
};

TEST_F(RequestTranslation, FillsInTheTablesDefaults) {
  v1::PutRequest put = Put();
  const absl::StatusOr<TranslatedWrite> write = TranslatePut(&put, *view_);
  ASSERT_TRUE(write.ok()) << write.status();
  EXPECT_EQ(write->request.needed, 2);
  EXPECT_EQ(write->request.timeout, Duration::Millis(kDefaultTimeoutMs));
  EXPECT_EQ(write->request.intent.value, "apples");
  EXPECT_EQ(write->request.intent.kind, WriteKind::kPut);
  EXPECT_FALSE(write->request.intent.context.has_value());
  EXPECT_EQ(write->request.item.key, "anna");
  EXPECT_EQ(write->request.item.partition, view_->Locate(*view_->FindTable("carts"), "anna"));
}

TEST_F(RequestTranslation, TakesPolicyAndDurabilityFromTheTable) {
  v1::PutRequest put = Put();
  put.set_table("names");
  const absl::StatusOr<TranslatedWrite> write = TranslatePut(&put, *view_);
  ASSERT_TRUE(write.ok()) << write.status();
  EXPECT_EQ(write->request.intent.conflict, ConflictPolicy::kLastWriteWins);
  EXPECT_EQ(write->request.intent.durability, Durability::kPeriodic);
}

TEST_F(RequestTranslation, StandInsCountWhereTheTableAndTheRequestLetThem) {
  v1::PutRequest put = Put();
  EXPECT_TRUE(TranslatePut(&put, *view_)->request.sloppy);
  v1::GetRequest get = Get();
  EXPECT_TRUE(TranslateGet(&get, *view_)->request.sloppy);
  put = Put();
  put.mutable_options()->set_strict(true);
  EXPECT_FALSE(TranslatePut(&put, *view_)->request.sloppy);
  get = Get();
  get.mutable_options()->set_strict(true);
  EXPECT_FALSE(TranslateGet(&get, *view_)->request.sloppy);
  put = Put();
  put.set_table("names");
  EXPECT_FALSE(TranslatePut(&put, *view_)->request.sloppy);
}

TEST_F(RequestTranslation, RefusesAnEmptyKey) {
  v1::PutRequest put = Put();
  put.clear_key();
  EXPECT_EQ(Refusal(put), "INVALID_FIELD key");
  v1::GetRequest get = Get();
  get.clear_key();
  EXPECT_EQ(Refusal(get), "INVALID_FIELD key");
}

TEST_F(RequestTranslation, TakesKeysUpToTheLimitAndNoLonger) {
  v1::PutRequest put = Put();
  put.set_key(std::string(kMaxKeyBytes, 'k'));
  EXPECT_EQ(Refusal(put), "");
  put.set_key(std::string(kMaxKeyBytes + 1, 'k'));
  EXPECT_EQ(Refusal(put), "TOO_LARGE key");
}

TEST_F(RequestTranslation, TakesValuesUpToTheLimitAndNoLonger) {
  v1::PutRequest put = Put();
  put.set_value(std::string(kMaxValueBytes, 'v'));
  EXPECT_EQ(Refusal(put), "");
  put.set_value(std::string(kMaxValueBytes + 1, 'v'));
  EXPECT_EQ(Refusal(put), "TOO_LARGE value");
}

TEST_F(RequestTranslation, RefusesAnUnknownTable) {
  v1::PutRequest put = Put();
  put.set_table("nope");
  EXPECT_EQ(Refusal(put), "UNKNOWN_TABLE ");
}

TEST_F(RequestTranslation, RefusesQuorumsOfNoneAndOverN) {
  v1::PutRequest put = Put();
  put.mutable_options()->set_write_quorum(3);
  EXPECT_EQ(Refusal(put), "");
  for (uint32_t wrong : {0, 4}) {
    put.mutable_options()->set_write_quorum(wrong);
    EXPECT_EQ(Refusal(put), "INVALID_FIELD write_quorum");
    v1::GetRequest get = Get();
    get.mutable_options()->set_read_quorum(wrong);
    EXPECT_EQ(Refusal(get), "INVALID_FIELD read_quorum");
  }
}

TEST_F(RequestTranslation, RefusesTimeoutsAndAttemptsOutOfRange) {
  v1::PutRequest put = Put();
  put.mutable_options()->set_timeout_ms(kMaxTimeoutMs + 1);
  EXPECT_EQ(Refusal(put), "INVALID_FIELD timeout_ms");
  put.mutable_options()->set_timeout_ms(kMaxTimeoutMs);
  put.mutable_options()->set_attempt(kMaxAttempt);
  EXPECT_EQ(Refusal(put), "");
  put.mutable_options()->set_attempt(kMaxAttempt + 1);
  EXPECT_EQ(Refusal(put), "INVALID_FIELD attempt");
}

TEST_F(RequestTranslation, LeavesRoomBelowTheAttemptForForwarding) {
  v1::PutRequest put = Put();
  put.mutable_options()->set_attempt(3);
  EXPECT_EQ(TranslatePut(&put, *view_)->request.intent.attempt, 3u << 16);
}

TEST_F(RequestTranslation, AnAttemptThatIsNotToldIsTheFirst) {
  v1::PutRequest put = Put();
  EXPECT_EQ(TranslatePut(&put, *view_)->request.intent.attempt, kFirstAttempt);
  put = Put();
  put.mutable_options()->set_attempt(1);
  EXPECT_EQ(TranslatePut(&put, *view_)->request.intent.attempt, kFirstAttempt);
}

TEST_F(RequestTranslation, TakesIdempotencyKeysOfSixteenBytesOnly) {
  v1::PutRequest put = Put();
  put.mutable_options()->set_idempotency_key("0123456789abcdef");
  ASSERT_EQ(Refusal(put), "");
  for (const size_t bytes : {1, 15, 17}) {
    put.mutable_options()->set_idempotency_key(std::string(bytes, 'i'));
    EXPECT_EQ(Refusal(put), "INVALID_FIELD idempotency_key");
  }
}

TEST_F(RequestTranslation, BindsTheIdempotencyKeyToTheItem) {
  const auto write_of = [&](const std::string& table, const std::string& key,
                            const std::string& idempotency_key) {
    v1::PutRequest put = Put();
    put.set_table(table);
    put.set_key(key);
    put.mutable_options()->set_idempotency_key(idempotency_key);
    return TranslatePut(&put, *view_)->request.intent.write;
  };
  const WriteId write = write_of("carts", "anna", "0123456789abcdef");
  EXPECT_EQ(write_of("carts", "anna", "0123456789abcdef"), write) << "a retry is the same write";
  EXPECT_NE(write_of("carts", "bert", "0123456789abcdef"), write);
  EXPECT_NE(write_of("names", "anna", "0123456789abcdef"), write);
  EXPECT_NE(write_of("carts", "anna", "0123456789abcdeg"), write);
  EXPECT_FALSE(write.empty());
  EXPECT_TRUE(write_of("carts", "anna", "").empty());
}

TEST_F(RequestTranslation, RefusesAWriteModeThatDoesNotExist) {
  v1::PutRequest put = Put();
  put.set_mode(static_cast<v1::WriteMode>(9));
  EXPECT_EQ(Refusal(put), "INVALID_FIELD mode");
}

TEST_F(RequestTranslation, ChecksTheContextAgainstTheItem) {
  const TableId carts = view_->FindTable("carts")->id;
  v1::PutRequest put = Put();
  put.set_context(EncodeContext(carts, HashKey(carts, "anna"), {{{ReplicaId(5), 2}}, {}}));
  EXPECT_EQ(Refusal(put), "");
  put.set_context(EncodeContext(carts, HashKey(carts, "bert"), {{{ReplicaId(5), 2}}, {}}));
  EXPECT_EQ(Refusal(put), "INVALID_FIELD context");
  v1::DeleteRequest erase;
  erase.set_table("carts");
  erase.set_key("anna");
  erase.set_context("garbage");
  EXPECT_EQ(Describe(TranslateDelete(&erase, *view_)), "INVALID_FIELD context");
}

TEST_F(RequestTranslation, APutLivesAsLongAsItSaysOrElseAsItsTableDoes) {
  const auto ttl_ms = [&](v1::PutRequest put) {
    return TranslatePut(&put, *view_)->request.intent.ttl_ms;
  };
  v1::PutRequest put = Put();
  EXPECT_EQ(ttl_ms(put), 0u);
  put.set_ttl_ms(5);
  EXPECT_EQ(ttl_ms(put), 5u);
  put.set_table("names");
  EXPECT_EQ(ttl_ms(put), 5u);
  put.set_ttl_ms(0);
  EXPECT_EQ(ttl_ms(put), 0u) << "for ever, whatever the table says";
  put.clear_ttl_ms();
  EXPECT_EQ(ttl_ms(put), 60'000u);
  v1::MultiPutRequest multi;
  multi.set_table("names");
  multi.add_items()->set_key("a");
  multi.add_items()->set_key("b");
  multi.mutable_items(1)->set_ttl_ms(7);
  EXPECT_EQ(TranslateMultiPutItem(&multi, 0, *view_)->request.intent.ttl_ms, 60'000u);
  EXPECT_EQ(TranslateMultiPutItem(&multi, 1, *view_)->request.intent.ttl_ms, 7u);
  v1::DeleteRequest erase;
  erase.set_table("names");
  erase.set_key("a");
  EXPECT_EQ(TranslateDelete(&erase, *view_)->request.intent.ttl_ms, 0u);
}

TEST_F(RequestTranslation, RefusesATtlOfOverAHundredYears) {
  v1::PutRequest put = Put();
  put.set_ttl_ms(kMaxTtlMs);
  EXPECT_EQ(Refusal(put), "");
  for (const uint64_t wrong : {kMaxTtlMs + 1, UINT64_MAX}) {
    put.set_ttl_ms(wrong);
    EXPECT_EQ(Refusal(put), "INVALID_FIELD ttl_ms");
  }
}

TEST_F(RequestTranslation, GivesEachItemOfAMultiPutItsOwnError) {
  v1::MultiPutRequest multi;
  multi.set_table("carts");
  multi.add_items()->set_key("good");
  multi.add_items();
  ASSERT_TRUE(CheckMultiPut(multi, *view_).ok());
  EXPECT_EQ(Describe(TranslateMultiPutItem(&multi, 0, *view_)), "");
  EXPECT_EQ(Describe(TranslateMultiPutItem(&multi, 1, *view_)), "INVALID_FIELD key");
}

TEST_F(RequestTranslation, RefusesMultiRequestsThatAreTooLongOrShareAnIdempotencyKey) {
  v1::MultiGetRequest gets;
  gets.set_table("carts");
  for (int i = 0; i <= kMaxMultiItems; ++i) gets.add_keys("k");
  EXPECT_FALSE(CheckMultiGet(gets, *view_).ok());
  v1::MultiPutRequest puts;
  puts.set_table("carts");
  puts.mutable_options()->set_idempotency_key("0123456789abcdef");
  EXPECT_FALSE(CheckMultiPut(puts, *view_).ok());
}

}  // namespace
}  // namespace gyre
