#include "storage/keys.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ring/random.h"

namespace gyre {
namespace {

PartitionId RandomPartition(Random* random) {
  return PartitionId(static_cast<int>(random->Between(1, kMaxReplicas)),
                     static_cast<uint32_t>(random->Below(kMaxSlices)));
}

ItemKey RandomItem(Random* random) {
  ItemKey item{RandomPartition(random), TableId(static_cast<uint16_t>(random->Below(65536))), {}};
  const uint64_t length = random->Below(20);
  for (uint64_t i = 0; i < length; ++i) item.key.push_back(static_cast<char>(random->Below(256)));
  return item;
}

TEST(Keys, ReadBackTheItemThatTheyEncode) {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const ItemKey item = RandomItem(&random);
    const std::string bytes = EncodeItemKey(item);
    EXPECT_EQ(bytes.size(), kItemPrefixBytes + item.key.size());
    EXPECT_EQ(DecodeItemKey(bytes), item);
  }
}

TEST(Keys, ReadBackTheDotThatTheyEncode) {
  Random random(2);
  for (int i = 0; i < 1000; ++i) {
    const PartitionId partition = RandomPartition(&random);
    const Dot dot{ReplicaId(random.Next()), random.Next()};
    const std::string bytes = EncodeLogKey(partition, dot);
    EXPECT_EQ(bytes.size(), kLogKeyBytes);
    const std::optional<LogKey> key = DecodeLogKey(bytes);
    ASSERT_TRUE(key.has_value());
    EXPECT_EQ(key->partition, partition);
    EXPECT_EQ(key->dot, dot);
  }
}

TEST(Keys, ReadBackThePartitionOfAClock) {
  const PartitionId partition(3, 65535);
  EXPECT_EQ(DecodeClockKey(EncodeClockKey(partition)), partition);
}

TEST(Keys, RefuseWhatIsTooShortTooLongOrOfAnotherKind) {
  EXPECT_FALSE(DecodeItemKey("").has_value());
  EXPECT_FALSE(DecodeItemKey("1234").has_value());
  EXPECT_TRUE(DecodeItemKey("12345").has_value());
  const std::string log = EncodeLogKey(PartitionId(3, 1), {ReplicaId(1), 1});
  EXPECT_FALSE(DecodeLogKey(log.substr(1)).has_value());
  EXPECT_FALSE(DecodeLogKey(log + "x").has_value());
  EXPECT_FALSE(DecodeClockKey("c12").has_value());
  EXPECT_FALSE(DecodeClockKey("c1234").has_value());
  EXPECT_FALSE(DecodeClockKey("n123").has_value());
}

TEST(Keys, HaveTheByteOrderOfTheirParts) {
  Random random(3);
  std::vector<ItemKey> items;
  for (int i = 0; i < 300; ++i) {
    ItemKey item = RandomItem(&random);
    // Few partitions and tables, so that the later parts decide too.
    item.partition = PartitionId(1 + i % 2, item.partition.slice() % 3 * 255);
    item.table = TableId(static_cast<uint16_t>(item.table.value() % 3 * 255));
    items.push_back(std::move(item));
  }
  for (const ItemKey& a : items) {
    for (const ItemKey& b : items) {
      EXPECT_EQ(EncodeItemKey(a) < EncodeItemKey(b),
                std::tie(a.partition, a.table, a.key) < std::tie(b.partition, b.table, b.key));
    }
  }
}

TEST(Keys, OrderTheLogEntriesOfAReplicaByTheirCounters) {
  Random random(4);
  const PartitionId partition(3, 7);
  std::vector<Dot> dots;
  for (int i = 0; i < 200; ++i) {
    dots.push_back({ReplicaId(random.Below(3) << 60), random.Next() >> random.Below(64)});
  }
  for (const Dot& a : dots) {
    for (const Dot& b : dots) {
      EXPECT_EQ(EncodeLogKey(partition, a) < EncodeLogKey(partition, b), a < b);
    }
  }
}

TEST(Keys, BoundAPartitionByARangeThatHoldsItsKeysAndNoOthers) {
  Random random(5);
  for (int i = 0; i < 1000; ++i) {
    const PartitionId partition = RandomPartition(&random);
    const std::string begin = PartitionBegin(partition), end = PartitionEnd(partition);
    ItemKey item = RandomItem(&random);
    for (const PartitionId near : {partition, PartitionId::FromValue(partition.value() + 1),
                                   PartitionId::FromValue(partition.value() - 1), item.partition}) {
      item.partition = near;
      const std::string key = EncodeItemKey(item);
      EXPECT_EQ(begin <= key && key < end, near == partition);
      const std::string log = EncodeLogKey(near, {ReplicaId(random.Next()), random.Next()});
      EXPECT_EQ(begin <= log && log < end, near == partition);
    }
  }
}

TEST(Keys, BoundATableByARangeThatHoldsItsKeysAndNoOthers) {
  Random random(6);
  for (int i = 0; i < 1000; ++i) {
    ItemKey item = RandomItem(&random);
    if (i % 10 == 0) item.table = TableId(65535);
    const PartitionId partition = item.partition;
    const TableId table = item.table;
    const std::string begin = TableBegin(partition, table), end = TableEnd(partition, table);
    for (const int step : {-1, 0, 1}) {
      item.table = TableId(static_cast<uint16_t>(table.value() + step));
      const std::string key = EncodeItemKey(item);
      EXPECT_EQ(begin <= key && key < end, step == 0);
    }
    item.table = table;
    item.partition = PartitionId::FromValue(partition.value() + 1);
    EXPECT_GE(EncodeItemKey(item), end);
  }
}

TEST(Keys, KeepNodeEntriesApartFromClocks) {
  EXPECT_FALSE(DecodeClockKey(EncodeNodeKey("abc")).has_value());
  EXPECT_LT(EncodeClockKey(PartitionId(kMaxReplicas, kMaxSlices - 1)), EncodeNodeKey(""));
}

}  // namespace
}  // namespace gyre
