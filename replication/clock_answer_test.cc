#include "replication/clock_answer.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "storage/lone_owner.h"
#include "storage/partition_state.h"

namespace gyre {
namespace {

const PartitionId kPartition = LoneOwner::kPartition;

// An owner that has written, and what it would answer to an asker of a given clock.
class ClockAnswerTest : public testing::Test {
 protected:
  static ItemKey Item(const std::string& key) { return LoneOwner::Item(key); }

  Dot Put(const ItemKey& item, std::string value = "value") {
    WriteIntent intent;
    intent.value = std::move(value);
    intent.write = {1, ++writes_};
    return owner_.Mint(item, std::move(intent)).minted.back().dot;
  }
  Dot Delete(const std::string& key) { return owner_.Delete(key).minted.back().dot; }

  ClockAnswer AnswerTo(const PartitionClock& theirs, ClockAnswerLimits limits = {}) {
    return Answer(ClockAsk{theirs, {}}, limits);
  }
  ClockAnswer Answer(const ClockAsk& ask, ClockAnswerLimits limits) {
    auto answer = BuildClockAnswer(*owner_.engine().TakeSnapshot(), kPartition, ask, limits);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(ClockAnswer{});
  }

  LoneOwner owner_{1};
  uint64_t writes_ = 0;
};

TEST_F(ClockAnswerTest, ToAnAskerThatLacksNothingIsEmptyAndComplete) {
  Put(Item("a"));
  const ClockAnswer answer = AnswerTo(owner_.clock());
  EXPECT_TRUE(answer.items.empty());
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.missing, 0u);
  EXPECT_EQ(answer.bases, owner_.clock().Bases());
}

TEST_F(ClockAnswerTest, OfAPartitionWithoutAnyWriteIsEmptyAndComplete) {
  const ClockAnswer answer = AnswerTo({});
  EXPECT_TRUE(answer.items.empty());
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.bases.empty());
}

TEST_F(ClockAnswerTest, HoldsExactlyTheItemsOfTheMissingDots) {
  Put(Item("a"));
  PartitionClock theirs = owner_.clock();
  const Dot b = Put(Item("b"), "news");
  Put({LoneOwner::kNeighbour, TableId(1), "elsewhere"});
  const ClockAnswer answer = AnswerTo(theirs);
  ASSERT_EQ(answer.items.size(), 1u);
  EXPECT_EQ(answer.items[0].item, Item("b"));
  EXPECT_EQ(answer.items[0].record->versions[0].value, "news");
  EXPECT_EQ(answer.items[0].minted, (std::vector<Minted>{{b, {1, 2}, 0}}));
  EXPECT_EQ(answer.missing, 1u);
  EXPECT_TRUE(answer.complete);
}

TEST_F(ClockAnswerTest, RecordsAreFilled) {
  Put(Item("a"));
  const Dot last = Put(Item("b"));
  const ClockAnswer answer = AnswerTo({});
  for (const ExplainedRecord& item : answer.items) {
    EXPECT_TRUE(item.record->context.Covers(last)) << "an unfilled record brings the deleted back";
  }
}

TEST_F(ClockAnswerTest, TellsOfADeleteByAnEmptyRecordThatCoversWhatWasThere) {
  const Dot put = Put(Item("a"));
  PartitionClock theirs = owner_.clock();
  const Dot gone = Delete("a");
  const ClockAnswer answer = AnswerTo(theirs);
  ASSERT_EQ(answer.items.size(), 1u);
  EXPECT_TRUE(answer.items[0].record->versions.empty());
  EXPECT_TRUE(answer.items[0].record->context.CoversAll({put, gone}));
  EXPECT_EQ(answer.items[0].minted[0].dot, gone);
}

TEST_F(ClockAnswerTest, AnItemOfManyMissingDotsIsSentOnceWithAllOfThem) {
  for (int i = 0; i < 5; ++i) Put(Item("a"));
  const ClockAnswer answer = AnswerTo({});
  ASSERT_EQ(answer.items.size(), 1u);
  EXPECT_EQ(answer.items[0].minted.size(), 5u);
}

TEST_F(ClockAnswerTest, IsIncompleteWhenItEndsAtTheLimitOfDots) {
  for (int i = 0; i < 10; ++i) Put(Item("key-" + std::to_string(i)));
  const ClockAnswer answer = AnswerTo({}, {.max_dots = 4});
  EXPECT_EQ(answer.items.size(), 4u);
  EXPECT_FALSE(answer.complete);
  EXPECT_FALSE(answer.log_cut);
  EXPECT_EQ(answer.missing, 10u);
}

