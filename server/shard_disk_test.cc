// Shard where the disk is slow, full of work, damaged or failing, and what the scrub asks of it.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/shard_bench.h"

namespace gyre {
namespace {

using Bench = ShardBench;

// ---- the disk

TEST(Shard, ReadsFromTheDiskWhatIsNotAtHandOnceForAllWhoWait) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "");
  EXPECT_EQ(bench.EndRead().Take(), "reply 2 OK x, reply 3 OK x");
}

TEST(Shard, WhoWaitedForTheDiskSeesWhatOneBeforeItWrote) {
  for (const size_t cached_bytes : {size_t{0}, size_t{1} << 20}) {
    Bench bench({.cached_bytes = cached_bytes});
    bench.Write(1, "key", "x", 1).CommitAll();
    bench.Restart(/*clean=*/true).Greet("b").Greet("c").engine().AnswerNeedsDisk(1, 1);
    EXPECT_EQ(bench.Write(2, "key", "y", 1).Read(3, "key", 1).Take(), "read key");
    EXPECT_EQ(bench.EndRead().Take(), "commit");
    EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 2 OK, reply 3 OK y");
  }
}

TEST(Shard, WhatTheDiskBroughtIsAtHandFromThenOn) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Restart(/*clean=*/true).engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  EXPECT_EQ(bench.EndRead().Take(), "reply 2 OK x");
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "reply 3 OK x");
  EXPECT_EQ(bench.shard().figures().disk_reads, 1u);
  EXPECT_EQ(bench.shard().figures().record_cache.misses, 1u);
  EXPECT_EQ(bench.shard().figures().record_cache.hits, 1u);
  EXPECT_GT(bench.shard().figures().record_cache.bytes, 0u);
}

TEST(Shard, WhatTheDiskBroughtOfADroppedTableIsNotKept) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Restart(/*clean=*/true).engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  bench.DropTheTable().EndRead().CommitAll();
  EXPECT_EQ(bench.shard().figures().record_cache.bytes, 0u);
}

TEST(Shard, ADiskReadOfOneKeyDoesNotHoldUpAnother) {
  Bench bench;
  bench.Write(1, "other", "y", 1).CommitAll();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  bench.engine().AnswerNeedsDisk(0, 1);
  EXPECT_EQ(bench.Read(3, "other", 1).Take(), "reply 3 OK y");
}

TEST(Shard, RefusesPeersWritesWhileTheDiskIsTooFarBehind) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "seven b"), 5).Take(), "commit");
  EXPECT_EQ(bench.Hear("c", bench.ApplyOf("key", "y", 2), 6).Take(), "Failed>c")
      << "seven bytes and a key";
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  EXPECT_EQ(bench.Hear("c", Forward{bench.Request(bench.Item("key"), "y", 1)}, 7).Take(),
            "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOverloaded);
  EXPECT_FALSE(bench.sent<ForwardReply>(0).outcome.outcome_unknown);
  EXPECT_EQ(bench.shard().figures().sheds, 2u);
  EXPECT_GE(bench.shard().load_percent(), 100);
  EXPECT_EQ(bench.Hear("c", Fetch{bench.Item("key")}, 8).Take(), "") << "waits for the commit";
  EXPECT_EQ(Sorted(bench.Commit().Take()), "ApplyReply>b, FetchReply>c");
  EXPECT_EQ(bench.shard().load_percent(), 0);
  EXPECT_EQ(bench.Hear("c", bench.ApplyOf("key", "y", 2), 9).Take(), "commit");
}

TEST(Shard, RefusesForwardedWritesWhileTooManyBytesOfThemAreUnderWay) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  Bench bench({.options = options});
  const auto forward = [&](ExchangeId exchange) {
    return bench.Hear("c", Forward{bench.Request(bench.Item("key"), "ten bytes.", 2)}, exchange)
        .CommitAll();
  };
  EXPECT_EQ(Sorted(forward(5)), "Apply>b, Apply>c");
  EXPECT_EQ(forward(6), "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOverloaded);
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOk);
  EXPECT_EQ(Sorted(forward(7)), "Apply>b, Apply>c");
}

TEST(Shard, RefusesPeersWhileTooMuchWaitsForReads) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  options.max_waiting_reads = 2;
  Bench bench({.options = options});
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "read key");
  EXPECT_EQ(bench.shard().load_percent(), 50);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 6).Take(), "");
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 7).Take(), "Failed>b") << "two wait";
  EXPECT_EQ(bench.EndRead().Take(), "FetchReply>b, FetchReply>b");
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "ten bytes "), 8).Take(), "read key");
  EXPECT_EQ(bench.Hear("c", bench.ApplyOf("key", "y", 2), 9).Take(), "Failed>c")
      << "ten bytes wait";
  EXPECT_EQ(bench.EndRead().Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
  EXPECT_EQ(bench.Hear("c", Fetch{bench.Item("key")}, 10).Take(), "read key");
}

