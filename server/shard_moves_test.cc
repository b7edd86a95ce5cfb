// Shard and partitions that move: what comes of it here, and of what others ask meanwhile.

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/shard_bench.h"

namespace gyre {
namespace {

using Bench = ShardBench;

// Four nodes, and a name of the fourth for which "a" owns the one partition, or does not.
Bench::Setup Four(bool owned) {
  for (const std::string fourth : {"d", "e", "f", "g", "h", "i", "j", "k"}) {
    Bench::Setup setup{.members = {"a", "b", "c", fourth}};
    if ((Bench(setup).Partitions() == 1) == owned) return setup;
  }
  ADD_FAILURE() << "some name does";
  return {};
}

// ---- what was here

TEST(ShardMoves, WhatAnOwnerReportedIsForgottenWithItsCopy) {
  for (const bool moved : {false, true}) {
    Bench bench(Four(/*owned=*/true));
    std::vector<std::string> others;
    for (const NodeId owner : bench.Owners()) {
      if (bench.NameOf(owner) != "a") others.push_back(bench.NameOf(owner));
    }
    for (Token token = 1; token <= 3000; ++token) bench.Write(token, "key", "x", 1);
    bench.CommitAll();
    const ClockAsk has_all{bench.Clock(), bench.Clock().Bases()};
    bench.Hear(others[0], has_all, 5).CommitAll();
    const std::string outsider = bench.Outsider();
    if (moved) bench.MoveAll(others[0], outsider).MoveAll(outsider, others[0]).CommitAll();
    EXPECT_EQ(bench.Hear(others[1], has_all, 6).Take().substr(0, 6), moved ? "ClockA" : "commit")
        << "what it had went with the copy";
  }
}

TEST(ShardMoves, AReadFromBeforeADropTellsNothingOfWhatIsThereLater) {
  Bench bench(Four(/*owned=*/true));
  const ItemKey item = bench.Item("key");
  bench.Write(1, "key", "old", 1).CommitAll();
  bench.engine().AnswerNeedsDisk(1, 1);
  ASSERT_EQ(bench.Read(2, "key", 1).Take().substr(0, 8), "read key");
  const ShardEffects::DiskRead before = bench.effects().disk_reads.at(0);
  const auto bytes = bench.engine().Get(Family::kRecords, EncodeItemKey(item));
  ASSERT_TRUE(bytes.ok());
  const std::string outsider = bench.Outsider();
  bench.MoveAway().CommitAll();
  bench.BeginMove(outsider, "a").CommitAll();
  bench.Hear(outsider, bench.ApplyOf("key", "new"), 5).Take();
  ASSERT_EQ(bench.effects().disk_reads.size(), 1u);
  bench.shard().OnRead(before, bytes, bench.now());
  EXPECT_EQ(bench.Take(), "") << "of the copy that was dropped";
  bench.EndRead();  // the same once more
  EXPECT_EQ(bench.EndRead().CommitAll(), "ApplyReply>" + outsider);
  const auto stored = bench.engine().Get(Family::kRecords, EncodeItemKey(item));
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(DecodeRecord(*stored)->versions.size(), 1u);
}

// As damage would: whoever hears of that asks for no copy in a long time.
TEST(ShardMoves, WhatADropEndsIsNotTakenForDamage) {
  for (const bool copy : {true, false}) {
    Bench bench(Four(/*owned=*/true));
    bench.Write(1, "key", "x", 1).CommitAll();
    const std::string asker = bench.Outsider();
    bench.BeginMove("a", asker).CommitAll();
    if (copy) {
      ASSERT_EQ(bench.Hear(asker, CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "copy");
    } else {
      ASSERT_EQ(bench.Hear(asker, ClockAsk{}, 5).Take(), "scan");
    }
    bench.StepMove().StepMove().CommitAll();
    copy ? bench.EndCopyScan() : bench.EndScan();
    ASSERT_EQ(bench.Take(), "Failed>" + asker);
    EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  }
}

}  // namespace
}  // namespace gyre
