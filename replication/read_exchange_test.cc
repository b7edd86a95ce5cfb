#include "replication/read_exchange.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "replication/trial.h"

namespace gyre {
namespace {

const ItemKey kItem{PartitionId(3, 5), TableId(1), "key"};
const Dot kX{ReplicaOf('x'), 1};
const Dot kY{ReplicaOf('y'), 1};

Trial Read(int needed, Trial::Setting setting = {}) {
  ReadRequest request;
  request.item = kItem;
  request.needed = needed;
  request.explain = true;
  return Trial(std::make_unique<ReadExchange>(request), std::move(setting));
}

Version Value(Dot dot, uint64_t stamp = 0) {
  return {dot, stamp, "value of " + std::string(1, static_cast<char>(dot.replica.value()))};
}

// A filled record: its versions, and a context that covers them and `also`.
Record Holding(std::vector<Version> versions, VersionVector also = {}) {
  Record record{std::move(versions), std::move(also)};
  for (const Version& version : record.versions) record.context.RaiseTo(version.dot);
  return record;
}

FetchReply Found(Record record) {
  std::vector<Minted> minted;
  for (const Version& version : record.versions) {
    minted.push_back({version.dot, {version.dot.replica.value(), version.dot.counter}, 0});
  }
  return {{kItem, Share(std::move(record)), std::move(minted)}};
}

std::vector<Dot> DotsOf(const Record& record) {
  std::vector<Dot> dots;
  for (const Version& version : record.versions) dots.push_back(version.dot);
  return dots;
}

TEST(ReadExchange, AsksAsManyAsNeededThisNodeFirst) {
  EXPECT_EQ(Read(2, {.owners = "bca", .self = 'a'}).Start(), "Fetch>a, Fetch>b, wake 20");
  EXPECT_EQ(Read(1, {.owners = "bca", .self = 'a'}).Start(), "Fetch>a, wake 20");
}

TEST(ReadExchange, AsksOwnersInPreferenceOrderWhereThisNodeIsNone) {
  EXPECT_EQ(Read(2, {.owners = "cab", .self = 'z'}).Start(), "Fetch>c, Fetch>a, wake 20");
}

TEST(ReadExchange, PrefersOwnersThatCanBeReached) {
  EXPECT_EQ(Read(2, {.unreachable = "b"}).Start(), "Fetch>a, Fetch>c, wake 20");
}

TEST(ReadExchange, PrefersOwnersThatNobodySuspects) {
  EXPECT_EQ(Read(2, {.suspected = "b"}).Start(), "Fetch>a, Fetch>c, wake 20");
  EXPECT_EQ(Read(2, {.self = 'z', .suspected = "a"}).Start(), "Fetch>b, Fetch>c, wake 20");
}

TEST(ReadExchange, AsksASuspectWhereNobodyBetterIsThere) {
  EXPECT_EQ(Read(2, {.suspected = "bc"}).Start(), "Fetch>a, Fetch>b, wake 20");
  EXPECT_EQ(Read(2, {.unreachable = "b", .suspected = "bc"}).Start(), "Fetch>a, Fetch>c, wake 20")
      << "rather than one that cannot be reached";
  EXPECT_EQ(Read(3, {.suspected = "b"}).Start(), "Fetch>a, Fetch>c, Fetch>b, wake 20");
}

TEST(ReadExchange, AsksItselfFirstWhateverOthersSayOfIt) {
  EXPECT_EQ(Read(1, {.suspected = "a"}).Start(), "Fetch>a, wake 20");
}

TEST(ReadExchange, CountsTheAnswerOfASuspect) {
  Trial trial = Read(2, {.suspected = "b"});
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  trial.At(20).Wake();
  EXPECT_EQ(trial.Hear('b', Found(Holding({Value(kX)}))), "OK 2/2");
}

TEST(ReadExchange, EndsAtOnceWhenTooFewCanBeReached) {
  EXPECT_EQ(Read(2, {.unreachable = "bc"}).Start(), "Fetch>a, Fetch>b, QUORUM_NOT_MET 0/2");
}

TEST(ReadExchange, RepliesWhenAsManyAsNeededHaveAnswered) {
  Trial trial = Read(2);
  trial.Start();
  EXPECT_EQ(trial.Hear('a', Found(Holding({Value(kX)}))), "wake 20");
  EXPECT_EQ(trial.Hear('b', Found(Holding({Value(kX)}))), "OK 2/2");
  EXPECT_EQ(DotsOf(trial.outcome().record), std::vector<Dot>{kX});
}

Version Expiring(Dot dot, uint64_t expires_ms, uint64_t stamp = 0) {
  Version version = Value(dot, stamp);
  version.expires_ms = expires_ms;
  return version;
}

TEST(ReadExchange, ShowsNothingThatHasExpiredWhoeverStillHasIt) {
  Trial trial = Read(2, {.time_ms = 5000});
  trial.Start();
  trial.Hear('a', Found(Holding({Expiring(kX, 5000), Expiring(kY, 5001)})));
  EXPECT_EQ(trial.Hear('b', Found(Holding({Expiring(kX, 5000), Expiring(kY, 5001)}))), "OK 2/2");
  EXPECT_EQ(DotsOf(trial.outcome().record), std::vector<Dot>{kY});
  EXPECT_EQ(trial.outcome().time_ms, 5000u);
  EXPECT_TRUE(trial.outcome().context.vector.Covers(kX)) << "a write with it replaces both";
}

TEST(ReadExchange, RepairsWhoStillHasWhatAnotherHasRemoved) {
  Trial trial = Read(2, {.time_ms = 9000});
  trial.Start();
  trial.Hear('a', Found(Holding({}, VersionVector{kX})));
  EXPECT_EQ(trial.Hear('b', Found(Holding({Expiring(kX, 5000)}))), "Apply>b, OK 2/2 repaired");
  EXPECT_TRUE(trial.outcome().record.versions.empty());
}

TEST(ReadExchange, AnExpiredLastWriteGivesWayToWhatItHadBeaten) {
  Trial trial = Read(1, {.time_ms = 9000});
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX, 1), Expiring(kY, 5000, 2)})));
  EXPECT_EQ(DotsOf(trial.outcome().record), std::vector<Dot>{kX}) << "as if it were deleted";
}

