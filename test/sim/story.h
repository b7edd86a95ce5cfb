// Story: named stories on a SimCluster whose network loses nothing, so that what is asked for must
// succeed. Five nodes; the tables "carts" and "ledger" (strict); the key "ada" with three owners
// and two nodes that are none.
//
//   class MyStory : public Story { protected: MyStory() : Story(Quiet()) {} };
//   TEST_F(MyStory, ...) { Crash({owners_[0]}); Put(owners_[1], "milk"); ...
//   ExpectSettled({"milk"}); }
//
// For tests. One thread.

#ifndef GYRE_TEST_SIM_STORY_H_
#define GYRE_TEST_SIM_STORY_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/sim_cluster.h"

namespace gyre {

class Story : public ::testing::Test {
 protected:
  explicit Story(const SimOptions& options) : cluster_(options) {
    TableSpec table;
    table.name = "carts";
    AddTable(table);
    table.name = "ledger";
    table.quorum = QuorumKind::kStrict;
    AddTable(table);
    cluster_.RunFor(Duration::Seconds(2));
    owners_ = cluster_.OwnersOf(cluster_.Locate("carts", "ada"));
    for (int node = 0; node < cluster_.size(); ++node) {
      if (std::find(owners_.begin(), owners_.end(), node) == owners_.end()) others_.push_back(node);
    }
    EXPECT_EQ(owners_.size(), 3u);
    EXPECT_EQ(others_.size(), 2u);
  }
  static SimOptions Quiet() {
    SimOptions options;
    options.seed = 5;
    options.network.loss_per_mille = options.network.slow_per_mille = 0;
    options.client_network.loss_per_mille = options.client_network.slow_per_mille = 0;
    return options;
  }
  void AddTable(const TableSpec& table) {
    const absl::StatusOr<TableSpec> made = cluster_.CreateTable(0, table);
    EXPECT_TRUE(made.ok()) << made.status();
    cluster_.observer().AddTable(made->id, {table.name, nullptr, true});
  }

  // A blind put.
  Outcome Put(int node, const std::string& value, const std::string& table = "carts",
              const std::string& key = "ada", Duration ttl = {}) {
    WriteIntent intent;
    intent.value = value;
    intent.mode = WriteMode::kBlind;
    intent.ttl_ms = static_cast<uint64_t>(ttl.millis());
    return Write(node, table, key, std::move(intent));
  }
  // Of whatever the node knows.
  Outcome Delete(int node, const std::string& key = "ada") {
    WriteIntent intent;
    intent.kind = WriteKind::kDelete;
    return Write(node, "carts", key, std::move(intent));
  }
  Outcome Write(int node, const std::string& table, const std::string& key, WriteIntent intent) {
    intent.attempt = kFirstAttempt;
    intent.write = {++written_, 1};
    return Ask([&](const SimCluster::OnOutcome& done) {
      return cluster_.Write(0, node, table, key, intent, Duration::Seconds(2), done);
    });
  }
  // Of what a read showed.
  Outcome PutOver(const Outcome& read, int node, const std::string& value) {
    WriteIntent intent;
    intent.value = value;
    intent.context = read.context;
    return Write(node, "carts", "ada", std::move(intent));
  }
  Outcome DeleteOver(const Outcome& read, int node) {
    WriteIntent intent;
    intent.kind = WriteKind::kDelete;
    intent.context = read.context;
    return Write(node, "carts", "ada", std::move(intent));
  }
  Outcome Get(int node, const std::string& key = "ada", const std::string& table = "carts") {
    return Ask([&](const SimCluster::OnOutcome& done) {
      return cluster_.Read(0, node, table, key, Duration::Seconds(2), done);
    });
  }
  template <typename Fn>
  Outcome Ask(Fn ask) {
    std::optional<Outcome> result;
    EXPECT_TRUE(ask([&](Outcome outcome) { result = std::move(outcome); }));
    cluster_.RunFor(Duration::Seconds(4));
    EXPECT_TRUE(result.has_value());
    return result.value_or(Outcome{});
  }
  static std::vector<std::string> Values(const Outcome& outcome) {
    std::vector<std::string> values;
    for (const Version& version : outcome.record.versions) {
      values.emplace_back(version.value.view());
    }
    std::sort(values.begin(), values.end());
    return values;
  }
  std::vector<int> All() const {
    std::vector<int> all = owners_;
    all.insert(all.end(), others_.begin(), others_.end());
    return all;
  }
  // From now on the node and the others of the cluster do not hear each other.
  void CutOff(int node) {
    for (int other = 0; other < cluster_.size(); ++other) {
      if (other == node) continue;
      cluster_.Cut(node, other);
      cluster_.Cut(other, node);
    }
  }
  void Crash(const std::vector<int>& nodes) {
    for (int node : nodes) cluster_.Crash(node);
    cluster_.RunFor(Duration::Seconds(3));
  }
  void Restart(const std::vector<int>& nodes) {
    for (int node : nodes) cluster_.Restart(node);
    cluster_.RunFor(Duration::Seconds(30));
  }
  // All is well again, and the key holds these.
  void ExpectSettled(const std::vector<std::string>& values, const std::string& key = "ada") {
    cluster_.JudgeClaims();
    cluster_.JudgeConvergence();
    cluster_.JudgeHandedOver();
    cluster_.JudgeSwept();
    EXPECT_EQ(cluster_.violation().value_or(""), "");
    std::vector<std::string> settled = cluster_.Settled("carts", key);
    std::sort(settled.begin(), settled.end());
    EXPECT_EQ(settled, values);
  }

  SimCluster cluster_;
  std::vector<int> owners_;
  std::vector<int> others_;
  uint64_t written_ = 0;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_STORY_H_
