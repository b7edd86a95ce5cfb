// Shard step by step: what leaves it and when, lives, exchanges, epochs. Beside it
// shard_disk_test.cc, shard_repair_test.cc and shard_hints_test.cc.

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ring/documents.h"
#include "server/shard_bench.h"

namespace gyre {
namespace {

using Bench = ShardBench;

// ---- nothing leaves before it is durable

TEST(Shard, SendsAWriteToTheOtherOwnersOnlyOnceItIsDurableHere) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 2).Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 1 OK");
}

TEST(Shard, RepliesToAWriteOfOneCopyOnlyOnceItIsDurable) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 1).Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 1 OK");
}

TEST(Shard, AcknowledgesAPeersWriteOnlyOnceItIsDurable) {
  Bench bench;
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "x"), 5).Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
  EXPECT_EQ(bench.effects().sends[0].message.exchange, 5u);
}

TEST(Shard, ShowsAValueOnlyOnceItIsDurable) {
  Bench bench;
  bench.Write(1, "key", "x", 3).Take();
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 2 OK x");
}

TEST(Shard, ARequestThatCameDuringACommitWaitsForTheNextOne) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 1).Take(), "commit");
  EXPECT_EQ(bench.Write(2, "other", "y", 1).Take(), "") << "one commit at a time";
  const std::string first = Sorted(bench.Commit().Take());
  EXPECT_EQ(first, "Apply>b, Apply>c, commit, reply 1 OK");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 2 OK");
}

TEST(Shard, WhatIsSaidOfOnePartitionDoesNotWaitForTheCommitOfAnother) {
  Bench bench({.slices = 8});
  ItemKey other = bench.Item("other");
  for (int i = 0; other.partition == bench.Item("key").partition; ++i) {
    ASSERT_LT(i, 100) << "one of eight partitions";
    other = bench.Item("other-" + std::to_string(i));
  }
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "x")).Take(), "commit") << "no answer is wanted";
  const Epoch epoch = bench.topology().epoch;
  EXPECT_EQ(bench.HearAbout(other.partition, epoch, "b", bench.ApplyOf(other.key, "y"), 5).Take(),
            "");
  EXPECT_EQ(bench.Hear("c", Fetch{bench.Item("key")}, 6).Take(), "");
  EXPECT_EQ(bench.Commit().Take(), "commit, FetchReply>c");
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
}

TEST(Shard, ManyWritesShareOneCommit) {
  Bench bench;
  for (Token token = 1; token <= 20; ++token) {
    bench.Write(token, "key-" + std::to_string(token), "x", 1);
  }
  EXPECT_EQ(bench.Take(), "commit");
  bench.Commit().Take();
  EXPECT_EQ(bench.effects().replies.size(), 20u);
  EXPECT_EQ(bench.engine().counters().syncs, 1u);
}

TEST(Shard, AReadOfAQuietPartitionWaitsForNothing) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "reply 2 OK x");
}

TEST(Shard, AfterAFailedCommitItAcknowledgesNothing) {
  Bench bench;
  bench.Write(1, "key", "x", 1).Take();
  bench.engine().FailNextWrite(absl::InternalError("device"));
  EXPECT_EQ(bench.Commit().Take(), "reply 1 STORAGE_FAILED");
  EXPECT_TRUE(bench.shard().failed());
  EXPECT_EQ(bench.Write(2, "key", "y", 1).Take(), "reply 2 STORAGE_FAILED");
}

TEST(Shard, AfterAFailedCommitItTellsPeersThatItAnswersNothing) {
  Bench bench;
  bench.Write(1, "key", "x", 1).Take();
  bench.engine().FailNextWrite(absl::InternalError("device"));
  bench.Commit().Take();
  const ItemKey item = bench.Item("key");
  for (const PeerBody& body : {PeerBody(bench.ApplyOf("key", "z")), PeerBody(Fetch{item}),
                               PeerBody(Lookup{item, {4, 2}}), PeerBody(ClockAsk{})}) {
    EXPECT_EQ(bench.Hear("b", body, 5).Take(), "Failed>b") << body.index();
    EXPECT_EQ(bench.effects().sends[0].message.exchange, 5u);
    EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kStorageFailed);
  }
  EXPECT_EQ(bench.Hear("b", Forward{bench.Request(item, "y", 2)}, 6).Take(), "ForwardReply>b");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kStorageFailed);
}

