#include "replication/write_exchange.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "replication/trial.h"

namespace gyre {
namespace {

const ItemKey kItem{PartitionId(3, 5), TableId(1), "key"};
const Dot kDot{ReplicaOf('a'), 9};

WriteRequest Put(int needed) {
  WriteRequest request;
  request.item = kItem;
  request.intent.value = "value";
  request.intent.write = {4, 2};
  request.intent.attempt = kFirstAttempt;
  request.needed = needed;
  return request;
}

// The client's second try of the same write.
WriteRequest Retry(int needed) {
  WriteRequest request = Put(needed);
  request.intent.attempt = 2 * kFirstAttempt;
  return request;
}

using Memory = WriteExchange::Memory;

Trial Write(WriteRequest request, Trial::Setting setting = {},
            Memory memory = Memory::kDoesNotKnow) {
  return Trial(std::make_unique<WriteExchange>(std::move(request), memory), std::move(setting));
}

MintOutcome Minted() {
  MintOutcome outcome;
  AddVersion(&outcome.record, {kDot, 0, "value"});
  outcome.seen = {{{ReplicaId(9), 4}}, kDot};
  outcome.minted = {{kDot, {4, 2}, kFirstAttempt}};
  return outcome;
}

TEST(WriteExchange, MintsBeforeItSendsAnything) {
  Trial trial = Write(Put(2));
  EXPECT_EQ(trial.Start(), "mint, wake 2000");
  EXPECT_EQ(trial.effects().mint->value, "value");
}

TEST(WriteExchange, ARetryThatNeedsMoreThanThereAreOwnersAsksNobody) {
  Trial trial = Write(Retry(3), {.owners = "ab"});
  EXPECT_EQ(trial.Start(), "mint, wake 2000");
}

TEST(WriteExchange, SendsTheMintedRecordWithItsDotsToEveryOtherOwner) {
  Trial trial = Write(Put(2));
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, wake 2000");
  const Apply& apply = trial.sent<Apply>(1);
  EXPECT_EQ(apply.change.item, kItem);
  EXPECT_EQ(*apply.change.record, Minted().record);
  EXPECT_EQ(apply.change.minted, Minted().minted);
}

TEST(WriteExchange, GoesOnWithoutAnOwnerThatFailed) {
  Trial trial = Write(Put(2));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.Hear('b', Failed{}), "wake 2000");
  EXPECT_EQ(trial.Hear('c', Failed{Outcome::Code::kCorrupt}), "QUORUM_NOT_MET 1/2 unknown");
}

TEST(WriteExchange, ARetryGivesUpAskingWhenTooFewOwnersCanAnswer) {
  Trial trial = Write(Retry(2));
  EXPECT_EQ(trial.Start(), "Lookup>b, Lookup>c, wake 500");
  EXPECT_EQ(trial.Hear('b', Failed{}), "wake 500");
  EXPECT_EQ(trial.Hear('c', Failed{}), "QUORUM_NOT_MET 0/2 unknown");
}

TEST(WriteExchange, AsksTheOtherOwnersForTheDurabilityOfTheTable) {
  WriteRequest request = Put(2);
  request.intent.durability = Durability::kPeriodic;
  Trial trial = Write(request);
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.sent<Apply>(0).durability, Durability::kPeriodic);
}

TEST(WriteExchange, RepliesOnceWhenWriteQuorumIsMet) {
  Trial trial = Write(Put(2));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.Hear('c', ApplyReply{}), "OK 2/2");
}

TEST(WriteExchange, WaitsForEveryOwnerWhenAllAreNeeded) {
  Trial trial = Write(Put(3));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.Hear('c', ApplyReply{}), "wake 2000");
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "OK 3/3");
}

TEST(WriteExchange, ADoubledAcknowledgementDoesNotStandInForAMissingOne) {
  Trial trial = Write(Put(3));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "wake 2000");
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "wake 2000");
  EXPECT_EQ(trial.Hear('a', ApplyReply{}), "wake 2000");
}

TEST(WriteExchange, RepliesAsSoonAsItHasMintedWhenOneCopyIsEnough) {
  Trial trial = Write(Put(1));
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, OK 1/1");
}

