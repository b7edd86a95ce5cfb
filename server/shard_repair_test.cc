// Shard and what it lacks: clock exchanges, whole copies, lost data.

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/shard_bench.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

using Bench = ShardBench;

// ---- anti-entropy

// What a peer has minted, under replica id 77: counters 1 to `upto`.
ClockAnswer AnswerOf(const Bench& bench, uint64_t upto, bool complete) {
  ClockAnswer answer;
  for (uint64_t counter = 1; counter <= upto; ++counter) {
    const std::string key = "missed-" + std::to_string(counter);
    answer.items.push_back(bench.ApplyOf(key, "x", counter).change);
  }
  answer.bases = {{ReplicaId(77), 9}};
  answer.complete = complete;
  answer.missing = 9;
  return answer;
}

TEST(Shard, AsksAPeerWithItsClockNowAndThen) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Wake(0).Take().substr(0, 9), "ClockAsk>");
  EXPECT_EQ(bench.sent<ClockAsk>(0).clock, bench.Clock());
  EXPECT_EQ(bench.sent<ClockAsk>(0).durable_bases, bench.Clock().Bases());
}

TEST(Shard, JoinsAPeersBasesAfterTheLastRecordOfACompleteAnswer) {
  Bench bench;
  bench.Wake(0).Take();
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, true)).Take(), "commit");
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
  bench.Commit();
  EXPECT_EQ(bench.Read(1, "missed-3", 1).Take(), "reply 1 OK x");
}

TEST(Shard, SettlesTheRecordsThatWereBehindWhenAnExchangeEnds) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("key", "x", /*counter=*/4), 5).CommitAll();
  bench.Wake(0).Take();
  bench.Hear("b", AnswerOf(bench, 3, true)).CommitAll();
  const auto stored =
      DecodeRecord(*bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("key"))));
  ASSERT_TRUE(stored.ok());
  EXPECT_TRUE(stored->context.empty());
  EXPECT_EQ(bench.Read(1, "key", 1).Take(), "reply 1 OK x");
}

TEST(Shard, SettlesNothingOfATableThatWasDroppedMeanwhile) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("key", "x", /*counter=*/4), 5).CommitAll();
  bench.Wake(0).Take();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, true)).CommitAll(),
            "read missed-1, read missed-2, read missed-3");
  for (int i = 0; i < 3; ++i) bench.EndRead();
  EXPECT_EQ(bench.Take(), "commit, read key");
  bench.DropTheTable().EndRead().Take();
  bench.Commit().CommitAll();
  EXPECT_FALSE(bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("key"))).ok());
}

TEST(Shard, JoinsNothingAfterAPartOfAnAnswerAndAsksAgainWithWhatItHasThen) {
  Bench bench;
  bench.Wake(0).Take();
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, false)).Take(), "commit");
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 3u) << "no more than what it was sent";
  EXPECT_EQ(bench.Commit().Take(), "ClockAsk>b");
  EXPECT_EQ(bench.sent<ClockAsk>(0).clock.Base(ReplicaId(77)), 3u);
}

TEST(Shard, JoinsNothingBeforeTheLastRecordCameFromTheDisk) {
  Bench bench;
  bench.Wake(0).Take();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 2, true)).Take(), "read missed-1, read missed-2");
  bench.EndRead();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 1u);
  bench.EndRead();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
}

TEST(Shard, JoinsNothingWhenARecordOfTheAnswerCannotBeTakenIn) {
  Bench bench;
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(bench.Item("missed-1")), std::string(1, '\x1f'));
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  bench.Wake(0).Take();
  bench.Hear("b", AnswerOf(bench, 2, true)).Take();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 0u);
  EXPECT_FALSE(bench.Clock().Contains({ReplicaId(77), 1}));
}

// One record that is damaged here, and that "b" goes on sending first.
class DamageInFront {
 public:
  DamageInFront() {
    WriteBatch damage;
    damage.Put(Family::kRecords, EncodeItemKey(bench.Item("missed-1")), std::string(1, '\x1f'));
    EXPECT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
    bench.Lose("c").Wake(0).Take();
  }
  // It fills an answer; what is asked then.
  std::string Answer(uint64_t upto) {
    ClockAnswer answer = AnswerOf(bench, 1, false);
    answer.upto = {ReplicaId(77), upto};
    return bench.Hear("b", answer).CommitAll();
  }
  Bench bench;
};

TEST(Shard, WhatIsDamagedHereKeepsNothingAwayThatLiesBehindIt) {
  DamageInFront front;
  Bench& bench = front.bench;
  EXPECT_EQ(front.Answer(5), "ClockAsk>b");
  EXPECT_EQ(bench.sent<ClockAsk>(0).after, (Dot{ReplicaId(77), 5}));
  ClockAnswer behind = AnswerOf(bench, 0, false);
  behind.items.push_back(bench.ApplyOf("behind", "x", 6).change);
  EXPECT_EQ(bench.Hear("b", behind).CommitAll(), "");
  EXPECT_EQ(bench.Read(1, "behind", 1).Take(), "reply 1 OK x");
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 0u);
}