TEST(ReadExchange, DoesNotGuessWhetherAValueHasExpired) {
  Trial trial = Read(1, {.time_ms = std::nullopt});
  trial.Start();
  EXPECT_EQ(trial.Hear('a', Found(Holding({Value(kX), Expiring(kY, 5000)}))), "TIME_UNKNOWN 1/1");
  EXPECT_TRUE(trial.outcome().record.versions.empty());
  Trial other = Read(1, {.time_ms = std::nullopt});
  other.Start();
  EXPECT_EQ(other.Hear('a', Found(Holding({Value(kX)}))), "OK 1/1") << "which never does";
}

// As a peer answers that was told that the values are known.
FetchReply WithoutValues(Record record) {
  FetchReply reply = Found(Record{});
  for (uint32_t i = 0; i < record.versions.size(); ++i) {
    record.versions[i].value = gyre::Value();
    reply.left_out.push_back(i);
  }
  reply.found.record = Share(std::move(record));
  return reply;
}

TEST(ReadExchange, NamesToTheOthersWhatItHasInMemory) {
  Trial trial = Read(2, {.at_hand = Holding({Value(kX), Value(kY)})});
  trial.Start();
  EXPECT_TRUE(trial.sent<Fetch>(0).known.empty()) << "it asks itself for all";
  EXPECT_EQ(trial.sent<Fetch>(1).known, (std::vector<Dot>{kX, kY}));
}

