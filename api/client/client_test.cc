#include "api/client/client.h"

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/client/fake_server.h"
#include "gtest/gtest.h"

namespace gyre {
namespace {

using absl::StatusCode;
using v1::ErrorDetail;

constexpr int kUnavailable = static_cast<int>(StatusCode::kUnavailable);

std::unique_ptr<Client> Connected(const FakeCluster& cluster, ClientOptions options = {}) {
  if (options.seeds.empty()) options.seeds = cluster.addresses();
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return std::move(client).value();
}

// A script that does `verdict` to the first so many requests and serves those after them.
FakeNode::Script FirstTimes(int times, Verdict verdict) {
  auto left = std::make_shared<std::atomic<int>>(times);
  return [left, verdict](const v1::ClientRequest&) {
    return left->fetch_sub(1) > 0 ? verdict : Verdict{};
  };
}

ErrorDetail::Reason ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason() : ErrorDetail::REASON_UNSPECIFIED;
}

// ------------------------------------------------------------------------------ plain requests

TEST(Client, ReadsWhatItWroteAndNothingAfterADelete) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  EXPECT_FALSE(client->Get("t", "k").get()->found());
  ASSERT_TRUE(client->Put("t", "k", "v").get().ok());
  const absl::StatusOr<GetResult> got = client->Get("t", "k").get();
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->values, std::vector<std::string>{"v"});
  EXPECT_EQ(got->context, "context of k");
  EXPECT_EQ(got->attempts, 1);
  ASSERT_TRUE(client->Delete("t", "k").get().ok());
  EXPECT_FALSE(client->Get("t", "k").get()->found());
}

TEST(Client, CarriesBytesOfAnyKind) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  ASSERT_TRUE(client->Put("t", bytes, bytes + bytes).get().ok());
  EXPECT_EQ(client->Get("t", bytes).get()->values, std::vector<std::string>{bytes + bytes});
}

TEST(Client, SendsTheOptionsOfARequest) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  ASSERT_TRUE(client
                  ->Put("t", "k", "v",
                        {.context = "c",
                         .mode = WriteMode::kBlind,
                         .write_quorum = 3,
                         .timeout = absl::Seconds(7),
                         .explain = true,
                         .strict = true})
                  .get()
                  .ok());
  ASSERT_TRUE(client->Get("t", "k", {.read_quorum = 2, .strict = true}).get().ok());
  const std::vector<v1::ClientRequest> seen = cluster.node(0).seen();
  const v1::PutRequest& put = seen[0].put();
  EXPECT_EQ(put.context(), "c");
  EXPECT_EQ(put.mode(), v1::WRITE_MODE_BLIND);
  EXPECT_EQ(put.options().write_quorum(), 3u);
  EXPECT_TRUE(put.options().explain());
  EXPECT_TRUE(put.options().strict());
  EXPECT_TRUE(seen[1].get().options().strict());
  EXPECT_EQ(put.options().idempotency_key().size(), 16u);
  EXPECT_EQ(put.options().attempt(), 1u);
  EXPECT_EQ(put.options().epoch(), cluster.epoch());
  EXPECT_GT(put.options().timeout_ms(), 6000u);
  EXPECT_LE(put.options().timeout_ms(), 7000u);
  EXPECT_EQ(seen[1].get().options().read_quorum(), 2u);
}

TEST(Client, SaysHowLongAValueLivesAndHearsForHowLongItStillDoes) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  const auto put = [&](absl::Duration ttl, WriteMode mode) {
    return client->Put("t", "k", "v", {.mode = mode, .ttl = ttl}).get().status();
  };
  EXPECT_TRUE(client->Get("t", "k").get()->ttl_left.empty());
  ASSERT_TRUE(put(absl::InfiniteDuration(), WriteMode::kBlind).ok());
  ASSERT_TRUE(put(absl::Microseconds(1'500'001), WriteMode::kBlind).ok());
  ASSERT_TRUE(
      client->MultiPut("t", {{.key = "m", .ttl = absl::Seconds(9)}, {.key = "n"}}).get().ok());
  const std::vector<v1::ClientRequest> seen = cluster.node(0).seen();
  EXPECT_TRUE(seen[1].put().has_ttl_ms());
  EXPECT_EQ(seen[1].put().ttl_ms(), 0u);
  EXPECT_EQ(seen[2].put().ttl_ms(), 1501u);
  EXPECT_EQ(seen[3].put().ttl_ms(), 9000u);
  EXPECT_FALSE(seen[4].put().has_ttl_ms()) << "the table's";
  EXPECT_EQ(client->Get("t", "k").get()->ttl_left,
            (std::vector<absl::Duration>{absl::InfiniteDuration(), absl::Milliseconds(1501)}));
}