TEST(Shard, AFailedCommitTellsThePeersWhoseQuestionsWaitForIt) {
  Bench bench;
  bench.Write(1, "quiet", "x", 2).CommitAll();
  bench.Hear("b", bench.ApplyOf("key", "x"), 5);
  bench.Hear("c", Fetch{bench.Item("key")}, 6);
  bench.Hear("c", Forward{bench.Request(bench.Item("other"), "y", 1)}, 7).Take();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("elsewhere")}, 8).Take(), "read elsewhere");
  bench.engine().FailNextWrite(absl::InternalError("device"));
  EXPECT_EQ(Sorted(bench.Commit().Take()),
            "Failed>b, Failed>b, Failed>c, ForwardReply>c, reply 1 STORAGE_FAILED");
  for (const Envelope& send : bench.effects().sends) {
    const auto* forwarded = std::get_if<ForwardReply>(&send.message.body);
    if (forwarded == nullptr) continue;
    EXPECT_EQ(forwarded->outcome.code, Outcome::Code::kStorageFailed);
    EXPECT_TRUE(forwarded->outcome.outcome_unknown);
  }
}

TEST(Shard, ADiskThatFailsUnderAnotherPartOfTheNodeEndsEverythingHereToo) {
  Bench bench;
  bench.Write(1, "key", "x", 1).Take();
  bench.shard().OnDiskFailed(bench.now());
  EXPECT_EQ(bench.Take(), "reply 1 STORAGE_FAILED");
  EXPECT_EQ(bench.Commit().Take(), "") << "though this commit was written";
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "reply 2 STORAGE_FAILED");
}

TEST(Shard, AFailedCommitEndsWhatWaitsForPeersToo) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  bench.Write(2, "other", "y", 2).Take();
  bench.engine().FailNextWrite(absl::InternalError("device"));
  EXPECT_EQ(Sorted(bench.Commit().Take()), "reply 1 STORAGE_FAILED, reply 2 STORAGE_FAILED");
}

TEST(Shard, APeriodicWriteIsAcknowledgedUnsyncedAndSyncedSoonAfter) {
  Bench bench({.durability = Durability::kPeriodic});
  EXPECT_EQ(bench.Write(1, "key", "x", 1).Take(), "commit unsynced");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 1 OK");
  EXPECT_LE(bench.effects().wake, bench.now().monotonic + Duration::Seconds(1));
  bench.Wake(1001);
  EXPECT_EQ(bench.Take().substr(0, 6), "commit");
  bench.Commit();
  EXPECT_EQ(bench.engine().unsynced_batches(), 0u);
}

// ---- lives that an earlier process began

TEST(Shard, TellsWhetherALifeIsStillUnconfirmed) {
  Bench bench;
  EXPECT_TRUE(bench.shard().AllConfirmed()) << "there is none yet";
  bench.Minter();
  EXPECT_TRUE(bench.shard().AllConfirmed()) << "its own";
  EXPECT_FALSE(bench.Restart(true).shard().AllConfirmed());
  EXPECT_FALSE(bench.Greet("b").shard().AllConfirmed());
  EXPECT_TRUE(bench.Greet("c").shard().AllConfirmed());
  bench.Restart(false).Minter();
  EXPECT_TRUE(bench.shard().AllConfirmed()) << "a new one has begun";
}

TEST(Shard, MintsUnderAnInheritedLifeOnlyOnceEveryOtherOwnerHasGreetedIt) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  EXPECT_EQ(bench.Restart(true).Greet("b").Greet("c").Minter(), before);
  const ReplicaId after = bench.Restart(true).Greet("b").Minter();
  EXPECT_NE(after, before);
  EXPECT_EQ(bench.Greet("c").Minter(), after) << "its own life needs nobody";
}

TEST(Shard, APeerThatWasThereAndLeftHasConfirmedALife) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  EXPECT_EQ(bench.Restart(true).Greet("b").Greet("c").Lose("b").Minter(), before);
}

TEST(Shard, ASoleOwnerMintsOnUnderItsInheritedLife) {
  Bench bench({.members = {"a"}});
  const ReplicaId before = bench.Minter();
  EXPECT_EQ(bench.Restart(true).Minter(), before);
  EXPECT_EQ(bench.Restart(false).Minter(), before);
}