TEST(Shard, ReadsElsewhereWhatIsDamagedHere) {
  Bench bench;
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(bench.Item("key")), std::string(1, '\x1f'));
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  EXPECT_EQ(Sorted(bench.Read(1, "key", 1).Take()), "Fetch>b, Fetch>c");
  EXPECT_EQ(bench.Write(2, "key", "x", 2).Take(), "reply 2 CORRUPT");
}

TEST(Shard, TellsAPeerThatItsRecordIsDamaged) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(bench.Item("key")), std::string(1, '\x1f'));
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kCorrupt);
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "y"), 6).Take(), "Failed>b");
  EXPECT_EQ(bench.Hear("b", ClockAsk{}, 7).Take(), "scan");
  EXPECT_EQ(bench.EndScan().Take(), "ClockAnswer>b");
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).items.empty());
  EXPECT_FALSE(bench.sent<ClockAnswer>(0).complete);
}

TEST(Shard, FetchesADamagedRecordAgainFromTheOthers) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  const ItemKey item = bench.Mine();
  bench.Write(1, item, "x", 1).CommitAll();
  Damage(&bench, item);
  bench.Read(2, item, 1, false).Take();
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
  const std::string asked = Sorted(bench.Wake(0).Take());
  EXPECT_NE(asked.find("FetchHints>"), std::string::npos) << asked;
  FetchReply found{{item, nullptr, {}}, {}};
  found.found.record = bench.ApplyOf("key", "x").change.record;
  found.found.minted = bench.ApplyOf("key", "x").change.minted;
  EXPECT_EQ(bench.AnswerFetches(item.partition, found), 1u);
  bench.Take();
  EXPECT_EQ(bench.AnswerFetches(item.partition, found), 2u);
  bench.CommitAll();
  EXPECT_EQ(bench.Read(3, item, 1, false).Take(), "reply 3 OK x");
  EXPECT_EQ(bench.shard().figures().mended, 1u);
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
}

TEST(Shard, WhatIsWrittenWhileADamagedRecordIsFetchedStays) {
  Bench bench;
  const ItemKey item = bench.Item("key");
  bench.Write(1, "key", "x", 1).CommitAll();
  WriteBatch whole;
  whole.Put(Family::kRecords, EncodeItemKey(item),
            *bench.engine().Get(Family::kRecords, EncodeItemKey(item)));
  Damage(&bench, item);
  bench.Hear("b", ClockAsk{}, 7).Take();
  bench.EndScan().Take();
  // As where what was found was an older state, which a scan's snapshot showed.
  ASSERT_TRUE(bench.engine().Write(whole, WalSync::kYes).ok());
  EXPECT_NE(bench.Wake(0).Take().find("Fetch>b"), std::string::npos);
  FetchReply found{{item, nullptr, {}}, {}};
  found.found.record = bench.ApplyOf("key", "elsewhere").change.record;
  bench.Write(2, "key", "y", 1).CommitAll();
  bench.AnswerFetches(item.partition, found);
  bench.CommitAll();
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "reply 3 OK y");
  EXPECT_EQ(bench.shard().figures().mended, 0u);
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
}

TEST(Shard, ADamagedRecordIsMendedOnlyOnceEveryNodeIsThere) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Lose("c").Read(2, "key", 1).Take();
  EXPECT_EQ(bench.Wake(0).Take().find("Fetch>c"), std::string::npos);
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
  bench.Greet("c").Wake(5000);
  const std::string asked = bench.Take();
  EXPECT_NE(asked.find("Fetch>b"), std::string::npos) << asked;
  EXPECT_NE(asked.find("Fetch>c"), std::string::npos) << asked;
}

// Of those that could be fetched none waits for others that could not.
TEST(Shard, WhatCannotBeMendedNowStandsInNobodysWay) {
  Bench bench;
  std::set<std::string> damaged;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "key-" + std::to_string(i);
    bench.Write(1, key, "x", 1).CommitAll();
    Damage(&bench, bench.Item(key));
    bench.Read(2, key, 1).Take();
    damaged.insert(key);
  }
  std::set<std::string> asked;
  for (int tries = 0; tries < 3; ++tries) {
    bench.Wake(tries == 0 ? 0 : 5000).Take();
    for (const Envelope& send : std::vector<Envelope>(bench.effects().sends)) {
      const auto* fetch = std::get_if<Fetch>(&send.message.body);
      if (fetch == nullptr) continue;
      asked.insert(fetch->item.key);
      bench.HearAbout(send.message.partition, bench.topology().epoch, bench.NameOf(send.to),
                      Failed{Outcome::Code::kOverloaded}, send.message.exchange);
    }
  }
  EXPECT_EQ(asked, damaged);
}

