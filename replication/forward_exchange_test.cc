#include "replication/forward_exchange.h"

#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "replication/trial.h"

namespace gyre {
namespace {

WriteRequest Put() {
  WriteRequest request;
  request.item = {PartitionId(3, 5), TableId(1), "key"};
  request.intent.value = "value";
  request.intent.write = {4, 2};
  request.intent.attempt = kFirstAttempt;
  request.timeout = Duration::Millis(900);
  return request;
}

Trial ForwardFrom(char self, Trial::Setting setting = {}) {
  setting.self = self;
  return Trial(std::make_unique<ForwardExchange>(Put()), std::move(setting));
}

ForwardReply Reply(Outcome::Code code) {
  ForwardReply reply;
  reply.outcome.code = code;
  reply.outcome.needed = 2;
  reply.outcome.answered = code == Outcome::Code::kOk ? 2 : 0;
  return reply;
}

TEST(ForwardExchange, HandsTheWriteToTheFirstOwnerAndMintsNothing) {
  Trial trial = ForwardFrom('z');
  EXPECT_EQ(trial.Start(), "Forward>a, wake 300") << "each of three owners gets a third of 900 ms";
  EXPECT_EQ(trial.sent<Forward>(0).request.intent.value, "value");
}

TEST(ForwardExchange, NeverSendsAWriteAsAFirstAttemptSinceItMayArriveLate) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  EXPECT_GT(trial.sent<Forward>(0).request.intent.attempt, kFirstAttempt);
}

TEST(ForwardExchange, PassesTheAnswerOn) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  EXPECT_EQ(trial.Hear('a', Reply(Outcome::Code::kOk)), "OK 2/2");
}

TEST(ForwardExchange, PassesAFailureOnWithoutTryingAgain) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  EXPECT_EQ(trial.Hear('a', Reply(Outcome::Code::kQuorumNotMet)), "QUORUM_NOT_MET 0/2");
}

TEST(ForwardExchange, AsksAnOwnerThatCannotBeReachedLast) {
  Trial trial = ForwardFrom('z', {.unreachable = "a"});
  EXPECT_EQ(trial.Start(), "Forward>b, wake 300");
  EXPECT_EQ(trial.At(300).Wake(), "Forward>c, wake 600");
  EXPECT_EQ(trial.At(600).Wake(), "Forward>a, wake 900");
}

TEST(ForwardExchange, AsksASuspectAfterTheHealthyAndBeforeWhoCannotBeReached) {
  Trial trial = ForwardFrom('z', {.unreachable = "a", .suspected = "ab"});
  EXPECT_EQ(trial.Start(), "Forward>c, wake 300");
  EXPECT_EQ(trial.At(300).Wake(), "Forward>b, wake 600");
  EXPECT_EQ(trial.At(600).Wake(), "Forward>a, wake 900");
}

TEST(ForwardExchange, AsksASuspectWhereNobodyBetterIsThere) {
  EXPECT_EQ(ForwardFrom('z', {.suspected = "abc"}).Start(), "Forward>a, wake 300");
}

TEST(ForwardExchange, AsksTheNextOwnerAsAFurtherAttemptOfTheSameWrite) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  const WriteIntent first = trial.sent<Forward>(0).request.intent;
  trial.At(300).Wake();
  const WriteRequest& next = trial.sent<Forward>(0).request;
  EXPECT_EQ(next.intent.write, first.write);
  EXPECT_GT(next.intent.attempt, first.attempt);
  EXPECT_LT(next.intent.attempt, 2 * kFirstAttempt) << "below the client's own next attempt";
}

TEST(ForwardExchange, LeavesTheNextOwnerOnlyTheTimeThatIsLeft) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  trial.At(300).Wake();
  EXPECT_EQ(trial.sent<Forward>(0).request.timeout, Duration::Millis(600));
}

