#include "api/client/node_stream.h"

#include <condition_variable>
#include <string>
#include <utility>

#include "api/client/batch_scope.h"
#include "api/client/fake_server.h"
#include "api/client/monotonic.h"
#include "api/proto/completion_thread.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"

namespace gyre {
namespace {

// Writes down what the stream gives back.
class Recorder final : public NodeStream::Listener {
 public:
  void OnReply(NodeStream&, std::unique_ptr<Operation> op, v1::ClientReply&) override {
    const std::lock_guard lock(mutex_);
    answered_.push_back(std::move(op));
    changed_.notify_all();
  }
  void OnLost(NodeStream&, std::vector<std::unique_ptr<Operation>> ops,
              const absl::Status& why) override {
    const std::lock_guard lock(mutex_);
    for (auto& op : ops) lost_.push_back(std::move(op));
    why_ = why;
    changed_.notify_all();
  }
  void OnEpoch(NodeStream&, uint64_t epoch) override {
    const std::lock_guard lock(mutex_);
    epochs_.push_back(epoch);
  }

  void AwaitAnswered(size_t count) {
    std::unique_lock lock(mutex_);
    while (answered_.size() < count) changed_.wait(lock);
  }
  void AwaitLost(size_t count) {
    std::unique_lock lock(mutex_);
    while (lost_.size() < count) changed_.wait(lock);
  }
  std::vector<std::unique_ptr<Operation>> TakeLost() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lost_, {});
  }
  std::vector<uint64_t> epochs() {
    const std::lock_guard lock(mutex_);
    return epochs_;
  }
  absl::Status why() {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Operation>> answered_;
  std::vector<std::unique_ptr<Operation>> lost_;
  std::vector<uint64_t> epochs_;
  absl::Status why_;
};

class NodeStreamTest : public testing::Test {
 protected:
  ~NodeStreamTest() override { stream_.Close(); }

  static std::unique_ptr<Operation> Put(const std::string& key) {
    auto op = std::make_unique<Operation>();
    op->request.mutable_put()->set_table("t");
    op->request.mutable_put()->set_key(key);
    op->deadline = MonotonicNow() + absl::Minutes(1);
    return op;
  }

