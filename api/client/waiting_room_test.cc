#include "api/client/waiting_room.h"

#include <utility>

#include "gtest/gtest.h"

namespace gyre {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

std::unique_ptr<Operation> Waiting(absl::Time wake_at, uint64_t wake_epoch = 0) {
  auto op = std::make_unique<Operation>();
  op->deadline = kStart + absl::Seconds(10);
  op->wake_at = wake_at;
  op->wake_epoch = wake_epoch;
  return op;
}

TEST(WaitingRoom, KeepsAnOperationUntilItsTime) {
  WaitingRoom room;
  room.Park(Waiting(kStart + absl::Milliseconds(20)));
  EXPECT_TRUE(room.TakeDue(kStart + absl::Milliseconds(19), 0).empty());
  EXPECT_EQ(room.TakeDue(kStart + absl::Milliseconds(20), 0).size(), 1u);
  EXPECT_TRUE(room.TakeDue(kStart + absl::Milliseconds(20), 0).empty());
}

TEST(WaitingRoom, GivesOutAnOperationWhenItsEpochIsKnown) {
  WaitingRoom room;
  room.Park(Waiting(kStart + absl::Seconds(1), 7));
  EXPECT_TRUE(room.TakeDue(kStart, 6).empty());
  EXPECT_EQ(room.TakeDue(kStart, 7).size(), 1u);
}

TEST(WaitingRoom, DoesNotWakeForAnEpochWhatWaitsForATime) {
  WaitingRoom room;
  room.Park(Waiting(kStart + absl::Seconds(1)));
  EXPECT_TRUE(room.TakeDue(kStart, 99).empty());
}

TEST(WaitingRoom, GivesOutAnOperationAtItsDeadlineThoughItsWaitIsLonger) {
  WaitingRoom room;
  room.Park(Waiting(kStart + absl::Minutes(1)));
  EXPECT_EQ(room.TakeDue(kStart + absl::Seconds(10), 0).size(), 1u);
}

TEST(WaitingRoom, LetsOperationsLeaveInTheOrderTheyCame) {
  WaitingRoom room;
  for (int i = 0; i < 10; ++i) {
    auto op = Waiting(i % 2 == 0 ? kStart : kStart + absl::Seconds(1));
    op->turn = static_cast<uint32_t>(i);
    room.Park(std::move(op));
  }
  std::vector<uint32_t> turns;
  for (const auto& op : room.TakeDue(kStart, 0)) turns.push_back(op->turn);
  EXPECT_EQ(turns, (std::vector<uint32_t>{0, 2, 4, 6, 8}));
  EXPECT_EQ(room.TakeAll().size(), 5u);
}

}  // namespace
}  // namespace gyre
