#include "ring/suspicion.h"

#include <gtest/gtest.h>

#include "ring/local_health.h"

namespace gyre {
namespace {

constexpr Duration kLeast = Duration::Seconds(10);
constexpr Duration kMost = Duration::Seconds(60);

TEST(Suspicion, LastsLongestWhileNobodyConfirmsIt) {
  EXPECT_EQ(Suspicion(NodeId(1), kLeast, kMost, 3).Timeout(), kMost);
}

TEST(Suspicion, BecomesShorterWithEachConfirmationAndTheFirstCountsMost) {
  Suspicion suspicion(NodeId(1), kLeast, kMost, 3);
  EXPECT_TRUE(suspicion.Confirm(NodeId(2)));
  EXPECT_EQ(suspicion.Timeout(), Duration::Seconds(35));  // 60 - 50 * log 2 / log 4
  EXPECT_TRUE(suspicion.Confirm(NodeId(3)));
  EXPECT_EQ(suspicion.Timeout().millis(), 20'375);  // 60 - 50 * log 3 / log 4
  EXPECT_TRUE(suspicion.Confirm(NodeId(4)));
  EXPECT_EQ(suspicion.Timeout(), kLeast);
}

TEST(Suspicion, IsConfirmedByEachOtherNodeOnce) {
  Suspicion suspicion(NodeId(1), kLeast, kMost, 3);
  EXPECT_FALSE(suspicion.Confirm(NodeId(1)));
  EXPECT_TRUE(suspicion.Confirm(NodeId(2)));
  EXPECT_FALSE(suspicion.Confirm(NodeId(2)));
  EXPECT_EQ(suspicion.Confirmations(), 1);
}

TEST(Suspicion, NeedsNoMoreThanWhatIsWanted) {
  Suspicion suspicion(NodeId(1), kLeast, kMost, 1);
  EXPECT_TRUE(suspicion.Confirm(NodeId(2)));
  EXPECT_FALSE(suspicion.Confirm(NodeId(3)));
  EXPECT_EQ(suspicion.Timeout(), kLeast);
}

TEST(Suspicion, IsShortWhereNobodyCouldConfirmIt) {
  EXPECT_EQ(Suspicion(NodeId(1), kLeast, kMost, 0).Timeout(), kLeast);
}

TEST(LocalHealth, StretchesTimesByHowBadItIs) {
  LocalHealth health;
  EXPECT_EQ(health.Stretch(Duration::Seconds(1)), Duration::Seconds(1));
  health.Worsen(2);
  EXPECT_EQ(health.Stretch(Duration::Seconds(1)), Duration::Seconds(3));
  health.Improve();
  EXPECT_EQ(health.Stretch(Duration::Seconds(1)), Duration::Seconds(2));
}

TEST(LocalHealth, HasABestAndAWorst) {
  LocalHealth health;
  health.Improve();
  EXPECT_EQ(health.score(), 0);
  health.Worsen(100);
  EXPECT_EQ(health.score(), LocalHealth::kWorst);
}

}  // namespace
}  // namespace gyre
