// The simulator's own promises: a run is named by its seed alone, in whatever process it runs.

#include <cstdio>
#include <set>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "test/sim/fault_counts.h"
#include "test/sim/scenario.h"
#include "test/sim/sim_cluster.h"

namespace gyre {
namespace {

// What a process of its own says, and how it ended.
std::string InAnotherProcess(const std::string& arguments, int* status) {
  FILE* process = popen((std::string(GYRE_SIM) + " " + arguments).c_str(), "r");
  if (process == nullptr) return "";
  std::string said;
  for (int c = std::fgetc(process); c != EOF; c = std::fgetc(process)) {
    said.push_back(static_cast<char>(c));
  }
  *status = pclose(process);
  return said;
}

// Of one seed.
std::string DigestInAnotherProcess(int seed) {
  int status = 0;
  const std::string said = InAnotherProcess("--digest " + std::to_string(seed), &status);
  EXPECT_EQ(status, 0) << said;
  return said;
}

ScenarioOptions Short(uint64_t seed) {
  ScenarioOptions options;
  options.seed = seed;
  options.length = Duration::Seconds(20);
  options.settle = Duration::Seconds(40);
  return options;
}

TEST(Simulation, TheSameSeedIsTheSameStoryInTwoProcesses) {
  for (int seed : {1, 17}) {
    const std::string first = DigestInAnotherProcess(seed);
    EXPECT_NE(first.find("digest "), std::string::npos) << first;
    EXPECT_EQ(DigestInAnotherProcess(seed), first);
  }
}

TEST(Simulation, TheSameSeedIsTheSameStoryTwiceInOneProcess) {
  const ScenarioResult first = RunScenario(Short(3)), again = RunScenario(Short(3));
  EXPECT_EQ(first.digest, again.digest);
  EXPECT_EQ(first.steps, again.steps);
}

TEST(Simulation, DifferentSeedsAreDifferentStories) {
  const ScenarioResult one = RunScenario(Short(4)), other = RunScenario(Short(5));
  EXPECT_NE(one.digest, other.digest);
  EXPECT_NE(one.steps, other.steps);
}

TEST(Simulation, WithoutFaultsNoOperationFails) {
  ScenarioOptions options = Short(6);
  options.faults = false;
  const ScenarioResult result = RunScenario(options);
  EXPECT_EQ(result.violation.value_or(""), "");
  EXPECT_GT(result.operations, 1000u);
  EXPECT_EQ(result.succeeded, result.operations);
}

TEST(Simulation, WithFaultsMostOperationsStillSucceedAndRepairIsAtWork) {
  const ScenarioResult result = RunScenario(Short(7));
  EXPECT_EQ(result.violation.value_or(""), "");
  EXPECT_GT(result.succeeded, result.operations / 2);
  EXPECT_GT(result.read_repairs, 0u);
  EXPECT_GT(result.repaired_items, 0u);
}

TEST(Simulation, OwnersThatAreLostAreStoodInForAndGetWhatWasKept) {
  const ScenarioResult result = RunScenario(Short(13));  // odd: with sloppy quorums
  EXPECT_EQ(result.violation.value_or(""), "");
  EXPECT_GT(result.hints_kept, 0u);
  EXPECT_GT(result.hints_delivered, 0u);
}

TEST(Simulation, ValuesExpireAndAreRemoved) {
  uint64_t expired = 0;
  for (const uint64_t seed : {13, 15, 17}) {  // odd: with a table whose values expire
    const ScenarioResult result = RunScenario(Short(seed));
    EXPECT_EQ(result.violation.value_or(""), "");
    expired += result.expired;
  }
  EXPECT_GT(expired, 0u);
}

TEST(Simulation, SomeStoriesKeepNoRecordsSomeAFewAndSomeAll) {
  const ScenarioResult none = RunScenario(Short(9)), few = RunScenario(Short(10)),
                       all = RunScenario(Short(11));
  EXPECT_EQ(none.cache.bytes, 0u);
  EXPECT_GT(few.cache.bytes, 0u);
  EXPECT_GT(few.cache.evictions, 0u);
  EXPECT_GT(all.cache.bytes, 0u);
  EXPECT_EQ(all.cache.evictions, 0u);
  for (const ScenarioResult* result : {&none, &few, &all}) {
    EXPECT_EQ(result->violation.value_or(""), "");
    EXPECT_GT(result->disk_reads, 0u) << "whatever is kept";
  }
}

TEST(Simulation, WhereAKindOfFaultIsMissedTheRunFailsAndNamesIt) {
  int status = 0;
  const std::string said = InAnotherProcess("--seeds 1 --first 1 --every-fault", &status);
  EXPECT_NE(status, 0);
  EXPECT_NE(said.find("no seed had the fault disk_"), std::string::npos) << said;
  EXPECT_NE(said.find("failed=0"), std::string::npos) << said;
}

TEST(FaultCounts, EveryKindHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kFaultKinds; ++i) {
    EXPECT_NE(FaultName(static_cast<FaultKind>(i)), "");
    names.insert(FaultName(static_cast<FaultKind>(i)));
  }
  EXPECT_EQ(names.size(), kFaultKinds);
  EXPECT_EQ(FaultName(FaultKind::kLogOutgrown), "log_outgrown") << "and in their order";
}

TEST(FaultCounts, NamesTheKindsThatWereNotHit) {
  FaultCounts one, other;
  EXPECT_EQ(one.Unhit().size(), kFaultKinds);
  one.Add(FaultKind::kPause, 2);
  other.Add(FaultKind::kPause);
  other.Add(FaultKind::kDiskSlow);
  one.Join(other);
  EXPECT_EQ(one.Of(FaultKind::kPause), 3u);
  EXPECT_EQ(one.Sum(), 4u);
  EXPECT_EQ(one.Unhit().size(), kFaultKinds - 2);
}

// Nobody hears of node 0 any more, though connections seem to stand.
void CutOffTheFirst(SimCluster* cluster) {
  for (int other = 1; other < cluster->size(); ++other) {
    cluster->Cut(0, other);
    cluster->Cut(other, 0);
  }
}

TEST(SimCluster, TakesANodeThatIsCutOffForSuspectOrDead) {
  SimCluster cluster({});
  cluster.RunFor(Duration::Seconds(20));
  cluster.JudgeLiveness();
  ASSERT_EQ(cluster.violation().value_or(""), "");
  CutOffTheFirst(&cluster);
  cluster.RunFor(Duration::Seconds(20));
  cluster.JudgeLiveness();
  EXPECT_NE(cluster.violation().value_or(""), "");
}

TEST(SimCluster, TakesEveryNodeForAliveAgainOnceTheNetworkIsHealed) {
  SimCluster cluster({});
  CutOffTheFirst(&cluster);
  cluster.RunFor(Duration::Seconds(60));
  cluster.HealNetwork();
  cluster.RunFor(Duration::Seconds(30));
  cluster.JudgeLiveness();
  EXPECT_EQ(cluster.violation().value_or(""), "");
}

}  // namespace
}  // namespace gyre