TEST(WriteExchange, AnswersWhatItsClientHasSeenByNow) {
  Trial trial = Write(Put(1));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.outcome().context, Minted().seen);
  EXPECT_TRUE(trial.outcome().record.versions.empty());
  EXPECT_EQ(trial.outcome().epoch, Epoch(7));
  EXPECT_EQ(trial.outcome().coordinator, NodeOf('a'));
}

TEST(WriteExchange, ReportsAnUnknownOutcomeWhenTimeRunsOut) {
  Trial trial = Write(Put(2));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.At(1999).Wake(), "wake 2000");
  EXPECT_EQ(trial.At(2000).Wake(), "TIMED_OUT 1/2 unknown");
}

TEST(WriteExchange, EndsEarlyWhenTooFewOwnersCanBeReached) {
  Trial trial = Write(Put(2));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.Lose('b'), "wake 2000");
  EXPECT_EQ(trial.Lose('c'), "QUORUM_NOT_MET 1/2 unknown");
}

TEST(WriteExchange, StillSendsToAnOwnerThatWasLastUnreachable) {
  Trial trial = Write(Put(2), {.unreachable = "b"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, wake 2000");
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "OK 2/2");
}

TEST(WriteExchange, DoesNotWaitWhenNoOtherOwnerCanBeReached) {
  Trial trial = Write(Put(2), {.unreachable = "bc"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, QUORUM_NOT_MET 1/2 unknown");
}

TEST(WriteExchange, RemembersAnOwnerThatIsLostWhileItMints) {
  Trial trial = Write(Put(3));
  trial.Start();
  trial.Lose('b');
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, QUORUM_NOT_MET 1/3 unknown");
}

TEST(WriteExchange, TooManySiblingsAnswersTheContextThatMendsThem) {
  Trial trial = Write(Put(2));
  trial.Start();
  MintOutcome refused = Minted();
  refused.kind = MintOutcome::Kind::kTooManySiblings;
  EXPECT_EQ(trial.Minted(refused), "TOO_MANY_SIBLINGS 0/2");
  EXPECT_EQ(trial.outcome().context, Minted().seen);
}

TEST(WriteExchange, ARefusalByANewerEpochEndsItWithAnUnknownOutcome) {
  Trial trial = Write(Put(2));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.Hear('b', Refused{"newer"}), "STALE 1/2 unknown");
}

TEST(WriteExchange, AFailureOfThisNodesStoreEndsItAndNothingWasWritten) {
  Trial trial = Write(Put(2));
  trial.Start();
  EXPECT_EQ(trial.FailHere(Outcome::Code::kCorrupt), "CORRUPT 0/2");
}

TEST(WriteExchange, ExplainsEveryReplicasPartWhenAsked) {
  WriteRequest request = Put(2);
  request.explain = true;
  Trial trial = Write(request);
  trial.Start();
  trial.At(3).Minted(Minted());
  trial.At(5).Hear('b', ApplyReply{});
  const std::vector<ReplicaPart>& parts = trial.outcome().parts;
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].part, Part::kCoordinator);
  EXPECT_EQ(parts[0].took, Duration::Millis(3));
  EXPECT_EQ(parts[1].part, Part::kAnswered);
  EXPECT_EQ(parts[1].took, Duration::Millis(2));
  EXPECT_EQ(parts[2].part, Part::kNoAnswer);
}

// ---- retries

TEST(WriteExchange, ARetryFirstAsksWhetherTheOthersKnowTheWrite) {
  Trial trial = Write(Retry(2));
  EXPECT_EQ(trial.Start(), "Lookup>b, Lookup>c, wake 500") << "no longer than a quarter of 2 s";
  EXPECT_EQ(trial.sent<Lookup>(0).write, (WriteId{4, 2}));
}

TEST(WriteExchange, ARetryThatThisOwnerKnowsAsksNobody) {
  Trial trial = Write(Retry(2), {}, Memory::kKnows);
  EXPECT_EQ(trial.Start(), "mint, wake 2000");
}

TEST(WriteExchange, ARetryWithoutAnIdempotencyKeyAsksNobody) {
  WriteRequest request = Retry(2);
  request.intent.write = {};
  EXPECT_EQ(Write(request).Start(), "mint, wake 2000");
}

TEST(WriteExchange, ARetryAdoptsTheAttemptThatAnotherOwnerKnows) {
  Trial trial = Write(Retry(2));
  trial.Start();
  LookupReply known{true, {kItem, Share(Minted().record), Minted().minted}};
  EXPECT_EQ(trial.Hear('b', known), "adopt, mint, wake 2000");
  EXPECT_EQ(trial.effects().adopt->minted, Minted().minted);
}