TEST(Client, RefusesATtlThatNoValueMayHave) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  for (const absl::Duration wrong : {absl::ZeroDuration(), absl::Seconds(-1),
                                     -absl::InfiniteDuration(), absl::Hours(24 * 36'500 + 1)}) {
    const absl::Status status = client->Put("t", "k", "v", {.ttl = wrong}).get().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_EQ(GetErrorDetail(status)->field(), "ttl");
  }
  EXPECT_TRUE(client->Put("t", "k", "v", {.ttl = absl::Hours(24 * 36'500)}).get().ok());
}

TEST(Client, SendsEachKeyToItsFirstOwner) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(client->Put("t", absl::StrCat("key-", i), "v").get().ok());
  }
  for (size_t node = 0; node < cluster.size(); ++node) {
    EXPECT_FALSE(cluster.node(node).seen().empty());
    for (const v1::ClientRequest& request : cluster.node(node).seen()) {
      EXPECT_EQ(cluster.OwnerOf(request.put().key()), node);
    }
  }
}

TEST(Client, GivesEachWriteAnIdempotencyKeyOfItsOwn) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client->Put("t", "k", "v").get().ok());
  std::set<std::string> keys;
  for (const v1::ClientRequest& request : cluster.node(0).seen()) {
    keys.insert(request.put().options().idempotency_key());
  }
  EXPECT_EQ(keys.size(), 100u);
}

TEST(Client, AnswersEveryItemOfAMultiRequestInItsOrder) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  std::vector<PutItem> items;
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) {
    keys.push_back(absl::StrCat("key-", i));
    items.push_back({.key = keys.back(), .value = absl::StrCat("value-", i)});
  }
  const absl::StatusOr<MultiPutResult> put = client->MultiPut("t", items).get();
  ASSERT_TRUE(put.ok()) << put.status();
  ASSERT_EQ(put->size(), 1000u);
  const absl::StatusOr<MultiGetResult> got = client->MultiGet("t", keys).get();
  ASSERT_TRUE(got.ok()) << got.status();
  for (size_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE((*put)[i].ok());
    ASSERT_TRUE((*got)[i].ok());
    EXPECT_EQ((*got)[i]->values, std::vector<std::string>{items[i].value});
  }
}

TEST(Client, FailsOneItemOfAMultiRequestWithoutTheOthers) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  cluster.node(0).SetScript([](const v1::ClientRequest& request) {
    return request.get().key() == "bad" ? Verdict::Refuse(3, ErrorDetail::INVALID_FIELD)
                                        : Verdict{};
  });
  const absl::StatusOr<MultiGetResult> got = client->MultiGet("t", {"good", "bad", "fine"}).get();
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE((*got)[0].ok());
  EXPECT_TRUE(absl::IsInvalidArgument((*got)[1].status()));
  EXPECT_TRUE((*got)[2].ok());
}

TEST(Client, RefusesAMultiRequestOfNoItemsOrTooMany) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  EXPECT_TRUE(absl::IsInvalidArgument(client->MultiGet("t", {}).get().status()));
  const absl::Status many = client->MultiPut("t", std::vector<PutItem>(1001)).get().status();
  EXPECT_EQ(ReasonOf(many), ErrorDetail::INVALID_FIELD);
}

TEST(Client, PacksWhatIsReadyIntoOneFrame) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  std::vector<PutItem> items;
  for (int i = 0; i < 256; ++i) items.push_back({.key = absl::StrCat("k", i), .value = "v"});
  ASSERT_TRUE(client->MultiPut("t", items).get().ok());
  EXPECT_EQ(client->stats().frames_sent, 2u);  // of 128 requests at most
  EXPECT_EQ(cluster.node(0).frames(), 2u);
}

TEST(Client, BoundsAFrameByItsBytes) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  std::vector<PutItem> items;
  for (int i = 0; i < 8; ++i) {
    items.push_back({.key = absl::StrCat("k", i), .value = std::string(100 << 10, 'v')});
  }
  ASSERT_TRUE(client->MultiPut("t", items).get().ok());
  EXPECT_EQ(client->stats().frames_sent, 4u);  // two of 100 KiB fit into 256 KiB
}

TEST(Client, LeavesABatchInAsFewFramesAsPossible) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  std::vector<std::future<absl::StatusOr<PutResult>>> puts;
  {
    const BatchScope batch = client->Batch();
    for (int i = 0; i < 100; ++i) puts.push_back(client->Put("t", absl::StrCat(i), "v"));
    EXPECT_EQ(client->stats().frames_sent, 0u);
  }
  for (auto& put : puts) EXPECT_TRUE(put.get().ok());
  EXPECT_EQ(client->stats().frames_sent, 1u);
}

