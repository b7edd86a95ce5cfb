#include "server/copy_pace.h"

#include <gtest/gtest.h>

#include <cstddef>

namespace gyre {
namespace {

class Copying {
 public:
  // 200 requests a second for so long, of which so many in a hundred are slow.
  void Serve(Duration time, Duration usual, Duration slow, int percent, bool moving) {
    for (const Time end = now_ + time; now_ < end; ++served_) {
      now_ = now_ + Duration::Millis(5);
      const bool is_slow = served_ % 100 * percent / 100 != (served_ % 100 + 1) * percent / 100;
      pace_.OnRequest(is_slow ? slow : usual, moving, now_);
    }
  }
  void Wait(Duration time) { now_ = now_ + time; }
  // After a page of 256 KiB.
  Duration rest() { return pace_.RestAfter(1 << 18, now_); }

 private:
  CopyPace pace_{CopyPaceOptions()};
  Time now_ = Time() + Duration::Seconds(100);
  int served_ = 0;
};

constexpr Duration kQuick = Duration::Millis(1);
constexpr Duration kSlow = Duration::Millis(13);
// At the first pace, the quickest and the slowest.
constexpr Duration kFirst = Duration::Seconds(1);
constexpr Duration kLeast = Duration::Micros(976);
constexpr Duration kMost = Duration::Seconds(2);

// Whose slowest two in a hundred take 8 ms where nothing moves, so that the bound is 12 ms.
Copying Usual() {
  Copying copying;
  copying.Serve(Duration::Seconds(10), kQuick, Duration::Millis(8), 2, false);
  return copying;
}

TEST(CopyPace, WhileClientsFareAsBeforeTheyGetFasterAndFaster) {
  Copying copying = Usual();
  EXPECT_EQ(copying.rest(), kFirst);
  copying.Serve(Duration::Seconds(20), kQuick, Duration::Millis(11), 50, true);
  EXPECT_EQ(copying.rest(), kLeast);
}

TEST(CopyPace, WhereMoreThanOneInAHundredIsSlowedDownCopiesRest) {
  Copying copying = Usual();
  copying.Serve(Duration::Seconds(20), kQuick, kQuick, 0, true);
  ASSERT_EQ(copying.rest(), kLeast);
  copying.Serve(Duration::Seconds(1), kQuick, kSlow, 50, true);
  EXPECT_GE(copying.rest(), kLeast * 8) << "halved at each interval";
  EXPECT_LE(copying.rest(), kLeast * 32);
  copying.Serve(Duration::Seconds(5), kQuick, kSlow, 50, true);
  EXPECT_EQ(copying.rest(), kMost) << "and it goes on";
}

TEST(CopyPace, OneInAHundredMayBeSlowAndTwoMayNot) {
  Copying copying = Usual();
  copying.Serve(Duration::Seconds(60), kQuick, kSlow, 2, true);
  EXPECT_GT(copying.rest(), kFirst);
  copying.Serve(Duration::Seconds(60), kQuick, kSlow, 0, true);
  EXPECT_EQ(copying.rest(), kLeast);
}

TEST(CopyPace, WhatIsQuickEnoughSlowsNobodyDown) {
  Copying copying;
  const Duration usual = Duration::Micros(200);
  copying.Serve(Duration::Seconds(10), usual, Duration::Micros(500), 2, false);
  copying.Serve(Duration::Seconds(20), usual, Duration::Millis(5), 50, true);
  EXPECT_EQ(copying.rest(), kLeast);
  copying.Serve(Duration::Seconds(1), usual, Duration::Millis(6), 50, true);
  EXPECT_GT(copying.rest(), kLeast * 8);
}

TEST(CopyPace, WhatIsSlowWhereNothingMovesIsNotTheirDoing) {
  Copying copying;
  copying.Serve(Duration::Seconds(40), kQuick, Duration::Millis(40), 2, false);
  copying.Serve(Duration::Seconds(20), kQuick, Duration::Millis(55), 50, true);
  EXPECT_EQ(copying.rest(), kLeast);
}

TEST(CopyPace, TimesInWhichSomethingMovesTellNothingOfTimesWithout) {
  Copying copying = Usual();
  copying.Serve(Duration::Seconds(60), kQuick, Duration::Millis(100), 50, true);
  copying.Serve(Duration::Seconds(1), kQuick, kSlow, 50, true);
  EXPECT_EQ(copying.rest(), kMost);
}

TEST(CopyPace, WhoHasJustStartedTakesWhatIsUsualForNeitherVeryQuickNorSlow) {
  Copying copying;
  copying.Serve(Duration::Seconds(20), kQuick, Duration::Millis(14), 50, true);
  EXPECT_EQ(copying.rest(), kLeast);
  copying.Serve(Duration::Seconds(2), kQuick, Duration::Millis(16), 50, true);
  EXPECT_GT(copying.rest(), kLeast * 8);
}

TEST(CopyPace, WhereNobodyIsServedTheyGetFasterAsTimePasses) {
  Copying copying = Usual();
  copying.Serve(Duration::Seconds(9), kQuick, Duration::Millis(50), 50, true);
  ASSERT_EQ(copying.rest(), kMost);
  copying.Wait(Duration::Seconds(120));
  EXPECT_EQ(copying.rest(), kLeast);
}

TEST(CopyPace, WhatMovesNextBeginsAsTheFirstDid) {
  Copying copying = Usual();
  copying.Serve(Duration::Seconds(20), kQuick, kQuick, 0, true);
  ASSERT_EQ(copying.rest(), kLeast);
  copying.Serve(Duration::Seconds(1), kQuick, kQuick, 0, false);
  EXPECT_EQ(copying.rest(), kFirst);
}

}  // namespace
}  // namespace gyre
