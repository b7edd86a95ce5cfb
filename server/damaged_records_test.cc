#include "server/damaged_records.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace gyre {
namespace {

ItemKey Item(int i, PartitionId partition = PartitionId(3, 5)) {
  return {partition, TableId(1), std::to_string(i)};
}

std::string Keys(const std::vector<ItemKey>& items) {
  std::string keys;
  for (const ItemKey& item : items) keys += item.key;
  return keys;
}

TEST(DamagedRecords, AllHaveTheirTurnThoughNoneCanBeMended) {
  DamagedRecords damaged;
  for (int i = 1; i <= 5; ++i) EXPECT_TRUE(damaged.Note(Item(i), false));
  EXPECT_EQ(Keys(damaged.Next(2)), "12");
  EXPECT_EQ(Keys(damaged.Next(2)), "34");
  EXPECT_EQ(Keys(damaged.Next(2)), "51");
  EXPECT_EQ(Keys(damaged.Next(9)), "23451") << "each once";
}

TEST(DamagedRecords, WhatIsBeingMendedWaitsForNothing) {
  DamagedRecords damaged;
  for (int i = 1; i <= 3; ++i) damaged.Note(Item(i), false);
  damaged.Begin(Item(2), 7);
  EXPECT_EQ(Keys(damaged.Next(9)), "13");
  damaged.End(Item(2));
  EXPECT_EQ(Keys(damaged.Next(9)), "123");
}

TEST(DamagedRecords, WhatWasReadSinceItIsMendedIsNotTaken) {
  DamagedRecords damaged;
  damaged.Note(Item(1), false);
  damaged.Begin(Item(1), 7);
  EXPECT_FALSE(damaged.Take(Item(1), 8)) << "another exchange";
  damaged.Forget(Item(1));
  damaged.Note(Item(1), false);
  EXPECT_FALSE(damaged.Take(Item(1), 7));
  damaged.Begin(Item(1), 9);
  EXPECT_TRUE(damaged.Take(Item(1), 9));
  EXPECT_EQ(damaged.size(), 0u);
}

TEST(DamagedRecords, WhatNobodyElseOwnsIsCountedAndWaitsInNoQueue) {
  DamagedRecords damaged;
  for (size_t i = 0; i < DamagedRecords::kMost + 9; ++i) damaged.Note(Item(i), true);
  EXPECT_EQ(damaged.size(), DamagedRecords::kMost);
  EXPECT_FALSE(damaged.waits());
  EXPECT_TRUE(damaged.Next(9).empty());
  EXPECT_TRUE(damaged.Note(Item(1, PartitionId(3, 6)), false)) << "there is room for it";
  EXPECT_EQ(Keys(damaged.Next(9)), "1");
}

TEST(DamagedRecords, ForgetsWhatIsNoLongerThisNodes) {
  DamagedRecords damaged;
  damaged.Note(Item(1), false);
  damaged.Note(Item(1, PartitionId(1, 5)), true);
  damaged.ForgetIf([](const ItemKey& item) { return item.partition == PartitionId(3, 5); });
  EXPECT_EQ(damaged.size(), 1u);
  EXPECT_FALSE(damaged.Forget(Item(1)));
  EXPECT_TRUE(damaged.Forget(Item(1, PartitionId(1, 5))));
}

}  // namespace
}  // namespace gyre