TEST(Shard, DamageHereThatOutlastsAnExchangeIsPassedOverByTheNextOne) {
  DamageInFront front;
  Bench& bench = front.bench;
  for (uint64_t answer = 1; answer < ClockExchange::kMostAnswers; ++answer) {
    ASSERT_EQ(front.Answer(answer), "ClockAsk>b");
  }
  EXPECT_EQ(front.Answer(64), "") << "it leaves the rest to the next";
  const auto next = [&] {
    while (bench.Wake(1000).CommitAll() != "ClockAsk>b") {
    }
    return bench.sent<ClockAsk>(0);
  };
  EXPECT_EQ(next().after, (Dot{ReplicaId(77), 64}));
  EXPECT_FALSE(bench.sent<ClockAsk>(0).count) << "that would count what lies behind it alone";
  bench.Hear("b", AnswerOf(bench, 0, false)).CommitAll();
  EXPECT_EQ(next().after, Dot{}) << "once it is through, it begins anew";
}

TEST(Shard, AsksAboutAFewPartitionsAtOnceAtTheSamePaceInAll) {
  ShardOptions options;
  options.repair.interval = Duration::Seconds(8);
  Bench bench({.slices = 8, .options = options, .at_once = 4});
  EXPECT_EQ(bench.Wake(0).Take(), "ClockAsk>b, ClockAsk>b, ClockAsk>b, ClockAsk>b");
  bench.Asked(10'000, "ClockAsk");
  const size_t partitions = bench.Partitions();
  const size_t asked = bench.Asked(80'000, "ClockAsk");
  EXPECT_GE(asked, partitions * 9) << "ten rounds";
  EXPECT_LE(asked, partitions * 11);
}

TEST(Shard, ANodeThatFindsNothingNewInAPeersClockNeedNotAskItBack) {
  ShardOptions options;
  options.repair.interval = Duration::Seconds(3600);
  Bench bench({.slices = 8, .options = options});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Hear("b", ClockAsk{bench.Clock(), {}}, 5).Hear("c", ClockAsk{bench.Clock(), {}}, 6).Take();
  EXPECT_EQ(bench.Asked(4000, "ClockAsk"), bench.Partitions() * 2 - 2)
      << "but about the others it asks both";
}

TEST(Shard, CountsWhatItLacksByTable) {
  Bench bench;
  bench.Wake(0).Take();
  EXPECT_TRUE(bench.sent<ClockAsk>(0).count);
  const TableId table = bench.Item("key").table;
  ClockAnswer part = AnswerOf(bench, 3, false);
  part.missing_by_table = {{table, 7}, {TableId(99), 2}};
  EXPECT_EQ(bench.Hear("b", part).Take(), "commit");
  const auto lacks = [&] { return bench.shard().figures().repair.missing_by_table; };
  using Lacks = std::vector<std::pair<TableId, uint64_t>>;
  EXPECT_EQ(lacks(), (Lacks{{table, 4}, {TableId(99), 2}})) << "less what came";
  EXPECT_EQ(bench.shard().figures().repair.missing_dots, 6u);
  EXPECT_EQ(bench.Commit().Take(), "ClockAsk>b");
  EXPECT_FALSE(bench.sent<ClockAsk>(0).count) << "once an exchange";
  bench.Hear("b", AnswerOf(bench, 9, true)).CommitAll();
  EXPECT_EQ(lacks(), Lacks());
  EXPECT_EQ(bench.shard().figures().repair.missing_dots, 0u);
}

TEST(Shard, WhatTwoOwnersHaveAndItLacksCountsOnce) {
  Bench bench;
  ClockAnswer answer = AnswerOf(bench, 1, false);
  answer.missing_by_table = {{bench.Item("key").table, 9}};
  for (const char* peer : {"b", "c"}) {
    while (bench.Wake(1000).Take().find(std::string("ClockAsk>") + peer) == std::string::npos) {
    }
    bench.Hear(peer, answer).CommitAll();
  }
  EXPECT_EQ(bench.shard().figures().repair.missing_dots, 9u) << "as the second one has them";
}

// Found by a reader: what waits for the disk is told that it waits in vain, and the exchange asked
// again about a partition that was here no more.
TEST(Shard, WhatMovesAwayWhileAnAnswerIsTakenInIsLeftAlone) {
  std::string fourth;
  for (const std::string name : {"d", "e", "f", "g", "h"}) {
    if (Bench({.members = {"a", "b", "c", name}}).Partitions() == 1) fourth = name;
  }
  Bench bench({.members = {"a", "b", "c", fourth}});
  ASSERT_EQ(bench.Partitions(), 1u) << "it is one of three owners";
  ASSERT_EQ(bench.Wake(0).Take().substr(0, 9), "ClockAsk>");
  const std::string peer = bench.NameOf(bench.effects().sends[0].to);
  bench.engine().AnswerNeedsDisk(1, 1);
  ASSERT_EQ(bench.Hear(peer, AnswerOf(bench, 1, false)).Take().substr(0, 4), "read");
  bench.MoveAway();
  EXPECT_EQ(bench.Take(), "commit unsynced") << "it is dropped, and nobody is asked";
  EXPECT_FALSE(bench.shard().store().Owns(bench.Item("key").partition));
  bench.EndRead().CommitAll();
}

// ---- whole copies

// A page of a peer's copy of the test's partition: the peer has minted 1 to 9 under id 77.
CopyPage PageOf(const Bench& bench, const CopyAsk& ask, const std::vector<std::string>& keys) {
  CopyPage page;
  page.part = ask.part;
  page.number = ask.number;
  page.last = true;
  for (uint64_t n = 1; n <= 9; ++n) page.clock.Add({ReplicaId(77), n});
  for (const std::string& key : keys) {
    page.items.push_back(bench.ApplyOf(key, "copied", page.items.size() + 1).change);
    page.upto = EncodeItemKey(page.items.back().item);
  }
  return page;
}

ClockAnswer Cut() {
  ClockAnswer cut;
  cut.log_cut = true;
  cut.missing = 9;
  cut.bases = {{ReplicaId(77), 9}};
  return cut;
}

TEST(Shard, WhereTheLogNoLongerTellsItTakesAWholeCopyAndThenTheClock) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("deleted-there", "x", 5), 5).CommitAll();
  bench.Wake(0).Take();
  EXPECT_EQ(bench.Hear("b", Cut()).Take(), "ClockAsk>b") << "it may be here by now";
  EXPECT_EQ(bench.Hear("b", Cut()).Take(), "CopyAsk>b");
  EXPECT_EQ(bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"key"})).Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "list") << "what is here by now is listed";
  EXPECT_EQ(bench.EndListing().Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "CopyAsk>b");
  EXPECT_EQ(bench.sent<CopyAsk>(0).part, CopyPart::kLog);
  EXPECT_FALSE(bench.Clock().Contains({ReplicaId(77), 9})) << "not before the last page";
  CopyPage log = PageOf(bench, bench.sent<CopyAsk>(0), {});
  log.log.push_back({bench.Item("key"), {{ReplicaId(77), 2}, {1, 2}, 0}});
  EXPECT_EQ(bench.Hear("b", log).Take(), "commit unsynced");
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
  bench.CommitAll();
  EXPECT_EQ(bench.Read(1, "key", 1).Take(), "reply 1 OK copied");
  EXPECT_EQ(bench.Read(2, "deleted-there", 1).Take(), "reply 2 OK");
  EXPECT_EQ(bench.shard().figures().repair.copied, 1u);
}

