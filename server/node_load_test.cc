#include "server/node_load.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

// Tells of a share every hundred milliseconds.
class SaidOfLoad {
 public:
  explicit SaidOfLoad(NodeLoadOptions options = {}) : load_(options) {}
  Load After(Duration span, int percent) { return After(span, percent, percent); }
  // Of two shares in turn.
  Load After(Duration span, int one, int other) {
    for (const Time end = now_ + span; now_ < end; now_ = now_ + Duration::Millis(100)) {
      load_.OnShare(now_.micros() % 200'000 == 0 ? one : other, now_);
    }
    return load_.level();
  }

 private:
  Time now_;
  NodeLoad load_;
};

constexpr Duration kMoment = Duration::Millis(900);
constexpr Duration kWhile = Duration::Millis(1'100);
constexpr Duration kLongWhile = Duration::Millis(5'100);

TEST(NodeLoad, IsCountedInQuartersOfWhatTheNodeCanDo) {
  const auto of = [](int percent) { return SaidOfLoad().After(kWhile, percent); };
  EXPECT_EQ(of(0), Load::kIdle);
  EXPECT_EQ(of(24), Load::kIdle);
  EXPECT_EQ(of(25), Load::kLight);
  EXPECT_EQ(of(50), Load::kBusy);
  EXPECT_EQ(of(75), Load::kFull);
  EXPECT_EQ(of(1'000), Load::kFull);
}

TEST(NodeLoad, RisesOnlyOnceTheShareHasBeenHighForAWhile) {
  SaidOfLoad node;
  EXPECT_EQ(node.After(kMoment, 100), Load::kIdle);
  EXPECT_EQ(node.After(kWhile, 100), Load::kFull);
  EXPECT_EQ(SaidOfLoad({.rise_after = Duration::Seconds(3)}).After(kWhile, 100), Load::kIdle);
}

TEST(NodeLoad, FollowsNoBurst) {
  EXPECT_EQ(SaidOfLoad().After(Duration::Seconds(60), 100, 0), Load::kIdle);
}

TEST(NodeLoad, RisesToWhatTheShareWasAtLeast) {
  EXPECT_EQ(SaidOfLoad().After(kWhile, 60, 100), Load::kBusy);
}

TEST(NodeLoad, FallsOnlyOnceTheShareHasBeenLowForALongWhile) {
  SaidOfLoad node;
  ASSERT_EQ(node.After(kWhile, 100), Load::kFull);
  EXPECT_EQ(node.After(Duration::Millis(4'900), 0), Load::kFull);
  EXPECT_EQ(node.After(kLongWhile, 0), Load::kIdle);
  SaidOfLoad quick({.fall_after = Duration::Millis(300)});
  ASSERT_EQ(quick.After(kWhile, 100), Load::kFull);
  EXPECT_EQ(quick.After(kMoment, 0), Load::kIdle);
}

TEST(NodeLoad, StaysWhereTheShareIsHighNowAndThen) {
  SaidOfLoad node;
  ASSERT_EQ(node.After(kWhile, 100), Load::kFull);
  EXPECT_EQ(node.After(Duration::Seconds(60), 100, 0), Load::kFull);
}

TEST(NodeLoad, FallsToWhatTheShareWasAtMost) {
  SaidOfLoad node;
  ASSERT_EQ(node.After(kWhile, 100), Load::kFull);
  EXPECT_EQ(node.After(kLongWhile, 0, 30), Load::kLight);
}

TEST(NodeLoad, AShareAboutABoundChangesNothing) {
  SaidOfLoad node;
  ASSERT_EQ(node.After(kWhile, 76), Load::kFull);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(node.After(kLongWhile, 66), Load::kFull);
    EXPECT_EQ(node.After(kWhile, 76), Load::kFull);
  }
  EXPECT_EQ(node.After(kLongWhile, 64), Load::kBusy);
  SaidOfLoad without({.margin_percent = 0});
  ASSERT_EQ(without.After(kWhile, 76), Load::kFull);
  EXPECT_EQ(without.After(kLongWhile, 74), Load::kBusy);
}

}  // namespace
}  // namespace gyre