// ------------------------------------------------------------------------------------- failures

TEST(Client, TellsATypedErrorWithItsDetail) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  ErrorDetail detail;
  detail.set_reason(ErrorDetail::TOO_MANY_SIBLINGS);
  detail.set_context("mends them");
  cluster.node(0).SetScript([detail](const auto&) { return Verdict::Refuse(9, detail); });
  const absl::Status status = client->Put("t", "k", "v").get().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->context(), "mends them");
  EXPECT_EQ(client->stats().attempts, 1u);
}

TEST(Client, RetriesOnTheNextOwnerWithTheSameIdempotencyKey) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  const std::string key = cluster.KeyOwnedBy(0);
  cluster.node(0).SetScript(
      [](const auto&) { return Verdict::Refuse(kUnavailable, ErrorDetail::QUORUM_NOT_MET); });
  const absl::StatusOr<PutResult> put = client->Put("t", key, "v").get();
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(put->attempts, 2);
  ASSERT_EQ(cluster.node(1).seen().size(), 1u);
  const v1::RequestOptions first = cluster.node(0).seen()[0].put().options();
  const v1::RequestOptions second = cluster.node(1).seen()[0].put().options();
  EXPECT_EQ(first.idempotency_key(), second.idempotency_key());
  EXPECT_EQ(first.attempt(), 1u);
  EXPECT_EQ(second.attempt(), 2u);
  EXPECT_EQ(client->stats().retries, 1u);
}

TEST(Client, StopsRetryingWhenTheBudgetIsSpent) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster, {.retry_budget = {.initial = 2}});
  ErrorDetail detail;
  detail.set_reason(ErrorDetail::QUORUM_NOT_MET);
  detail.set_needed(2);
  detail.set_answered(1);
  cluster.node(0).SetScript([&](const auto&) { return Verdict::Refuse(kUnavailable, detail); });
  const absl::Status status = client->Get("t", "k").get().status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(GetErrorDetail(status)->needed(), 2u);
  EXPECT_EQ(client->stats().attempts, 3u);
  EXPECT_EQ(client->stats().retries_denied, 1u);
}

TEST(Client, FailsAtOnceWhenAnOverloadedServerAsksForALongerWaitThanTheRequestHas) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  ErrorDetail detail;
  detail.set_reason(ErrorDetail::OVERLOADED);
  detail.set_retry_after_ms(60'000);
  cluster.node(0).SetScript([&](const auto&) { return Verdict::Refuse(8, detail); });
  const absl::Status status = client->Get("t", "k").get().status();
  EXPECT_EQ(ReasonOf(status), ErrorDetail::OVERLOADED);
  EXPECT_EQ(client->stats().attempts, 1u);
}

TEST(Client, FailsOverAtOnceWhenAStreamBreaks) {
  FakeCluster cluster;
  // Without a budget: a lost connection draws nothing from it.
  const auto client = Connected(cluster, {.retry_budget = {.initial = 0}});
  const std::string key = cluster.KeyOwnedBy(1);
  cluster.node(1).SetScript(FirstTimes(1, {.kind = Verdict::kDropStream}));
  const absl::StatusOr<PutResult> put = client->Put("t", key, "v").get();
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(put->attempts, 2);
  EXPECT_EQ(cluster.node(2).seen().size(), 1u);
  EXPECT_EQ(client->stats().retries, 0u);
  EXPECT_EQ(client->stats().failovers, 1u);
}

TEST(Client, PaysForEveryFailoverButTheFirst) {
  for (const Verdict& lost : {Verdict{.kind = Verdict::kDropStream},
                              Verdict::Refuse(kUnavailable, ErrorDetail::DRAINING)}) {
    FakeCluster cluster;
    const auto client = Connected(cluster, {.retry_budget = {.per_success = 0, .initial = 0}});
    for (size_t i = 0; i < cluster.size(); ++i) {
      cluster.node(i).SetScript([&lost](const auto&) { return lost; });
    }
    const absl::Status status = client->Put("t", "k", "v").get().status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(client->stats().attempts, 2u);
    EXPECT_EQ(client->stats().failovers, 1u);
    EXPECT_EQ(client->stats().retries_denied, 1u);
  }
}