TEST(WriteExchange, ARetryMintsOnceEnoughOwnersToMeetEveryWriteQuorumDoNotKnowIt) {
  Trial two = Write(Retry(2));  // this one and another: every two of three include one of them
  two.Start();
  EXPECT_EQ(two.Hear('c', LookupReply{}), "mint, wake 2000");
  Trial one = Write(Retry(1));  // any single owner may hold it
  one.Start();
  EXPECT_EQ(one.Hear('c', LookupReply{}), "wake 500");
  EXPECT_EQ(one.Hear('c', LookupReply{}), "wake 500") << "doubled";
  EXPECT_EQ(one.Hear('b', LookupReply{}), "mint, wake 2000");
}

MintOutcome Behind(WriteIntent intent) {
  MintOutcome outcome;
  outcome.kind = MintOutcome::Kind::kBehind;
  outcome.refused = std::move(intent);
  return outcome;
}

TEST(WriteExchange, AFirstAttemptAtAnOwnerThatIsBehindAsksLikeARetry) {
  Trial trial = Write(Put(2));
  trial.Start();
  EXPECT_TRUE(trial.effects().mint->unless_behind);
  EXPECT_EQ(trial.Minted(Behind(*trial.effects().mint)), "Lookup>b, Lookup>c, wake 500");
  EXPECT_EQ(trial.Hear('b', LookupReply{}), "mint, wake 2000");
  EXPECT_FALSE(trial.effects().mint->unless_behind);
  EXPECT_EQ(trial.effects().mint->value, "value");
}

TEST(WriteExchange, AFirstAttemptThatCameLateAdoptsWhatAnotherOwnerKnowsOfIt) {
  Trial trial = Write(Put(2));
  trial.Start();
  trial.Minted(Behind(*trial.effects().mint));
  const auto record = std::make_shared<const Record>(Minted().record);
  EXPECT_EQ(trial.Hear('c', LookupReply{true, {kItem, record, Minted().minted}}),
            "adopt, mint, wake 2000");
}

TEST(WriteExchange, AFirstAttemptThatIsBehindAndCannotAskFailsWithAnUnknownOutcome) {
  Trial trial = Write(Put(2), {.unreachable = "bc"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Behind(*trial.effects().mint)),
            "Lookup>b, Lookup>c, QUORUM_NOT_MET 0/2 unknown");
}

TEST(WriteExchange, AWriteThatNobodyCouldKnowIsMintedEvenBehind) {
  WriteRequest without_key = Put(2);
  without_key.intent.write = {};
  for (const WriteRequest& request : {without_key, Put(3)}) {
    Trial trial = Write(request);
    trial.Start();
    EXPECT_FALSE(trial.effects().mint->unless_behind);
  }
}

TEST(WriteExchange, ARetryThatNeedsEveryOwnerAsksNobodySinceThisOneWouldKnow) {
  EXPECT_EQ(Write(Retry(3)).Start(), "mint, wake 2000");
}

TEST(WriteExchange, WhoLostItsDataAndIsNotFilledYetTakesTheOthersWordOnly) {
  Trial all = Write(Retry(3), {}, Memory::kLost);
  EXPECT_EQ(all.Start(), "Lookup>b, Lookup>c, wake 500") << "it may have acknowledged it";
  EXPECT_EQ(all.Hear('c', LookupReply{}), "mint, wake 2000") << "each write has every owner";

  Trial two = Write(Retry(2), {}, Memory::kLost);
  EXPECT_EQ(two.Start(), "Lookup>b, Lookup>c, wake 500");
  EXPECT_EQ(two.Hear('c', LookupReply{}), "wake 500") << "b may hold the other copy";
  EXPECT_EQ(two.Hear('b', LookupReply{}), "mint, wake 2000");

  EXPECT_EQ(Write(Retry(1), {.owners = "a"}, Memory::kLost).Start(), "mint, wake 2000");
}

TEST(WriteExchange, ARetryThatCannotAskEnoughOthersInTimeFailsRatherThanMintAgain) {
  Trial trial = Write(Retry(2));
  trial.Start();
  EXPECT_EQ(trial.At(499).Wake(), "wake 500");
  EXPECT_EQ(trial.At(500).Wake(), "TIMED_OUT 0/2 unknown");
}

