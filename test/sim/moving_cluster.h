// MovingCluster: a SimCluster whose members come and go while a client writes and reads.
//
//   MovingCluster moving(seed);
//   moving.Serve(Duration::Seconds(3));
//   ASSERT_TRUE(moving.Activate(4).ok());
//   EXPECT_TRUE(moving.Rest());
//   EXPECT_EQ(moving.Judge(), "");
//
// For tests. One thread.

#ifndef GYRE_TEST_SIM_MOVING_CLUSTER_H_
#define GYRE_TEST_SIM_MOVING_CLUSTER_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "ring/rebalance.h"
#include "test/sim/sim_cluster.h"

namespace gyre {

// A cluster with a strict table of so many replicas, and a client that writes and reads its keys in
// turn. What it has been told is stored it must see, as long as anybody answers.
class MovingCluster {
 public:
  explicit MovingCluster(uint64_t seed, int replicas = 3, int nodes = 5, int waiting = 1,
                         BuildLevel level = kBuildLevel, int strangers = 0)
      : cluster_(SomeThatWait(seed, nodes, waiting, level, strangers)) {
    TableSpec table;
    table.name = "ledger";
    table.replicas = replicas;
    table.read_quorum = table.write_quorum = replicas / 2 + 1;
    table.quorum = QuorumKind::kStrict;
    AddTable(table);
  }
  void AddTable(const TableSpec& table) {
    const absl::StatusOr<TableSpec> made = cluster_.CreateTable(0, table);
    EXPECT_TRUE(made.ok()) << made.status();
    cluster_.observer().AddTable(made->id, {table.name, nullptr, true});
    cluster_.RunFor(Duration::Seconds(2));
  }

  static std::string Name(int node) { return "node-" + std::to_string(node); }
  absl::Status Change(int through, Control::Change change) {
    return cluster_.ChangeMembers(through, std::move(change));
  }
  absl::Status Activate(int node) {
    return Change(0, [=](const Topology& t) { return ActivateMember(t, Name(node)); });
  }

  // For so long: a write and a read every 50 ms, each through the next node that is up.
  void Serve(Duration span) {
    for (Duration run; run < span; run = run + Duration::Millis(50)) {
      const int key = next_++ % kKeys;
      Write(key);
      cluster_.RunFor(Duration::Millis(25));
      Read((key + kKeys / 2) % kKeys);
      cluster_.RunFor(Duration::Millis(25));
    }
  }
  // Until nothing moves and nothing is left to; false where that does not come.
  bool Rest() {
    for (int i = 0; i < 600 && !cluster_.AtRest(); ++i) Serve(Duration::Millis(200));
    return cluster_.AtRest();
  }
  // All is well: every key is read, and all owners hold the same and nothing else.
  std::string Judge() {
    cluster_.RunFor(Duration::Seconds(30));
    for (int key = 0; key < kKeys; ++key) {
      const uint64_t before = reads_;
      for (int tries = 0; tries < cluster_.size() && reads_ == before; ++tries) {
        Read(key);  // through another one, where that node is a member no more
        cluster_.RunFor(Duration::Millis(200));
      }
      if (reads_ == before) return "key-" + std::to_string(key) + " is lost";
    }
    cluster_.JudgeClaims();
    cluster_.JudgePlaced();
    cluster_.JudgeConvergence();
    return cluster_.violation().value_or("");
  }

  SimCluster& cluster() { return cluster_; }
  const Topology& topology() { return *TopologyAt(0); }
  const Topology* TopologyAt(int node) {
    topology_ = cluster_.ViewAt(node);
    return &topology_->topology();
  }
  uint64_t acknowledged() const { return acknowledged_; }

 private:
  static constexpr int kKeys = 24;

  static SimOptions SomeThatWait(uint64_t seed, int nodes, int waiting, BuildLevel level,
                                 int strangers) {
    SimOptions options;
    options.seed = seed;
    options.nodes = nodes;
    options.waiting = waiting;
    options.strangers = strangers;
    options.level = level;
    options.network.loss_per_mille = options.network.slow_per_mille = 0;
    options.client_network.loss_per_mille = options.client_network.slow_per_mille = 0;
    return options;
  }
  int NextUp() {
    do {
      node_ = (node_ + 1) % cluster_.size();
    } while (!cluster_.up(node_));
    return node_;
  }
  void Write(int key) {
    WriteIntent intent;
    const uint64_t number = ++number_;
    intent.value = std::to_string(number);
    intent.attempt = kFirstAttempt;
    intent.write = {number, 1};
    cluster_.Write(0, NextUp(), "ledger", "key-" + std::to_string(key), intent,
                   Duration::Seconds(2), [this, key, number](const Outcome& outcome) {
                     if (outcome.code != Outcome::Code::kOk) return;
                     stored_[key] = std::max(stored_[key], number);
                     issued_when_told_[number] = number_;
                     ++acknowledged_;
                   });
  }
  void Read(int key) {
    cluster_.Read(0, NextUp(), "ledger", "key-" + std::to_string(key), Duration::Seconds(2),
                  [this, key, least = stored_[key]](const Outcome& outcome) {
                    if (outcome.code != Outcome::Code::kOk) return;
                    ++reads_;
                    // A put replaces what its coordinator knows, which is all that came before.
                    uint64_t newest = 0;
                    for (const Version& version : outcome.record.versions) {
                      newest = std::max<uint64_t>(newest, std::stoull(std::string(version.value)));
                    }
                    if (newest < least && WasBefore(newest, least)) {
                      cluster_.Violate("key-" + std::to_string(key) + " shows " +
                                       std::to_string(newest) + ", and " + std::to_string(least) +
                                       " was acknowledged before");
                    }
                  });
  }

  // A put replaces what its coordinator knows, and may be late: only one that was told to be stored
  // before the other was issued cannot replace it.
  bool WasBefore(uint64_t one, uint64_t other) const {
    const auto told = issued_when_told_.find(one);
    return one == 0 || (told != issued_when_told_.end() && told->second < other);
  }

  SimCluster cluster_;
  std::shared_ptr<const View> topology_;
  int next_ = 0;
  int node_ = 0;
  uint64_t number_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t reads_ = 0;  // that succeeded
  std::map<int, uint64_t> stored_;
  std::map<uint64_t, uint64_t> issued_when_told_;  // the last number then, by number
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_MOVING_CLUSTER_H_
