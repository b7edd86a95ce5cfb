#include "replication/tally.h"

#include <vector>

#include "gtest/gtest.h"

namespace gyre {
namespace {

constexpr NodeId kA(1), kB(2), kC(3), kStranger(9);
const std::vector<NodeId> kAll = {kA, kB, kC};

Time At(int64_t ms) { return Time() + Duration::Millis(ms); }

TEST(Tally, IsMetOnceAsManyHaveAnsweredAsAreNeeded) {
  Tally tally(kAll, 2);
  EXPECT_FALSE(tally.Met());
  EXPECT_TRUE(tally.Answer(kA, Part::kCoordinator, At(0)));
  EXPECT_FALSE(tally.Met());
  EXPECT_TRUE(tally.Answer(kC, Part::kAnswered, At(1)));
  EXPECT_TRUE(tally.Met());
}

TEST(Tally, CountsADoubledAnswerOnce) {
  Tally tally(kAll, 2);
  EXPECT_TRUE(tally.Answer(kB, Part::kAnswered, At(0)));
  EXPECT_FALSE(tally.Answer(kB, Part::kAnswered, At(1)));
  EXPECT_EQ(tally.answered(), 1);
  EXPECT_FALSE(tally.Met());
}

TEST(Tally, DoesNotCountANodeThatIsNoReplica) {
  Tally tally(kAll, 1);
  EXPECT_FALSE(tally.Answer(kStranger, Part::kAnswered, At(0)));
  tally.Ask(kStranger, At(0));
  tally.Fail(kStranger, Part::kUnreachable);
  EXPECT_EQ(tally.answered(), 0);
  EXPECT_FALSE(tally.Asked(kStranger));
}

TEST(Tally, IsImpossibleOnceTooFewCanStillAnswer) {
  Tally tally(kAll, 2);
  tally.Fail(kA, Part::kUnreachable);
  EXPECT_FALSE(tally.Impossible());
  tally.Fail(kB, Part::kRefused);
  EXPECT_TRUE(tally.Impossible());
}

TEST(Tally, IsImpossibleFromTheStartWhenThereAreFewerReplicasThanNeeded) {
  EXPECT_TRUE(Tally({kA, kB}, 3).Impossible());
  EXPECT_FALSE(Tally({kA, kB}, 2).Impossible());
}

TEST(Tally, TakesALateAnswerOfAReplicaThatWasGivenUp) {
  Tally tally(kAll, 3);
  tally.Fail(kB, Part::kUnreachable);
  EXPECT_TRUE(tally.Impossible());
  EXPECT_TRUE(tally.Answer(kB, Part::kAnswered, At(5)));
  EXPECT_FALSE(tally.Impossible());
}

TEST(Tally, KeepsAnAnswerThatIsThereWhenTheReplicaFailsLater) {
  Tally tally(kAll, 1);
  tally.Answer(kB, Part::kAnswered, At(0));
  tally.Fail(kB, Part::kUnreachable);
  tally.Ask(kB, At(3));
  EXPECT_TRUE(tally.Met());
  EXPECT_EQ(tally.Parts()[1].part, Part::kAnswered);
}

TEST(Tally, NamesThoseThatWereNotAskedInTheOrderGiven) {
  Tally tally({kC, kA, kB}, 1);
  tally.Ask(kA, At(0));
  EXPECT_EQ(tally.NotAsked(), (std::vector<NodeId>{kC, kB}));
  EXPECT_TRUE(tally.Asked(kA));
  EXPECT_FALSE(tally.Asked(kB));
}

TEST(Tally, TellsEveryReplicasPartAndHowLongItTook) {
  Tally tally(kAll, 2);
  tally.Ask(kA, At(10));
  tally.Ask(kB, At(10));
  tally.Answer(kA, Part::kCoordinator, At(12));
  const std::vector<ReplicaPart> parts = tally.Parts();
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].node, kA);
  EXPECT_EQ(parts[0].part, Part::kCoordinator);
  EXPECT_EQ(parts[0].took, Duration::Millis(2));
  EXPECT_EQ(parts[1].part, Part::kNoAnswer);
  EXPECT_EQ(parts[2].part, Part::kNotAsked);
}