TEST(WriteExchange, ARetryFailsAtOnceWhenTooFewAreLeftToAsk) {
  Trial trial = Write(Retry(2));
  trial.Start();
  EXPECT_EQ(trial.Lose('b'), "wake 500");
  EXPECT_EQ(trial.Lose('c'), "QUORUM_NOT_MET 0/2 unknown");
  EXPECT_EQ(Write(Retry(2), {.unreachable = "bc"}).Start(),
            "Lookup>b, Lookup>c, QUORUM_NOT_MET 0/2 unknown");
}

TEST(WriteExchange, ARetryThatNeedsOneCopyIsWriteableWhereNobodyElseIsLeft) {
  Trial late = Write(Retry(1));
  late.Start();
  EXPECT_EQ(late.At(500).Wake(), "mint, wake 2000");
  Trial alone = Write(Retry(1));
  alone.Start();
  EXPECT_EQ(alone.Lose('b'), "mint, wake 2000");
}

TEST(WriteExchange, AForwardedWriteIsNeverTakenForAFirstAttempt) {
  WriteRequest forwarded = Put(2);
  ++forwarded.intent.attempt;
  EXPECT_EQ(Write(forwarded).Start(), "Lookup>b, Lookup>c, wake 500");
}

TEST(WriteExchange, AFailedRetryIsUnknownSinceAnEarlierAttemptMayTakeEffect) {
  Trial trial = Write(Retry(2));
  trial.Start();
  EXPECT_EQ(trial.FailHere(Outcome::Code::kCorrupt), "CORRUPT 0/2 unknown");
}

// ---------------------------------------------------------------------------------- sloppy quorums

WriteRequest Sloppy(WriteRequest request) {
  request.sloppy = true;
  return request;
}

// ---- while one of the owners moves

TEST(WriteExchange, WhileAnOwnerMovesItNeedsAQuorumOfTheOwnersBeforeAndAfter) {
  for (const std::string moves : {"cd", "dc"}) {
    Trial trial = Write(Put(2), {.moves = moves});
    EXPECT_EQ(trial.Start(), "mint, wake 2000");
    EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, Apply>d, wake 2000");
    EXPECT_EQ(trial.Hear('c', ApplyReply{}), "wake 2000") << "of a, b, d only a has it";
    EXPECT_EQ(trial.Hear('d', ApplyReply{}), "OK 2/2");
    Trial other = Write(Put(2), {.moves = moves});
    other.Start();
    other.Minted(Minted());
    EXPECT_EQ(other.Hear('b', ApplyReply{}), "OK 2/2") << "they stay";
  }
}

TEST(WriteExchange, ARetryAsksTheOwnersAndNotWhoIsBesideThem) {
  Trial trial = Write(Retry(2), {.moves = "cd"});
  EXPECT_EQ(trial.Start(), "Lookup>b, Lookup>c, wake 500");
  EXPECT_EQ(trial.Hear('b', LookupReply{}), "mint, wake 2000");
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, Apply>d, wake 2000");
}

TEST(WriteExchange, WhoIsBesideTheOwnersAndCannotBeReachedIsWaitedForWhereItIsNeeded) {
  Trial trial = Write(Put(2), {.unreachable = "d", .moves = "cd"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, Apply>d, wake 2000");
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "OK 2/2");
  Trial all = Write(Put(3), {.unreachable = "d", .moves = "cd"});
  all.Start();
  EXPECT_EQ(all.Minted(Minted()), "Apply>b, Apply>c, Apply>d, QUORUM_NOT_MET 1/3 unknown");
}

// A retry is minted there: who chose this chose to be writeable. Nobody waits for this one.
TEST(SloppyWrite, AFirstAttemptThatCameLateIsNotMintedWhereTheOthersDoNotAnswer) {
  Trial trial = Write(Sloppy(Put(2)));
  trial.Start();
  trial.Minted(Behind(*trial.effects().mint));
  EXPECT_EQ(trial.At(500).Wake(), "TIMED_OUT 0/2 unknown");
  Trial retry = Write(Sloppy(Retry(2)));
  retry.Start();
  EXPECT_NE(retry.At(500).Wake().find("mint"), std::string::npos);
}

TEST(SloppyWrite, WithAllOwnersThereNobodyStandsIn) {
  Trial trial = Write(Sloppy(Put(2)));
  EXPECT_EQ(trial.Start(), "mint, wake 2000");
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, wake 500");
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "OK 2/2");
}