TEST_F(ClockAnswerTest, APartExplainsEveryVersionOfItsRecords) {
  Put(Item("a"));
  Put(Item("b"));
  WriteIntent intent;
  intent.mode = WriteMode::kBlind;
  intent.write = {7, 7};
  const Dot sibling = owner_.Mint(Item("a"), intent).minted.back().dot;
  const ClockAnswer answer = AnswerTo({}, {.max_dots = 1});
  ASSERT_EQ(answer.items.size(), 1u);
  EXPECT_EQ(answer.items[0].record->versions.size(), 2u);
  EXPECT_EQ(answer.items[0].minted.back(), (Minted{sibling, {7, 7}, 0}))
      << "the asker has the value, and must know a retry of its write";
  EXPECT_FALSE(answer.complete);
}

TEST_F(ClockAnswerTest, IsIncompleteWhenItEndsAtTheLimitOfBytes) {
  for (int i = 0; i < 10; ++i) Put(Item("key-" + std::to_string(i)), std::string(1000, 'x'));
  const ClockAnswer answer = AnswerTo({}, {.max_bytes = 3000});
  EXPECT_GT(answer.items.size(), 1u);
  EXPECT_LT(answer.items.size(), 5u);
  EXPECT_FALSE(answer.complete);
}

TEST_F(ClockAnswerTest, HoldsAtLeastOneRecordHoweverLarge) {
  Put(Item("a"), std::string(5000, 'x'));
  const ClockAnswer answer = AnswerTo({}, {.max_bytes = 10});
  EXPECT_EQ(answer.items.size(), 1u);
  EXPECT_TRUE(answer.complete);
}

TEST_F(ClockAnswerTest, PartsThatAreTakenInBringTheAskerToTheEnd) {
  for (int i = 0; i < 20; ++i) Put(Item("key-" + std::to_string(i)));
  PartitionClock theirs;
  size_t items = 0;
  int answers = 0;
  for (bool complete = false; !complete && answers < 20; ++answers) {
    const ClockAnswer answer = AnswerTo(theirs, {.max_dots = 6});
    for (const ExplainedRecord& item : answer.items) {
      for (const Minted& minted : item.minted) theirs.Add(minted.dot);
    }
    items += answer.items.size();
    complete = answer.complete;
  }
  EXPECT_EQ(items, 20u);
  EXPECT_EQ(answers, 4);
  EXPECT_EQ(theirs, owner_.clock());
}

TEST_F(ClockAnswerTest, SaysSoWhenTheLogHasBeenCut) {
  const Dot dot = Put(Item("a"));
  Put(Item("b"));
  WriteBatch cut;
  cut.Erase(Family::kDotLog, EncodeLogKey(kPartition, dot));
  ASSERT_TRUE(owner_.engine().Write(cut, WalSync::kYes).ok());
  const ClockAnswer answer = AnswerTo({});
  EXPECT_TRUE(answer.log_cut);
  EXPECT_FALSE(answer.complete) << "its bases claim what it did not send";
}

TEST_F(ClockAnswerTest, ADamagedRecordIsLeftOutAndAllElseComes) {
  for (int i = 0; i < 5; ++i) Put(Item("key-" + std::to_string(i)));
  ASSERT_TRUE(owner_.engine().Damage(Family::kRecords, EncodeItemKey(Item("key-2"))));
  const ClockAnswer answer = AnswerTo({});
  EXPECT_EQ(answer.items.size(), 4u);
  EXPECT_EQ(answer.left_out, std::vector<ItemKey>{Item("key-2")});
  EXPECT_FALSE(answer.complete) << "its bases claim what it did not send";
}

TEST_F(ClockAnswerTest, DamageThatFillsAnAnswerDoesNotEndIt) {
  for (int i = 0; i < 5; ++i) Put(Item("damaged"));
  for (int i = 0; i < 5; ++i) Put(Item("key-" + std::to_string(i)));
  ASSERT_TRUE(owner_.engine().Damage(Family::kRecords, EncodeItemKey(Item("damaged"))));
  const ClockAnswer answer = AnswerTo({}, {.max_dots = 2});
  ASSERT_EQ(answer.items.size(), 1u);
  EXPECT_EQ(answer.items[0].item, Item("key-0"));
  EXPECT_FALSE(answer.complete);
  ASSERT_TRUE(owner_.engine().Damage(Family::kRecords, EncodeItemKey(Item("key-4"))));
  EXPECT_TRUE(AnswerTo({}, {.max_dots = 100}).items.size() == 4) << "and behind it";
}