TEST(Shard, WhatTheLogNoLongerTellsAndIsHereByNowNeedsNoCopy) {
  Bench bench;
  bench.Wake(0).Take();
  bench.Hear("c", bench.ApplyOf("key", "x", 1), 5).CommitAll();
  EXPECT_EQ(bench.Hear("b", Cut()).Take(), "ClockAsk>b");
  bench.Hear("b", AnswerOf(bench, 1, true)).CommitAll();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
  EXPECT_EQ(bench.shard().figures().repair.log_cuts, 0u);
}

TEST(Shard, ACopyThatBreaksOffHasJoinedNothing) {
  Bench bench;
  bench.Wake(0).Take();
  bench.Hear("b", Cut()).Take();
  bench.Hear("b", Cut()).Take();
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"key"})).CommitAll();
  bench.Lose("b").EndListing().CommitAll();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 1u) << "what came is explained by its own dot";
}

// Documents may come faster than all pages of a copy.
TEST(Shard, ACopyGoesOnWhereItWasOnceTheNewerDocumentIsInForceHere) {
  Bench bench;
  bench.Wake(0).Take();
  bench.Hear("b", Cut()).Take();
  ASSERT_EQ(bench.Hear("b", Cut()).Take(), "CopyAsk>b");
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"key"})).Take();
  bench.Commit().Take();
  ASSERT_EQ(bench.EndListing().Take(), "CopyAsk>b");
  const CopyAsk asked = bench.sent<CopyAsk>(0);
  const ExchangeId exchange = bench.LastExchange("b");
  EXPECT_EQ(bench.Hear("b", Refused{""}).Take(), "");
  EXPECT_EQ(bench.Wake(1).Take(), "") << "it would be refused again";
  bench.NewEpoch().Take();
  ASSERT_EQ(bench.Wake(0).Take(), "CopyAsk>b");
  EXPECT_EQ(bench.LastExchange("b"), exchange);
  EXPECT_EQ(bench.sent<CopyAsk>(0).number, asked.number);
  EXPECT_EQ(bench.sent<CopyAsk>(0).part, CopyPart::kLog);
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {})).CommitAll();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
}

// Or it waits until a copy is given up, which is long.
TEST(Shard, WhatWasAskedUnderAnOlderDocumentIsAskedAgainSoon) {
  Bench bench;
  ASSERT_EQ(bench.Wake(0).Take(), "ClockAsk>b");
  bench.Hear("b", Cut()).Take();
  ASSERT_EQ(bench.Hear("b", Cut()).Take(), "CopyAsk>b");
  EXPECT_EQ(bench.Hear("b", Refused{""}).Take(), "");
  ASSERT_NE(bench.Wake(100).Take().find("CopyAsk>b"), std::string::npos) << "without a newer one";
  EXPECT_EQ(bench.Hear("c", Refused{""}, bench.LastExchange("b")).Take(), "") << "not asked";
}

// 38 bytes are a record of these tests.
ShardOptions Slowly() {
  ShardOptions options;
  options.copies.first = options.copies.least = 3800;
  return options;
}

TEST(Shard, WhereClientsAreSlowedDownACopyRestsAfterAPage) {
  Bench bench({.options = Slowly()});
  bench.Wake(0).Take();
  bench.Hear("b", Cut()).Take();
  ASSERT_EQ(bench.Hear("b", Cut()).Take(), "CopyAsk>b") << "nothing was copied yet";
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"abc"})).Take();
  bench.Commit().Take();
  EXPECT_EQ(bench.EndListing().Take(), "");
  EXPECT_EQ(bench.Wake(10).Take().find("CopyAsk>b"), std::string::npos);
  EXPECT_NE(bench.Wake(1).Take().find("CopyAsk>b"), std::string::npos);
}

