#include "replication/partition_copy.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace gyre {
namespace {

using Next = PartitionCopy::Next;

constexpr PartitionId kPartition(3, 5);
constexpr NodeId kPeer(2);

Time At(int64_t s) { return Time() + Duration::Seconds(s); }
ItemKey Item(const std::string& key) { return {kPartition, TableId(1), key}; }

Record With(uint64_t counter) {
  Record record;
  AddVersion(&record, {{ReplicaId(7), counter}, 0, "x"});
  return record;
}

// A copy of an owner whose clock is (7, 1..9), and what a test lets it say.
class PartitionCopyTest : public testing::Test {
 protected:
  CopyPage PageOf(const CopyAsk& ask, const std::vector<std::string>& keys, bool last) {
    CopyPage page;
    page.part = ask.part;
    page.number = ask.number;
    page.last = last;
    for (uint64_t n = 1; n <= 9; ++n) page.clock.Add({ReplicaId(7), n});
    for (const std::string& key : keys) {
      page.items.push_back({Item(key), std::make_shared<const Record>(With(1)), {}});
      page.upto = EncodeItemKey(Item(key));
    }
    return page;
  }
  // Takes the page in, with nothing of this node's in its range.
  Next Take(CopyPage page) {
    EXPECT_TRUE(copy_.Awaits(kPeer, page));
    copy_.OnPage(&page, At(1));
    Next next = copy_.OnTakenIn();
    if (next != Next::kList) return next;
    copy_.OnListed({});
    return copy_.OnTakenIn();
  }
  void TakeRecordsAndLog() { ASSERT_EQ(Take(PageOf(copy_.Question(), {"a"}, true)), Next::kAsk); }

