#include "storage/peer_runs.h"

#include <gtest/gtest.h>

#include "storage/keys.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

using Verdict = PeerRuns::Verdict;

constexpr NodeId kPeer(7);
constexpr PeerRun kThird = {.instance = 1, .boots = 3, .run = 33};

PeerRuns After(const PeerRun& met) {
  PeerRuns runs;
  runs.Remember(kPeer, met);
  return runs;
}

TEST(PeerRuns, ARunThatWasMetIsKnown) {
  EXPECT_EQ(After(kThird).Judge(kPeer, kThird), Verdict::kKnown);
}

TEST(PeerRuns, ALaterBootOfTheSameDirectoryIsLater) {
  EXPECT_EQ(After(kThird).Judge(kPeer, {1, 4, 44}), Verdict::kLater);
}

TEST(PeerRuns, ADirectoryPutBackToAnEarlierStateIsForgetful) {
  const PeerRuns runs = After(kThird);
  EXPECT_EQ(runs.Judge(kPeer, {1, 3, 34}), Verdict::kForgetful) << "as often, another process";
  EXPECT_EQ(runs.Judge(kPeer, {1, 2, 34}), Verdict::kForgetful);
  EXPECT_EQ(runs.Judge(kPeer, {1, 2, 33}), Verdict::kForgetful);
}

TEST(PeerRuns, DirectoriesAndPeersAreToldApart) {
  PeerRuns runs = After(kThird);
  EXPECT_EQ(runs.Judge(NodeId(8), {1, 1, 9}), Verdict::kLater);
  EXPECT_EQ(runs.Judge(kPeer, {2, 1, 9}), Verdict::kLater);
  runs.Remember(kPeer, {2, 1, 9});
  EXPECT_EQ(runs.Judge(kPeer, {1, 2, 22}), Verdict::kForgetful) << "the first one came back";
}

TEST(PeerRuns, RememberWhichDirectoriesAPeerHad) {
  PeerRuns runs = After(kThird);
  EXPECT_FALSE(runs.MetAnother(kPeer, kThird));
  EXPECT_TRUE(runs.MetAnother(kPeer, {2, 1, 9}));
  EXPECT_FALSE(runs.MetAnother(NodeId(8), {2, 1, 9}));
  runs.Remember(kPeer, {2, 1, 9});
  EXPECT_TRUE(runs.MetAnother(kPeer, {2, 1, 9})) << "as often as it asks";
}

TEST(PeerRuns, OutliveTheProcessThatMetThem) {
  MemoryEngine engine;
  PeerRuns runs = *PeerRuns::Load(engine);
  ASSERT_TRUE(engine.Write(runs.Remember(kPeer, kThird), WalSync::kYes).ok());
  ASSERT_TRUE(engine.Write(runs.Remember(NodeId(8), {5, 1, 9}), WalSync::kYes).ok());
  const PeerRuns again = *PeerRuns::Load(engine);
  EXPECT_EQ(again.Judge(kPeer, kThird), Verdict::kKnown);
  EXPECT_EQ(again.Judge(kPeer, {1, 3, 34}), Verdict::kForgetful);
  EXPECT_EQ(again.Judge(NodeId(8), {5, 1, 9}), Verdict::kKnown);
}

TEST(PeerRuns, RefuseDamageAndNewerFormats) {
  for (const auto& [bytes, code] :
       {std::pair(std::string("\1\0\0\0\2", 5), absl::StatusCode::kDataLoss),
        std::pair(std::string(), absl::StatusCode::kDataLoss),
        std::pair(std::string("\2", 1), absl::StatusCode::kFailedPrecondition)}) {
    MemoryEngine engine;
    WriteBatch batch;
    batch.Put(Family::kMeta, EncodeNodeKey("peer_runs"), bytes);
    ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
    EXPECT_EQ(PeerRuns::Load(engine).status().code(), code);
  }
}

}  // namespace
}  // namespace gyre