TEST(Shard, WhereClientsAreSlowedDownThePagesThatAreGivenRestToo) {
  Bench bench({.options = Slowly()});
  bench.Write(1, "abc", "copied", 1).CommitAll();
  ASSERT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "copy");
  ASSERT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 5).Take(), "");
  EXPECT_EQ(bench.Hear("c", CopyAsk{CopyPart::kRecords, 1}, 6).Take(), "") << "of any copy";
  EXPECT_EQ(bench.Wake(10).Take().find("copy"), std::string::npos);
  EXPECT_NE(bench.Wake(1).Take().find("copy"), std::string::npos);
  EXPECT_NE(bench.EndCopyScan().Take().find("CopyPage>b"), std::string::npos) << "who came first";
  EXPECT_EQ(bench.shard().figures().copy_pace, 3800u);
}

TEST(Shard, ALaterPageOfACopyIsGivenToWhoIsAlreadyFurther) {
  Bench bench;
  bench.Write(1, "key", "old", 1).CommitAll();
  const Epoch next = NextOf(bench.topology()).epoch;
  EXPECT_EQ(bench.HearUnder(next, "b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "Failed>b")
      << "what it acknowledges yet, it may acknowledge to who is not to";
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 6).Take(), "copy");
  EXPECT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.HearUnder(next, "b", CopyAsk{CopyPart::kLog, 2}, 6).Take(), "copy");
}

TEST(Shard, GivesACopyOutOfOneSnapshot) {
  Bench bench;
  bench.Write(1, "key", "old", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "copy");
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "") << "doubled";
  EXPECT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.sent<CopyPage>(0).items.size(), 1u);
  bench.Write(2, "key", "new", 1).CommitAll();
  bench.Hear("b", CopyAsk{CopyPart::kItems, 2, "", {bench.Item("key")}}, 5).Take();
  ASSERT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.sent<CopyPage>(0).items[0].record->versions[0].value, "old");
}

TEST(Shard, CountsTheRecordsOfACopyThatItGives) {
  Bench bench;
  for (const char* key : {"a", "b", "c"}) bench.Write(1, key, "x", 1).CommitAll();
  const auto page = [&](const CopyAsk& ask) {
    EXPECT_EQ(bench.Hear("b", ask, 5).Take(), "copy");
    EXPECT_EQ(bench.EndCopyScan({.max_rows = 2}).Take(), "CopyPage>b");
    return bench.sent<CopyPage>(0);
  };
  const CopyPage first = page({CopyPart::kRecords, 1});
  EXPECT_EQ(first.records, 2u);
  EXPECT_EQ(page({CopyPart::kRecords, 1}).records, 2u) << "asked for twice";
  EXPECT_EQ(page({CopyPart::kRecords, 2, first.upto}).records, 3u);
  EXPECT_EQ(page({CopyPart::kLog, 3}).records, std::nullopt);
}

TEST(Shard, ACopyOfWhichSomeGotLostIsNotTakenOver) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("lost", "x", 5), 5).CommitAll();
  bench.Wake(0).Take();
  bench.Hear("b", Cut()).Take();
  ASSERT_EQ(bench.Hear("b", Cut()).Take(), "CopyAsk>b");
  const ExchangeId copy = bench.LastExchange("b");
  CopyPage page = PageOf(bench, bench.sent<CopyAsk>(0), {"key"});
  page.records = 2;
  EXPECT_EQ(bench.Hear("b", page, copy).Take(), "") << "what it lacks is not taken for deleted";
  ASSERT_EQ(bench.effects().miscounts.size(), 1u);
  EXPECT_EQ(bench.effects().miscounts[0].giver, bench.Id("b"));
  EXPECT_EQ(bench.effects().miscounts[0].counted, 2u);
  EXPECT_EQ(bench.effects().miscounts[0].came, 1u);
  EXPECT_EQ(bench.shard().figures().repair.copies_miscounted, 1u);
  EXPECT_EQ(bench.shard().figures().repair.copies, 0u);
  EXPECT_EQ(bench.Read(1, "lost", 1).Take(), "reply 1 OK x");
}

TEST(Shard, ALaterPageOfACopyThatIsGoneIsRefused) {
  Bench bench;
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 5).Take(), "Failed>b");
  bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 6).Take();
  bench.EndCopyScan().Take();
  bench.Wake(61'000).Take();
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 6).Take(), "Failed>b") << "after a minute";
}

// Else a copy during which something old arrives would begin anew, and again.
TEST(Shard, ItemsOfACopyAreAskedForByNameOnceAllElseIsGiven) {
  Bench bench;
  bench.Write(1, "key", "old", 1).CommitAll();
  bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take();
  ASSERT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 5).Take();
  ASSERT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  ASSERT_TRUE(bench.sent<CopyPage>(0).last);
  bench.Write(2, "key", "new", 1).CommitAll();
  const CopyAsk named{CopyPart::kItems, 3, "", {bench.Item("key")}};
  ASSERT_EQ(bench.Hear("b", named, 5).Take(), "copy");
  ASSERT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.sent<CopyPage>(0).items[0].record->versions[0].value, "old")
      << "of the same snapshot";
  bench.Wake(11'000).Take();
  EXPECT_EQ(bench.Hear("b", named, 5).Take(), "Failed>b") << "after a while the snapshot goes";
}

