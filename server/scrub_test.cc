#include "server/scrub.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ring/topology.h"
#include "storage/lone_owner.h"

namespace gyre {
namespace {

constexpr uint64_t kNever = UINT64_MAX;  // nothing is left out of a slice later than that

// The scrub of node "a", which owns two partitions of three owners each, stepped by hand.
class Walker {
 public:
  explicit Walker(ScrubOptions options = {.pass = Duration::Seconds(100)})
      : options_(options), scrub_(options, View(), &owner_.store(), 1 << 20, Random(7)) {}

  std::shared_ptr<const gyre::View> View() {
    const Topology topology = *InitialTopology(
        "test", 8,
        {{{}, "a", "z", "a:1", "a:2"}, {{}, "b", "z", "b:1", "b:2"}, {{}, "c", "z", "c:1", "c:2"}});
    TableSpec table;
    table.name = "t";
    view_ = View::Create(*CreateTable(topology, table), Id("a"));
    return view_;
  }
  static NodeId Id(const std::string& name) {
    return NodeIdFromName(InitialTopology("test", 8, {{{}, "a", "z", "a:1", "a:2"}})->cluster,
                          name);
  }
  std::string NameOf(NodeId node) const { return view_->FindMember(node)->name; }

  // What the next wake-up wants done; it comes when it is due.
  Scrub::Effects Wake(bool behind = false) {
    now_.monotonic = std::max(now_.monotonic, scrub_.wake());
    Scrub::Effects effects;
    scrub_.OnWake(behind, now_, &effects);
    return effects;
  }
  // The next slice, read; wakes up for as long as that takes.
  Scrub::Effects NextSlice() {
    for (;;) {
      const Scrub::Effects wanted = Wake();
      if (!wanted.scan.has_value()) continue;
      scan_ = *wanted.scan;
      Scrub::Effects effects;
      scrub_.OnSlice(scan_, ReadSlice(*owner_.engine().TakeSnapshot(), scan_, options_.slices),
                     now_, &effects);
      return effects;
    }
  }
  // The other owner answers what was asked.
  Scrub::Effects Answer(const Scrub::Effects& asked, SliceAnswer answer) {
    Scrub::Effects effects;
    scrub_.OnAnswer(asked.ask->exchange, asked.ask->to, asked.ask->partition, std::move(answer),
                    now_, &effects);
    return effects;
  }
  // It has the same, in every slice of the partition that holds all items of a test.
  void PassOver() {
    Scrub::Effects effects = NextSlice();
    while (scan_.partition != LoneOwner::kPartition) effects = NextAfter(effects);
    last_ = std::move(effects);
  }
  Scrub::Effects NextAfter(const Scrub::Effects& asked) {
    if (asked.ask.has_value()) Answer(asked, {.same = true});
    return NextSlice();
  }
  std::vector<ItemDigest> Digests() {
    return ReadSlice(*owner_.engine().TakeSnapshot(), {LoneOwner::kPartition, "", "", kNever}, {})
        ->items;
  }
  std::string Judged(const std::string& key, const Judgement& judgement) {
    Scrub::Effects effects;
    scrub_.OnJudged(LoneOwner::Item(key), judgement, now_, &effects);
    scrub_.OnJudgeEnd(LoneOwner::Item(key));
    std::string text;
    for (const Scrub::Contradiction& told : effects.told) {
      text += "told";
      for (NodeId owner : told.against) text += " " + NameOf(owner);
    }
    for (const auto& [owner, item] : effects.doubts) text += " doubt>" + NameOf(owner);
    return text;
  }
  static std::string Keys(const std::vector<ItemKey>& items) {
    std::string keys;
    for (const ItemKey& item : items) keys += (keys.empty() ? "" : " ") + item.key;
    return keys;
  }