TEST_F(ClockAnswerTest, GoesOnBehindADotThatTheAskerNames) {
  std::vector<Dot> dots;
  for (int i = 0; i < 6; ++i) dots.push_back(Put(Item("key-" + std::to_string(i))));
  const ClockAnswer first = Answer(ClockAsk{}, {.max_dots = 2});
  EXPECT_EQ(first.upto, dots[1]);
  const ClockAnswer second =
      Answer(ClockAsk{.clock = {}, .durable_bases = {}, .after = dots[1]}, {.max_dots = 2});
  ASSERT_EQ(second.items.size(), 2u);
  EXPECT_EQ(second.items[0].item, Item("key-2"));
  EXPECT_EQ(second.upto, dots[3]);
  EXPECT_EQ(second.missing, 4u);
  const ClockAnswer last =
      Answer(ClockAsk{.clock = {}, .durable_bases = {}, .after = dots[3]}, {.max_dots = 2});
  EXPECT_EQ(last.items.size(), 2u);
  EXPECT_EQ(last.upto, Dot{}) << "there is no more";
  EXPECT_FALSE(last.complete) << "its bases claim what came before";
}

TEST_F(ClockAnswerTest, NamesADotBeforeWhatHadNoRoom) {
  // In the order of their dots, which is not that of their keys.
  std::vector<Dot> dots;
  for (const char* key : {"d", "b", "c", "a"}) {
    dots.push_back(Put(Item(key), std::string(1000, 'x')));
  }
  const ClockAnswer first = Answer(ClockAsk{}, {.max_bytes = 1500});
  ASSERT_EQ(first.items.size(), 2u);
  EXPECT_EQ(first.items[0].item, Item("d"));
  EXPECT_EQ(first.items[1].item, Item("b"));
  EXPECT_EQ(first.upto, dots[1]);
  const ClockAnswer rest = Answer(ClockAsk{.clock = {}, .durable_bases = {}, .after = dots[1]}, {});
  ASSERT_EQ(rest.items.size(), 2u);
  EXPECT_EQ(rest.items[1].item, Item("a"));
}

TEST_F(ClockAnswerTest, TakesADamagedEntryOfTheLogForOneThatWasCut) {
  const Dot before = Put(Item("a"));
  const Dot damaged = Put(Item("b"));
  const Dot behind = Put(Item("c"));
  // The state says what the log would have to tell otherwise.
  const auto state = ReadPartitionState(*owner_.engine().TakeSnapshot(), kPartition);
  ASSERT_TRUE(state.ok());
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeClockKey(kPartition), EncodePartitionState(*state));
  ASSERT_TRUE(owner_.engine().Write(batch, WalSync::kYes).ok());
  ASSERT_TRUE(owner_.engine().Damage(Family::kDotLog, EncodeLogKey(kPartition, damaged)));
  EXPECT_TRUE(AnswerTo({}).log_cut);
  PartitionClock theirs;
  theirs.Add(before);
  EXPECT_TRUE(AnswerTo(theirs).log_cut);
  theirs.Add(damaged);
  const ClockAnswer rest = AnswerTo(theirs);
  EXPECT_FALSE(rest.log_cut) << "it is not asked for";
  EXPECT_TRUE(rest.complete);
  ASSERT_EQ(rest.items.size(), 1u);
  WriteBatch malformed;
  malformed.Put(Family::kDotLog, EncodeLogKey(kPartition, behind), "\xff");
  ASSERT_TRUE(owner_.engine().Write(malformed, WalSync::kYes).ok());
  EXPECT_TRUE(AnswerTo(theirs).log_cut);
}

TEST_F(ClockAnswerTest, CountsByTableAlsoWhatIsBeyondItsLimits) {
  for (const char* key : {"a", "b", "c"}) Put(Item(key));
  for (int i = 0; i < 2; ++i) Put({kPartition, TableId(9), "other"});
  const auto answer =
      BuildClockAnswer(*owner_.engine().TakeSnapshot(), kPartition,
                       ClockAsk{.clock = {}, .durable_bases = {}, .count = true}, {.max_dots = 1});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->items.size(), 1u);
  EXPECT_EQ(answer->missing, 5u);
  EXPECT_EQ(answer->missing_by_table,
            (std::vector<std::pair<TableId, uint64_t>>{{TableId(1), 3}, {TableId(9), 2}}));
  EXPECT_TRUE(AnswerTo({}).missing_by_table.empty()) << "where it is not asked for";
}

TEST_F(ClockAnswerTest, WhatCannotBeCountedKeepsNothingAway) {
  Put(Item("a"));
  WriteBatch damage;
  damage.Put(Family::kDotLog, EncodeLogKey(kPartition, Put(Item("b"))), "\xff");
  ASSERT_TRUE(owner_.engine().Write(damage, WalSync::kYes).ok());
  const auto answer =
      BuildClockAnswer(*owner_.engine().TakeSnapshot(), kPartition,
                       ClockAsk{.clock = {}, .durable_bases = {}, .count = true}, {.max_dots = 1});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->items.size(), 1u);
  EXPECT_EQ(answer->missing, 2u) << "as the clocks say";
  EXPECT_TRUE(answer->missing_by_table.empty());
}

}  // namespace
}  // namespace gyre