TEST(ForwardExchange, AsksTheNextOwnerAtOnceWhenTheOneAskedIsLost) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  EXPECT_EQ(trial.At(5).Lose('a'), "Forward>b, wake 305");
}

TEST(ForwardExchange, GoesOnWaitingWhenAnotherOwnerIsLostAndDoesNotAskThatOne) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  EXPECT_EQ(trial.At(5).Lose('b'), "wake 300");
  EXPECT_EQ(trial.At(300).Wake(), "Forward>c, wake 600");
}

TEST(ForwardExchange, AsksTheNextOwnerWhenTheFirstCanTakeNothing) {
  for (auto code :
       {Outcome::Code::kOverloaded, Outcome::Code::kStorageFailed, Outcome::Code::kTimeUnknown}) {
    Trial trial = ForwardFrom('z');
    trial.Start();
    EXPECT_EQ(trial.At(5).Hear('a', Reply(code)), "Forward>b, wake 305");
  }
}

TEST(ForwardExchange, ALateRefusalOfAnOwnerThatWasGivenUpChangesNothing) {
  for (auto code :
       {Outcome::Code::kOverloaded, Outcome::Code::kStorageFailed, Outcome::Code::kQuorumNotMet}) {
    Trial trial = ForwardFrom('z');
    trial.Start();
    trial.At(300).Wake();
    EXPECT_EQ(trial.At(310).Hear('a', Reply(code)), "wake 600");
    EXPECT_EQ(trial.At(320).Hear('b', Reply(Outcome::Code::kOk)), "OK 2/2");
  }
}

TEST(ForwardExchange, AFailureLeavesTheOutcomeUnknownOnceAnotherOwnerWasAsked) {
  for (auto code : {Outcome::Code::kOverloaded, Outcome::Code::kStorageFailed,
                    Outcome::Code::kQuorumNotMet, Outcome::Code::kTooManySiblings}) {
    Trial trial = ForwardFrom('z', {.owners = "ab"});
    trial.Start();
    trial.At(450).Wake();
    trial.At(460).Hear('b', Reply(code));
    EXPECT_EQ(trial.outcome().code, code);
    EXPECT_TRUE(trial.outcome().outcome_unknown);
  }
}

TEST(ForwardExchange, TheRefusalOfTheOnlyOwnerIsCertain) {
  Trial trial = ForwardFrom('z', {.owners = "a"});
  trial.Start();
  EXPECT_EQ(trial.Hear('a', Reply(Outcome::Code::kOverloaded)), "OVERLOADED 0/2");
}

TEST(ForwardExchange, TakesALateAnswerOfAnOwnerThatWasGivenUp) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  trial.At(300).Wake();
  EXPECT_EQ(trial.At(310).Hear('a', Reply(Outcome::Code::kOk)), "OK 2/2");
}

TEST(ForwardExchange, ReportsAnUnknownOutcomeWhenNobodyIsLeft) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  trial.Lose('a');
  trial.Lose('b');
  EXPECT_EQ(trial.Lose('c'), "QUORUM_NOT_MET 0/2 unknown");
}

TEST(ForwardExchange, ReportsAnUnknownOutcomeAtItsDeadline) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  EXPECT_EQ(trial.At(900).Wake(), "TIMED_OUT 0/2 unknown");
}

TEST(ForwardExchange, ARefusalByANewerEpochEndsIt) {
  Trial trial = ForwardFrom('z');
  trial.Start();
  EXPECT_EQ(trial.Hear('a', Refused{"newer"}), "STALE 0/2 unknown");
}

TEST(ForwardExchange, GoesRoundAnOwnerThatReadsFoundSlow) {
  PeerPace pace({.silences_to_slow = 1});
  pace.OnSilence(NodeOf('a'), Time());
  WriteRequest request;
  Trial trial(std::make_unique<ForwardExchange>(request), {.self = 'z', .pace = &pace});
  EXPECT_EQ(trial.Start().substr(0, 9), "Forward>b");
}

}  // namespace
}  // namespace gyre