TEST(Shard, SnapshotsOfCopiesThatAreOverAreBounded) {
  Bench bench;
  const auto asks = [&](ExchangeId exchange, const CopyAsk& ask) {
    const std::string answer = bench.Hear("b", ask, exchange).Take();
    return answer == "copy" ? bench.EndCopyScan().Take() : answer;
  };
  for (ExchangeId exchange = 1; exchange <= 65; ++exchange) {
    bench.Wake(1).Take();
    ASSERT_EQ(asks(exchange, {CopyPart::kRecords, 1}), "CopyPage>b") << exchange;
    ASSERT_EQ(asks(exchange, {CopyPart::kLog, 2}), "CopyPage>b") << exchange;
  }
  const CopyAsk named{CopyPart::kItems, 3, "", {bench.Item("key")}};
  EXPECT_EQ(asks(1, named), "Failed>b") << "the first one ended";
  EXPECT_EQ(asks(2, named), "CopyPage>b");
  EXPECT_EQ(asks(65, named), "CopyPage>b");
}

TEST(Shard, GivesOnlySoManyCopiesAtOnce) {
  ShardOptions options;
  options.copies.at_once = 1;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "copy");
  EXPECT_EQ(bench.Hear("c", CopyAsk{CopyPart::kRecords, 1}, 6).Take(), "Failed>c");
  EXPECT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.Hear("c", CopyAsk{CopyPart::kRecords, 1}, 7).Take(), "Failed>c");
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 5).Take(), "copy");
  EXPECT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.Hear("c", CopyAsk{CopyPart::kRecords, 1}, 8).Take(), "copy")
      << "who has all of its copy makes room at once";
}

// Found by the simulator: it had left two copies for what was damaged in them, and for a minute
// nobody was given any.
TEST(Shard, WhoBeginsACopyAnewHasLeftTheOneBefore) {
  ShardOptions options;
  options.copies.at_once = 1;
  Bench bench({.options = options});
  ASSERT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "copy");
  EXPECT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 4).Take(), "Failed>b") << "begins nothing";
  ASSERT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 6).Take(), "copy");
  EXPECT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 5).Take(), "Failed>b");
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 6).Take(), "copy");
}

TEST(Shard, WhatOneOwnerHasGivenIsNotCopiedFromTheNextAsWell) {
  Bench bench;
  bench.Wake(0).Take();
  bench.Hear("b", Cut()).Take();
  ASSERT_EQ(bench.Hear("b", Cut()).Take(), "CopyAsk>b");
  const CopyAsk records = bench.sent<CopyAsk>(0);
  const ExchangeId copy = bench.LastExchange("b");
  std::string asked;
  for (int ms = 0; ms < 2000 && asked.empty(); ++ms) asked = bench.Wake(1).Take();
  ASSERT_EQ(asked, "ClockAsk>c");
  bench.Hear("c", Cut()).Take();
  ASSERT_EQ(bench.Hear("c", Cut()).Take(), "") << "after the copy from b";
  bench.Hear("b", PageOf(bench, records, {"key"}), copy).CommitAll();
  bench.EndListing().CommitAll();
  ASSERT_EQ(bench.LastExchange("b"), copy);
  CopyPage log = PageOf(bench, {CopyPart::kLog, 2}, {});
  EXPECT_EQ(bench.Hear("b", log, copy).Take(), "commit unsynced");
  EXPECT_EQ(bench.Commit().Wake(0).CommitAll(), "ClockAsk>c") << "it may have nothing more";
}

// ---- copies in which something is damaged

// The log of "b" no longer tells what is missing, and a copy begins; or not, and what happens
// instead.
std::string AskForACopy(Bench* bench, uint64_t mended) {
  ClockAnswer cut = Cut();
  cut.mended = mended;
  for (int64_t passed = 0; passed < 60'000; passed += 100) {
    const std::string asked = bench->Wake(100).CommitAll();
    if (asked == "ClockAsk>b") break;
  }
  bench->Hear("b", cut).Take();
  return bench->Hear("b", cut).Take();
}

TEST(Shard, WhatIsDamagedHereKeepsNothingElseOfACopyAway) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("damaged", "x", 1), 5).CommitAll();
  Damage(&bench, bench.Item("damaged"));
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"damaged", "key"})).CommitAll();
  EXPECT_EQ(bench.EndListing().Take(), "") << "the copy is over";
  EXPECT_EQ(bench.Read(1, "key", 1).Take(), "reply 1 OK copied");
  EXPECT_FALSE(bench.Clock().Contains({ReplicaId(77), 9})) << "the damaged one was not taken in";
  EXPECT_EQ(bench.shard().figures().repair.copies_left, 1u);
  EXPECT_EQ(bench.shard().figures().repair.copied, 0u);
}

TEST(Shard, ACopyThatDamageThereHasEndedIsNotBegunAgainAtOnce) {
  Bench damaged;
  ASSERT_EQ(AskForACopy(&damaged, 0), "CopyAsk>b");
  damaged.Hear("b", Failed{Outcome::Code::kCorrupt}).Take();
  EXPECT_EQ(damaged.shard().figures().repair.copies_left, 1u);
  EXPECT_EQ(AskForACopy(&damaged, 0), "") << "it would end like the first";

  Bench busy;
  ASSERT_EQ(AskForACopy(&busy, 0), "CopyAsk>b");
  busy.Hear("b", Failed{Outcome::Code::kOverloaded}).Take();
  EXPECT_EQ(busy.shard().figures().repair.copies_left, 0u);
  EXPECT_EQ(AskForACopy(&busy, 0), "CopyAsk>b");
}

