#include "storage/flush_pace.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

Time At(int64_t ms) { return Time::FromMicros(ms * 1000); }

// `mib_per_s` from `from_ms` for `for_ms`.
void Fill(FlushPace* pace, size_t mib_per_s, int64_t from_ms, int64_t for_ms) {
  for (int64_t ms = from_ms; ms < from_ms + for_ms; ++ms) {
    pace->OnWritten(mib_per_s * kMiB / 1000, At(ms));
  }
}

TEST(FlushPace, IsTheLeastWhileNothingIsWritten) {
  EXPECT_EQ(FlushPace().Rate(At(0)), FlushPace::kLeast);
  EXPECT_EQ(FlushPace().Rate(At(1'000'000)), FlushPace::kLeast);
}

TEST(FlushPace, IsTheLeastWhileLittleIsWritten) {
  FlushPace pace;
  Fill(&pace, 4, 0, 5000);
  EXPECT_EQ(pace.Rate(At(5000)), FlushPace::kLeast);
}

TEST(FlushPace, IsTwiceWhatIsWritten) {
  FlushPace pace;
  Fill(&pace, 40, 0, 8000);
  EXPECT_NEAR(pace.Rate(At(8000)), 80.0 * kMiB, 0.8 * kMiB);
}

TEST(FlushPace, FollowsALoadWithinASecondOrTwo) {
  FlushPace pace;
  Fill(&pace, 40, 0, 2000);
  EXPECT_GT(pace.Rate(At(2000)), 60.0 * kMiB);
  EXPECT_EQ(pace.Rate(At(6000)), FlushPace::kLeast);
}

TEST(FlushPace, AdmitsOnePieceAfterTheOther) {
  FlushPace pace;
  const auto piece = static_cast<size_t>(FlushPace::kLeast / 1000);
  EXPECT_EQ(pace.Admit(piece, At(100)), At(100));
  EXPECT_NEAR((pace.Admit(piece, At(100)) - At(101)).micros(), 0, 1);
  EXPECT_NEAR((pace.Admit(piece, At(102)) - At(102)).micros(), 0, 1);
}

TEST(FlushPace, SavesNothingUpWhileNothingIsFlushed) {
  FlushPace pace;
  const auto second = static_cast<size_t>(FlushPace::kLeast);
  EXPECT_EQ(pace.Admit(second, At(0)), At(0));
  EXPECT_EQ(pace.Admit(second, At(60'000)), At(60'000));
  EXPECT_EQ(pace.Admit(second, At(60'000)), At(61'000));
}

TEST(FlushPace, TakesAClockThatStandsStill) {
  FlushPace pace;
  pace.OnWritten(20 * kMiB, At(7));
  pace.OnWritten(20 * kMiB, At(7));
  pace.OnWritten(20 * kMiB, At(3));  // another thread's reading, late
  EXPECT_DOUBLE_EQ(pace.Rate(At(7)), 120.0 * kMiB);
}

}  // namespace
}  // namespace gyre