  FakeCluster cluster_{1};
  FakeNode& node_ = cluster_.node(0);
  Recorder recorder_;
  ClientCounters counters_;
  RetryBudget budget_;
  CompletionThread wire_{"wire"};
  NodeStream stream_{
      node_.address(), grpc::CreateChannel(node_.address(), grpc::InsecureChannelCredentials()),
      wire_.queue(),   {.max_in_flight = 4, .max_frame_requests = 3},
      &recorder_,      &counters_};
};

TEST_F(NodeStreamTest, OpensWithTheFirstRequestAndAnswersIt) {
  EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  recorder_.AwaitAnswered(1);
  EXPECT_EQ(recorder_.epochs(), std::vector<uint64_t>{cluster_.epoch()});
}

TEST_F(NodeStreamTest, EachFrameSaysWhatTheClockOfTheNodeWasAtLeast) {
  for (size_t i = 1; i <= 2; ++i) {
    EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
    recorder_.AwaitAnswered(i);
  }
  std::vector<uint64_t> clocks = node_.clocks_seen();
  ASSERT_EQ(clocks.size(), 2u);
  EXPECT_EQ(clocks[0], 0u) << "nothing was heard of it yet";
  EXPECT_GE(clocks[1], FakeNode::kClockUs);
  node_.SetScript([](const auto&) { return Verdict{.kind = Verdict::kDropStream}; });
  EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  recorder_.AwaitLost(1);
  node_.SetScript(nullptr);
  EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  recorder_.AwaitAnswered(3);
  EXPECT_EQ(node_.clocks_seen().back(), 0u) << "another stream, and maybe another clock";
}

TEST_F(NodeStreamTest, FillsFramesUpToTheirBoundAndTheWindow) {
  node_.Hold();
  {
    const BatchScope scope(static_cast<NodeStream::Listener*>(&recorder_));
    for (int i = 0; i < 10; ++i) EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  }
  node_.AwaitSeen(4);
  EXPECT_EQ(node_.frames(), 2u);  // three, then the one that the window still had room for
  EXPECT_EQ(node_.seen().size(), 4u);
  node_.Release();
  recorder_.AwaitAnswered(10);
}

TEST_F(NodeStreamTest, WritesNothingBeforeTheOutermostBatchEnds) {
  {
    const BatchScope outer(static_cast<NodeStream::Listener*>(&recorder_));
    {
      const BatchScope inner(static_cast<NodeStream::Listener*>(&recorder_));
      EXPECT_EQ(stream_.Submit(Put("a")), nullptr);
    }
    EXPECT_EQ(counters_.frames_sent, 0u);
    EXPECT_EQ(stream_.Submit(Put("b")), nullptr);
  }
  EXPECT_EQ(counters_.frames_sent, 1u);
  recorder_.AwaitAnswered(2);
}

TEST_F(NodeStreamTest, WritesNothingOfABatchWhenTheClockTicks) {
  {
    const BatchScope scope(static_cast<NodeStream::Listener*>(&recorder_));
    EXPECT_EQ(stream_.Submit(Put("a")), nullptr);
    EXPECT_TRUE(stream_.Expire(MonotonicNow(), budget_).late.empty());
    EXPECT_EQ(counters_.frames_sent, 0u);
  }
  recorder_.AwaitAnswered(1);
}

TEST_F(NodeStreamTest, DoesNotDeferForABatchOfSomebodyElse) {
  const int somebody = 0;
  const BatchScope scope(&somebody);
  EXPECT_EQ(stream_.Submit(Put("a")), nullptr);
  recorder_.AwaitAnswered(1);
}

TEST_F(NodeStreamTest, GivesBackSentAndWaitingWhenTheStreamBreaks) {
  node_.Hold();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  node_.AwaitSeen(4);
  node_.Stop();
  recorder_.AwaitLost(10);
  int sent = 0;
  for (const auto& op : recorder_.TakeLost()) {
    EXPECT_EQ(op->outcome_unknown, op->attempts > 0);
    sent += op->attempts;
  }
  EXPECT_EQ(sent, 4);
  EXPECT_NE(recorder_.why().message().find(node_.address()), absl::string_view::npos);
  EXPECT_FALSE(stream_.TryAcquire(MonotonicNow()));
}

TEST_F(NodeStreamTest, GivesBackEverythingWhenItIsClosedAndTakesNoMore) {
  node_.Hold();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  stream_.Close();
  EXPECT_EQ(recorder_.TakeLost().size(), 10u);
  EXPECT_NE(stream_.Submit(Put("k")), nullptr);
}

TEST_F(NodeStreamTest, TakesOutWhatIsPastItsDeadlineWhetherSentOrWaiting) {
  node_.Hold();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  node_.AwaitSeen(4);
  const absl::Time late = MonotonicNow() + absl::Minutes(2);
  EXPECT_EQ(stream_.Expire(late, budget_).late.size(), 10u);
  EXPECT_TRUE(stream_.Expire(late, budget_).late.empty());
}

TEST_F(NodeStreamTest, CallsANodeSilentAtHalfTimeOnlyIfNothingCameFromIt) {
  node_.Hold();
  EXPECT_EQ(stream_.Submit(Put("silent")), nullptr);
  node_.AwaitSeen(1);
  const absl::Time quarter = MonotonicNow() + absl::Seconds(15);
  EXPECT_TRUE(stream_.Expire(quarter, budget_).silent.empty());
  const absl::Time half = MonotonicNow() + absl::Seconds(31);
  EXPECT_EQ(stream_.Expire(half, budget_).silent.size(), 1u);
}

TEST_F(NodeStreamTest, LooksForTheLaterRequestWhenTheEarlierIsDoneWith) {
  node_.Hold();
  auto soon = Put("soon"), later = Put("later");
  const absl::Time now = MonotonicNow();
  soon->deadline = now + absl::Minutes(1);
  later->deadline = now + absl::Minutes(2);
  EXPECT_EQ(stream_.Submit(std::move(soon)), nullptr);
  EXPECT_EQ(stream_.Submit(std::move(later)), nullptr);
  node_.AwaitSeen(2);
  EXPECT_TRUE(stream_.Expire(now + absl::Seconds(29), budget_).silent.empty());
  EXPECT_EQ(stream_.Expire(now + absl::Seconds(31), budget_).silent.size(), 1u);
  EXPECT_TRUE(stream_.Expire(now + absl::Seconds(59), budget_).silent.empty());
  EXPECT_EQ(stream_.Expire(now + absl::Seconds(61), budget_).silent.size(), 1u);
}

TEST_F(NodeStreamTest, KeepsWaitingForASlowRequestOfANodeThatAnswersOthers) {
  node_.SetScript([](const v1::ClientRequest& request) {
    return request.put().key() == "slow" ? Verdict{.kind = Verdict::kIgnore} : Verdict{};
  });
  EXPECT_EQ(stream_.Submit(Put("slow")), nullptr);
  EXPECT_EQ(stream_.Submit(Put("quick")), nullptr);
  recorder_.AwaitAnswered(1);
  const NodeStream::Expired expired = stream_.Expire(MonotonicNow() + absl::Seconds(31), budget_);
  EXPECT_TRUE(expired.silent.empty());
  EXPECT_TRUE(stream_.TryAcquire(MonotonicNow()));
}

TEST_F(NodeStreamTest, GivesUpTheStreamWhenSilenceOpensTheBreaker) {
  node_.SetScript([](const auto&) { return Verdict{.kind = Verdict::kIgnore}; });
  RetryBudget none({.initial = 0});
  // The window holds four; the breaker opens at the fifth silent request.
  for (int i = 0; i < 4; ++i) EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  node_.AwaitSeen(4);
  EXPECT_EQ(stream_.Expire(MonotonicNow() + absl::Seconds(31), none).silent.size(), 0u);
  EXPECT_TRUE(stream_.TryAcquire(MonotonicNow()));
  EXPECT_EQ(stream_.Expire(MonotonicNow() + absl::Minutes(2), none).late.size(), 4u);
  EXPECT_EQ(stream_.Submit(Put("k")), nullptr);
  node_.AwaitSeen(5);
  EXPECT_TRUE(stream_.Expire(MonotonicNow() + absl::Seconds(31), none).silent.empty());
  recorder_.AwaitLost(1);
}

}  // namespace
}  // namespace gyre