TEST(Shard, NoOtherCopyBeginsBeforeWhatIsDamagedThereIsMended) {
  Bench bench;
  ASSERT_EQ(AskForACopy(&bench, 3), "CopyAsk>b");
  CopyPage page = PageOf(bench, bench.sent<CopyAsk>(0), {"key"});
  page.damaged = {bench.Item("damaged")};
  bench.Hear("b", page).CommitAll();
  bench.EndListing().CommitAll();
  EXPECT_EQ(bench.shard().figures().repair.copies_left, 1u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(AskForACopy(&bench, 3), "") << "it is damaged there";
  EXPECT_EQ(AskForACopy(&bench, 4), "CopyAsk>b") << "it was mended";
}

TEST(Shard, NoOtherCopyBeginsBeforeWhatIsDamagedHereIsMended) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("damaged", "x", 1), 5).CommitAll();
  WriteBatch whole;
  whole.Put(Family::kRecords, EncodeItemKey(bench.Item("damaged")),
            *bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("damaged"))));
  Damage(&bench, bench.Item("damaged"));
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"damaged"})).CommitAll();
  bench.EndListing().CommitAll();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(AskForACopy(&bench, 0), "");
  ASSERT_TRUE(bench.engine().Write(whole, WalSync::kYes).ok());
  bench.Read(1, "damaged", 1).Take();
  EXPECT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
}

TEST(Shard, DamageWithoutANameIsCopiedAroundOnceInAWhile) {
  Bench bench;
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  CopyPage page = PageOf(bench, bench.sent<CopyAsk>(0), {"key"});
  page.unread_to = EncodeItemKey(bench.Item("key"));
  bench.Hear("b", page).CommitAll();
  bench.EndListing().CommitAll();
  EXPECT_EQ(AskForACopy(&bench, 0), "");
  bench.Wake(600'000);
  EXPECT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
}

TEST(Shard, WhatAPageLeavesOutAsDamagedIsNotTakenForDeleted) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("damaged-there", "x", 1), 5).CommitAll();
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  CopyPage page = PageOf(bench, bench.sent<CopyAsk>(0), {});
  page.damaged = {bench.Item("damaged-there")};
  bench.Hear("b", page).CommitAll();
  bench.EndListing().CommitAll();
  EXPECT_EQ(bench.Read(1, "damaged-there", 1).Take(), "reply 1 OK x");
}

TEST(Shard, ToWhoMendsAnOwnerThatIsBeingFilledSaysWhatItHas) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("key", "x", 1), 4).CommitAll();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  const auto answer = [&](const std::string& key, bool mends) {
    return bench.Hear("b", Fetch{bench.Item(key), {}, false, mends}, 5).Take();
  };
  EXPECT_EQ(answer("key", true), "FetchReply>b");
  EXPECT_TRUE(bench.sent<FetchReply>(0).filling) << "it may have had more";
  EXPECT_EQ(answer("key", false), "Failed>b");
  EXPECT_EQ(answer("other", true), "Failed>b") << "nothing here is not that there was nothing";
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kFilling);
}

// It holds all that it ever did, and does not know yet whether that was put back to an earlier
// state.
TEST(Shard, ToWhoMendsAnOwnerThatHasHeardNobodyYetSaysNothing) {
  ShardOptions options;
  options.await_peers = true;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key"), {}, false, /*mends=*/true}, 5).Take(),
            "Failed>b");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded) << "not: it is being filled";
}

// Whoever takes its word for all that there was would lose what it lost.
TEST(Shard, WhoHasHeardNobodyYetGivesNoCopyAndCallsItselfNotWhole) {
  ShardOptions options;
  options.await_peers = true;
  Bench bench({.options = options});
  bench.Hear("b", ClockAsk{}, 5).Take();
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).filling);
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 6).Take(), "Failed>b");
  bench.Hear("b", bench.ApplyOf("key", "x"), 4).CommitAll();
  bench.Hear("c", ClockAsk{}, 5).Take();
  bench.EndScan().Take();
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).filling) << "also where there is something to tell";
  bench.shard().OnHeardPeers();
  bench.Hear("b", ClockAsk{}, 7).Take();
  bench.EndScan().Take();
  EXPECT_FALSE(bench.sent<ClockAnswer>(0).filling);
  EXPECT_NE(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 8).Take(), "Failed>b");
}

// ---- lost data

TEST(Shard, WhoLostWhatItHadAnswersNoReadsUntilItHasComparedWithEveryOtherOwner) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.shard().figures().repair.filling, bench.Partitions());
  EXPECT_EQ(bench.shard().figures().repair.refilling, bench.Partitions());
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kFilling);
  EXPECT_EQ(bench.Hear("b", Lookup{bench.Item("key"), {1, 2}}, 6).Take(), "Failed>b");
  EXPECT_EQ(Sorted(bench.Read(2, "key", 1).Take()), "Fetch>b, Fetch>c") << "it asks the others";
  EXPECT_EQ(bench.Write(3, "key", "y", 1).Take().substr(0, 8), "Forward>") << "and so it writes";
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "z"), 7).CommitAll(), "ApplyReply>b")
      << "but it keeps what it is given";
  ClockAnswer nothing;
  nothing.complete = true;
  for (const char* owner : {"b", "c"}) {
    EXPECT_NE(bench.Hear("b", Fetch{bench.Item("key")}, 8).Take(), "FetchReply>b");
    bench.AnswerClockAsks(owner, nothing);
  }
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 9).Take(), "FetchReply>b");
  EXPECT_EQ(bench.shard().figures().repair.filling, 0u);
}

// How often it asks "b" in so many seconds, and is refused.
size_t AskedAndRefused(Bench* bench, int64_t seconds) {
  size_t asked = 0;
  for (int64_t ms = 0; ms < seconds * 1000; ms += 10) {
    if (bench->Wake(10).CommitAll() != "ClockAsk>b") continue;
    ++asked;
    bench->Hear("b", Failed{Outcome::Code::kOverloaded});
  }
  return asked;
}

