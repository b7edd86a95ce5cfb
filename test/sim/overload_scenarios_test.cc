// Named stories of more load than nodes can serve, and of a node that is slower than the others, on
// a network that loses nothing.

#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/sim_cluster.h"

namespace gyre {
namespace {

// Half writes, each of a key of its own, and half reads of what was written; to the first owner, at
// a pace that does not ask what becomes of them.
class OverloadStory : public ::testing::Test {
 protected:
  OverloadStory() : cluster_(Busy()) {
    TableSpec table;
    table.name = "orders";
    absl::StatusOr<TableSpec> made = cluster_.CreateTable(0, table);
    EXPECT_TRUE(made.ok()) << made.status();
    cluster_.observer().AddTable(made->id, {"orders", nullptr, true});
    cluster_.RunFor(Duration::Seconds(2));
  }
  static SimOptions Busy() {
    SimOptions options;
    options.seed = 7;
    options.shards = 1;
    options.network.loss_per_mille = options.network.slow_per_mille = 0;
    options.network.double_per_mille = 0;
    options.client_network = options.network;
    options.needs_disk_one_in = 2;
    options.step = Duration::Millis(1);
    options.admission.least = 8;
    return options;
  }

  struct Told {
    int asked = 0;
    int answered = 0;  // well, while it was asked
    int refused = 0;
    int failed = 0;  // otherwise
    int answered_later = 0;
    Duration waited;  // in all, by those answered well
  };

  // Asks for so long, so often a second. What is under way then goes on.
  Told Drive(Duration span, int per_s) {
    auto told = std::make_shared<Told>();
    auto asking = std::make_shared<bool>(true);
    const int asks = static_cast<int>(span.millis() * per_s / 1000);
    for (int i = 0; i < asks; ++i) {
      cluster_.scheduler().After(span * i / asks, [this, told, asking] { Ask(told, asking); });
    }
    cluster_.RunFor(span);
    *asking = false;
    return *told;
  }
  void Ask(const std::shared_ptr<Told>& told, const std::shared_ptr<bool>& asking) {
    ++told->asked;
    const bool writes = told->asked % 2 == 0 || acknowledged_.empty();
    const auto at =
        acknowledged_.lower_bound("k" + std::to_string(told->asked * 7919 % (written_ + 1)));
    const std::string key = writes                      ? "k" + std::to_string(++written_)
                            : at == acknowledged_.end() ? acknowledged_.begin()->first
                                                        : at->first;
    const std::vector<int> owners = cluster_.OwnersOf(cluster_.Locate("orders", key));
    const int node = *std::find_if(owners.begin(), owners.end(),
                                   [this](int owner) { return cluster_.up(owner); });
    const auto done = [this, told, asking, writes, key,
                       since = cluster_.scheduler().now()](const Outcome& outcome) {
      if (outcome.code == Outcome::Code::kOk) {
        told->waited = told->waited + (cluster_.scheduler().now() - since);
        ++(*asking ? told->answered : told->answered_later);
        if (writes) acknowledged_[key] = "of " + key;
        EXPECT_TRUE(writes || !outcome.record.versions.empty()) << key << " is lost";
      } else if (outcome.code == Outcome::Code::kOverloaded) {
        ++told->refused;
      } else {
        ++told->failed;
      }
    };
    if (!writes) {
      EXPECT_TRUE(cluster_.Read(0, node, "orders", key, Duration::Seconds(2), done));
      return;
    }
    WriteIntent intent;
    intent.value = "of " + key;
    intent.mode = WriteMode::kBlind;
    intent.attempt = kFirstAttempt;
    intent.write = {static_cast<uint64_t>(written_), 1};
    EXPECT_TRUE(cluster_.Write(0, node, "orders", key, intent, Duration::Seconds(2), done));
  }
  // The most that is answered in a second, of what was asked for ever more.
  int Best() {
    int best = 0;
    for (int per_s = 200; per_s <= 4'000; per_s += per_s / 4) {
      const Told told = Drive(Duration::Seconds(4), per_s);
      best = std::max(best, told.answered / 4);
      cluster_.RunFor(Duration::Seconds(3));
      if (told.answered < told.asked / 2) break;
    }
    return best;
  }
  void ExpectNothingLost() {
    cluster_.RunFor(Duration::Seconds(60));
    cluster_.JudgeClaims();
    cluster_.JudgeConvergence();
    cluster_.JudgeHandedOver();
    cluster_.JudgeLiveness();
    EXPECT_EQ(cluster_.violation().value_or(""), "");
    EXPECT_GT(acknowledged_.size(), 100u);
    for (const auto& [key, value] : acknowledged_) {
      EXPECT_EQ(cluster_.Settled("orders", key), std::vector<std::string>{value});
    }
  }

