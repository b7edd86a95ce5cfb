#include "api/client/circuit_breaker.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

using State = CircuitBreaker::State;

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

CircuitBreaker Tripped(absl::Time at) {
  CircuitBreaker breaker;
  breaker.Trip(at);
  return breaker;
}

TEST(CircuitBreaker, GrantsEverythingWhileTheNodeAnswers) {
  CircuitBreaker breaker;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(breaker.TryAcquire(kStart));
    breaker.Success();
  }
}

TEST(CircuitBreaker, OpensAfterFiveFailuresInARow) {
  CircuitBreaker breaker;
  for (int i = 0; i < 4; ++i) breaker.Failure(kStart);
  EXPECT_TRUE(breaker.TryAcquire(kStart));
  breaker.Failure(kStart);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_FALSE(breaker.TryAcquire(kStart));
}

TEST(CircuitBreaker, CountsOnlyFailuresWithNoAnswerBetweenThem) {
  CircuitBreaker breaker;
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 4; ++j) breaker.Failure(kStart);
    breaker.Success();
  }
  EXPECT_EQ(breaker.state(), State::kClosed);
}

TEST(CircuitBreaker, OpensAtOnceWhenTripped) {
  CircuitBreaker breaker = Tripped(kStart);
  EXPECT_FALSE(breaker.WouldGrant(kStart + absl::Milliseconds(99)));
  EXPECT_TRUE(breaker.WouldGrant(kStart + absl::Milliseconds(100)));
}

TEST(CircuitBreaker, GrantsOneProbeWhenTheOpenTimeIsOver) {
  CircuitBreaker breaker = Tripped(kStart);
  const absl::Time later = kStart + absl::Milliseconds(100);
  EXPECT_TRUE(breaker.WouldProbe(later));
  EXPECT_TRUE(breaker.TryAcquire(later));
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  EXPECT_FALSE(breaker.TryAcquire(later));
}

TEST(CircuitBreaker, ClosesWhenTheProbeIsAnswered) {
  CircuitBreaker breaker = Tripped(kStart);
  ASSERT_TRUE(breaker.TryAcquire(kStart + absl::Milliseconds(100)));
  breaker.Success();
  EXPECT_EQ(breaker.state(), State::kClosed);
  EXPECT_TRUE(breaker.TryAcquire(kStart + absl::Milliseconds(100)));
  EXPECT_TRUE(breaker.TryAcquire(kStart + absl::Milliseconds(100)));
}

TEST(CircuitBreaker, StaysOpenTwiceAsLongEachTimeUpToItsMaximum) {
  CircuitBreaker breaker = Tripped(kStart);
  absl::Time now = kStart;
  for (int64_t open_ms : {100, 200, 400, 800, 1600, 3000, 3000}) {
    EXPECT_FALSE(breaker.WouldGrant(now + absl::Milliseconds(open_ms - 1))) << open_ms;
    now += absl::Milliseconds(open_ms);
    ASSERT_TRUE(breaker.TryAcquire(now)) << open_ms;
    breaker.Failure(now);
  }
}

TEST(CircuitBreaker, StartsFromTheShortestOpenTimeAfterASuccess) {
  CircuitBreaker breaker = Tripped(kStart);
  absl::Time now = kStart + absl::Milliseconds(100);
  ASSERT_TRUE(breaker.TryAcquire(now));
  breaker.Failure(now);
  breaker.Success();
  breaker.Trip(now);
  EXPECT_TRUE(breaker.WouldGrant(now + absl::Milliseconds(100)));
}

TEST(CircuitBreaker, IsNotKeptOpenLongerByLateFailures) {
  CircuitBreaker breaker = Tripped(kStart);
  for (int i = 0; i < 50; ++i) breaker.Failure(kStart + absl::Milliseconds(50));
  breaker.Trip(kStart + absl::Milliseconds(50));
  EXPECT_TRUE(breaker.WouldGrant(kStart + absl::Milliseconds(100)));
}

TEST(CircuitBreaker, GivesUpAProbeWhoseOutcomeIsNeverTold) {
  CircuitBreaker breaker = Tripped(kStart);
  const absl::Time probe = kStart + absl::Milliseconds(100);
  ASSERT_TRUE(breaker.TryAcquire(probe));
  EXPECT_FALSE(breaker.TryAcquire(probe + absl::Milliseconds(2999)));
  EXPECT_TRUE(breaker.TryAcquire(probe + absl::Seconds(3)));
}

}  // namespace
}  // namespace gyre