TEST(Shard, AfterAnUncleanEndOnlyTheClocksOfTheOtherOwnersConfirmALife) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  bench.Restart(false).Greet("b").Greet("c");
  bench.Hear("b", ClockAsk{}, 5).Hear("c", ClockAsk{}, 5).Take();
  EXPECT_EQ(bench.Minter(), before);
  bench.Restart(false).Greet("b").Greet("c").Hear("b", ClockAsk{}, 5).Take();
  EXPECT_NE(bench.Minter(), before);
}

TEST(Shard, ACompleteClockAnswerConfirmsALifeToo) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  bench.Restart(false).Hear("c", ClockAsk{}, 5).Take();
  ASSERT_EQ(bench.Wake(1).Take(), "ClockAsk>b");
  ClockAnswer nothing;
  nothing.complete = true;
  EXPECT_EQ(bench.Hear("b", nothing).Minter(), before);
}

TEST(Shard, EndsItsInheritedLivesWhenItIsCalledForgetful) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  bench.Restart(true);
  bench.shard().OnForgetful(bench.now());
  EXPECT_NE(bench.Greet("b").Greet("c").Minter(), before);
}

// ---- exchanges

TEST(Shard, AnswersAReadOfTwoFromThisNodeAndAPeer) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Read(2, "key", 2).Take().substr(0, 6), "Fetch>");
  const std::string peer = bench.effects().sends[0].to == bench.Id("b") ? "b" : "c";
  FetchReply nothing;
  nothing.found = {bench.Item("key"), std::make_shared<const Record>(), {}};
  EXPECT_EQ(Sorted(bench.Hear(peer, nothing).Take()), "Apply>" + peer + ", reply 2 OK x");
  EXPECT_EQ(bench.effects().sends[0].message.exchange, 0u) << "a repair wants no answer";
}

TEST(Shard, AsksWhomNobodySuspectsFirstUntilItIsTakenForAliveAgain) {
  Bench bench;
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  for (const Liveness liveness : {Liveness::kSuspect, Liveness::kDead}) {
    EXPECT_EQ(bench.Suspect(peer, liveness).Read(2, "key", 2).Take(), "Fetch>" + other);
  }
  EXPECT_EQ(bench.Suspect(peer, Liveness::kAlive).Read(3, "key", 2).Take(), first);
}

TEST(Shard, AsksOwnersThatAreBusyAfterThoseThatAreNot) {
  Bench bench;
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  EXPECT_EQ(bench.HearThatItIs(peer, Load::kLight).Read(2, "key", 2).Take(), first);
  for (const Load load : {Load::kBusy, Load::kFull}) {
    EXPECT_EQ(bench.HearThatItIs(peer, load).Read(3, "key", 2).Take(), "Fetch>" + other);
  }
  EXPECT_EQ(bench.HearThatItIs(other, Load::kBusy).Read(4, "key", 2).Take(), "Fetch>" + other)
      << "the less busy of two";
  EXPECT_EQ(bench.HearThatItIs(other, Load::kFull).Read(5, "key", 2).Take(), first);
}

TEST(Shard, ABusyOwnerIsBetterThanOneThatIsSuspected) {
  Bench bench;
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  bench.HearThatItIs(peer, Load::kFull).Suspect(other);
  EXPECT_EQ(bench.Read(2, "key", 2).Take(), first);
  EXPECT_EQ(bench.Suspect(peer).Read(3, "key", 2).Take(), "Fetch>" + other)
      << "of two that are, the one that is not busy";
}

TEST(Shard, EveryOwnerHasItsCopyOfAWriteHoweverBusyItIs) {
  Bench bench;
  bench.HearThatItIs("b", Load::kFull).HearThatItIs("c", Load::kFull);
  EXPECT_EQ(Sorted(bench.Write(1, "key", "x", 2).CommitAll()), "Apply>b, Apply>c");
}

TEST(Shard, ASuspicionEndsNothingThatIsUnderWay) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Suspect("b", Liveness::kDead).Suspect("c", Liveness::kDead).Take(), "");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 1 OK");
}

TEST(Shard, ServesARequestThoughEveryOtherIsUnderSuspicion) {
  Bench bench;
  bench.Suspect("b").Suspect("c", Liveness::kDead);
  EXPECT_EQ(Sorted(bench.Write(1, "key", "x", 2).CommitAll()), "Apply>b, Apply>c");
}