TEST(ReadExchange, PutsBackTheValuesThatDidNotCome) {
  // What is here changes while the answer is on its way.
  Trial trial = Read(2, {.at_hand = Holding({Value(kX)})});
  trial.Start();
  trial.Hear('b', WithoutValues(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('a', Found(Holding({Value(kX), Value(kY)}))), "Apply>b, OK 2/2 repaired");
  const Record& shown = trial.outcome().record;
  EXPECT_EQ(DotsOf(shown), (std::vector<Dot>{kX, kY}));
  EXPECT_EQ(shown.versions, Holding({Value(kX), Value(kY)}).versions);
}

TEST(ReadExchange, AsksElsewhereWhenAValueDidNotComeThatIsNotKnown) {
  for (const bool far : {false, true}) {
    Trial trial = Read(2, {.at_hand = Holding({Value(kX)})});
    trial.Start();
    FetchReply wrong = WithoutValues(Holding({Value(kY)}));
    if (far) wrong.left_out = {7};
    EXPECT_EQ(trial.At(5).Hear('b', wrong), "Fetch>c, wake 2000");
  }
}

TEST(ReadExchange, CountsADoubledAnswerOnce) {
  Trial trial = Read(2);
  trial.Start();
  EXPECT_EQ(trial.Hear('b', Found(Holding({Value(kX)}))), "wake 20");
  EXPECT_EQ(trial.Hear('b', Found(Holding({Value(kX)}))), "wake 20");
}

TEST(ReadExchange, AsksTheRestWhenAnAnswerIsLate) {
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', Found(Holding({})));
  EXPECT_EQ(trial.At(19).Wake(), "wake 20");
  EXPECT_EQ(trial.At(20).Wake(), "Fetch>c, wake 2000");
  EXPECT_EQ(trial.Hear('c', Found(Holding({}))), "OK 2/2");
}

// Peers b and c, of whom reads have heard: b takes 4 ms, c takes 9 ms.
PeerPace Known(PeerPaceOptions options = {}) {
  PeerPace pace(options);
  for (int i = 0; i < 100; ++i) {
    pace.OnAnswer(NodeOf('b'), Duration::Millis(4), false);
    pace.OnAnswer(NodeOf('c'), Duration::Millis(9), false);
  }
  return pace;
}

TEST(ReadExchange, AsksAnotherOnceThatOneWouldHaveAnswered) {
  PeerPace pace = Known();
  Trial trial = Read(2, {.pace = &pace});
  EXPECT_EQ(trial.Start(), "Fetch>a, Fetch>b, wake 10");
  EXPECT_EQ(trial.At(10).Wake(), "wake 10") << "an upper bound of nine";
  EXPECT_EQ(trial.At(11).Wake(), "Fetch>c, wake 2000");
  EXPECT_EQ(pace.figures().hedges, 1u);
}

TEST(ReadExchange, WithoutABudgetItAsksAnotherAfterAQuarterOfTheTimeout) {
  PeerPace pace({.hedges_first = 0});
  Trial trial = Read(2, {.pace = &pace});
  trial.Start();
  EXPECT_EQ(trial.At(20).Wake(), "wake 500");
  EXPECT_EQ(trial.At(500).Wake(), "Fetch>c, wake 2000");
  EXPECT_EQ(pace.figures().refused, 1u);
}

TEST(ReadExchange, AsksOneMoreAndTheRestAfterAQuarterOfTheTimeout) {
  PeerPace pace;
  Trial trial = Read(2, {.owners = "abcde", .pace = &pace});
  trial.Start();
  EXPECT_EQ(trial.At(20).Wake(), "Fetch>c, wake 500");
  EXPECT_EQ(trial.At(500).Wake(), "Fetch>d, Fetch>e, wake 2000");
}

TEST(ReadExchange, ALostNodeCostsNoBudget) {
  PeerPace pace({.hedges_first = 0});
  Trial trial = Read(2, {.pace = &pace});
  trial.Start();
  EXPECT_EQ(trial.At(1).Lose('b'), "Fetch>c, wake 2000");
}

TEST(ReadExchange, GoesRoundAnOwnerThatReadsFoundSlow) {
  PeerPace pace({.silences_to_slow = 2});
  for (int i = 0; i < 2; ++i) {
    Trial trial = Read(2, {.pace = &pace});
    EXPECT_EQ(trial.Start(), "Fetch>a, Fetch>b, wake 20");
    trial.Hear('a', Found(Holding({})));
    trial.At(20).Wake();
    EXPECT_EQ(trial.At(21).Hear('c', Found(Holding({}))), "OK 2/2");
  }
  Trial trial = Read(2, {.pace = &pace});
  EXPECT_EQ(trial.At(22).Start(), "Fetch>a, Fetch>c, wake 42");
  EXPECT_EQ(Read(3, {.pace = &pace}).At(22).Start(), "Fetch>a, Fetch>c, Fetch>b, wake 42")
      << "though it is asked where all are needed";
}

TEST(ReadExchange, OneReadTriesASlowOwnerAgainAndTheOthersFollowOnceItIsPrompt) {
  PeerPace pace({.silences_to_slow = 1});
  pace.OnSilence(NodeOf('b'), Time());
  Trial again = Read(2, {.pace = &pace});
  EXPECT_EQ(again.At(100).Start(), "Fetch>a, Fetch>b, wake 120");
  EXPECT_EQ(Read(2, {.pace = &pace}).At(101).Start(), "Fetch>a, Fetch>c, wake 121");
  again.At(102).Hear('b', Found(Holding({})));
  EXPECT_EQ(Read(2, {.pace = &pace}).At(103).Start(), "Fetch>a, Fetch>b, wake 123");
}

TEST(ReadExchange, ALateAnswerDoesNotMakeASlowOwnerPrompt) {
  PeerPace pace({.silences_to_slow = 1});
  Trial trial = Read(2, {.pace = &pace});
  trial.Start();
  trial.At(20).Wake();
  trial.At(40).Hear('b', Found(Holding({})));
  EXPECT_FALSE(pace.IsPrompt(NodeOf('b'), Time() + Duration::Millis(40)));
}

TEST(ReadExchange, AnOwnerThatSaysThatItIsOverloadedIsSlow) {
  PeerPace pace({.silences_to_slow = 1});
  Trial trial = Read(2, {.pace = &pace});
  trial.Start();
  EXPECT_EQ(trial.Hear('b', Failed{Outcome::Code::kOverloaded}), "Fetch>c, wake 2000");
  EXPECT_FALSE(pace.IsPrompt(NodeOf('b'), Time()));
}

TEST(ReadExchange, AsksTheRestAtOnceWhenANodeIsLost) {
  Trial trial = Read(2);
  trial.Start();
  EXPECT_EQ(trial.At(1).Lose('b'), "Fetch>c, wake 2000");
}

TEST(ReadExchange, EndsWhenTooFewAreLeft) {
  Trial trial = Read(2);
  trial.Start();
  trial.Lose('b');
  EXPECT_EQ(trial.Lose('c'), "QUORUM_NOT_MET 0/2");
}

TEST(ReadExchange, GivesUpAtItsDeadline) {
  Trial trial = Read(2);
  trial.Start();
  trial.At(20).Wake();
  EXPECT_EQ(trial.At(2000).Wake(), "TIMED_OUT 0/2");
}

TEST(ReadExchange, ShowsConcurrentVersionsTogether) {
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  trial.Hear('b', Found(Holding({Value(kY)})));
  EXPECT_EQ(DotsOf(trial.outcome().record), (std::vector<Dot>{kX, kY}));
  EXPECT_TRUE(trial.outcome().context.vector.CoversAll({kX, kY}));
}

// Each owner knows one attempt, and no owner both yet.
TEST(ReadExchange, ShowsAWriteThatWasMintedTwiceOnceAndRepairsWithThat) {
  const auto attempt = [](Dot dot, uint32_t number) {
    FetchReply reply = Found(Holding({Value(dot)}));
    reply.found.minted = {{dot, {7, 7}, number}};
    return reply;
  };
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', attempt(kX, 2));
  EXPECT_EQ(trial.Hear('b', attempt(kY, 1)), "Apply>b, OK 2/2 repaired");
  EXPECT_EQ(DotsOf(trial.outcome().record), std::vector<Dot>{kX});
  EXPECT_TRUE(trial.outcome().context.vector.Covers(kY));
}

TEST(ReadExchange, AVersionThatAnotherReplicaSawOverwrittenDoesNotReturn) {
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('b', Found(Holding({Value(kY)}, {kX}))), "Apply>a, OK 2/2 repaired");
  EXPECT_EQ(DotsOf(trial.outcome().record), std::vector<Dot>{kY});
}

