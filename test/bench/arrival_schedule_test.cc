#include "test/bench/arrival_schedule.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(ArrivalSchedule, SpacesRequestsEvenlyAndDoesNotDrift) {
  const ArrivalSchedule schedule(3000);
  EXPECT_EQ(schedule.DueAt(0), 0);
  EXPECT_EQ(schedule.DueAt(1), 333);
  EXPECT_EQ(schedule.DueAt(2), 667);
  EXPECT_EQ(schedule.DueAt(3000), 1'000'000);
  EXPECT_EQ(schedule.DueAt(3000ull * 86'400), 86'400'000'000);
}

TEST(ArrivalSchedule, CountsWhatIsDue) {
  for (double rate : {0.5, 1.0, 7.0, 3000.0, 11'574.0, 1'000'000.0}) {
    const ArrivalSchedule schedule(rate);
    EXPECT_EQ(schedule.DueBefore(0), 0u);
    for (uint64_t n : {0ull, 1ull, 2ull, 10ull, 12'345ull}) {
      EXPECT_EQ(schedule.DueBefore(schedule.DueAt(n)), n) << rate;
      EXPECT_EQ(schedule.DueBefore(schedule.DueAt(n) + 1), n + 1) << rate;
    }
  }
}

TEST(ArrivalSchedule, OpenLoopCountsLatencyFromTheIntendedStart) {
  // A request that was due at 1 ms and sent at 500 ms, after a stall, has waited all that time.
  EXPECT_EQ(ArrivalSchedule(1000).IntendedStart(1, 500'000), 1000);
}

TEST(ArrivalSchedule, ClosedLoopCountsLatencyFromTheSending) {
  const ArrivalSchedule schedule(0);
  EXPECT_FALSE(schedule.is_open());
  EXPECT_EQ(schedule.IntendedStart(1, 500'000), 500'000);
  EXPECT_EQ(schedule.DueBefore(1'000'000), 0u);
}

}  // namespace
}  // namespace gyre