TEST(SloppyWrite, TheNextNodeKeepsTheCopyOfAnOwnerThatCannotBeReachedAndCountsAsIt) {
  Trial trial = Write(Sloppy(Put(2)), {.unreachable = "bc"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "stand-ins?, Apply>b, Apply>c, wake 500");
  EXPECT_EQ(trial.StandIns("xyz"), "Hint>x, Hint>y, wake 500");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('b'));
  EXPECT_FALSE(trial.sent<Hint>(0).ownerless);
  EXPECT_EQ(trial.sent<Hint>(1).owner, NodeOf('c'));
  EXPECT_EQ(*trial.sent<Hint>(1).change.record, Minted().record);
  EXPECT_EQ(trial.sent<Hint>(1).change.minted, Minted().minted);
  EXPECT_EQ(trial.Hear('y', HintReply{}), "OK 2/2 stand-ins 1");
}

TEST(SloppyWrite, AHintAndItsOwnersAnswerAreOneCopy) {
  Trial trial = Write(Sloppy(Put(3)), {.unreachable = "b"});
  trial.Start();
  trial.Minted(Minted());
  trial.StandIns("xy");
  EXPECT_EQ(trial.Hear('x', HintReply{}), "wake 500");
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "wake 500") << "it was there after all";
  EXPECT_EQ(trial.Hear('x', HintReply{}), "wake 500");
  EXPECT_EQ(trial.Hear('c', ApplyReply{}), "OK 3/3");
}

TEST(SloppyWrite, TheLostOwnersCopyIsKeptThoughTheQuorumIsMetWithoutIt) {
  Trial trial = Write(Sloppy(Put(1)), {.unreachable = "b"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "stand-ins?, Apply>b, Apply>c, wake 500");
  EXPECT_EQ(trial.StandIns("x"), "Hint>x, OK 1/1");
}

TEST(SloppyWrite, AnOwnerThatIsLostOrRefusesUnderWayIsStoodInFor) {
  Trial trial = Write(Sloppy(Put(3)));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.Lose('b'), "stand-ins?, wake 500");
  EXPECT_EQ(trial.StandIns("xy"), "Hint>x, wake 500");
  EXPECT_EQ(trial.Hear('c', Failed{}), "Hint>y, wake 500");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('c'));
  EXPECT_EQ(trial.Hear('x', HintReply{}), "wake 500");
  EXPECT_EQ(trial.Hear('y', HintReply{}), "OK 3/3 stand-ins 2");
}

TEST(SloppyWrite, WhoIsSilentForAQuarterOfTheTimeoutIsStoodInFor) {
  Trial trial = Write(Sloppy(Put(2)));
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.At(499).Wake(), "wake 500");
  EXPECT_EQ(trial.At(500).Wake(), "stand-ins?, wake 2000");
  EXPECT_EQ(trial.StandIns("xy"), "Hint>x, Hint>y, wake 2000");
  EXPECT_EQ(trial.Hear('b', ApplyReply{}), "OK 2/2") << "the owner's own answer still counts";
}

TEST(SloppyWrite, AnotherTakesThePlaceOfAStandInThatIsSilentToo) {
  Trial trial = Write(Sloppy(Put(2)));
  trial.Start();
  trial.Minted(Minted());
  trial.At(500).Wake();
  EXPECT_EQ(trial.StandIns("wxy"), "Hint>w, Hint>x, wake 1000");
  EXPECT_EQ(trial.At(1000).Wake(), "Hint>y, wake 2000") << "and no further one is left";
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('b'));
  EXPECT_EQ(trial.At(1001).Hear('x', HintReply{}), "OK 2/2 stand-ins 1");
}

TEST(SloppyWrite, AStandInThatAnsweredKeepsItsPlace) {
  Trial trial = Write(Sloppy(Put(3)));
  trial.Start();
  trial.Minted(Minted());
  trial.At(500).Wake();
  trial.StandIns("wxyz");
  EXPECT_EQ(trial.Hear('w', HintReply{}), "wake 1000");
  EXPECT_EQ(trial.At(1000).Wake(), "Hint>y, wake 1500");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('c'));
  EXPECT_EQ(trial.At(1500).Wake(), "Hint>z, wake 2000");
  EXPECT_EQ(trial.Hear('z', HintReply{}), "OK 3/3 stand-ins 2");
}