TEST(Client, BacksOffBeforeItsSecondFailover) {
  FakeCluster cluster;
  const auto client = Connected(cluster, {.retry_budget = {.per_success = 0, .initial = 1}});
  const std::string key = cluster.KeyOwnedBy(0);
  for (size_t i = 0; i < 2; ++i) {
    cluster.node(i).SetScript(FirstTimes(1, {.kind = Verdict::kDropStream}));
  }
  const absl::StatusOr<PutResult> put = client->Put("t", key, "v").get();
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(put->attempts, 3);
  EXPECT_EQ(client->stats().failovers, 1u);
  EXPECT_EQ(client->stats().retries, 1u);
}

TEST(Client, HasOneEffectWhenTheAnswerWasLost) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  const std::string key = cluster.KeyOwnedBy(0);
  cluster.node(0).SetScript(FirstTimes(1, {.kind = Verdict::kServeAndDrop}));
  ASSERT_TRUE(client->Put("t", key, "v", {.mode = WriteMode::kBlind}).get().ok());
  EXPECT_EQ(cluster.EffectsOn(key), 1);
  EXPECT_EQ(client->Get("t", key).get()->values.size(), 1u);
}

TEST(Client, AsksTheNextOwnerWhenOneIsSilent) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  const std::string key = cluster.KeyOwnedBy(0);
  cluster.node(0).SetScript([](const auto&) { return Verdict{.kind = Verdict::kIgnore}; });
  const absl::StatusOr<PutResult> put =
      client->Put("t", key, "v", {.timeout = absl::Milliseconds(300)}).get();
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(put->attempts, 2);
}

TEST(Client, GivesUpASilentNodeAndFailsOverAllThatIsOnIt) {
  FakeCluster cluster;
  // Five silent requests open the breaker; the budget covers only those, not the fifty.
  const auto client = Connected(cluster, {.retry_budget = {.initial = 5}});
  cluster.node(0).SetScript([](const auto&) { return Verdict{.kind = Verdict::kIgnore}; });
  const std::string key = cluster.KeyOwnedBy(0);
  std::vector<std::future<absl::StatusOr<PutResult>>> puts;
  for (int i = 0; i < 50; ++i) {
    puts.push_back(client->Put("t", key, "v", {.timeout = absl::Seconds(1)}));
  }
  for (auto& put : puts) {
    const absl::StatusOr<PutResult> result = put.get();
    EXPECT_TRUE(result.ok()) << result.status();
  }
}

TEST(Client, FailsAtItsDeadlineAndSaysThatAWriteMayHaveTakenEffect) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  cluster.node(0).SetScript([](const auto&) { return Verdict{.kind = Verdict::kServeAndIgnore}; });
  const absl::Status put =
      client->Put("t", "k", "v", {.timeout = absl::Milliseconds(50)}).get().status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(put)) << put;
  ASSERT_TRUE(GetErrorDetail(put).has_value());
  EXPECT_TRUE(GetErrorDetail(put)->outcome_unknown());
  const absl::Status get =
      client->Get("t", "k", {.timeout = absl::Milliseconds(50)}).get().status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(get)) << get;
  EXPECT_FALSE(GetErrorDetail(get).has_value() && GetErrorDetail(get)->outcome_unknown());
}

TEST(Client, IgnoresAnAnswerThatComesAfterTheDeadline) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  cluster.node(0).Hold();
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client->Get("t", "k", {.timeout = absl::Milliseconds(30)}).get().status()));
  cluster.node(0).Release();
  EXPECT_TRUE(client->Get("t", "k").get().ok());
}

TEST(Client, LeavesADrainingNodeAtOnce) {
  FakeCluster cluster;
  const auto client = Connected(cluster, {.retry_budget = {.initial = 0}});
  const std::string key = cluster.KeyOwnedBy(0);
  cluster.node(0).SetScript(
      [](const auto&) { return Verdict::Refuse(kUnavailable, ErrorDetail::DRAINING); });
  ASSERT_TRUE(client->Put("t", key, "v").get().ok());
  ASSERT_TRUE(client->Put("t", key, "v").get().ok());
  EXPECT_EQ(cluster.node(0).seen().size(), 1u);
}

TEST(Client, ServesEveryRequestWhileOneNodeIsDead) {
  FakeCluster cluster;
  const auto client = Connected(cluster, {.retry_budget = {.initial = 0}});
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(client->Put("t", absl::StrCat(i), "v").get().ok());
  cluster.node(0).Stop();
  for (int i = 0; i < 300; ++i) {
    const absl::StatusOr<PutResult> put = client->Put("t", absl::StrCat(i), "v").get();
    ASSERT_TRUE(put.ok()) << put.status();
  }
  // The breaker keeps nearly all of them away from the dead node.
  EXPECT_LT(client->stats().failovers, 20u);
}