TEST(Shard, WhoIsToBeFilledAsksMoreAndMoreRarelyWhereNothingComesOfIt) {
  ShardOptions options;
  options.repair.interval = Duration::Seconds(40);
  Bench bench({.slices = 1, .options = options});
  bench.Lose("c");
  AskedAndRefused(&bench, 400);
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  EXPECT_GE(AskedAndRefused(&bench, 4), 2u);
  EXPECT_LE(AskedAndRefused(&bench, 396), 25u) << "not once a second";
}

TEST(Shard, AQuestionInAHurryThatIsShedIsAskedAgainSoon) {
  ShardOptions options;
  options.repair.interval = Duration::Seconds(3600);
  Bench bench({.slices = 1, .options = options});
  bench.Lose("c");
  EXPECT_GE(AskedAndRefused(&bench, 20), 3u) << "it does not wait for its turn in the round";
  while (bench.Wake(100).CommitAll() != "ClockAsk>b") {
  }
  ClockAnswer nothing;
  nothing.complete = true;
  bench.Hear("b", nothing).CommitAll();
  EXPECT_EQ(AskedAndRefused(&bench, 600), 0u);
}

// As of one that a link had no room for.
TEST(Shard, AQuestionInAHurryThatFindsNoAnswerIsAskedAgainSoon) {
  ShardOptions options;
  options.repair.interval = Duration::Seconds(3600);
  Bench bench({.slices = 1, .options = options});
  bench.Lose("c");
  const auto asked = [&](Duration span) {
    size_t count = 0;
    for (int64_t ms = 0; ms < span.millis(); ms += 10) {
      count += bench.Wake(10).CommitAll() == "ClockAsk>b" ? 1 : 0;
    }
    return count;
  };
  EXPECT_GT(asked(Duration::Seconds(1)), 0u);
  EXPECT_EQ(asked(Duration::Seconds(8)), 0u);
  EXPECT_EQ(asked(Duration::Seconds(5)), 1u) << "and not after an hour";
}

TEST(Shard, ThatItIsToBeFilledOutlastsARestart) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  bench.Restart(true);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
}

TEST(Shard, WhatIsToBeFilledGivesNoCopies) {
  Bench bench;
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "Failed>b");
}

TEST(Shard, ADirectoryThatProvesToBeTheFirstHasNothingToBeFilledWith) {
  Bench bench({.fill_what_is_new = true});
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).CommitAll(), "Failed>b");
  bench.shard().OnProven();
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 6).Take(), "FetchReply>b");
  EXPECT_EQ(bench.shard().figures().repair.filling, 0u);
}

TEST(Shard, AnswersNoReadsBeforeItHasHeardWhatItsPeersKnowOfItsData) {
  ShardOptions options;
  options.await_peers = true;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
  bench.shard().OnHeardPeers();
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 6).Take(), "FetchReply>b");
}

TEST(Shard, AWriteForwardedToWhoIsToBeFilledIsMintedThere) {
  Bench bench;
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  Forward forward{bench.Request(bench.Item("key"), "x", 1)};
  forward.request.timeout = Duration::Seconds(1);
  EXPECT_NE(bench.Hear("b", std::move(forward), 5).CommitAll().find("ForwardReply>b"),
            std::string::npos)
      << "or two such owners would hand it to and fro";
}

TEST(Shard, ADoubledOrForeignClockAnswerFindsNobody) {
  Bench bench;
  bench.Wake(0).Take();
  const ExchangeId exchange = bench.LastExchange("b");
  bench.Hear("c", AnswerOf(bench, 3, true), exchange).Take();
  EXPECT_TRUE(bench.Clock().empty()) << "c was not asked";
  bench.Hear("b", AnswerOf(bench, 3, true), exchange).CommitAll();
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, true), exchange).Take(), "");
}

TEST(Shard, CountsTheRecordsThatItCannotRead) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  WriteBatch damage;
  for (const char* key : {"key", "missed-1"}) {
    damage.Put(Family::kRecords, EncodeItemKey(bench.Item(key)), std::string(1, '\x1f'));
  }
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  bench.Wake(0).Take();
  bench.Hear("b", AnswerOf(bench, 2, true)).Take();
  EXPECT_EQ(bench.shard().figures().unreadable, 1u) << "of what a peer sent";
  bench.Hear("b", ClockAsk{}, 5).CommitAll();
  bench.EndScan().Take();
  EXPECT_EQ(bench.shard().figures().unreadable, 2u) << "of what a peer asked for";
  bench.engine().AnswerNeedsDisk(1, 1);
  bench.Hear("b", Fetch{bench.Item("key")}, 6).Take();
  bench.EndRead().Take();
  EXPECT_EQ(bench.shard().figures().unreadable, 3u) << "from the disk";
}

TEST(Shard, APeerThatCannotAnswerEndsTheClockExchangeAtOnce) {
  ShardOptions options;
  options.repair.max_exchanges = 1;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Wake(0).Take(), "ClockAsk>b");
  EXPECT_EQ(bench.Wake(1000).Take(), "") << "one at a time";
  bench.Hear("b", Failed{Outcome::Code::kCorrupt}).Take();
  EXPECT_EQ(bench.Wake(2000).Take().substr(0, 9), "ClockAsk>");
}