TEST(SloppyWrite, AnotherTakesThePlaceOfAStandInThatIsLostOrHasNoRoom) {
  Trial trial = Write(Sloppy(Put(2)), {.unreachable = "bc"});
  trial.Start();
  trial.Minted(Minted());
  trial.StandIns("wxyz");
  EXPECT_EQ(trial.Lose('w'), "Hint>y, wake 500");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('b'));
  EXPECT_EQ(trial.Hear('x', Failed{Outcome::Code::kOverloaded}), "Hint>z, wake 500");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('c'));
  EXPECT_EQ(trial.Lose('y'), "wake 500") << "one is left";
  EXPECT_EQ(trial.Lose('z'), "QUORUM_NOT_MET 1/2 unknown") << "and now nobody";
}

TEST(SloppyWrite, ANodeThatIsLostBeforeItIsNeededIsNotAsked) {
  Trial trial = Write(Sloppy(Put(2)), {.unreachable = "b"});
  trial.Start();
  trial.Minted(Minted());
  trial.StandIns("xy");
  trial.Lose('y');
  EXPECT_EQ(trial.Hear('c', Failed{}), "wake 500");
  EXPECT_EQ(trial.Hear('x', Failed{}), "QUORUM_NOT_MET 1/2 unknown");
}

TEST(SloppyWrite, WithNobodyToStandInItFailsLikeAStrictOne) {
  Trial trial = Write(Sloppy(Put(2)), {.unreachable = "bc"});
  trial.Start();
  trial.Minted(Minted());
  EXPECT_EQ(trial.StandIns(""), "QUORUM_NOT_MET 1/2 unknown");
}

