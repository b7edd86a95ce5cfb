#include "replication/recent_times.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

RecentTimes Of(int64_t us, int count) {
  RecentTimes times;
  for (int i = 0; i < count; ++i) times.Add(Duration::Micros(us));
  return times;
}

TEST(RecentTimes, SaysNothingOfTooFew) {
  EXPECT_FALSE(Of(1'000, 31).p95().has_value());
  EXPECT_TRUE(Of(1'000, 32).p95().has_value());
}

TEST(RecentTimes, IsOffByAFifthAtMost) {
  for (int64_t us = 65; us < 16'000'000; us = us * 5 / 4 + 1) {
    const int64_t p95 = Of(us, 64).p95()->micros();
    EXPECT_GT(p95, us);
    EXPECT_LE(p95, us + us / 4 + 1) << us;
  }
}

TEST(RecentTimes, TakesTheShortestAndTheLongest) {
  EXPECT_EQ(Of(0, 32).p95(), Duration::Micros(64));
  EXPECT_EQ(Of(-5, 32).p95(), Duration::Micros(64)) << "a clock that stepped back";
  EXPECT_GT(Of(int64_t{3'600'000'000}, 32).p95(), Duration::Seconds(16));
}

TEST(RecentTimes, IsWhatNineteenOfTwentyDoNotPass) {
  RecentTimes seldom;
  RecentTimes often;
  for (int i = 0; i < 320; ++i) {
    seldom.Add(Duration::Micros(i % 32 == 0 ? 100'000 : 1'000));
    often.Add(Duration::Micros(i % 10 == 0 ? 100'000 : 1'000));
  }
  EXPECT_LT(*seldom.p95(), Duration::Millis(2));
  EXPECT_GE(*often.p95(), Duration::Millis(100));
}

TEST(RecentTimes, ForgetsWhatIsLongPast) {
  RecentTimes times = Of(100'000, 5'000);
  ASSERT_GE(*times.p95(), Duration::Millis(100));
  for (int i = 0; i < 1'500; ++i) times.Add(Duration::Micros(1'000));
  EXPECT_LT(*times.p95(), Duration::Millis(2));
}

}  // namespace
}  // namespace gyre