TEST(Tally, MarksAsRepairedOnlyAPeerThatAnswered) {
  Tally tally(kAll, 2);
  tally.Answer(kA, Part::kCoordinator, At(0));
  tally.Answer(kB, Part::kAnswered, At(0));
  for (NodeId node : kAll) tally.Repaired(node);
  EXPECT_EQ(tally.Parts()[0].part, Part::kCoordinator);
  EXPECT_EQ(tally.Parts()[1].part, Part::kRepaired);
  EXPECT_EQ(tally.Parts()[2].part, Part::kNotAsked);
  EXPECT_EQ(tally.answered(), 2) << "a repaired replica has still answered";
}

TEST(Tally, AStandInCountsInTheOwnersPlaceAndNeverBesideIt) {
  Tally tally(kAll, 2);
  for (NodeId node : kAll) tally.Ask(node, At(0));
  EXPECT_TRUE(tally.AnswerFor(kB, NodeId(9), At(5)));
  EXPECT_FALSE(tally.AnswerFor(kB, NodeId(8), At(6))) << "one is enough";
  EXPECT_EQ(tally.answered(), 1);
  EXPECT_EQ(tally.stand_ins(), 1);
  EXPECT_EQ(tally.Parts()[1].part, Part::kStoodInFor);
  EXPECT_EQ(tally.Parts()[1].stand_in, NodeId(9));
  EXPECT_EQ(tally.Unanswered(), (std::vector<NodeId>{kA, kC}));
  EXPECT_TRUE(tally.Answer(kB, Part::kAnswered, At(7))) << "the owner itself";
  EXPECT_EQ(tally.answered(), 1);
  EXPECT_EQ(tally.stand_ins(), 0);
  EXPECT_EQ(tally.Parts()[1].stand_in, NodeId());
  EXPECT_FALSE(tally.AnswerFor(kB, NodeId(9), At(8)));
}

TEST(TallyDeathTest, RefusesAReplicaNamedTwice) {
  EXPECT_DEATH(Tally({kA, kA}, 1), "replicas are distinct");
}

// ---- while one of the owners moves

constexpr NodeId kD(4);

Move Moving(MoveStep step) {
  return step == MoveStep::kFilling ? Move{{}, kC, kD, Epoch(2), step}
                                    : Move{{}, kD, kC, Epoch(2), step, Epoch(3)};
}

TEST(Tally, WhoMovesAndWhoTakesItsPlaceCountAsOne) {
  for (const MoveStep step : {MoveStep::kFilling, MoveStep::kSwitched}) {
    const Move move = Moving(step);
    Tally tally(kAll, 2, &move);
    tally.Answer(kA, Part::kCoordinator, At(0));
    tally.Answer(kC, Part::kAnswered, At(1));
    EXPECT_EQ(tally.answered(), 1) << "of {A, B, D} only one";
    EXPECT_FALSE(tally.Met());
    EXPECT_EQ(tally.Unanswered(), (std::vector<NodeId>{kB, kD}));
    Tally one_more = tally;
    EXPECT_TRUE(one_more.Answer(kD, Part::kAnswered, At(2)));
    EXPECT_TRUE(one_more.Met());
    EXPECT_TRUE(tally.Answer(kB, Part::kAnswered, At(2)));
    EXPECT_TRUE(tally.Met());
  }
}

TEST(Tally, WhereOneOfThemIsLostTheOtherDoesNotCount) {
  const Move move = Moving(MoveStep::kFilling);
  Tally tally(kAll, 2, &move);
  tally.Fail(kD, Part::kUnreachable);
  EXPECT_FALSE(tally.Impossible()) << "A and B may";
  tally.Fail(kB, Part::kRefused);
  EXPECT_TRUE(tally.Impossible());
}

TEST(Tally, AStandInForOneOfThemCountsOnceBothHaveAnswered) {
  const Move move = Moving(MoveStep::kFilling);
  Tally tally(kAll, 3, &move);
  tally.Answer(kA, Part::kCoordinator, At(0));
  tally.AnswerFor(kD, kStranger, At(1));
  EXPECT_EQ(tally.stand_ins(), 0);
  tally.AnswerFor(kC, NodeId(8), At(1));
  EXPECT_EQ(tally.answered(), 2);
  EXPECT_EQ(tally.stand_ins(), 1);
}

}  // namespace
}  // namespace gyre