TEST(Shard, ServesAFetchWithTheFilledRecordAndItsDots) {
  Bench bench;
  bench.Write(1, "other", "y", 1).CommitAll();
  bench.Write(2, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "FetchReply>b");
  const ExplainedRecord& found = bench.sent<FetchReply>(0).found;
  EXPECT_EQ(found.record->versions[0].value, "x");
  EXPECT_EQ(found.minted[0].dot, found.record->versions[0].dot);
  EXPECT_TRUE(found.record->context.CoversAll(bench.Clock().Bases()));
}

TEST(Shard, ServesAFetchWithoutTheValuesThatTheAskerKnows) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Hear("b", Fetch{bench.Item("key"), {}}, 5).Take();
  const Dot dot = bench.sent<FetchReply>(0).found.record->versions[0].dot;
  bench.Hear("b", Fetch{bench.Item("key"), {{dot.replica, dot.counter + 1}, dot}}, 6).Take();
  const FetchReply& reply = bench.sent<FetchReply>(0);
  EXPECT_EQ(reply.left_out, std::vector<uint32_t>{0});
  EXPECT_TRUE(reply.found.record->versions[0].value.empty());
  EXPECT_EQ(reply.found.record->versions[0].dot, dot);
  EXPECT_TRUE(reply.found.record->context.Covers(dot));

  bench.Hear("b", Fetch{bench.Item("key"), {{dot.replica, dot.counter + 1}}}, 7).Take();
  EXPECT_TRUE(bench.sent<FetchReply>(0).left_out.empty());
  EXPECT_EQ(bench.sent<FetchReply>(0).found.record->versions[0].value, "x");
}

TEST(Shard, NamesTheVersionsThatItHasInMemoryWhenItReads) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Read(2, "key", 2).Take();
  EXPECT_EQ(bench.sent<Fetch>(0).known.size(), 1u);
  bench.Read(3, "other", 2).Take();
  EXPECT_TRUE(bench.sent<Fetch>(0).known.empty());
}

TEST(Shard, KnowsAWriteByItsIdempotencyKeyWhenAPeerLooksItUp) {
  Bench bench;
  WriteRequest request = bench.Request(bench.Item("key"), "x", 1);
  request.intent.write = {4, 2};
  bench.shard().Write(1, request, bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("b", Lookup{bench.Item("key"), {4, 2}}, 5).Take(), "LookupReply>b");
  EXPECT_TRUE(bench.sent<LookupReply>(0).known);
  EXPECT_EQ(bench.sent<LookupReply>(0).found.minted.back().write, (WriteId{4, 2}));
  bench.Hear("b", Lookup{bench.Item("key"), {4, 3}}, 6).Take();
  EXPECT_FALSE(bench.sent<LookupReply>(0).known);
}

TEST(Shard, ARetryOfAWriteThatIsThereHasOneEffectAndIsAcknowledged) {
  Bench bench;
  WriteRequest request = bench.Request(bench.Item("key"), "x", 2);
  request.intent.write = {4, 2};
  bench.shard().Write(1, request, bench.now());
  bench.CommitAll();
  request.intent.attempt = 2 * kFirstAttempt;
  bench.shard().Write(2, request, bench.now());
  EXPECT_EQ(Sorted(bench.Take()), "Apply>b, Apply>c") << "nothing to commit";
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 2 OK");
  EXPECT_EQ(bench.Clock().entries()[0].base, 1u);
}

TEST(Shard, ADoubledAnswerFindsNobody) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 1 OK");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "");
}

TEST(Shard, EndsAWriteThatTooFewAcknowledgeInTime) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Wake(2000).Take().substr(0, 17), "ClockAsk>b, reply");
  EXPECT_TRUE(bench.effects().replies[0].outcome.outcome_unknown);
}

TEST(Shard, EndsAWriteWhenTooFewPeersAreLeft) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Lose("b").Take(), "");
  EXPECT_EQ(bench.Lose("c").Take(), "reply 1 QUORUM_NOT_MET");
}

