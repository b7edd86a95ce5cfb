#include "storage/remembered_writes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

#include "ring/random.h"

namespace gyre {
namespace {

Minted Of(uint64_t counter, uint64_t write, uint32_t attempt = 1) {
  return {{ReplicaId(1), counter}, {0, write}, attempt};
}

TEST(RememberedWrites, FindsAWriteByItsKeyAndByItsDot) {
  RememberedWrites writes(4);
  writes.Add(Of(1, 10));
  ASSERT_NE(writes.Find(WriteId{0, 10}), nullptr);
  EXPECT_EQ(*writes.Find(WriteId{0, 10}), Of(1, 10));
  EXPECT_EQ(*writes.Find(Dot{ReplicaId(1), 1}), Of(1, 10));
  EXPECT_EQ(writes.Find(WriteId{0, 11}), nullptr);
  EXPECT_EQ(writes.Find(Dot{ReplicaId(2), 1}), nullptr);
}

TEST(RememberedWrites, AWriteWithoutAKeyIsNotRemembered) {
  RememberedWrites writes(4);
  writes.Add({{ReplicaId(1), 1}, {}, 0});
  EXPECT_EQ(writes.Find(WriteId{}), nullptr);
  EXPECT_EQ(writes.Find(Dot{ReplicaId(1), 1}), nullptr);
}

TEST(RememberedWrites, TheLaterAttemptStandsAndTheEarlierDotIsStillExplained) {
  RememberedWrites writes(4);
  writes.Add(Of(1, 10, 1));
  writes.Add(Of(2, 10, 2));
  EXPECT_EQ(writes.Find(WriteId{0, 10})->dot.counter, 2u);
  EXPECT_EQ(writes.Find(Dot{ReplicaId(1), 1})->attempt, 1u);
  writes.Add(Of(3, 10, 1));  // comes late
  EXPECT_EQ(writes.Find(WriteId{0, 10})->dot.counter, 2u);
}

TEST(RememberedWrites, ForgettingAnEarlierAttemptLeavesTheLaterOne) {
  RememberedWrites writes(2);
  writes.Add(Of(1, 10, 1));
  writes.Add(Of(2, 10, 2));
  writes.Add(Of(3, 11));
  EXPECT_EQ(writes.Find(Dot{ReplicaId(1), 1}), nullptr);
  ASSERT_NE(writes.Find(WriteId{0, 10}), nullptr);
  EXPECT_EQ(writes.Find(WriteId{0, 10})->dot.counter, 2u);
  writes.Add(Of(4, 12));
  EXPECT_EQ(writes.Find(WriteId{0, 10}), nullptr);
}

TEST(RememberedWrites, ADotOfTwoWritesIsFoundWhileTheNewerIsRemembered) {
  RememberedWrites writes(2);
  writes.Add(Of(1, 10));
  writes.Add(Of(1, 11));
  EXPECT_EQ(writes.Find(Dot{ReplicaId(1), 1})->write.low, 11u);
  writes.Add(Of(2, 12));
  ASSERT_NE(writes.Find(Dot{ReplicaId(1), 1}), nullptr);
  EXPECT_EQ(writes.Find(Dot{ReplicaId(1), 1})->write.low, 11u);
}

// Against maps and a queue, over writes of a few keys with many attempts.
TEST(RememberedWrites, AgreesWithMapsOverRandomHistories) {
  Random random(20'261'121);
  constexpr size_t kMost = 16;
  RememberedWrites writes(kMost);
  std::map<uint64_t, Minted> by_write, by_dot;
  std::deque<Minted> order;
  for (uint64_t counter = 1; counter < 20'000; ++counter) {
    const Minted minted = Of(counter, 1 + random.Below(24), static_cast<uint32_t>(random.Below(4)));
    writes.Add(minted);
    const auto known = by_write.find(minted.write.low);
    if (known == by_write.end() || GivesWay(known->second, minted)) {
      by_write[minted.write.low] = minted;
      by_dot[counter] = minted;
      order.push_back(minted);
    }
    if (order.size() > kMost) {
      const Minted oldest = order.front();
      order.pop_front();
      by_dot.erase(oldest.dot.counter);
      if (by_write[oldest.write.low] == oldest) by_write.erase(oldest.write.low);
    }
    for (uint64_t write = 1; write <= 24; ++write) {
      const Minted* const found = writes.Find(WriteId{0, write});
      const auto expected = by_write.find(write);
      ASSERT_EQ(found != nullptr, expected != by_write.end());
      if (found != nullptr) {
        ASSERT_EQ(*found, expected->second);
      }
    }
    const uint64_t dot = counter - random.Below(std::min<uint64_t>(counter, 2 * kMost));
    const Minted* const found = writes.Find(Dot{ReplicaId(1), dot});
    const auto expected = by_dot.find(dot);
    ASSERT_EQ(found != nullptr, expected != by_dot.end());
    if (found != nullptr) {
      ASSERT_EQ(*found, expected->second);
    }
  }
}

}  // namespace
}  // namespace gyre