TEST(Shard, WhatIsDamagedOfATableIsForgottenWithIt) {
  Bench bench({.members = {"a"}});  // whose records nobody else has, so that nothing mends them
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Read(2, "key", 1).Take();
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
  bench.DropTheTable().Take();
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
}

TEST(Shard, WhatIsDamagedOnTheDiskAndWholeInMemoryIsWrittenAgain) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Hear("b", SliceAsk{}, 5).Take();
  EXPECT_EQ(bench.EndSliceRead().Take(), "commit");
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
  EXPECT_EQ(bench.Commit().Take(), "Failed>b");
  EXPECT_TRUE(
      ReplicaStore::Decode(bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("key"))))
          .ok());
}

TEST(Shard, WhatIsMendedAsItsTableIsDroppedStaysAway) {
  Bench bench;
  const ItemKey item = bench.Item("key");
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, item);
  bench.Read(2, "key", 1).Take();
  bench.Wake(0).Take();
  FetchReply found{{item, nullptr, {}}, {}};
  found.found.record = bench.ApplyOf("key", "x").change.record;
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.AnswerFetches(item.partition, found), 2u);
  EXPECT_EQ(bench.Take(), "read key");
  bench.DropTheTable();
  Damage(&bench, item);  // as its disk, which is slow, has read it
  bench.EndRead().CommitAll();
  EXPECT_EQ(bench.shard().figures().mended, 0u);
  EXPECT_EQ(bench.Take(), "");
}

TEST(Shard, WhatAScanFindsDamagedIsFetchedAgainToo) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Hear("b", ClockAsk{}, 7).Take();
  bench.EndScan().Take();
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
}

// ---- the scrub (server/scrub_test.cc has the walk, test/sim/scrub_scenarios_test.cc the whole)

TEST(Shard, TellsAPeerWhatItHasOfASlice) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", SliceAsk{}, 5).Take(), "slice");
  EXPECT_EQ(bench.EndSliceRead().Take(), "SliceAnswer>b");
  const SliceAnswer mine = bench.sent<SliceAnswer>(0);
  EXPECT_EQ(mine.items.size(), 1u);
  bench.Hear("b", SliceAsk{.digest = DigestOf(mine.items)}, 6).Take();
  EXPECT_EQ(bench.EndSliceRead().Take(), "SliceAnswer>b");
  EXPECT_TRUE(bench.sent<SliceAnswer>(0).same);
}

TEST(Shard, ReadsAFewSlicesForPeersAtOnceAndNoneOfWhatItLost) {
  Bench bench;
  EXPECT_EQ(bench.Hear("b", SliceAsk{}, 5).Take(), "slice");
  EXPECT_EQ(bench.Hear("b", SliceAsk{}, 6).Take(), "slice");
  EXPECT_EQ(bench.Hear("c", SliceAsk{}, 7).Take(), "Failed>c");
  bench.EndSliceRead().Take();
  EXPECT_EQ(bench.Hear("c", SliceAsk{}, 8).Take(), "slice");
  bench.EndSliceRead().EndSliceRead().Take();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("c", SliceAsk{}, 9).Take(), "Failed>c");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kFilling);
}

TEST(Shard, WhatASliceFindsDamagedIsFetchedAgainToo) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Hear("b", SliceAsk{}, 5).Take();
  EXPECT_EQ(bench.EndSliceRead().Take(), "Failed>b");
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
}

TEST(Shard, TakesInWhatItLostOnceTheOthersContradictIt) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  FetchReply held{{bench.Item("key"), nullptr, {}}, {}};
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "FetchReply>b");
  held.found = bench.sent<FetchReply>(0).found;
  ASSERT_TRUE(bench.engine().Lose(Family::kRecords, EncodeItemKey(bench.Item("key"))));
  held.clock = bench.Clock();
  bench.Hear("b", Doubt{bench.Item("key")}, 0).Wake(1);
  const std::string asked = bench.Take();
  EXPECT_NE(asked.find("Fetch>b"), std::string::npos) << asked;
  EXPECT_EQ(bench.AnswerFetches(bench.Item("key").partition, held), 2u);
  EXPECT_EQ(bench.Take().substr(0, 6), "commit");
  EXPECT_EQ(bench.effects().contradictions.size(), 1u);
  EXPECT_TRUE(bench.effects().contradictions[0].mended);
  bench.Commit();
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "reply 3 OK x");
  EXPECT_EQ(bench.shard().figures().scrub.amended, 1u);
}

}  // namespace
}  // namespace gyre