  const ScrubOptions options_;
  std::shared_ptr<const gyre::View> view_;
  LoneOwner owner_{1};
  Scrub scrub_;
  SliceScan scan_;
  Scrub::Effects last_;
  Instant now_{Time() + Duration::Seconds(1), 0};
};

Judgement Against(const std::string& owner) {
  Judgement judgement;
  judgement.against.push_back(Walker::Id(owner));
  return judgement;
}

TEST(Scrub, GoesThroughAllPartitionsWithinAPassAndBeginsAgain) {
  Walker walker;
  std::vector<PartitionId> met;
  std::vector<Time> when;
  Scrub::Effects effects = walker.NextSlice();
  for (int i = 0; i < 5; ++i) {
    met.push_back(walker.scan_.partition);
    when.push_back(walker.now_.monotonic);
    effects = walker.NextAfter(effects);
  }
  EXPECT_LE(when[0], Time() + Duration::Seconds(51));
  for (size_t i = 1; i < when.size(); ++i) {
    EXPECT_EQ(when[i] - when[i - 1], Duration::Seconds(50));
    EXPECT_NE(met[i], met[i - 1]);
  }
  EXPECT_EQ(walker.scrub_.figures().passes, 2u);
}

TEST(Scrub, ReadsNoMoreThanItMay) {
  Walker walker({.pass = Duration::Seconds(2), .bytes_each_s = 100, .slices = {.max_items = 1}});
  for (const char* key : {"a", "b", "c"}) walker.owner_.Put(key, std::string(1'000, 'v'));
  walker.PassOver();
  const Time first = walker.now_.monotonic;
  EXPECT_EQ(walker.scan_.after, "");
  walker.NextAfter(walker.last_);
  EXPECT_EQ(walker.scan_.after, EncodeItemKey(LoneOwner::Item("a")));
  EXPECT_GE(walker.now_.monotonic - first, Duration::Seconds(10));
}

TEST(Scrub, StandsBackWhileTheDiskIsBehind) {
  Walker walker;
  walker.Wake();
  const Time due = walker.scrub_.wake();
  EXPECT_FALSE(walker.Wake(/*behind=*/true).scan.has_value());
  EXPECT_EQ(walker.scrub_.wake(), due + Duration::Seconds(10));
  EXPECT_TRUE(walker.Wake().scan.has_value());
}

TEST(Scrub, ComparesWithEachOtherOwnerInTurn) {
  Walker walker;
  std::string asked;
  Scrub::Effects effects = walker.NextSlice();
  for (int i = 0; i < 4; ++i) {
    asked += walker.NameOf(effects.ask->to);
    effects = walker.NextAfter(effects);
  }
  EXPECT_TRUE(asked.find('b') != std::string::npos && asked.find('c') != std::string::npos)
      << asked;
  walker.scrub_.OnPeer(Walker::Id("b"), false);
  for (int i = 0; i < 4; ++i) {
    effects = walker.NextAfter(effects);
    EXPECT_EQ(walker.NameOf(effects.ask->to), "c") << "who is away is not asked";
  }
}

TEST(Scrub, GoesOnThoughNobodyAnswers) {
  Walker walker;
  walker.NextSlice();
  const Time asked = walker.now_.monotonic;
  walker.Wake();
  EXPECT_EQ(walker.now_.monotonic - asked, Duration::Seconds(10));
  EXPECT_EQ(walker.scrub_.figures().uncompared, 1u);
  walker.scrub_.OnPeer(Walker::Id("b"), false);
  walker.scrub_.OnPeer(Walker::Id("c"), false);
  EXPECT_FALSE(walker.NextSlice().ask.has_value());
  EXPECT_EQ(walker.scrub_.figures().uncompared, 2u);
  walker.scrub_.OnPeer(Walker::Id("b"), true);
  const Scrub::Effects effects = walker.NextSlice();
  ASSERT_TRUE(effects.ask.has_value());
  walker.scrub_.OnRefused(effects.ask->exchange, effects.ask->to, walker.now_);
  EXPECT_EQ(walker.scrub_.figures().uncompared, 3u);
}

TEST(Scrub, HasJudgedWhatDiffersAndNothingElse) {
  Walker walker;
  for (const char* key : {"mine", "other", "same"}) walker.owner_.Put(key, "v");
  walker.PassOver();
  EXPECT_EQ(walker.last_.ask->body.digest, DigestOf(walker.Digests()));
  SliceAnswer answer;
  answer.items = walker.Digests();
  answer.items[0].item.key = "more";
  answer.items[1].digest.low ^= 1;
  walker.Answer(walker.last_, answer);
  EXPECT_EQ(Walker::Keys(walker.Wake().judge), "mine more other");
  EXPECT_EQ(walker.scrub_.figures().differing, 3u);
}

TEST(Scrub, GoesOnWhereAnAnswerEnds) {
  Walker walker;
  for (const char* key : {"a", "b", "c"}) walker.owner_.Put(key, "v");
  walker.PassOver();
  SliceAnswer answer;
  answer.complete = false;
  answer.upto = EncodeItemKey(LoneOwner::Item("b"));
  answer.items = {walker.Digests()[0], walker.Digests()[1]};
  walker.Answer(walker.last_, answer);
  walker.NextSlice();
  EXPECT_EQ(walker.scan_.after, answer.upto);
  EXPECT_EQ(walker.scan_.partition, LoneOwner::kPartition);
  EXPECT_EQ(walker.scrub_.figures().differing, 0u);
}

TEST(Scrub, BelievesNoAnswerThatCannotBe) {
  const auto refused = [](auto change) {
    Walker walker;
    walker.owner_.Put("a", "v");
    walker.owner_.Put("b", "v");
    walker.PassOver();
    SliceAnswer answer;
    answer.items = walker.Digests();
    PartitionId partition = LoneOwner::kPartition;
    change(&answer, &partition);
    Scrub::Effects effects;
    walker.scrub_.OnAnswer(walker.last_.ask->exchange, walker.last_.ask->to, partition, answer,
                           walker.now_, &effects);
    return walker.scrub_.figures().uncompared == 1 && walker.Wake().judge.empty();
  };
  EXPECT_FALSE(refused([](SliceAnswer*, PartitionId*) {}));
  EXPECT_TRUE(
      refused([](SliceAnswer*, PartitionId* partition) { *partition = LoneOwner::kNeighbour; }));
  EXPECT_TRUE(refused(
      [](SliceAnswer* answer, PartitionId*) { std::swap(answer->items[0], answer->items[1]); }));
  for (const std::string& upto : {std::string(), PartitionBegin(LoneOwner::kPartition).substr(0, 2),
                                  PartitionEnd(LoneOwner::kNeighbour)}) {
    EXPECT_TRUE(refused([&](SliceAnswer* answer, PartitionId*) {
      answer->complete = false;
      answer->upto = upto;
    }));
  }
}

TEST(Scrub, HasWhatIsDamagedFetchedAgain) {
  Walker walker;
  walker.owner_.Put("a", "v");
  ASSERT_TRUE(
      walker.owner_.engine().Change(Family::kRecords, EncodeItemKey(LoneOwner::Item("a")), "\x1f"));
  walker.PassOver();
  EXPECT_EQ(Walker::Keys(walker.last_.damaged), "a");
}

// Of three items the middle one cannot be read, nor scanned over.
TEST(Scrub, LearnsFromAnotherOwnerWhatLiesWhereItCannotRead) {
  Walker walker;
  for (const char* key : {"a", "b", "c"}) walker.owner_.Put(key, "v");
  const std::vector<ItemDigest> all = walker.Digests();
  ASSERT_TRUE(walker.owner_.engine().Damage(Family::kRecords, EncodeItemKey(LoneOwner::Item("b"))));
  walker.PassOver();
  EXPECT_EQ(walker.last_.ask->body.upto, EncodeItemKey(LoneOwner::Item("a")));
  const Scrub::Effects blind = walker.NextAfter(walker.last_);
  ASSERT_TRUE(blind.ask.has_value());
  EXPECT_FALSE(blind.ask->body.digest.has_value());
  EXPECT_EQ(blind.ask->body.after, EncodeItemKey(LoneOwner::Item("a")));

  SliceAnswer answer;
  answer.items = {all[1], all[2]};
  answer.items[1].digest.low ^= 1;
  const Scrub::Effects named = walker.Answer(blind, answer);
  ASSERT_TRUE(named.read.has_value());
  EXPECT_EQ(Walker::Keys(named.read->items), "b c");
  Scrub::Effects effects;
  walker.scrub_.OnItems(named.read->partition,
                        ReadItems(*walker.owner_.engine().TakeSnapshot(), named.read->items,
                                  named.read->expired_by_ms),
                        walker.now_, &effects);
  EXPECT_EQ(Walker::Keys(effects.damaged), "b");
  EXPECT_EQ(Walker::Keys(walker.Wake().judge), "c") << "what is damaged is mended, not judged";
}

TEST(Scrub, WhereNobodySaysWhatCannotBeReadTheRestWaitsForTheNextPass) {
  Walker walker;
  for (const char* key : {"a", "b"}) walker.owner_.Put(key, "v");
  ASSERT_TRUE(walker.owner_.engine().Damage(Family::kRecords, EncodeItemKey(LoneOwner::Item("a"))));
  walker.PassOver();
  walker.scrub_.OnRefused(walker.last_.ask->exchange, walker.last_.ask->to, walker.now_);
  walker.NextSlice();
  EXPECT_EQ(walker.scan_.partition, LoneOwner::kNeighbour);
}

TEST(Scrub, LeavesAPartitionAloneThatIsToBeFilled) {
  Walker walker;
  walker.owner_.store().BeginFilling();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(walker.Wake().scan.has_value());
}

// ---- contradictions

TEST(Scrub, CountsAContradictionOnceAndHasTheOtherOwnerLook) {
  Walker walker;
  walker.scrub_.OnDoubt(LoneOwner::Item("told by a peer"));
  EXPECT_EQ(Walker::Keys(walker.Wake().judge), "told by a peer");
  EXPECT_EQ(walker.Judged("told by a peer", Against("b")), "told b")
      << "who was told tells nobody: two that disagree would go on for ever";

  walker.owner_.Put("met", "v");
  walker.PassOver();
  walker.Answer(walker.last_, {});
  EXPECT_EQ(Walker::Keys(walker.Wake().judge), "met");
  Scrub::Effects effects;
  walker.scrub_.OnJudged(LoneOwner::Item("met"), Against("c"), walker.now_, &effects);
  ASSERT_EQ(effects.doubts.size(), 1u);
  EXPECT_EQ(walker.NameOf(effects.doubts[0].first), "c");
  EXPECT_EQ(walker.Judged("met", Against("c")), "") << "it is known";
  EXPECT_EQ(walker.scrub_.figures().contradictions, 2u);
  EXPECT_EQ(walker.scrub_.figures().standing, 2u);
}

TEST(Scrub, LooksAgainAtAContradictionUntilItIsGone) {
  Walker walker;
  walker.scrub_.OnDoubt(LoneOwner::Item("key"));
  walker.Wake();
  walker.Judged("key", Against("b"));
  const Time found = walker.now_.monotonic;
  Scrub::Effects effects = walker.Wake();
  while (effects.judge.empty()) effects = walker.Wake();
  EXPECT_EQ(walker.now_.monotonic - found, Duration::Seconds(30));
  Judgement unsettled;
  unsettled.unsettled = true;
  walker.Judged("key", unsettled);
  EXPECT_EQ(walker.scrub_.figures().standing, 1u) << "that they may differ does not end it";
  walker.Judged("key", {});
  EXPECT_EQ(walker.scrub_.figures().standing, 0u);
}

TEST(Scrub, WhatIsMendedHereStandsNoMore) {
  Walker walker;
  Judgement mended = Against("b");
  mended.mended = Record{};
  walker.scrub_.OnDoubt(LoneOwner::Item("key"));
  walker.Wake();
  EXPECT_EQ(walker.Judged("key", mended), "told b");
  EXPECT_EQ(walker.scrub_.figures().standing, 0u);
  EXPECT_EQ(walker.scrub_.figures().amended, 1u);
}

TEST(Scrub, JudgesAFewAtOnceAndRemembersSoMany) {
  Walker walker;
  for (int i = 0; i < 5'000; ++i) {
    walker.scrub_.OnDoubt(LoneOwner::Item("key-" + std::to_string(i)));
  }
  EXPECT_EQ(walker.scrub_.figures().dropped, 904u);
  EXPECT_EQ(walker.Wake().judge.size(), 4u);
  EXPECT_TRUE(walker.Wake().judge.empty());
  walker.scrub_.OnJudgeEnd(LoneOwner::Item("key-0"));
  EXPECT_EQ(walker.Wake().judge.size(), 1u);
}

// With a table of one replica.
TEST(Scrub, WhatHasNoOtherOwnerIsNotCountedAsUncompared) {
  const Topology topology =
      *InitialTopology("test", 2, {{{}, "a", "z", "a:1", "a:2"}, {{}, "b", "z", "b:1", "b:2"}});
  TableSpec table;
  table.name = "t";
  table.replicas = table.read_quorum = table.write_quorum = 1;
  const auto view = View::Create(*CreateTable(topology, table), topology.members[0].id);
  MemoryEngine engine;
  ReplicaStore store(&engine, {}, Random(1));
  ASSERT_TRUE(store.Open(view->OwnedBy(view->self()), false).ok());
  Scrub scrub({.pass = Duration::Seconds(1)}, view, &store, 1 << 20, Random(7));
  for (int i = 0; i < 20; ++i) {
    const Instant now{std::max(scrub.wake(), Time() + Duration::Seconds(i + 1)), 0};
    Scrub::Effects effects;
    scrub.OnWake(false, now, &effects);
    if (effects.scan.has_value()) scrub.OnSlice(*effects.scan, Slice(), now, &effects);
  }
  EXPECT_GT(scrub.figures().passes, 0u);
  EXPECT_EQ(scrub.figures().uncompared, 0u);
}

TEST(Scrub, ANodeHasPassedThroughAllOnceEachShardThatOwnsAnythingHas) {
  Scrub::Figures node;
  node.Add({.partitions = 0, .passes = 0});
  node.Add({.partitions = 3, .passes = 5, .items = 7});
  node.Add({.partitions = 0, .passes = 0});
  EXPECT_EQ(node.passes, 5u);
  node.Add({.partitions = 2, .passes = 4, .items = 1});
  EXPECT_EQ(node.passes, 4u);
  EXPECT_EQ(node.items, 8u);
}

}  // namespace
}  // namespace gyre
