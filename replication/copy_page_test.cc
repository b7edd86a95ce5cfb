#include "replication/copy_page.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "storage/lone_owner.h"
#include "storage/partition_state.h"

namespace gyre {
namespace {

const PartitionId kPartition = LoneOwner::kPartition;

// An owner that has written, and the pages that it gives.
class CopyPageTest : public testing::Test {
 protected:
  static ItemKey Item(const std::string& key) { return LoneOwner::Item(key); }

  Minted Put(const ItemKey& item, std::string value = "value") {
    WriteIntent intent;
    intent.value = std::move(value);
    intent.write = {1, ++writes_};
    return owner_.Mint(item, std::move(intent)).minted.back();
  }

  CopyPage PageOf(const CopyAsk& ask, CopyPageLimits limits = {}) {
    auto page = BuildCopyPage(*owner_.engine().TakeSnapshot(), kPartition, ask, limits);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.value_or(CopyPage{});
  }

  LoneOwner owner_{1};
  uint64_t writes_ = 0;
};

TEST_F(CopyPageTest, TheFirstHoldsThePartitionsRecordsFilledAndExplained) {
  const Minted a = Put(Item("a"), "old");
  const Minted b = Put(Item("b"), "new");
  Put({LoneOwner::kNeighbour, TableId(1), "elsewhere"});
  const CopyPage page = PageOf({.part = CopyPart::kRecords, .number = 7});
  EXPECT_EQ(page.number, 7u);
  EXPECT_TRUE(page.last);
  EXPECT_EQ(page.clock, owner_.clock());
  ASSERT_EQ(page.items.size(), 2u);
  EXPECT_EQ(page.items[0].item, Item("a"));
  EXPECT_EQ(page.items[1].record->versions[0].value, "new");
  EXPECT_TRUE(page.items[0].record->context.Covers(b.dot)) << "it is filled from the clock";
  ASSERT_EQ(page.items[0].minted.size(), 1u);
  EXPECT_EQ(page.items[0].minted[0].dot, a.dot);
  EXPECT_EQ(page.items[0].minted[0].write, a.write) << "a retry is recognised there, too";
}

TEST_F(CopyPageTest, OnePageBeginsBehindTheOther) {
  for (const char* key : {"a", "b", "c"}) Put(Item(key));
  CopyAsk ask;
  std::string keys;
  for (int pages = 1;; ++pages) {
    const CopyPage page = PageOf(ask, {.max_rows = 1});
    for (const ExplainedRecord& one : page.items) keys += one.item.key;
    if (page.last) break;
    ask.after = page.upto;
    ASSERT_LT(pages, 4);
  }
  EXPECT_EQ(keys, "abc");
}

TEST_F(CopyPageTest, APageHoldsOneRecordHoweverLarge) {
  Put(Item("a"), std::string(1000, 'x'));
  Put(Item("b"));
  const CopyPage page = PageOf({}, {.max_bytes = 10});
  EXPECT_EQ(page.items.size(), 1u);
  EXPECT_FALSE(page.last);
}

TEST_F(CopyPageTest, OfTheLogEveryDotComesWithItsItem) {
  Put(Item("a"));
  const Minted again = Put(Item("a"));
  const CopyPage page = PageOf({.part = CopyPart::kLog});
  ASSERT_EQ(page.log.size(), 2u) << "also of what was replaced";
  EXPECT_EQ(page.log[1].item, Item("a"));
  EXPECT_EQ(page.log[1].minted.dot, again.dot);
  EXPECT_EQ(page.log[1].minted.write, again.write);
  const CopyPage first = PageOf({.part = CopyPart::kLog}, {.max_rows = 1});
  EXPECT_FALSE(first.last);
  EXPECT_EQ(PageOf({.part = CopyPart::kLog, .after = first.upto}).log.size(), 1u);
}

TEST_F(CopyPageTest, ItemsThatAreNamedComeAlsoWhereThereIsNothing) {
  const Minted put = Put(Item("a"));
  owner_.Delete("a");
  const CopyPage page = PageOf({.part = CopyPart::kItems, .items = {Item("a")}});
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_TRUE(page.items[0].record->versions.empty());
  EXPECT_TRUE(page.items[0].record->context.Covers(put.dot)) << "so that an old copy gives way";
}

TEST_F(CopyPageTest, OfWhatIsNamedAPageTellsWhatHasRoomAndOfOneInAnyCase) {
  CopyAsk ask{.part = CopyPart::kItems};
  for (const char* key : {"a", "b", "c", "d"}) {
    Put(Item(key), std::string(1000, 'v'));
    ask.items.push_back(Item(key));
  }
  EXPECT_EQ(PageOf(ask, {.max_bytes = 1500}).items.size(), 4u) << "who asks knows of no parts";
  ask.in_parts = true;
  EXPECT_EQ(PageOf(ask, {.max_bytes = 1500}).items.size(), 2u);
  EXPECT_EQ(PageOf(ask, {.max_bytes = 1}).items.size(), 1u);
}

TEST_F(CopyPageTest, ACursorOfAnotherPartitionIsRefused) {
  Put(Item("a"));
  const std::string foreign = EncodeItemKey({LoneOwner::kNeighbour, TableId(1), "x"});
  const auto page = BuildCopyPage(*owner_.engine().TakeSnapshot(), kPartition,
                                  {.part = CopyPart::kRecords, .after = foreign}, {});
  EXPECT_EQ(page.status().code(), absl::StatusCode::kInvalidArgument);
  const auto named = BuildCopyPage(
      *owner_.engine().TakeSnapshot(), kPartition,
      {.part = CopyPart::kItems, .items = {{LoneOwner::kNeighbour, TableId(1), "x"}}}, {});
  EXPECT_EQ(named.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CopyPageTest, ADamagedRecordIsNamedAndAllElseComes) {
  for (const char* key : {"a", "b", "c"}) Put(Item(key));
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(Item("b")), std::string(1, '\x1f'));
  ASSERT_TRUE(owner_.engine().Write(damage, WalSync::kYes).ok());
  const CopyPage page = PageOf({});
  EXPECT_EQ(page.items.size(), 2u);
  EXPECT_EQ(page.damaged, std::vector<ItemKey>{Item("b")});
  EXPECT_TRUE(page.last);
  const CopyPage named =
      PageOf({.part = CopyPart::kItems, .items = {Item("a"), Item("b"), Item("c")}});
  EXPECT_EQ(named.items.size(), 2u);
  EXPECT_EQ(named.damaged, std::vector<ItemKey>{Item("b")});
}

TEST_F(CopyPageTest, DamagedEntriesOfTheLogAreLeftOut) {
  std::vector<Dot> dots;
  for (const char* key : {"a", "b", "c", "d"}) dots.push_back(Put(Item(key)).dot);
  // The state says what the log would have to tell otherwise.
  const auto state = ReadPartitionState(*owner_.engine().TakeSnapshot(), kPartition);
  ASSERT_TRUE(state.ok());
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeClockKey(kPartition), EncodePartitionState(*state));
  batch.Put(Family::kDotLog, EncodeLogKey(kPartition, dots[3]), "\xff");
  ASSERT_TRUE(owner_.engine().Write(batch, WalSync::kYes).ok());
  ASSERT_TRUE(owner_.engine().Damage(Family::kDotLog, EncodeLogKey(kPartition, dots[1])));
  EXPECT_EQ(PageOf({}).items.size(), 4u) << "explained as far as the log tells";
  const CopyPage page = PageOf({.part = CopyPart::kLog});
  EXPECT_TRUE(page.last);
  ASSERT_EQ(page.log.size(), 2u);
  EXPECT_EQ(page.log[0].item, Item("a"));
  EXPECT_EQ(page.log[1].item, Item("c"));
}

TEST_F(CopyPageTest, APageEndsBeforeWhatCannotBeReadAndTheNextBeginsBehindIt) {
  for (const char* key : {"a", "b", "c", "d"}) Put(Item(key));
  for (const char* key : {"b", "c"}) {
    ASSERT_TRUE(owner_.engine().Damage(Family::kRecords, EncodeItemKey(Item(key))));
  }
  const CopyPage first = PageOf({});
  EXPECT_EQ(first.items.size(), 1u);
  EXPECT_EQ(first.unread_to, "");
  ASSERT_FALSE(first.last);
  const CopyPage second = PageOf({.after = first.upto});
  ASSERT_EQ(second.items.size(), 1u);
  EXPECT_EQ(second.items[0].item, Item("d"));
  EXPECT_GT(second.unread_to, EncodeItemKey(Item("c")));
  EXPECT_LE(second.unread_to, EncodeItemKey(Item("d")));
  EXPECT_TRUE(second.last);
}

TEST_F(CopyPageTest, WhereNothingIsLeftToBeReadThePartEnds) {
  for (const char* key : {"a", "b"}) Put(Item(key));
  ASSERT_TRUE(owner_.engine().Damage(Family::kRecords, EncodeItemKey(Item("b"))));
  const CopyPage page = PageOf({.after = EncodeItemKey(Item("a"))});
  EXPECT_TRUE(page.last);
  EXPECT_TRUE(page.items.empty());
  EXPECT_GT(page.unread_to, EncodeItemKey(Item("b")));
  EXPECT_LE(page.unread_to, PartitionEnd(kPartition));
}

TEST_F(CopyPageTest, AListPassesOverWhatCannotBeReadAndSaysSo) {
  for (const char* key : {"a", "b", "c"}) Put(Item(key));
  ASSERT_TRUE(owner_.engine().Damage(Family::kRecords, EncodeItemKey(Item("b"))));
  const auto list = ListItems(*owner_.engine().TakeSnapshot(), {kPartition, "", ""}, 100);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->items, (std::vector<ItemKey>{Item("a"), Item("c")}));
  EXPECT_TRUE(list->unread);
  EXPECT_TRUE(list->complete);
}

TEST_F(CopyPageTest, AListHoldsTheKeysBehindOneAndUpToAnother) {
  for (const char* key : {"a", "b", "c", "d"}) Put(Item(key));
  const auto snapshot = owner_.engine().TakeSnapshot();
  const ItemRange range{kPartition, EncodeItemKey(Item("a")), EncodeItemKey(Item("c"))};
  const auto list = ListItems(*snapshot, range, 100);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->items, (std::vector<ItemKey>{Item("b"), Item("c")}));
  EXPECT_TRUE(list->complete);
  EXPECT_EQ(ListItems(*snapshot, {kPartition, "", ""}, 100)->items.size(), 4u);
  EXPECT_FALSE(ListItems(*snapshot, range, 1)->complete);
}

}  // namespace
}  // namespace gyre