TEST(Client, ComesBackToANodeThatIsBack) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  const std::string key = cluster.KeyOwnedBy(0);
  ASSERT_TRUE(client->Put("t", key, "v").get().ok());
  cluster.node(0).Stop();
  ASSERT_TRUE(client->Put("t", key, "v").get().ok());
  const size_t before = cluster.node(0).seen().size();
  cluster.node(0).Restart();
  while (cluster.node(0).seen().size() == before) {
    ASSERT_TRUE(client->Put("t", key, "v").get().ok());
  }
}

TEST(Client, WaitsForTheOnlyNodeToComeBack) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  ASSERT_TRUE(client->Put("t", "k", "v").get().ok());
  cluster.node(0).Stop();
  auto put = client->Put("t", "k", "w", {.timeout = absl::Seconds(30)});
  cluster.node(0).Restart();
  EXPECT_TRUE(put.get().ok());
}

TEST(Client, SaysWhyWhenNoNodeCanBeReached) {
  FakeCluster cluster(2);
  const auto client = Connected(cluster);
  cluster.node(0).Stop();
  cluster.node(1).Stop();
  const absl::Status status =
      client->Get("t", "k", {.timeout = absl::Milliseconds(200)}).get().status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status) || absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("127.0.0.1"), absl::string_view::npos) << status;
}

TEST(Client, LosesNoRequestOfManyThreadsWhenANodeDies) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 400; ++i) {
        const std::string key = absl::StrCat(t, "-", i);
        if (!client->Put("t", key, key).get().ok()) ++failed;
      }
    });
  }
  cluster.node(1).AwaitSeen(50);
  cluster.node(1).Stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  for (int t = 0; t < 4; ++t) {
    for (int i = 0; i < 400; ++i) {
      const std::string key = absl::StrCat(t, "-", i);
      EXPECT_EQ(cluster.EffectsOn(key), 1) << key;
    }
  }
}

// ------------------------------------------------------------------------------------- topology

TEST(Client, FetchesTheTopologyAndRoutesAnewWhenItsEpochIsStale) {
  FakeCluster cluster;
  const auto client = Connected(cluster, {.retry_budget = {.initial = 0}});
  const std::string key = cluster.KeyOwnedBy(0);
  const uint64_t epoch = cluster.Rotate();
  const size_t owner = cluster.OwnerOf(key);
  ASSERT_NE(owner, 0u);
  for (size_t i = 0; i < cluster.size(); ++i) {
    cluster.node(i).SetScript([epoch](const v1::ClientRequest& request) {
      if (request.put().options().epoch() >= epoch) return Verdict{};
      ErrorDetail detail;
      detail.set_reason(ErrorDetail::STALE_EPOCH);
      detail.set_epoch(epoch);
      return Verdict::Refuse(static_cast<int>(StatusCode::kAborted), detail);
    });
  }
  const absl::StatusOr<PutResult> put = client->Put("t", key, "v").get();
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(client->epoch(), epoch);
  EXPECT_EQ(cluster.node(owner).seen().size(), 1u);
}

// Owners hear of a change one after another: one that has, or has not, refuses who coordinates.
TEST(Client, ComesAgainWithoutDrawingOnTheBudgetWhereTheNodesAreAtDifferentEpochs) {
  FakeCluster cluster;
  const auto client = Connected(cluster, {.retry_budget = {.initial = 0}});
  std::atomic<int> refusals = 4;
  for (size_t i = 0; i < cluster.size(); ++i) {
    cluster.node(i).SetScript([&, epoch = cluster.epoch()](const v1::ClientRequest&) {
      if (--refusals < 0) return Verdict{};
      ErrorDetail detail;
      detail.set_reason(ErrorDetail::STALE_EPOCH);
      detail.set_epoch(epoch);
      return Verdict::Refuse(static_cast<int>(StatusCode::kAborted), detail);
    });
  }
  const absl::StatusOr<PutResult> put = client->Put("t", "key", "v").get();
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(client->stats().retries, 0u);
}

TEST(Client, FetchesTheTopologyWhenAReplyNamesANewerEpoch) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  const uint64_t epoch = cluster.Rotate();
  while (client->epoch() != epoch) ASSERT_TRUE(client->Get("t", "k").get().ok());
}

TEST(Client, KnowsATableAsSoonAsItIsMade) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  v1::Table table;
  table.set_name("fresh");
  const absl::StatusOr<v1::Table> made = client->CreateTable(table);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->replicas(), 3u);
  EXPECT_EQ(client->epoch(), cluster.epoch());
  EXPECT_EQ(client->ListTables()->size(), 2u);
  EXPECT_EQ(client->DescribeTable("fresh")->id(), made->id());
  EXPECT_TRUE(client->DropTable("fresh").ok());
  EXPECT_EQ(ReasonOf(client->DropTable("fresh")), ErrorDetail::UNKNOWN_TABLE);
}