TEST(ReadExchange, ADeletedVersionDoesNotReturn) {
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('b', Found(Holding({}, {kX}))), "Apply>a, OK 2/2 repaired");
  EXPECT_TRUE(trial.outcome().record.versions.empty());
}

// ---- read repair

TEST(ReadExchange, SendsTheMergedRecordToThoseThatWereBehindAndToNoOther) {
  Trial trial = Read(3);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  trial.Hear('b', Found(Holding({Value(kX), Value(kY)})));
  EXPECT_EQ(trial.Hear('c', Found(Holding({}))), "Apply>a, Apply>c, OK 3/3 repaired");
  EXPECT_EQ(DotsOf(*trial.sent<Apply>(1).change.record), (std::vector<Dot>{kX, kY}));
  const std::vector<ReplicaPart>& parts = trial.outcome().parts;
  EXPECT_EQ(parts[0].part, Part::kCoordinator);
  EXPECT_EQ(parts[1].part, Part::kAnswered);
  EXPECT_EQ(parts[2].part, Part::kRepaired);
}

TEST(ReadExchange, ARepairNamesTheDotsOfTheVersionsThatItBringsEachOnce) {
  Trial trial = Read(3);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  trial.Hear('b', Found(Holding({Value(kX), Value(kY)})));
  trial.Hear('c', Found(Holding({Value(kY)})));
  const std::vector<Minted> expected = {{kX, {'x', 1}, 0}, {kY, {'y', 1}, 0}};
  EXPECT_EQ(trial.sent<Apply>(0).change.minted, expected);
}

