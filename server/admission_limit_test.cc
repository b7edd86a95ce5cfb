#include "server/admission_limit.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

using Stage = AdmissionLimit::Stage;

constexpr AdmissionOptions kOptions = {
    .target = Duration::Millis(20), .interval = Duration::Millis(100), .least = 10, .most = 1'000};

// A limit whose lane goes round every ten milliseconds.
class Lane {
 public:
  // All that it had begun was late.
  Lane() { Interval(Duration::Seconds(9), 0); }
  // Rounds for one interval: what they take in waited for so long.
  Lane& Interval(Duration waited, size_t in_flight, size_t answered = 10) {
    for (int i = 0; i < 10; ++i) Round(waited, in_flight, answered);
    return *this;
  }
  Lane& Round(Duration waited, size_t in_flight, size_t answered = 10, size_t begun = 10) {
    now_ = now_ + Duration::Millis(10);
    limit_.OnWait(Stage::kLane, waited, begun);
    limit_.OnRound(in_flight, answered, now_);
    return *this;
  }
  Lane& Disk(Duration waited) {
    limit_.OnWait(Stage::kDisk, waited, 1);
    return *this;
  }
  const AdmissionLimit& limit() const { return limit_; }

 private:
  Time now_;
  AdmissionLimit limit_{kOptions};
};

TEST(AdmissionLimit, IsTheMostUntilAQueueStands) {
  EXPECT_EQ(Lane().limit().limit(), 1'000u);
  EXPECT_EQ(Lane().Interval(Duration::Millis(20), 900).limit().limit(), 1'000u);
}

TEST(AdmissionLimit, FallsFromWhatIsInFlightByHowFarTheWaitIsOffTheTarget) {
  const Lane lane = Lane().Interval(Duration::Millis(25), 500);
  EXPECT_TRUE(lane.limit().standing());
  EXPECT_EQ(lane.limit().limit(), 400u);
}

TEST(AdmissionLimit, FallsByAQuarterAtMostInOneIntervalAndByASixteenthAtLeast) {
  EXPECT_EQ(Lane().Interval(Duration::Seconds(1), 800).limit().limit(), 600u);
  EXPECT_EQ(Lane().Interval(Duration::Micros(20'100), 800).limit().limit(), 750u);
}

TEST(AdmissionLimit, FallsOnWhileTheQueueStandsAndNotBelowTheLeast) {
  Lane lane;
  for (int i = 0; i < 20; ++i) lane.Interval(Duration::Seconds(1), 800);
  EXPECT_EQ(lane.limit().limit(), 10u);
}

TEST(AdmissionLimit, AQueueStandsByWhatMostWaitedHoweverManyRoundsAreShort) {
  Lane lane;
  for (int i = 0; i < 7; ++i) lane.Round(Duration::Micros(500), 900, 10, 1);
  for (int i = 0; i < 3; ++i) lane.Round(Duration::Millis(40), 900, 10, 100);
  EXPECT_TRUE(lane.limit().standing());
  EXPECT_EQ(lane.limit().limit(), 675u);
}

TEST(AdmissionLimit, ABurstThatFewerThanHalfHadToWaitForIsTakenUp) {
  Lane lane;
  for (int i = 0; i < 7; ++i) lane.Round(Duration::Micros(500), 900, 10, 100);
  for (int i = 0; i < 3; ++i) lane.Round(Duration::Millis(90), 900, 10, 200);
  EXPECT_FALSE(lane.limit().standing());
  EXPECT_EQ(lane.limit().limit(), 1'000u);
}

TEST(AdmissionLimit, ABurstThatOneIntervalWorksOffIsTakenUp) {
  Lane lane;
  lane.Interval(Duration(), 900);
  EXPECT_FALSE(lane.Interval(Duration::Millis(90), 900).limit().standing());
  EXPECT_EQ(lane.limit().load_percent(), 90) << "by what is in flight";
  EXPECT_FALSE(lane.Interval(Duration(), 900).limit().standing());
  EXPECT_EQ(lane.limit().limit(), 1'000u);
}

TEST(AdmissionLimit, RoundsThatBeginNothingSayNothing) {
  Lane lane;
  for (int i = 0; i < 2; ++i) lane.Round(Duration::Seconds(3), 500);
  for (int i = 0; i < 8; ++i) lane.Round(Duration(), 500, 10, 0);
  EXPECT_FALSE(lane.limit().standing()) << "two long waits are a moment";
}

TEST(AdmissionLimit, TwoLongWaitsAreAMomentInWhichTheMachineStoodStill) {
  AdmissionLimit limit(kOptions);
  for (int i = 0; i < 2; ++i) limit.OnWait(Stage::kLane, Duration::Seconds(3), 10);
  limit.OnRound(500, 10, Time() + Duration::Seconds(3));
  EXPECT_FALSE(limit.standing());
}

TEST(AdmissionLimit, RisesByAnEighthAnIntervalOnceTheQueueIsGone) {
  Lane lane = Lane().Interval(Duration::Millis(40), 320);
  ASSERT_EQ(lane.limit().limit(), 240u);
  EXPECT_EQ(lane.Interval(Duration::Millis(1), 240).limit().limit(), 271u);
  for (int i = 0; i < 100; ++i) lane.Interval(Duration::Millis(1), 160);
  EXPECT_EQ(lane.limit().limit(), 1'000u) << "and not beyond the most";
}

TEST(AdmissionLimit, ALaneWhoseRoundsOutlastTheIntervalIsSeenToBeOverloaded) {
  AdmissionLimit limit(kOptions);
  for (int i = 1; i <= 6; ++i) {
    EXPECT_FALSE(limit.standing());
    limit.OnWait(Stage::kLane, Duration::Millis(400), 10);
    limit.OnRound(800, 10, Time() + Duration::Millis(400 * i));
  }
  EXPECT_TRUE(limit.standing());
  EXPECT_EQ(limit.limit(), 600u);
}

TEST(AdmissionLimit, RisesWhileTheLaneIsIdleToo) {
  AdmissionLimit limit(kOptions);
  for (int i = 1; i <= 20; ++i) {
    limit.OnWait(Stage::kLane, Duration::Millis(40), 10);
    limit.OnRound(320, 10, Time() + Duration::Millis(25 * i));
  }
  ASSERT_LT(limit.limit(), 320u);
  limit.OnWait(Stage::kLane, Duration(), 1);
  limit.OnRound(0, 0, Time() + Duration::Seconds(60));
  EXPECT_EQ(limit.limit(), 1'000u);
}

TEST(AdmissionLimit, AQueueBeforeTheDiskStandsTooThoughTheLaneHasNone) {
  Lane lane;
  for (const int64_t ms : {30, 24, 18}) lane.Disk(Duration::Millis(ms));
  lane.Interval(Duration(), 600);
  EXPECT_TRUE(lane.limit().standing());
  EXPECT_EQ(lane.limit().limit(), 500u);
}

TEST(AdmissionLimit, SaysToComeAgainWhenWhatIsInFlightWillHaveBeenAnswered) {
  // 1,000 answers a second, and 300 to go.
  EXPECT_EQ(Lane().Interval(Duration::Millis(30), 300).limit().retry_after(),
            Duration::Millis(300));
  EXPECT_EQ(Lane().Interval(Duration::Millis(30), 1, 1'000).limit().retry_after(),
            Duration::Millis(10));
  EXPECT_EQ(Lane().Interval(Duration::Millis(30), 900, 0).limit().retry_after(),
            Duration::Seconds(1));
}

TEST(AdmissionLimit, TheLoadIsTheWaitByItsTarget) {
  EXPECT_EQ(Lane().Interval(Duration::Millis(0), 0).limit().load_percent(), 0);
  EXPECT_EQ(Lane().Interval(Duration::Millis(5), 0).limit().load_percent(), 25);
  EXPECT_EQ(Lane().Interval(Duration::Millis(5), 0).limit().wait_percent(), 25);
  EXPECT_EQ(Lane().Interval(Duration::Seconds(3), 0).limit().load_percent(), 100);
  Lane lane;
  for (int i = 0; i < 3; ++i) lane.Disk(Duration::Millis(15));
  EXPECT_EQ(lane.Interval(Duration::Millis(0), 0).limit().load_percent(), 75);
}

TEST(AdmissionLimit, TheLoadIsNoLessThanWhatIsInFlightByTheLimit) {
  EXPECT_EQ(Lane().Interval(Duration(), 300).limit().load_percent(), 30);
  EXPECT_EQ(Lane().Interval(Duration(), 300).limit().wait_percent(), 0);
  Lane lane = Lane().Interval(Duration::Millis(40), 320);
  ASSERT_EQ(lane.limit().limit(), 240u);
  EXPECT_EQ(lane.Interval(Duration(), 240).limit().load_percent(), 100);
  EXPECT_EQ(lane.Interval(Duration(), 0).limit().load_percent(), 88)
      << "of the interval, at its most";
  EXPECT_EQ(lane.Interval(Duration(), 0).limit().load_percent(), 0);
}

}  // namespace
}  // namespace gyre