TEST(Client, LeavesAChangeOfTablesTimeToWaitForNodesThatAreDown) {
  FakeCluster cluster(1);
  const auto client =
      Connected(cluster, {.timeout = absl::Seconds(1), .change_timeout = absl::Seconds(40)});
  v1::Table table;
  table.set_name("fresh");
  EXPECT_TRUE(client->CreateTable(table).ok());
  EXPECT_GT(cluster.node(0).allowed_for_change(), absl::Seconds(30));
  EXPECT_TRUE(client->DropTable("fresh").ok());
  EXPECT_GT(cluster.node(0).allowed_for_change(), absl::Seconds(30));
}

TEST(Client, AsksAnotherNodeForAChangeOfMembers) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  cluster.node(0).Stop();
  v1::ChangeMemberRequest request;
  request.set_change(v1::ChangeMemberRequest::LEAVE);
  request.set_node("n2");
  const absl::StatusOr<v1::ChangeMemberReply> reply = client->ChangeMember(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(cluster.topology().members(2).state(), v1::MEMBER_STATE_LEAVING);
  EXPECT_EQ(client->ListTransfers()->members_size(), 3);
  request.set_node("nobody");
  EXPECT_EQ(ReasonOf(client->ChangeMember(request).status()), ErrorDetail::UNKNOWN_NODE);
}

TEST(Client, ANodeThatIsGoneSinceItWasFirstAskedForIsWhatWasWanted) {
  using Request = v1::ChangeMemberRequest;
  for (const Request::Change change : {Request::LEAVE, Request::REMOVE, Request::REPLACE}) {
    FakeCluster cluster(4);
    const auto client = Connected(cluster);
    cluster.node(0).LoseChangeReplies();
    Request request;
    request.set_change(change);
    request.set_node("n3");
    request.set_with("n2");
    request.set_plan(true);
    EXPECT_TRUE(client->ChangeMember(request).ok());
    request.set_plan(false);
    const absl::StatusOr<v1::ChangeMemberReply> reply = client->ChangeMember(request);
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->epoch(), cluster.epoch());
    EXPECT_EQ(cluster.changes_seen().size(), 4u) << "both were passed on";
    request.set_node("nobody");
    EXPECT_EQ(ReasonOf(client->ChangeMember(request).status()), ErrorDetail::UNKNOWN_NODE);
    if (change != Request::REPLACE) continue;
    request.set_node("n1");
    request.set_with("nobody");
    EXPECT_EQ(ReasonOf(client->ChangeMember(request).status()), ErrorDetail::UNKNOWN_NODE);
  }
}

// It may have been removed by another operator.
TEST(Client, ANodeThatIsGoneIsReplacedOnlyByOneThatOwnsItsShare) {
  FakeCluster cluster(4);
  const auto client = Connected(cluster);
  v1::ChangeMemberRequest request;
  request.set_change(v1::ChangeMemberRequest::RETIRE);
  request.set_node("n2");
  ASSERT_TRUE(client->ChangeMember(request).ok());
  cluster.node(0).LoseChangeReplies();
  request.set_change(v1::ChangeMemberRequest::REPLACE);
  request.set_node("n3");
  request.set_with("n2");
  EXPECT_EQ(ReasonOf(client->ChangeMember(request).status()), ErrorDetail::UNKNOWN_NODE);
}

TEST(Client, SaysThatAChangeMayStillTakeEffectWhereOneNodeWasSilentAndTheOthersAreDown) {
  FakeCluster cluster;
  const auto client = Connected(cluster, {.change_timeout = absl::Milliseconds(300)});
  cluster.node(0).SwallowChanges();
  cluster.node(1).Stop();
  cluster.node(2).Stop();
  v1::ChangeMemberRequest request;
  request.set_change(v1::ChangeMemberRequest::LEAVE);
  request.set_node("n2");
  const absl::Status status = client->ChangeMember(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value()) << status;
  EXPECT_TRUE(detail->outcome_unknown());
  EXPECT_NE(status.message().find("a majority of the voters"), std::string_view::npos) << status;
}

TEST(Client, TellsTheDetailOfAUnaryCallThatFails) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  v1::Table table;
  table.set_name("t");
  table.set_conflict(v1::CONFLICT_POLICY_LAST_WRITE_WINS);
  const absl::Status status = client->CreateTable(table).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status));
  EXPECT_EQ(ReasonOf(status), ErrorDetail::TABLE_EXISTS);
}

TEST(Client, AsksAnotherNodeAboutTablesWhenOneIsDead) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  cluster.node(0).Stop();
  EXPECT_EQ(client->ListTables()->size(), 1u);
  EXPECT_EQ(client->Topology()->epoch(), cluster.epoch());
}