  PartitionCopy copy_{kPartition, kPeer, At(0)};
};

TEST_F(PartitionCopyTest, TakesTheClockAfterTheRecordsAndTheLog) {
  EXPECT_EQ(Take(PageOf(copy_.Question(), {"a", "b"}, false)), Next::kAsk);
  const CopyAsk second = copy_.Question();
  EXPECT_EQ(second.part, CopyPart::kRecords);
  EXPECT_EQ(second.after, EncodeItemKey(Item("b")));
  EXPECT_EQ(Take(PageOf(second, {"c"}, true)), Next::kAsk);
  const CopyAsk log = copy_.Question();
  EXPECT_EQ(log.part, CopyPart::kLog);
  EXPECT_EQ(log.after, "");
  EXPECT_EQ(Take(PageOf(log, {}, true)), Next::kJoinClock);
  EXPECT_EQ(copy_.clock().Base(ReplicaId(7)), 9u);
  EXPECT_EQ(copy_.records(), 3u);
}

TEST_F(PartitionCopyTest, WhatAPageDoesNotShowOfItsRangeIsTakenForDeleted) {
  CopyPage page = PageOf(copy_.Question(), {"b", "d"}, false);
  copy_.OnPage(&page, At(1));
  ASSERT_EQ(copy_.OnTakenIn(), Next::kList);
  EXPECT_EQ(copy_.Range().after, "");
  EXPECT_EQ(copy_.Range().upto, EncodeItemKey(Item("d")));
  const auto deleted = copy_.OnListed({{Item("a"), Item("b"), Item("c")}, true});
  ASSERT_EQ(deleted.size(), 2u);
  EXPECT_EQ(deleted[0].item, Item("a"));
  EXPECT_EQ(deleted[1].item, Item("c"));
  EXPECT_TRUE(deleted[1].record->versions.empty());
  EXPECT_EQ(deleted[1].record->context.Get(ReplicaId(7)), 9u) << "as far as the copy knows";
}

TEST_F(PartitionCopyTest, ALongListIsGoneThroughInParts) {
  CopyPage page = PageOf(copy_.Question(), {"z"}, true);
  copy_.OnPage(&page, At(1));
  ASSERT_EQ(copy_.OnTakenIn(), Next::kList);
  EXPECT_EQ(copy_.Range().upto, "") << "the last page is of all that is behind it, too";
  copy_.OnListed({{Item("a")}, false});
  ASSERT_EQ(copy_.OnTakenIn(), Next::kList);
  EXPECT_EQ(copy_.Range().after, EncodeItemKey(Item("a")));
  copy_.OnListed({{Item("b")}, true});
  EXPECT_EQ(copy_.OnTakenIn(), Next::kAsk);
}

TEST_F(PartitionCopyTest, WhatComesMeanwhileAndIsOlderThanTheCopyIsAskedForByName) {
  TakeRecordsAndLog();
  copy_.OnChanged(Item("old"), With(4));
  copy_.OnChanged(Item("new"), With(10));
  const CopyAsk log = copy_.Question();
  EXPECT_EQ(Take(PageOf(log, {}, true)), Next::kAsk);
  const CopyAsk named = copy_.Question();
  EXPECT_EQ(named.part, CopyPart::kItems);
  EXPECT_EQ(named.items, std::vector<ItemKey>{Item("old")});
  EXPECT_EQ(Take(PageOf(named, {"old"}, true)), Next::kJoinClock);
}

TEST_F(PartitionCopyTest, WhatAPageDoesNotTellOfWhatWasNamedIsNamedAgain) {
  TakeRecordsAndLog();
  for (const char* key : {"a", "b", "c"}) copy_.OnChanged(Item(key), With(4));
  Take(PageOf(copy_.Question(), {}, true));
  const CopyAsk named = copy_.Question();
  EXPECT_TRUE(named.in_parts);
  EXPECT_FALSE(copy_.Awaits(kPeer, PageOf(named, {}, true))) << "or it would go on for ever";
  EXPECT_FALSE(copy_.Awaits(kPeer, PageOf(named, {"x"}, true)));
  EXPECT_EQ(Take(PageOf(named, {"a"}, true)), Next::kAsk);
  const CopyAsk rest = copy_.Question();
  EXPECT_EQ(rest.items, (std::vector<ItemKey>{Item("b"), Item("c")}));
  EXPECT_EQ(Take(PageOf(rest, {"b", "c"}, true)), Next::kJoinClock);
}

TEST_F(PartitionCopyTest, WhatComesAgainAfterItWasNamedIsNamedAgain) {
  TakeRecordsAndLog();
  copy_.OnChanged(Item("old"), With(4));
  Take(PageOf(copy_.Question(), {}, true));
  CopyPage page = PageOf(copy_.Question(), {"old"}, true);
  copy_.OnPage(&page, At(1));
  copy_.OnChanged(Item("old"), With(4));
  EXPECT_EQ(copy_.OnTakenIn(), Next::kAsk);
  EXPECT_EQ(copy_.Question().items.size(), 1u);
}

TEST_F(PartitionCopyTest, CountsWhatComesLikeWhoGivesIt) {
  CopyPage first = PageOf(copy_.Question(), {"a", "b"}, false);
  first.records = 3;
  EXPECT_FALSE(copy_.Counts(first)) << "one got lost";
  first.records = 2;
  ASSERT_TRUE(copy_.Counts(first));
  Take(std::move(first));
  CopyPage second = PageOf(copy_.Question(), {"c"}, true);
  second.records = 4;
  EXPECT_FALSE(copy_.Counts(second));
  second.records = 3;
  ASSERT_TRUE(copy_.Counts(second));
  Take(std::move(second));
  EXPECT_TRUE(copy_.Counts(PageOf(copy_.Question(), {}, true))) << "of the log nothing is counted";
}

TEST_F(PartitionCopyTest, ABuildThatDoesNotCountIsBelieved) {
  EXPECT_TRUE(copy_.Counts(PageOf(copy_.Question(), {"a", "b"}, false)));
}

TEST_F(PartitionCopyTest, AwaitsOnlyTheAnswerToItsLastQuestion) {
  const CopyAsk first = copy_.Question();
  const CopyPage page = PageOf(first, {"a"}, false);
  EXPECT_FALSE(copy_.Awaits(NodeId(9), page)) << "of another node";
  CopyPage taken = page;
  copy_.OnPage(&taken, At(1));
  EXPECT_FALSE(copy_.Awaits(kPeer, page)) << "doubled";
  copy_.OnListed({});
  copy_.Question();
  EXPECT_FALSE(copy_.Awaits(kPeer, page)) << "of an earlier question";
}

TEST_F(PartitionCopyTest, APageThatLeadsNowhereIsDropped) {
  Take(PageOf(copy_.Question(), {"b"}, false));
  const CopyAsk ask = copy_.Question();
  EXPECT_FALSE(copy_.Awaits(kPeer, PageOf(ask, {"a"}, false))) << "it would go on for ever";
  CopyPage foreign = PageOf(ask, {"c"}, false);
  foreign.items[0].item.partition = PartitionId(3, 6);
  EXPECT_FALSE(copy_.Awaits(kPeer, foreign));
}

TEST_F(PartitionCopyTest, EndsWhereTooMuchChangesMeanwhile) {
  TakeRecordsAndLog();
  for (size_t i = 0; i <= PartitionCopy::kMostSuspects; ++i) {
    copy_.OnChanged(Item(std::to_string(i)), With(4));
  }
  EXPECT_EQ(Take(PageOf(copy_.Question(), {}, true)), Next::kGiveUp);
}

}  // namespace
}  // namespace gyre
