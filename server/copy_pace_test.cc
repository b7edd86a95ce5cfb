#include "server/copy_pace.h"

#include <gtest/gtest.h>

#include <cstddef>

namespace gyre {
namespace {

class Copying {
 public:
  // So many intervals, each of whose requests take so long but for two in a hundred.
  size_t Serve(int intervals, Duration usual, Duration slow, bool copying) {
    for (int i = 0; i < intervals * 200; ++i) {
      now_ = now_ + Duration::Millis(1);
      pace_.OnRequest(i % 50 == 0 ? slow : usual, copying, now_);
    }
    return pace_.copies(now_);
  }
  size_t Wait(Duration time) {
    now_ = now_ + time;
    return pace_.copies(now_);
  }

 private:
  CopyPace pace_{CopyPaceOptions()};
  Time now_ = Time() + Duration::Seconds(100);
};

constexpr Duration kQuick = Duration::Millis(1);

TEST(CopyPace, WhileClientsFareAsBeforeThereAreMoreAndMore) {
  Copying copying;
  copying.Serve(3, kQuick, Duration::Millis(8), false);
  const size_t first = copying.Serve(1, kQuick, Duration::Millis(15), true);
  EXPECT_GT(first, 2u);
  EXPECT_EQ(copying.Serve(1, kQuick, Duration::Millis(15), true), first + 1);
  EXPECT_EQ(copying.Serve(20, kQuick, Duration::Millis(15), true), 8u);
}

TEST(CopyPace, WhereTheSlowestAreSlowedDownThereAreHalfAsMany) {
  Copying copying;
  copying.Serve(3, kQuick, Duration::Millis(8), false);
  ASSERT_EQ(copying.Serve(20, kQuick, Duration::Millis(15), true), 8u);
  EXPECT_EQ(copying.Serve(1, kQuick, Duration::Millis(17), true), 4u);
  EXPECT_EQ(copying.Serve(1, kQuick, Duration::Millis(17), true), 2u);
  EXPECT_EQ(copying.Serve(5, kQuick, Duration::Millis(17), true), 1u) << "one always goes on";
}

TEST(CopyPace, WhatIsQuickEnoughSlowsNobodyDown) {
  Copying copying;
  copying.Serve(3, Duration::Micros(200), Duration::Micros(500), false);
  EXPECT_EQ(copying.Serve(20, Duration::Micros(200), Duration::Millis(5), true), 8u);
  EXPECT_EQ(copying.Serve(1, Duration::Micros(200), Duration::Millis(6), true), 4u);
}

TEST(CopyPace, WhatIsSlowWithoutCopiesIsNotTheirDoing) {
  Copying copying;
  copying.Serve(20, kQuick, Duration::Millis(40), false);
  EXPECT_EQ(copying.Serve(20, kQuick, Duration::Millis(70), true), 8u);
}

TEST(CopyPace, TimesWithCopiesTellNothingOfTimesWithout) {
  Copying copying;
  copying.Serve(3, kQuick, Duration::Millis(8), false);
  copying.Serve(50, kQuick, Duration::Millis(100), true);
  EXPECT_EQ(copying.Serve(1, kQuick, Duration::Millis(100), true), 1u);
}

TEST(CopyPace, WhereNobodyIsServedThereAreMoreAsTimePasses) {
  Copying copying;
  copying.Serve(3, kQuick, Duration::Millis(8), false);
  ASSERT_EQ(copying.Serve(9, kQuick, Duration::Millis(50), true), 1u);
  EXPECT_EQ(copying.Wait(Duration::Seconds(6)), 2u);
  EXPECT_EQ(copying.Wait(Duration::Seconds(6)), 3u);
}

}  // namespace
}  // namespace gyre
