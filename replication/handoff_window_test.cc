#include "replication/handoff_window.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

constexpr Time kNow = Time() + Duration::Seconds(100);

TEST(HandoffWindow, GrowsByOneForEachThatIsTakenUpToItsMost) {
  HandoffWindow window;
  EXPECT_EQ(window.size(), HandoffWindow::kFirst);
  window.OnTaken();
  EXPECT_EQ(window.size(), HandoffWindow::kFirst + 1);
  for (int i = 0; i < 1000; ++i) window.OnTaken();
  EXPECT_EQ(window.size(), HandoffWindow::kMost);
}

TEST(HandoffWindow, HalvesAndPausesWhenTheOwnerIsOverloaded) {
  HandoffWindow window;
  for (int i = 0; i < 12; ++i) window.OnTaken();
  EXPECT_LE(window.open_at(), kNow);
  window.OnOverloaded(kNow);
  EXPECT_EQ(window.size(), 8u);
  EXPECT_EQ(window.open_at(), kNow + HandoffWindow::kShortestPause);
}

TEST(HandoffWindow, GrowsSlowlyOnceItWasTooMuch) {
  HandoffWindow window;
  for (int i = 0; i < 12; ++i) window.OnTaken();
  window.OnOverloaded(kNow);
  for (int i = 0; i < 7; ++i) window.OnTaken();
  EXPECT_EQ(window.size(), 8u);
  window.OnTaken();
  EXPECT_EQ(window.size(), 9u) << "a windowful was taken";
  for (int i = 0; i < 9; ++i) window.OnTaken();
  EXPECT_EQ(window.size(), 10u);
}

TEST(HandoffWindow, OneBurstOfRefusalsCountsOnce) {
  HandoffWindow window;
  for (int i = 0; i < 12; ++i) window.OnTaken();
  for (int i = 0; i < 16; ++i) window.OnOverloaded(kNow);
  EXPECT_EQ(window.size(), 8u);
}

TEST(HandoffWindow, PausesGrowWhileTheOwnerStaysOverloadedAndAreShortAgainAfterwards) {
  HandoffWindow window;
  Time now = kNow;
  Duration pause;
  for (int i = 0; i < 20; ++i) {
    window.OnOverloaded(now);
    EXPECT_GE(window.open_at() - now, pause);
    pause = window.open_at() - now;
    now = window.open_at();
  }
  EXPECT_EQ(pause, HandoffWindow::kLongestPause);
  EXPECT_EQ(window.size(), 1u) << "never none: one finds out whether it is over";
  window.OnTaken();
  window.OnOverloaded(now);
  EXPECT_EQ(window.open_at() - now, HandoffWindow::kShortestPause);
}

}  // namespace
}  // namespace gyre