TEST(Client, ScansASlicePageByPage) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(client->Put("t", absl::StrCat(i), "v").get().ok());
  std::set<std::string> keys;
  for (uint32_t slice = 0; slice < FakeCluster::kSlices; ++slice) {
    std::string after;
    for (bool more = true; more;) {
      const auto page = client->ScanPartition("t", slice, {.after_key = after, .limit = 7});
      ASSERT_TRUE(page.ok()) << page.status();
      for (const auto& item : page->items()) keys.insert(after = item.key());
      more = page->more();
    }
  }
  EXPECT_EQ(keys.size(), 200u);
  EXPECT_TRUE(client->ScanPartition("t", 0, {.node = "n1"}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(client->ScanPartition("t", 0, {.node = "nx"}).status()));
}

TEST(Client, AsksTheStatusOfOneNodeOnly) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  EXPECT_EQ(client->NodeStatus(cluster.node(2).address())->node(), "n2");
  cluster.node(2).Stop();
  EXPECT_TRUE(absl::IsUnavailable(client->NodeStatus(cluster.node(2).address()).status()));
}

TEST(Client, ConnectsThroughAnySeedThatIsAlive) {
  FakeCluster cluster;
  const std::vector<std::string> seeds = cluster.addresses();
  cluster.node(0).Stop();
  const auto client = Connected(cluster, {.seeds = seeds});
  EXPECT_TRUE(client->Put("t", "k", "v").get().ok());
}

// Their nodes had more to do than they could when it came.
TEST(Client, ConnectsWhereEverySeedIsTooLateForItsFirstQuestion) {
  FakeCluster cluster;
  for (size_t i = 0; i < cluster.size(); ++i) cluster.node(i).SwallowTopologyOnce();
  const absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Connect({.seeds = cluster.addresses()});
  EXPECT_TRUE(client.ok()) << client.status();
}

TEST(Client, GoesOnceOverSeedsThatAreSlow) {
  FakeCluster cluster(2);
  cluster.node(0).SwallowTopologyOnce();
  const absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Connect({.seeds = cluster.addresses(), .connect_timeout = absl::ZeroDuration()});
  EXPECT_TRUE(client.ok()) << client.status();
}

TEST(Client, DoesNotConnectWithoutALivingSeed) {
  FakeCluster cluster(1);
  cluster.node(0).Stop();
  const auto client =
      Client::Connect({.seeds = cluster.addresses(), .connect_timeout = absl::ZeroDuration()});
  EXPECT_TRUE(absl::IsUnavailable(client.status())) << client.status();
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect({}).status()));
}

TEST(Client, SendsLittleToANodeThatRefusesAllAndFindsOutOnceItServesAgain) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  ErrorDetail detail;
  detail.set_reason(ErrorDetail::OVERLOADED);
  detail.set_retry_after_ms(1);
  cluster.node(0).SetScript([&](const auto&) { return Verdict::Refuse(8, detail); });
  absl::Status last;
  for (int i = 0; i < 120; ++i) last = client->Get("t", "k").get().status();
  EXPECT_EQ(ReasonOf(last), ErrorDetail::OVERLOADED) << last;
  EXPECT_EQ(GetErrorDetail(last)->retry_after_ms(), 1u);
  EXPECT_GT(client->stats().throttled, 40u);
  EXPECT_LT(client->stats().attempts, 100u);

  cluster.node(0).SetScript([](const auto&) { return Verdict{}; });
  int in_a_row = 0;
  while (in_a_row < 20) in_a_row = client->Get("t", "k").get().ok() ? in_a_row + 1 : 0;
}

TEST(Client, WhoIsRefusedHereDoesNotHearOfItWithinItsCall) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  ErrorDetail detail;
  detail.set_reason(ErrorDetail::OVERLOADED);
  cluster.node(0).SetScript([&](const auto&) { return Verdict::Refuse(8, detail); });
  for (int i = 0; i < 40; ++i) EXPECT_FALSE(client->Get("t", "k").get().ok());
  const uint64_t before = client->stats().throttled;
  std::atomic<int> open = 100;
  for (int i = 0; i < 100; ++i) {
    thread_local bool calling = false;
    calling = true;
    client->Get("t", "k", {}, [&](const auto&) {
      EXPECT_FALSE(calling);
      if (--open == 0) open.notify_all();
    });
    calling = false;
  }
  for (int left = open; left != 0; left = open) open.wait(left);
  EXPECT_GT(client->stats().throttled, before);
}

// --------------------------------------------------------------------------- bounds and threads

