#include "api/cli/progress_bar.h"

#include <algorithm>
#include <sstream>

#include "gtest/gtest.h"

namespace gyre {
namespace {

Progress Half() {
  return {.title = "load",
          .unit = "records",
          .done = 32'000,
          .share = 0.5,
          .elapsed = absl::Seconds(2)};
}

TEST(ProgressBar, ShowsShareCountRateAndTimeLeft) {
  EXPECT_EQ(RenderProgress(Half(), 100, false),
            "load  [################----------------]   50 %  32,000 records  16,000/s  0:02 left");
}

TEST(ProgressBar, DrawsBlocksWhereTheScreenHasThem) {
  EXPECT_NE(RenderProgress(Half(), 100, true).find("█░"), std::string::npos);
}

TEST(ProgressBar, ShrinksTheBarBeforeAnythingElse) {
  EXPECT_EQ(RenderProgress(Half(), 64, false),
            "load  [######------]   50 %  32,000 records  16,000/s  0:02 left");
  EXPECT_EQ(RenderProgress(Half(), 55, false), "load   50 %  32,000 records  16,000/s  0:02 left");
}

TEST(ProgressBar, IsNeverWiderThanTheScreen) {
  for (int columns = 0; columns <= 120; ++columns) {
    EXPECT_LE(RenderProgress(Half(), columns, false).size(), static_cast<size_t>(columns));
  }
}

TEST(ProgressBar, ShowsOnlyCountAndRateOfWorkWhoseSizeIsUnknown) {
  Progress progress = Half();
  progress.share = -1;
  EXPECT_EQ(RenderProgress(progress, 100, false), "load  32,000 records  16,000/s");
}

TEST(ProgressBar, ClaimsNoRateBeforeAnyTimeHasPassed) {
  EXPECT_EQ(RenderProgress({.title = "load", .unit = "records", .done = 3, .share = 0}, 40, false),
            "load  [---------]    0 %  3 records  0/s");
}

TEST(ProgressBar, CountsHoursWhereItTakesHours) {
  Progress progress = Half();
  progress.elapsed = absl::Hours(2) + absl::Minutes(3);
  EXPECT_NE(RenderProgress(progress, 120, false).find("2:03:00 left"), std::string::npos);
}

TEST(ProgressBar, DrawsNothingWithoutATerminal) {
  std::ostringstream err;
  {
    ProgressBar bar(&err, Terminal{}, "load", "records", absl::UnixEpoch());
    bar.Update(1, 0.5, absl::UnixEpoch() + absl::Seconds(1));
  }
  EXPECT_EQ(err.str(), "");
}

TEST(ProgressBar, RedrawsInPlaceTenTimesASecondAndWipesItselfAtTheEnd) {
  std::ostringstream err;
  {
    ProgressBar bar(&err, Terminal{.err = true}, "load", "records", absl::UnixEpoch());
    for (int ms = 0; ms < 1000; ++ms) {
      bar.Update(1, 0.5, absl::UnixEpoch() + absl::Milliseconds(ms));
    }
  }
  const std::string drawn = err.str();
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), '\r'), 11);
  EXPECT_EQ(drawn.substr(drawn.size() - 4), "\r\x1b[K");
}

TEST(ProgressBar, GroupsDigitsByThousands) {
  EXPECT_EQ(WithThousands(0), "0");
  EXPECT_EQ(WithThousands(999), "999");
  EXPECT_EQ(WithThousands(1000), "1,000");
  EXPECT_EQ(WithThousands(1234567), "1,234,567");
}

}  // namespace
}  // namespace gyre
