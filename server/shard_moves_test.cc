// Shard and partitions that move: what comes of it here, and of what others ask meanwhile.

#include <set>
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

ClockAnswer Nothing() {
  ClockAnswer nothing;
  nothing.complete = true;
  return nothing;
}

// ---- the round of repair

TEST(ShardMoves, ViewsThatComeFasterThanTheRoundLetItComeAroundAllTheSame) {
  Bench bench({.members = {"a", "b"}, .slices = 4});
  ASSERT_EQ(bench.Partitions(), 4u);
  const auto asked = [&](int64_t ms) {
    bench.Wake(ms).Take();
    std::set<PartitionId> about;
    for (const Envelope& send : std::vector<Envelope>(bench.effects().sends)) {
      about.insert(send.message.partition);
      bench.HearAbout(send.message.partition, bench.topology().epoch, "b", Nothing(),
                      send.message.exchange);
    }
    bench.CommitAll();
    return about;
  };
  for (int i = 0; i < 20; ++i) asked(1000);  // the questions of the start
  std::set<PartitionId> about;
  for (int i = 0; i < 8; ++i) {
    bench.NewEpoch();
    about.merge(asked(10'000));
  }
  EXPECT_EQ(about.size(), 4u);
}

// Where the partition moves from. Its questions of the start are answered.
class Taker {
 public:
  Taker() : bench_(Four(/*owned=*/false)) { bench_.BeginMove("b", "a").CommitAll(); }

  Bench& bench() { return bench_; }
  // What it asks within a moment.
  std::string Ask() { return bench_.Wake(1).CommitAll(); }

 private:
  Bench bench_;
};

// By that who is declared dead elsewhere is told from who has the only copies.
TEST(ShardMoves, WhatANodeIsGivenIsNothingThatItLost) {
  Taker taker;
  EXPECT_EQ(taker.bench().shard().figures().repair.filling, 1u);
  EXPECT_EQ(taker.bench().shard().figures().repair.refilling, 0u);
}

TEST(ShardMoves, WhatIsBeingCopiedIsNotAskedAboutWithEachView) {
  Taker taker;
  ASSERT_EQ(taker.Ask(), "ClockAsk>b");
  ClockAnswer cut;
  cut.log_cut = true;
  cut.missing = 9;
  cut.bases = {{ReplicaId(77), 9}};
  ASSERT_EQ(taker.bench().Hear("b", cut).Take(), "ClockAsk>b");
  ASSERT_EQ(taker.bench().Hear("b", cut).Take(), "CopyAsk>b");
  EXPECT_EQ(taker.bench().NewEpoch().CommitAll(), "");
  EXPECT_EQ(taker.Ask().find("ClockAsk>b"), std::string::npos);
}

// A giver, where the dot log tells all that there is, so that no copy is taken: it has told its
// taker some of it, and rests after that as long as after a part of a copy.
class RestingGiver {
 public:
  RestingGiver() : bench_(Slow()), taker_(bench_.Outsider()) {
    bench_.Write(1, "key", "x", 1).CommitAll();
    bench_.BeginMove("a", taker_).CommitAll();
    EXPECT_EQ(bench_.Hear(taker_, ClockAsk{}, 5).Take(), "scan");
    EXPECT_EQ(bench_.EndScan().Take(), "ClockAnswer>" + taker_);
    EXPECT_EQ(bench_.Hear(taker_, ClockAsk{}, 6).Take(), "") << "it rests";
  }

  Bench& bench() { return bench_; }
  const std::string& taker() const { return taker_; }

 private:
  static Bench::Setup Slow() {
    Bench::Setup setup = Four(/*owned=*/true);
    setup.options.copies.first = setup.options.copies.least = 380;
    return setup;
  }

  Bench bench_;
  std::string taker_;
};

TEST(ShardMoves, WhatTheLogTellsWhoFillsAPartitionIsGivenAtThePaceOfCopies) {
  RestingGiver giver;
  EXPECT_EQ(giver.bench().Wake(50).Take().find("scan"), std::string::npos);
  EXPECT_NE(giver.bench().Wake(100).Take().find("scan"), std::string::npos);
}

TEST(ShardMoves, WhoWaitsForThePaceIsToldWhereTheDiskFails) {
  RestingGiver giver;
  giver.bench().shard().OnDiskFailed(giver.bench().now());
  EXPECT_EQ(giver.bench().Take(), "Failed>" + giver.taker());
}

// It may be acknowledged before the taker counts as an owner.
TEST(ShardMoves, WhatTheGiverHasYetToWriteIsInWhatItTellsItsTaker) {
  Bench bench(Four(/*owned=*/true));
  const std::string taker = bench.Outsider();
  bench.BeginMove("a", taker).CommitAll();
  bench.Write(1, "key", "w", 1).CommitAll();
  ASSERT_EQ(bench.Write(2, "key", "x", 1).Take(), "commit");
  EXPECT_EQ(bench.Hear(taker, ClockAsk{}, 5).Take().find("scan"), std::string::npos);
  EXPECT_NE(bench.Commit().Take().find("scan"), std::string::npos);
}

TEST(ShardMoves, WhoHadNoRoomIsNotAskedAgainAtOnceForANewView) {
  Taker taker;
  ASSERT_EQ(taker.Ask(), "ClockAsk>b");
  taker.bench().Hear("b", Failed{Outcome::Code::kOverloaded}).Take();
  taker.bench().NewEpoch();
  EXPECT_EQ(taker.Ask().find("ClockAsk>b"), std::string::npos);
  EXPECT_NE(taker.bench().Wake(1001).Take().find("ClockAsk>b"), std::string::npos);
}

TEST(ShardMoves, WhatIsSwitchedIsComparedAtOnceThoughAQuestionIsUnderWay) {
  Taker taker;
  ASSERT_EQ(taker.Ask(), "ClockAsk>b");
  const ExchangeId earlier = taker.bench().LastExchange("b");
  taker.bench().StepMove();
  EXPECT_NE(taker.Ask().find("ClockAsk>b"), std::string::npos);
  // What it had under the document before is not all that it minted.
  taker.bench().Hear("b", Nothing(), earlier).CommitAll();
  EXPECT_TRUE(taker.bench().shard().MovesToStep(MoveStep::kSwitched).empty());
  taker.bench().Hear("b", Nothing()).CommitAll();
  EXPECT_EQ(taker.bench().shard().MovesToStep(MoveStep::kSwitched).size(), 1u);
}

// ---- what was here

TEST(ShardMoves, WhatAnOwnerReportedIsForgottenWithItsCopy) {
  for (const bool moved : {false, true}) {
    Bench bench(Four(/*owned=*/true));
    std::vector<std::string> others;
    for (const NodeId owner : bench.OwnersOf(bench.Item("key"))) {
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