TEST(Client, RefusesRequestsOverItsBoundAndAcceptsThemAgainAfterwards) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster, {.max_outstanding = 2});
  cluster.node(0).Hold();
  auto first = client->Get("t", "a");
  auto second = client->Get("t", "b");
  const absl::Status third = client->Get("t", "c").get().status();
  EXPECT_TRUE(absl::IsResourceExhausted(third)) << third;
  EXPECT_EQ(ReasonOf(third), ErrorDetail::OVERLOADED);
  EXPECT_EQ(client->stats().refused, 1u);
  cluster.node(0).AwaitSeen(2);
  cluster.node(0).Release();
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
  EXPECT_TRUE(client->Get("t", "c").get().ok());
}

TEST(Client, RefusesBytesOverItsBound) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster, {.max_outstanding_bytes = 1000});
  cluster.node(0).Hold();
  auto first = client->Put("t", "a", std::string(900, 'v'));
  EXPECT_TRUE(
      absl::IsResourceExhausted(client->Put("t", "b", std::string(200, 'v')).get().status()));
  cluster.node(0).AwaitSeen(1);
  cluster.node(0).Release();
  EXPECT_TRUE(first.get().ok());
}

TEST(Client, KeepsARequestThatWouldEndTheStreamToItself) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster);
  const absl::Status status = client->Put("t", "k", std::string(5 << 20, 'v')).get().status();
  EXPECT_EQ(ReasonOf(status), ErrorDetail::TOO_LARGE);
  EXPECT_TRUE(cluster.node(0).seen().empty());
}

TEST(Client, SendsNoMoreThanItsWindowAtOnce) {
  FakeCluster cluster(1);
  const auto client = Connected(cluster, {.stream = {.max_in_flight = 4}});
  cluster.node(0).Hold();
  std::vector<std::string> keys;
  for (int i = 0; i < 50; ++i) keys.push_back(absl::StrCat(i));
  auto got = client->MultiGet("t", keys);
  cluster.node(0).AwaitSeen(4);
  EXPECT_EQ(cluster.node(0).seen().size(), 4u);
  cluster.node(0).Release();
  const absl::StatusOr<MultiGetResult> results = got.get();
  for (const absl::StatusOr<GetResult>& item : *results) EXPECT_TRUE(item.ok());
}

TEST(Client, LetsCallbacksStartRequests) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  std::promise<int> finished;
  int done = 0;
  std::function<void()> next = [&] {
    client->Put("t", absl::StrCat(done), "v", {}, [&](absl::StatusOr<PutResult> result) {
      if (!result.ok() || ++done == 1000) {
        finished.set_value(done);
      } else {
        next();
      }
    });
  };
  next();
  EXPECT_EQ(finished.get_future().get(), 1000);
}

TEST(Client, RefusesToBlockInsideACallback) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  std::promise<absl::Status> blocked;
  client->Get("t", "k", {}, [&](const absl::StatusOr<GetResult>&) {
    blocked.set_value(client->ListTables().status());
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(blocked.get_future().get()));
  EXPECT_TRUE(client->ListTables().ok());
}

TEST(Client, CancelsWhatIsOutstandingWhenItIsDestroyed) {
  FakeCluster cluster;
  auto client = Connected(cluster);
  for (size_t i = 0; i < cluster.size(); ++i) cluster.node(i).Hold();
  std::vector<std::future<absl::StatusOr<GetResult>>> gets;
  for (int i = 0; i < 100; ++i) gets.push_back(client->Get("t", absl::StrCat(i)));
  client.reset();
  for (auto& get : gets) EXPECT_TRUE(absl::IsCancelled(get.get().status()));
}

TEST(Client, CancelsWhatWaitsForARetryWhenItIsDestroyed) {
  FakeCluster cluster(1);
  auto client = Connected(cluster, {.back_off = {.base = absl::Hours(1), .cap = absl::Hours(1)}});
  cluster.node(0).Stop();
  auto get = client->Get("t", "k", {.timeout = absl::Seconds(60)});
  client.reset();
  EXPECT_FALSE(get.get().ok());
}

TEST(Client, CountsWhatItDoes) {
  FakeCluster cluster;
  const auto client = Connected(cluster);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client->Get("t", absl::StrCat(i)).get().ok());
  const ClientStats stats = client->stats();
  EXPECT_EQ(stats.requests, 10u);
  EXPECT_EQ(stats.succeeded, 10u);
  EXPECT_EQ(stats.attempts, 10u);
  EXPECT_EQ(stats.failed, 0u);
  EXPECT_EQ(stats.topologies, 1u);
}

}  // namespace
}  // namespace gyre
