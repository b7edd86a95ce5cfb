#include "replication/log_tail.h"

#include <string>

#include "gtest/gtest.h"

namespace gyre {
namespace {

std::string RowsOf(const LogTail& tail) {
  std::string rows;
  tail.ForEach([&](const LogRow& row) {
    rows += " " + std::to_string(row.minted.dot.replica.value()) + "." +
            std::to_string(row.minted.dot.counter);
  });
  return rows;
}

TEST(LogTail, KeepsTheNewestOfEachReplicaId) {
  LogTail tail(4);
  for (uint64_t replica = 1; replica <= 2; ++replica) {
    for (uint64_t counter = 1; counter <= 5; ++counter) {
      tail.Add({{}, {{ReplicaId(replica), counter}, {}, 0}});
    }
  }
  EXPECT_EQ(RowsOf(tail), " 1.4 1.5 2.4 2.5");
}

TEST(LogTail, KeepsAllThatItHasRoomFor) {
  LogTail tail(4);
  tail.Add({{}, {{ReplicaId(7), 3}, {}, 0}});
  for (uint64_t counter = 1; counter <= 9; ++counter) {
    tail.Add({{}, {{ReplicaId(8), counter}, {}, 0}});
  }
  EXPECT_EQ(RowsOf(tail), " 7.3 8.7 8.8 8.9");
}

}  // namespace
}  // namespace gyre