TEST(Shard, RefusesWhatNeedsMoreReplicasThanThereAreAndMintsNothing) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 4).Take(), "reply 1 QUORUM_NOT_MET");
  EXPECT_EQ(bench.effects().replies[0].outcome.needed, 4);
  EXPECT_EQ(bench.effects().replies[0].outcome.answered, 0);
  EXPECT_FALSE(bench.effects().replies[0].outcome.outcome_unknown);
  EXPECT_TRUE(bench.Clock().empty());
  EXPECT_EQ(bench.Read(2, "key", 4).Take(), "reply 2 QUORUM_NOT_MET");
  EXPECT_EQ(bench.Hear("c", Forward{bench.Request(bench.Item("key"), "x", 4)}, 5).Take(),
            "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kQuorumNotMet);
}

TEST(Shard, RefusesMoreThanItsBoundInFlight) {
  ShardOptions options;
  options.max_exchanges = 1;
  Bench bench({.options = options});
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Write(2, "key", "y", 2).Take(), "reply 2 OVERLOADED");
  EXPECT_EQ(bench.shard().figures().overloads, 1u);
  bench.Hear("b", ApplyReply{}).Take();
  EXPECT_EQ(bench.Write(3, "key", "z", 2).Take(), "commit");
}

TEST(Shard, WhatPeersForwardLeavesThisNodesClientsRoom) {
  ShardOptions options;
  options.max_exchanges = 4;
  Bench bench({.options = options});
  const auto forward = [&](ExchangeId exchange) {
    return bench.Hear("c", Forward{bench.Request(bench.Item("key"), "x", 3)}, exchange).CommitAll();
  };
  for (const ExchangeId exchange : {5, 6}) EXPECT_EQ(Sorted(forward(exchange)), "Apply>b, Apply>c");
  EXPECT_EQ(forward(7), "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOverloaded);
  EXPECT_EQ(Sorted(bench.Write(1, "key", "x", 2).CommitAll()), "Apply>b, Apply>c");
  bench.Hear("b", ApplyReply{}).Hear("c", ApplyReply{}).Take();
  bench.Lose("b").Lose("c").Take();
  EXPECT_EQ(bench.shard().figures().exchanges, 0u);
  EXPECT_EQ(Sorted(forward(8)), "Apply>b, Apply>c, ForwardReply>c") << "those that ended make room";
}

TEST(Shard, PeersThatFillTheirBoundStopNoClientAndNoRepair) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  options.max_waiting_reads = 1;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "ten bytes."), 5).Take(), "commit");
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "y", 2), 6).Take(), "Failed>b");
  bench.Write(1, "other", "x", 1);
  EXPECT_EQ(bench.Hear("c", ClockAsk{}, 7).Take(), "scan");
  EXPECT_EQ(Sorted(bench.Commit().Take()).substr(0, 7), "ApplyRe");
  EXPECT_NE(Sorted(bench.CommitAll()).find("reply 1 OK"), std::string::npos);
}

TEST(Shard, GoesRoundAPeerThatReadsFindSlowAndTriesItAgain) {
  ShardOptions options;
  options.pace.silences_to_slow = 2;
  Bench bench({.options = options});
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  EXPECT_EQ(bench.Read(2, "key", 2).Take(), "Fetch>" + peer);
  EXPECT_EQ(bench.Wake(20).Take().substr(0, 16), "Fetch>" + other + ", Fetch>" + other);
  EXPECT_EQ(bench.Read(3, "key", 2).Take(), "Fetch>" + other);
  FetchReply nothing;
  nothing.found = {bench.Item("key"), std::make_shared<const Record>(), {}};
  EXPECT_EQ(bench.Hear(other, nothing).Take(), "reply 3 OK");
  EXPECT_EQ(bench.shard().figures().pace.slow, 1u);
  EXPECT_EQ(bench.shard().figures().pace.hedges, 2u);
  bench.Wake(120).Take();
  EXPECT_EQ(bench.Read(4, "key", 2).Take(), "Fetch>" + peer) << "one tries it again";
  EXPECT_EQ(bench.Read(5, "key", 2).Take(), "Fetch>" + other) << "and only one";
  EXPECT_EQ(bench.shard().figures().pace.tries, 1u);
}

TEST(Shard, AsksNobodyElseWhileWhatItBeginsHasToWait) {
  Bench bench;
  bench.shard().OnLoad(100, 50);
  bench.Read(1, "key", 2).Take();
  bench.Wake(20).Take();
  EXPECT_EQ(bench.shard().figures().pace.hedges, 0u);
  EXPECT_EQ(bench.shard().figures().pace.refused, 1u);
  bench.shard().OnLoad(100, 49);
  bench.Read(2, "key", 2).Take();
  bench.Wake(20).Take();
  EXPECT_EQ(bench.shard().figures().pace.hedges, 1u);
}