TEST(ReadExchange, ARepairDoesNotNameDotsOfVersionsThatAreGone) {
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  trial.Hear('b', Found(Holding({Value(kY)}, {kX})));
  const std::vector<Minted> expected = {{kY, {'y', 1}, 0}};
  EXPECT_EQ(trial.sent<Apply>(0).change.minted, expected)
      << "what the record says of x is in its context";
}

TEST(ReadExchange, SendsNoRepairWhereContextsAloneDiffer) {
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('b', Found(Holding({Value(kX)}, {kY}))), "OK 2/2");
}

TEST(ReadExchange, LastWriteWinsShowsTheGreatestStampAndRepairsWithEverything) {
  Trial trial = Read(2);
  trial.Start();
  trial.Hear('a', Found(Holding({Value(kX, 900)})));
  trial.Hear('b', Found(Holding({Value(kY, 100)})));
  EXPECT_EQ(DotsOf(trial.outcome().record), std::vector<Dot>{kX});
  EXPECT_TRUE(trial.outcome().context.vector.Covers(kY)) << "the next write removes the loser";
  EXPECT_EQ(DotsOf(*trial.sent<Apply>(0).change.record), (std::vector<Dot>{kX, kY}));
}

// ---- failures

TEST(ReadExchange, ReadsElsewhereWhenThisNodesCopyIsDamaged) {
  Trial trial = Read(2);
  trial.Start();
  EXPECT_EQ(trial.FailHere(Outcome::Code::kCorrupt), "Fetch>c, wake 2000");
  trial.Hear('b', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('c', Found(Holding({Value(kX)}))), "OK 2/2");
}

TEST(ReadExchange, NamesTheDamageWhenNobodyElseCanAnswer) {
  Trial trial = Read(3);
  trial.Start();
  EXPECT_EQ(trial.FailHere(Outcome::Code::kCorrupt), "CORRUPT 0/3");
}

TEST(ReadExchange, ARefusalByANewerEpochEndsIt) {
  Trial trial = Read(2);
  trial.Start();
  EXPECT_EQ(trial.Hear('b', Refused{"newer"}), "STALE 0/2");
}

TEST(ReadExchange, AsksTheOthersAtOnceWhenAnOwnerFailed) {
  Trial trial = Read(2);
  EXPECT_EQ(trial.Start(), "Fetch>a, Fetch>b, wake 20");
  EXPECT_EQ(trial.At(5).Hear('b', Failed{}), "Fetch>c, wake 2000");
  EXPECT_EQ(trial.Hear('c', Failed{Outcome::Code::kCorrupt}), "QUORUM_NOT_MET 0/2");
}

// ---------------------------------------------------------------------------------- sloppy quorums

Trial SloppyRead(int needed, Trial::Setting setting = {}) {
  ReadRequest request;
  request.item = kItem;
  request.needed = needed;
  request.explain = true;
  request.sloppy = true;
  return Trial(std::make_unique<ReadExchange>(request), std::move(setting));
}

TEST(SloppyRead, WithEnoughOwnersThereNobodyStandsIn) {
  Trial trial = SloppyRead(2, {.unreachable = "b"});
  EXPECT_EQ(trial.Start(), "Fetch>a, Fetch>c, wake 20");
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('c', Found(Holding({Value(kX)}))), "OK 2/2");
}

TEST(SloppyRead, WhereOwnersAreShortStandInsSayWhatTheyKeepForThem) {
  Trial trial = SloppyRead(2, {.unreachable = "bc"});
  EXPECT_EQ(trial.Start(), "stand-ins?, Fetch>a, Fetch>b, wake 20");
  EXPECT_EQ(trial.StandIns("xyz"), "FetchHints>x, FetchHints>y, wake 20");
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('y', Found(Holding({Value(kY)}))), "Apply>a, OK 2/2 stand-ins 1 repaired");
  EXPECT_EQ(DotsOf(trial.outcome().record), (std::vector<Dot>{kX, kY}));
  EXPECT_EQ(trial.sent<Apply>(0).change.minted.size(), 2u) << "with the dots that explain it";
}