  SimCluster cluster_;
  std::map<std::string, std::string> acknowledged_;
  int written_ = 0;
};

TEST_F(OverloadStory, AskedThreeTimesTooMuchItServesAsMuchAsEverAndIsItselfAgainAtOnce) {
  const int best = Best();
  const Told over = Drive(Duration::Seconds(20), 3 * best);
  EXPECT_GE(over.answered, best * 20 * 9 / 10);
  EXPECT_GT(over.refused, 0);
  EXPECT_EQ(over.failed, 0) << "who is not served is told so, and at once";
  EXPECT_GT(cluster_.refused(), 0u);
  cluster_.RunFor(Duration::Seconds(1));
  const Told after = Drive(Duration::Seconds(5), best / 2);
  EXPECT_EQ(after.refused + after.failed, 0);
  EXPECT_GE(after.answered, after.asked * 95 / 100);
  ExpectNothingLost();
}

TEST_F(OverloadStory, ReadsGoRoundANodeWhoseDiskIsSlowAndHedgeWithinTheirBudget) {
  const Told before = Drive(Duration::Seconds(10), 300);
  EXPECT_EQ(before.refused + before.failed, 0);
  const ShardFigures calm = cluster_.Figures();
  cluster_.SlowDisk(1, Duration::Millis(400));
  const Told slow = Drive(Duration::Seconds(20), 300);
  EXPECT_EQ(slow.refused + slow.failed, 0);
  const ShardFigures figures = cluster_.Figures();
  EXPECT_GT(figures.pace.slowed, calm.pace.slowed);
  EXPECT_GT(figures.pace.tries, calm.pace.tries);
  EXPECT_GT(figures.pace.hedges, calm.pace.hedges);
  EXPECT_LE(figures.pace.hedges, figures.reads / 10 + 10 * cluster_.size());
  ExpectNothingLost();
}

// Only what it is asked for is too much for it: with its disk it keeps up, as the others do.
TEST_F(OverloadStory, ReadsGoRoundANodeThatSaysThatItIsBusyUntilItIsNot) {
  const Told before = Drive(Duration::Seconds(5), 100);
  EXPECT_EQ(before.refused + before.failed, 0);
  // Reads whose coordinators are others, of keys that node 1 owns; how many of them it was asked.
  const auto asked_of_it = [&](int reads) {
    const uint64_t fetches = cluster_.fetches(1);
    int read = 0;
    for (auto at = acknowledged_.begin(); read < reads; ++at) {
      if (at == acknowledged_.end()) at = acknowledged_.begin();
      const std::vector<int> owners = cluster_.OwnersOf(cluster_.Locate("orders", at->first));
      if (owners[1] != 1) continue;
      ++read;
      EXPECT_TRUE(cluster_.Read(0, owners[0], "orders", at->first, Duration::Seconds(2),
                                [](const Outcome&) {}));
      cluster_.RunFor(Duration::Millis(10));
    }
    return cluster_.fetches(1) - fetches;
  };
  EXPECT_EQ(asked_of_it(100), 100u);

  // Each read that a node coordinates takes it two steps of a millisecond, and each other one.
  auto asking = std::make_shared<bool>(true);
  std::function<void()> ask = [&, asking] {
    if (!*asking) return;
    EXPECT_TRUE(cluster_.Read(0, 1, "orders", acknowledged_.begin()->first, Duration::Seconds(2),
                              [](const Outcome&) {}));
    cluster_.scheduler().After(Duration::Micros(700), ask);
  };
  ask();
  cluster_.RunFor(Duration::Seconds(10));
  for (const int node : {0, 2, 3, 4}) EXPECT_EQ(cluster_.LoadAt(node, 1), Load::kFull);
  EXPECT_LT(asked_of_it(500), 50u) << "but for hedges";
  cluster_.RunFor(Duration::Seconds(10));
  EXPECT_LE(cluster_.load_changes(), 3u) << "it does not go back and forth";
  *asking = false;
  cluster_.RunFor(Duration::Seconds(10));
  for (const int node : {0, 2, 3, 4}) EXPECT_EQ(cluster_.LoadAt(node, 1), Load::kIdle);
  EXPECT_EQ(asked_of_it(100), 100u);
  ExpectNothingLost();
}

// Who was away is given back what was kept for it as fast as it can take it beside its clients.
TEST_F(OverloadStory, HandingHintsOverStaysOutOfClientsWay) {
  const Told calm = Drive(Duration::Seconds(10), 300);
  cluster_.Crash(1);
  cluster_.RunFor(Duration::Seconds(5));
  Drive(Duration::Seconds(30), 300);
  const uint64_t kept = cluster_.Figures().stand_in.kept;
  EXPECT_GT(kept, 1'000u);
  cluster_.Restart(1);
  cluster_.RunFor(Duration::Millis(100));  // clients come once it has heard its peers
  const Told meanwhile = Drive(Duration::Seconds(10), 300);
  EXPECT_GT(cluster_.Figures().stand_in.delivered, kept / 2) << "this is when it was done";
  EXPECT_LE(meanwhile.refused + meanwhile.failed, meanwhile.asked / 1000);
  EXPECT_LT(meanwhile.waited, calm.waited * 2);
  ExpectNothingLost();
}

TEST_F(OverloadStory, WithASlowDiskAndThreeTimesTooMuchTheOthersServeOn) {
  cluster_.SlowDisk(1, Duration::Millis(100));
  const int best = Best();
  const Told over = Drive(Duration::Seconds(20), 3 * best);
  EXPECT_GE(over.answered, best * 20 * 9 / 10);
  EXPECT_GT(over.refused, 0);
  const ShardFigures figures = cluster_.Figures();
  EXPECT_GT(figures.pace.slowed, 0u);
  EXPECT_GT(figures.pace.hedges, 0u);
  EXPECT_GT(figures.pace.refused, 0u) << "a cluster that is slow as a whole is asked little more";
  ExpectNothingLost();
}

}  // namespace
}  // namespace gyre