TEST(Shard, ForwardsAWriteOfAPartitionThatItDoesNotOwn) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  EXPECT_EQ(bench.Write(1, bench.Foreign(), "x", 2).Take().substr(0, 8), "Forward>");
  EXPECT_EQ(bench.effects().sends.size(), 1u);
}

TEST(Shard, AsksTheNextOwnerForTheSameWriteThoughItsClientGaveNoKey) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  bench.Write(1, bench.Foreign(), "x", 2).Take();
  const WriteId first = bench.sent<Forward>(0).request.intent.write;
  EXPECT_FALSE(first.empty());
  bench.Wake(1000).Take();
  WriteId next;
  for (const Envelope& send : bench.effects().sends) {
    const auto* forward = std::get_if<Forward>(&send.message.body);
    if (forward != nullptr) next = forward->request.intent.write;
  }
  EXPECT_EQ(next, first);
  bench.Write(2, bench.Foreign(), "x", 2).Take();
  EXPECT_NE(bench.sent<Forward>(0).request.intent.write, first);
}

TEST(Shard, CoordinatesAForwardedWriteAndAnswersWhoForwarded) {
  Bench bench;
  const WriteRequest request = bench.Request(bench.Item("key"), "x", 2);
  EXPECT_EQ(bench.Hear("c", Forward{request}, 5).Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "ForwardReply>c");
  EXPECT_EQ(bench.effects().sends[0].message.exchange, 5u);
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOk);
}

TEST(Shard, DropsAQuestionAboutAnItemOfAnotherPartition) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  const ItemKey foreign = bench.Foreign();
  const PartitionId mine = bench.Mine().partition;
  const Epoch epoch = bench.topology().epoch;
  for (const PeerBody& body :
       {PeerBody(bench.ApplyOf(foreign.key, "x")), PeerBody(Fetch{foreign}),
        PeerBody(Lookup{foreign, {4, 2}}), PeerBody(Forward{bench.Request(foreign, "x", 2)})}) {
    EXPECT_EQ(bench.HearAbout(mine, epoch, "b", body, 5).Take(), "") << body.index();
  }
  EXPECT_EQ(bench.shard().figures().misdirected, 4u);
}

TEST(Shard, DropsAnAnswerAboutAnotherItem) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Read(2, "key", 3).Take();
  EXPECT_EQ(bench.Hear("b", FetchReply{bench.ApplyOf("other", "y").change}).Take(), "");
  EXPECT_EQ(bench.shard().figures().misdirected, 1u);
  bench.Hear("b", FetchReply{bench.ApplyOf("key", "y").change});
  bench.Hear("c", FetchReply{bench.ApplyOf("key", "y").change}).Take();
  ASSERT_EQ(bench.effects().replies.size(), 1u);
  EXPECT_EQ(bench.effects().replies[0].outcome.record.versions.size(), 2u);
}

// ---- epochs

TEST(Shard, RefusesAQuestionOfAnOlderEpochAndSendsTheNewerTopology) {
  Bench bench;
  EXPECT_EQ(bench.HearUnder(Epoch(1), "b", bench.ApplyOf("key", "x"), 5).Take(), "Refused>b");
  EXPECT_EQ(*DecodeTopology(bench.sent<Refused>(0).topology), bench.topology());
  EXPECT_TRUE(bench.Clock().empty());
}

TEST(Shard, RefusesWithADeltaWhereTheViewHasOne) {
  Bench bench;
  Documents documents;
  bench.shard().OnView(View::Create(documents.Of(bench.topology()), bench.Id("a"),
                                    std::make_shared<const std::string>("what changed")),
                       bench.now());
  EXPECT_EQ(bench.HearUnder(Epoch(1), "b", bench.ApplyOf("key", "x"), 5).Take(), "Refused>b");
  EXPECT_EQ(bench.sent<Refused>(0).topology, "");
  EXPECT_EQ(bench.sent<Refused>(0).delta, "what changed");
}

TEST(Shard, ARefusalEndsAWriteAsStale) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Hear("b", Refused{"newer"}).Take(), "reply 1 STALE");
}

}  // namespace
}  // namespace gyre