TEST(SloppyRead, AStandInIsNotRepaired) {
  Trial trial = SloppyRead(2, {.unreachable = "bc"});
  trial.Start();
  trial.StandIns("x");
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('x', Found(Record{})), "OK 2/2 stand-ins 1");
}

TEST(SloppyRead, ThatNothingIsThereOnlyAnOwnerCanSay) {
  Trial trial = SloppyRead(2, {.self = 'z', .unreachable = "abc"});
  trial.Start();
  EXPECT_EQ(trial.StandIns("xyz"), "FetchHints>x, FetchHints>y, FetchHints>z, wake 20");
  trial.Hear('x', Found(Record{}));
  EXPECT_EQ(trial.Hear('y', Found(Record{})), "QUORUM_NOT_MET 2/2 stand-ins 2");

  Trial silent = SloppyRead(2, {.self = 'z'});
  silent.Start();
  EXPECT_EQ(silent.At(500).Wake(), "stand-ins?, Fetch>c, wake 2000");
  silent.StandIns("xyz");
  silent.Hear('x', Found(Record{}));
  EXPECT_EQ(silent.Hear('y', Found(Record{})), "wake 2000") << "an owner may still say so";
  EXPECT_EQ(silent.Hear('a', Found(Record{})), "OK 2/2 stand-ins 1");
}

TEST(SloppyRead, WhatAStandInKeepsIsShownThoughNoOwnerCanBeReached) {
  Trial trial = SloppyRead(2, {.self = 'z', .unreachable = "abc"});
  trial.Start();
  trial.StandIns("xyz");
  trial.Hear('x', Found(Record{}));
  EXPECT_EQ(trial.Hear('y', Found(Holding({Value(kX)}))), "OK 2/2 stand-ins 2");
}

TEST(SloppyRead, AnotherTakesThePlaceOfAStandInThatIsLost) {
  Trial trial = SloppyRead(2, {.unreachable = "bc"});
  trial.Start();
  trial.StandIns("xyz");
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Lose('x'), "FetchHints>z, wake 500");
  EXPECT_EQ(trial.Hear('y', Failed{}), "wake 500");
  EXPECT_EQ(trial.Lose('z'), "QUORUM_NOT_MET 1/2");
}

TEST(SloppyRead, AnotherTakesThePlaceOfAStandInThatIsSilent) {
  Trial trial = SloppyRead(2, {.self = 'z'});
  trial.Start();
  trial.At(20).Wake();
  EXPECT_EQ(trial.At(500).Wake(), "stand-ins?, wake 2000");
  EXPECT_EQ(trial.StandIns("uvwxy"), "FetchHints>u, FetchHints>v, FetchHints>w, wake 1000");
  EXPECT_EQ(trial.Hear('v', Found(Holding({Value(kX)}))), "wake 1000");
  EXPECT_EQ(trial.At(1000).Wake(), "FetchHints>x, FetchHints>y, wake 2000")
      << "who has answered keeps its place";
  EXPECT_EQ(trial.Hear('y', Found(Record{})), "OK 2/2 stand-ins 2");
}

TEST(SloppyRead, AStrictOneAsksNobodyElse) {
  EXPECT_EQ(Read(2, {.unreachable = "bc"}).Start(), "Fetch>a, Fetch>b, QUORUM_NOT_MET 0/2");
}

TEST(SloppyRead, AnOwnerThatIsMerelySlowIsStillWaitedForWhenNobodyCanStandIn) {
  Trial trial = SloppyRead(2, {.self = 'z'});
  trial.Start();
  trial.At(500).Wake();
  trial.StandIns("x");
  EXPECT_EQ(trial.Hear('x', Failed{}), "wake 2000");
  trial.Hear('a', Found(Holding({Value(kX)})));
  EXPECT_EQ(trial.Hear('b', Found(Holding({Value(kX)}))), "OK 2/2");
}

TEST(SloppyRead, OwnersThatWereNotAskedYetAreAskedBeforeAnybodyStandsInForThem) {
  ReadRequest request;
  request.item = kItem;
  request.needed = 1;
  request.sloppy = true;
  request.timeout = Duration::Millis(60);
  Trial trial(std::make_unique<ReadExchange>(request), {.self = 'z'});
  EXPECT_EQ(trial.Start(), "Fetch>a, wake 15");
  EXPECT_EQ(trial.At(15).Wake(), "stand-ins?, Fetch>b, Fetch>c, wake 60");
}

}  // namespace
}  // namespace gyre