TEST(SloppyWrite, ASuspectIsStoodInForAndCountsItselfIfItAnswers) {
  Trial trial = Write(Sloppy(Put(2)), {.suspected = "bc"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "stand-ins?, Apply>b, Apply>c, wake 500");
  EXPECT_EQ(trial.StandIns("xy"), "Hint>x, Hint>y, wake 500");
  EXPECT_EQ(trial.Hear('c', ApplyReply{}), "OK 2/2");
}

TEST(SloppyWrite, AStrictOneWaitsForASuspect) {
  Trial trial = Write(Put(2), {.suspected = "bc"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, wake 2000");
}

TEST(SloppyWrite, AStrictOneAsksNobodyElse) {
  Trial trial = Write(Put(2), {.unreachable = "bc"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "Apply>b, Apply>c, QUORUM_NOT_MET 1/2 unknown");
}

TEST(SloppyWrite, ARetryWaitsForEveryOwnerAndWithAllThereForNobodyElse) {
  Trial trial = Write(Sloppy(Retry(2)));
  EXPECT_EQ(trial.Start(), "Lookup>b, Lookup>c, wake 500");
  EXPECT_EQ(trial.Hear('b', LookupReply{}), "wake 500") << "c may have it from a stand-in alone";
  EXPECT_EQ(trial.Hear('c', LookupReply{}), "mint, wake 2000");
}

TEST(SloppyWrite, WhereAnOwnerIsAwayARetryLooksAmongTheHints) {
  for (const bool suspected : {false, true}) {
    Trial::Setting setting;
    (suspected ? setting.suspected : setting.unreachable) = "b";
    Trial trial = Write(Sloppy(Retry(2)), setting);
    EXPECT_EQ(trial.Start(), "stand-ins?, Lookup>b, Lookup>c, wake 500");
    EXPECT_EQ(trial.StandIns("wxyz"), "FetchHints>w, FetchHints>x, FetchHints>y, wake 500");
    EXPECT_EQ(trial.Hear('c', LookupReply{}), "wake 500") << "the hints may know better";
    EXPECT_EQ(trial.Hear('w', FetchReply{{kItem, Share({}), {}}, {}}), "wake 500");
    EXPECT_EQ(trial.Hear('x', FetchReply{{kItem, Share(Minted().record), Minted().minted}, {}}),
              "adopt, mint, wake 2000");
    EXPECT_EQ(trial.effects().adopt->minted, Minted().minted);
  }
}

TEST(SloppyWrite, AnOwnerThatFailsToAnswerMakesARetryLookAmongTheHints) {
  Trial trial = Write(Sloppy(Retry(2)));
  trial.Start();
  EXPECT_EQ(trial.Hear('b', Failed{}), "stand-ins?, wake 500");
  EXPECT_EQ(trial.StandIns("x"), "FetchHints>x, wake 500");
  EXPECT_EQ(trial.Hear('x', FetchReply{{kItem, Share({}), {}}, {}}), "wake 500");
  EXPECT_EQ(trial.Hear('c', LookupReply{}), "mint, wake 2000");
}

TEST(SloppyWrite, ARetryIsMintedThoughTooFewOwnersCanBeAsked) {
  Trial trial = Write(Sloppy(Retry(2)), {.unreachable = "bc"});
  EXPECT_EQ(trial.Start(), "stand-ins?, Lookup>b, Lookup>c, wake 500");
  EXPECT_EQ(trial.StandIns("x"), "FetchHints>x, wake 500");
  EXPECT_EQ(trial.Lose('x'), "mint, wake 2000");
}

TEST(SloppyWrite, ARetryThatHearsNothingIsMintedAfterAQuarterOfTheTimeout) {
  Trial trial = Write(Sloppy(Retry(2)));
  trial.Start();
  EXPECT_EQ(trial.At(500).Wake(), "mint, wake 2000");
}

// Stand-ins that have no room refuse no write that owners take.
TEST(SloppyWrite, AnOwnerThatIsMerelySlowIsStillWaitedForWhenNobodyCanStandIn) {
  Trial suspects = Write(Sloppy(Put(2)), {.suspected = "bc"});
  suspects.Start();
  suspects.Minted(Minted());
  suspects.StandIns("xy");
  EXPECT_EQ(suspects.Hear('x', Failed{Outcome::Code::kOverloaded}), "wake 500");
  EXPECT_EQ(suspects.Hear('y', Failed{Outcome::Code::kOverloaded}), "wake 500");
  EXPECT_EQ(suspects.Hear('b', ApplyReply{}), "OK 2/2");

  Trial silent = Write(Sloppy(Put(2)));
  silent.Start();
  silent.Minted(Minted());
  silent.At(500).Wake();
  EXPECT_EQ(silent.StandIns("x"), "Hint>x, wake 2000");
  EXPECT_EQ(silent.Lose('x'), "wake 2000");
  EXPECT_EQ(silent.Hear('c', ApplyReply{}), "OK 2/2");
}

TEST(SloppyWrite, AnOwnerThatIsLostWhileAnotherStandsInForItIsNotWaitedForWhenThatIsLostToo) {
  Trial trial = Write(Sloppy(Put(2)), {.suspected = "bc"});
  trial.Start();
  trial.Minted(Minted());
  trial.StandIns("xy");
  EXPECT_EQ(trial.Lose('b'), "wake 500") << "x may still answer for it";
  EXPECT_EQ(trial.Lose('x'), "wake 500");
  EXPECT_EQ(trial.Lose('c'), "wake 500");
  EXPECT_EQ(trial.Lose('y'), "QUORUM_NOT_MET 1/2 unknown");
}

// The record comes from the disk; nobody has been asked yet.
TEST(SloppyWrite, AShortTimeoutEndsWhileItIsMinted) {
  WriteRequest request = Sloppy(Put(2));
  request.timeout = Duration::Micros(2);
  Trial trial = Write(request);
  trial.Start();
  EXPECT_EQ(trial.effects().wake, Time() + Duration::Micros(2)) << "once, not again and again";
}

TEST(SloppyWrite, WhoIsBesideTheOwnersIsStoodInForToo) {
  Trial trial = Write(Sloppy(Put(3)), {.unreachable = "d", .moves = "cd"});
  trial.Start();
  EXPECT_EQ(trial.Minted(Minted()), "stand-ins?, Apply>b, Apply>c, Apply>d, wake 500");
  EXPECT_EQ(trial.StandIns("x"), "Hint>x, wake 500");
  EXPECT_EQ(trial.sent<Hint>(0).owner, NodeOf('d'));
  trial.Hear('b', ApplyReply{});
  trial.Hear('c', ApplyReply{});
  EXPECT_EQ(trial.Hear('x', HintReply{}), "OK 3/3 stand-ins 1");
}

}  // namespace
}  // namespace gyre
