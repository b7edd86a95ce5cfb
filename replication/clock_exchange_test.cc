#include "replication/clock_exchange.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

using Next = ClockExchange::Next;

Time At(int64_t seconds) { return Time() + Duration::Seconds(seconds); }

ClockExchange Started() { return ClockExchange(PartitionId(3, 5), NodeId(2), At(0)); }

ClockAnswer Answer(bool complete, size_t items = 1) {
  ClockAnswer answer;
  answer.items.resize(items);
  answer.complete = complete;
  answer.bases = {{ReplicaId(4), 17}};
  return answer;
}

TEST(ClockExchange, JoinsThePeersBasesOnceACompleteAnswerIsIn) {
  ClockExchange exchange = Started();
  exchange.OnAnswer(Answer(true), At(1));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kJoinBases);
  EXPECT_EQ(exchange.bases(), (VersionVector{{ReplicaId(4), 17}}));
}

TEST(ClockExchange, AsksAgainAndJoinsNothingAfterAPartOfTheAnswer) {
  ClockExchange exchange = Started();
  exchange.OnAnswer(Answer(false), At(1));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  exchange.OnAnswer(Answer(true), At(2));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kJoinBases);
}

TEST(ClockExchange, JoinsNothingWhenThePeersLogHasBeenCut) {
  ClockExchange exchange = Started();
  ClockAnswer cut = Answer(true, 0);
  cut.log_cut = true;
  exchange.OnAnswer(cut, At(1));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain) << "what it lacked may be here by now";
  exchange.OnAnswer(cut, At(2));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kCopy);
}

TEST(ClockExchange, NeedsNoCopyWhereTheClockOfNowLacksNothingThatWasCut) {
  ClockExchange exchange = Started();
  ClockAnswer cut = Answer(true, 0);
  cut.log_cut = true;
  exchange.OnAnswer(cut, At(1));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  exchange.OnAnswer(Answer(false), At(2));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  exchange.OnAnswer(cut, At(3));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain) << "two cuts in a row, of one clock each";
  exchange.OnAnswer(Answer(true), At(4));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kJoinBases);
}

TEST(ClockExchange, EndsWhereAllThatIsLeftIsDamagedThere) {
  ClockExchange exchange = Started();
  exchange.OnAnswer(Answer(false), At(1));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  exchange.OnAnswer(Answer(false, 0), At(1));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kGiveUp);
}

TEST(ClockExchange, WhereSomethingIsDamagedHereAllElseComesAndNothingIsJoined) {
  ClockExchange exchange = Started();
  exchange.OnAnswer(Answer(false, 2), At(1));
  exchange.OnMissed();
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  exchange.OnAnswer(Answer(true, 2), At(1));
  exchange.OnMissed();
  EXPECT_EQ(exchange.OnTakenIn(), Next::kGiveUp);
}

TEST(ClockExchange, AsksForWhatLiesBehindDamageHere) {
  ClockExchange exchange = Started();
  ClockAnswer front = Answer(false);
  front.upto = {ReplicaId(4), 8};
  exchange.OnAnswer(front, At(1));
  exchange.OnMissed();
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  EXPECT_EQ(exchange.after(), front.upto);
  ClockAnswer behind = Answer(false);
  behind.upto = {ReplicaId(5), 3};
  exchange.OnAnswer(behind, At(2));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  EXPECT_EQ(exchange.after(), behind.upto) << "on and on";
  exchange.OnAnswer(Answer(false), At(3));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kGiveUp) << "there is no more, and not all is in";
  EXPECT_EQ(exchange.after(), Dot{}) << "the next one begins at the front";
}

TEST(ClockExchange, DoesNotGoBackWithAPeerThatDoes) {
  ClockExchange exchange = Started();
  ClockAnswer answer = Answer(false);
  answer.upto = {ReplicaId(4), 8};
  exchange.OnAnswer(answer, At(1));
  exchange.OnMissed();
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  exchange.OnAnswer(answer, At(2));
  exchange.OnMissed();
  EXPECT_EQ(exchange.OnTakenIn(), Next::kGiveUp);
}

TEST(ClockExchange, WhatWasPassedOverMayHaveComeInAnotherWay) {
  ClockExchange exchange = Started();
  ClockAnswer answer = Answer(false);
  answer.upto = {ReplicaId(4), 8};
  exchange.OnAnswer(answer, At(1));
  exchange.OnMissed();
  EXPECT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  exchange.OnAnswer(Answer(true, 0), At(2));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kJoinBases) << "its clock lacks nothing";
}

TEST(ClockExchange, ExpectsOneAnswerToEachQuestion) {
  ClockExchange exchange = Started();
  EXPECT_TRUE(exchange.expecting());
  exchange.OnAnswer(Answer(false), At(1));
  EXPECT_FALSE(exchange.expecting()) << "a doubled answer must find nobody";
  exchange.OnTakenIn();
  EXPECT_TRUE(exchange.expecting());
}

TEST(ClockExchange, EveryAnswerGivesItNewPatience) {
  ClockExchange exchange = Started();
  EXPECT_EQ(exchange.deadline(), At(10));
  exchange.OnAnswer(Answer(false), At(4));
  EXPECT_EQ(exchange.deadline(), At(14));
}

TEST(ClockExchange, LeavesTheRestToTheNextExchangeWhenItGoesOnForTooLong) {
  ClockExchange exchange = Started();
  for (int i = 1; i < ClockExchange::kMostAnswers; ++i) {
    exchange.OnAnswer(Answer(false), At(1));
    ASSERT_EQ(exchange.OnTakenIn(), Next::kAskAgain);
  }
  exchange.OnAnswer(Answer(false), At(1));
  EXPECT_EQ(exchange.OnTakenIn(), Next::kGiveUp);
}

TEST(ClockExchangeDeathTest, RefusesAnAnswerThatNobodyAskedFor) {
  ClockExchange exchange = Started();
  exchange.OnAnswer(Answer(false), At(1));
  EXPECT_DEATH(exchange.OnAnswer(Answer(false), At(1)), "one answer to a question");
}

}  // namespace
}  // namespace gyre