TEST(Shard, AClockAnswerAboutAnotherPartitionIsDropped) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  const ItemKey foreign = bench.Foreign();
  bench.Wake(0).Take();
  const Envelope& asked = bench.effects().sends.at(0);
  const std::string peer = bench.NameOf(asked.to);
  const PartitionId partition = asked.message.partition;
  ClockAnswer answer;
  answer.items.push_back(bench.ApplyOf(foreign.key, "x").change);
  answer.complete = true;
  const Epoch epoch = bench.topology().epoch;
  EXPECT_EQ(bench.HearAbout(foreign.partition, epoch, peer, answer).Take(), "");
  EXPECT_EQ(bench.HearAbout(partition, epoch, peer, answer).Take(), "");
  EXPECT_EQ(bench.shard().figures().repair.misdirected, 2u);
  answer.items.clear();
  answer.bases = {{ReplicaId(77), 9}};
  // The true one is still awaited.
  EXPECT_EQ(bench.HearAbout(partition, epoch, peer, answer).Take(), "commit unsynced");
}

TEST(Shard, TellsAnAskerThatLacksNothingSoAtOnce) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", ClockAsk{bench.Clock(), {}}, 5).Take(), "ClockAnswer>b");
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).complete);
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).items.empty());
}

TEST(Shard, AnswersAnAskerWhatItLacksFromADurableSnapshot) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Write(2, "other", "y", 1).Take();
  EXPECT_EQ(bench.Hear("b", ClockAsk{}, 5).Take(), "scan");
  EXPECT_EQ(bench.EndScan().Take(), "ClockAnswer>b");
  const ClockAnswer& answer = bench.sent<ClockAnswer>(0);
  ASSERT_EQ(answer.items.size(), 1u) << "the other write is not durable yet";
  EXPECT_EQ(answer.items[0].item.key, "key");
  EXPECT_EQ(answer.bases.entries()[0].counter, 1u);
}

TEST(Shard, TakesANewLifeWhenAPeerAsksOrAnswersWithDotsThatItHasForgotten) {
  for (const bool asks : {true, false}) {
    Bench bench;
    bench.Write(1, "key", "x", 1).CommitAll();
    const ReplicaId before = bench.Clock().entries()[0].replica;
    if (asks) {
      PartitionClock theirs;
      theirs.Add({before, 5});
      bench.Hear("b", ClockAsk{theirs, {}}, 5).CommitAll();
    } else {
      bench.Wake(0).Take();
      ClockAnswer answer;
      answer.bases = {{before, 5}};  // incomplete: nothing will be joined
      bench.Hear("b", answer).CommitAll();
    }
    bench.Write(2, "key", "y", 1).CommitAll();
    EXPECT_EQ(bench.Clock().entries().size(), 2u) << asks;
    EXPECT_EQ(bench.Clock().Base(before), 1u) << "what it minted next is of another id";
  }
}

TEST(Shard, ASoleOwnerDropsTheLogThatNobodyWillAskFor) {
  Bench bench({.members = {"a"}});
  for (Token token = 1; token <= 3000; ++token) bench.Write(token, "key", "x", 1);
  bench.CommitAll();
  EXPECT_EQ(bench.Wake(0).Take(), "commit unsynced");
  EXPECT_EQ(bench.Commit().Wake(20'000).Take(), "commit") << "the sync of it, in time";
  EXPECT_EQ(bench.Commit().Wake(20'000).Take(), "") << "there is nothing more to drop";
}

TEST(Shard, ErasesWhatADroppedTableHeldAndTakesNothingMoreOfIt) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Write(2, "key", "y", 2).CommitAll();  // waits for a peer
  bench.Take();
  bench.DropTheTable();
  EXPECT_EQ(bench.Take(), "commit unsynced, reply 2 STALE");
  bench.Commit().Take();
  bench.Hear("b", bench.ApplyOf("late", "z", /*counter=*/1), 5).CommitAll();
  EXPECT_EQ(bench.Write(3, "later", "z", 1).CommitAll(), "reply 3 STALE");
  EXPECT_EQ(bench.Read(4, "later", 1).CommitAll(), "reply 4 STALE");
  const auto snapshot = bench.engine().TakeSnapshot();
  size_t records = 0;
  ASSERT_TRUE(snapshot
                  ->Scan(Family::kRecords, "", "",
                         [&](std::string_view, std::string_view) { return ++records > 0; })
                  .ok());
  EXPECT_EQ(records, 0u);
  EXPECT_EQ(bench.Clock().entries().size(), 2u) << "the late dot has been seen all the same";
}

TEST(Shard, ForgetsWhatAnOwnerReportedOnceItCannotBeReached) {
  for (const bool lost : {false, true}) {
    Bench bench;
    for (Token token = 1; token <= 3000; ++token) bench.Write(token, "key", "x", 1);
    bench.CommitAll();
    const ClockAsk has_all{bench.Clock(), bench.Clock().Bases()};
    bench.Hear("b", has_all, 5).Take();
    if (lost) bench.Lose("b").Take();
    EXPECT_EQ(bench.Hear("c", has_all, 6).Take().substr(0, 6), lost ? "ClockA" : "commit")
        << "what b may have lost is not dropped from the log";
  }
}

TEST(Shard, ServesOnlySoManyAskersAtOnce) {
  ShardOptions options;
  options.repair.max_exchanges = 1;
  Bench bench({.options = options});
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", ClockAsk{}, 5).Take(), "scan");
  EXPECT_EQ(bench.Hear("c", ClockAsk{}, 6).Take(), "Failed>c") << "it will ask again";
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  bench.EndScan().Take();
  EXPECT_EQ(bench.Hear("c", ClockAsk{}, 7).Take(), "scan");
}

}  // namespace
}  // namespace gyre
