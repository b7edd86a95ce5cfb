#include "replication/peer_pace.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

const NodeId kB{2};
const NodeId kC{3};

Time AtMs(int64_t ms) { return Time() + Duration::Millis(ms); }

void Silent(PeerPace* pace, NodeId peer, int times, Time now) {
  for (int i = 0; i < times; ++i) pace->OnSilence(peer, now);
}

// ---------------------------------------------------------------------------------------- hedging

TEST(PeerPace, AReadWaitsForAsLongAsTheOtherUsuallyTakes) {
  PeerPace pace;
  EXPECT_EQ(pace.HedgeAfter(kB), Duration::Millis(20)) << "of whom nothing is known";
  for (int i = 0; i < 100; ++i) pace.OnAnswer(kB, Duration::Micros(3'000), false);
  for (int i = 0; i < 100; ++i) pace.OnAnswer(kC, Duration::Micros(60'000), false);
  EXPECT_LT(pace.HedgeAfter(kB), Duration::Millis(4));
  EXPECT_GE(pace.HedgeAfter(kC), Duration::Millis(60)) << "a slow one is no better than to wait on";
}

TEST(PeerPace, AReadWaitsForARoundAtLeast) {
  PeerPace pace;
  for (int i = 0; i < 100; ++i) pace.OnAnswer(kB, Duration::Micros(80), false);
  EXPECT_EQ(pace.HedgeAfter(kB), Duration::Millis(1));
}

TEST(PeerPace, HedgesAreATenthOfTheReads) {
  PeerPace pace({.hedges_first = 2});
  EXPECT_TRUE(pace.TryHedge());
  EXPECT_TRUE(pace.TryHedge());
  EXPECT_FALSE(pace.TryHedge());
  int granted = 0;
  for (int i = 0; i < 1'000; ++i) {
    pace.OnRead();
    if (pace.TryHedge()) ++granted;
  }
  EXPECT_EQ(granted, 100);
  EXPECT_EQ(pace.figures().hedges, 102u);
  EXPECT_EQ(pace.figures().refused, 901u);
}

TEST(PeerPace, AQuietTimeSavesUpSoManyHedgesAndNoMore) {
  PeerPace pace({.hedges_most = 5});
  for (int i = 0; i < 10'000; ++i) pace.OnRead();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(pace.TryHedge());
  EXPECT_FALSE(pace.TryHedge());
}

TEST(PeerPace, WhoIsBusyItselfDoesNotHedge) {
  PeerPace pace;
  pace.OnOwnLoad(true);
  EXPECT_FALSE(pace.TryHedge()) << "who is asked may have answered";
  EXPECT_EQ(pace.figures().refused, 1u);
  pace.OnOwnLoad(false);
  EXPECT_TRUE(pace.TryHedge());
}

// ------------------------------------------------------------------------------------- slow peers

TEST(PeerPace, APeerThatIsSilentSeveralTimesInARowIsSlow) {
  PeerPace pace;
  Silent(&pace, kB, 4, AtMs(0));
  EXPECT_TRUE(pace.IsPrompt(kB, AtMs(0)));
  pace.OnSilence(kB, AtMs(0));
  EXPECT_FALSE(pace.IsPrompt(kB, AtMs(0)));
  EXPECT_TRUE(pace.IsPrompt(kC, AtMs(0)));
  EXPECT_EQ(pace.figures().slow, 1u);
}

TEST(PeerPace, AnAnswerInTimeBetweenSilencesKeepsAPeerPromptAndALateOneDoesNot) {
  PeerPace pace;
  Silent(&pace, kB, 4, AtMs(0));
  pace.OnAnswer(kB, Duration::Millis(1), false);
  Silent(&pace, kB, 4, AtMs(0));
  EXPECT_TRUE(pace.IsPrompt(kB, AtMs(0)));
  pace.OnAnswer(kB, Duration::Millis(70), true);
  pace.OnSilence(kB, AtMs(0));
  EXPECT_FALSE(pace.IsPrompt(kB, AtMs(0)));
}

TEST(PeerPace, OneReadTriesASlowPeerAgain) {
  PeerPace pace;
  Silent(&pace, kB, 5, AtMs(0));
  EXPECT_FALSE(pace.IsPrompt(kB, AtMs(99)));
  EXPECT_TRUE(pace.IsPrompt(kB, AtMs(100)));
  pace.OnAsked(kB, AtMs(100));
  EXPECT_FALSE(pace.IsPrompt(kB, AtMs(100))) << "the others go round it until that has answered";
  EXPECT_EQ(pace.figures().tries, 1u);
  pace.OnAnswer(kB, Duration::Millis(1), false);
  EXPECT_TRUE(pace.IsPrompt(kB, AtMs(101)));
  EXPECT_EQ(pace.figures().slow, 0u);
}

TEST(PeerPace, APeerThatStaysSlowIsTriedLessAndLess) {
  PeerPace pace;
  Silent(&pace, kB, 5, AtMs(0));
  int64_t now = 0;
  for (const int64_t pause : {100, 200, 400, 800, 1'600, 3'000, 3'000}) {
    EXPECT_FALSE(pace.IsPrompt(kB, AtMs(now + pause - 1))) << pause;
    now += pause;
    ASSERT_TRUE(pace.IsPrompt(kB, AtMs(now))) << pause;
    pace.OnAsked(kB, AtMs(now));
    pace.OnSilence(kB, AtMs(now));
  }
  EXPECT_EQ(pace.figures().slowed, 1u);
}

TEST(PeerPace, WhatWasAskedOfAPeerBeforeItWasSlowPutsNothingOff) {
  PeerPace pace;
  Silent(&pace, kB, 50, AtMs(0));
  Silent(&pace, kB, 50, AtMs(90));
  EXPECT_TRUE(pace.IsPrompt(kB, AtMs(100)));
}

TEST(PeerPace, ATryThatNobodyHearsOfAgainIsFollowedByAnother) {
  PeerPace pace;
  Silent(&pace, kB, 5, AtMs(0));
  pace.OnAsked(kB, AtMs(100));
  EXPECT_FALSE(pace.IsPrompt(kB, AtMs(3'099)));
  EXPECT_TRUE(pace.IsPrompt(kB, AtMs(3'100)));
}

TEST(PeerPace, ThoseThatSayThatTheyAreBusyAreAskedLater) {
  PeerPace pace;
  EXPECT_EQ(pace.Burden(kB), 0);
  pace.OnLoad(kB, Load::kLight);
  EXPECT_EQ(pace.Burden(kB), 0) << "a cluster that is not busy keeps its order";
  pace.OnLoad(kB, Load::kBusy);
  pace.OnLoad(kC, Load::kFull);
  EXPECT_LT(pace.Burden(kB), pace.Burden(kC));
  EXPECT_GT(pace.Burden(kB), 0);
  EXPECT_LE(pace.Burden(kC), PeerPace::kMostBurden);
  pace.OnLoad(kC, Load::kIdle);
  EXPECT_EQ(pace.Burden(kC), 0);
}

TEST(PeerPace, APeerThatIsSlowOnceMoreIsTriedAsSoonAsTheFirstTime) {
  PeerPace pace;
  Silent(&pace, kB, 5, AtMs(0));
  pace.OnAsked(kB, AtMs(100));
  pace.OnSilence(kB, AtMs(100));
  pace.OnAsked(kB, AtMs(300));
  pace.OnAnswer(kB, Duration::Millis(1), false);
  Silent(&pace, kB, 5, AtMs(400));
  EXPECT_TRUE(pace.IsPrompt(kB, AtMs(500)));
}

}  // namespace
}  // namespace gyre
