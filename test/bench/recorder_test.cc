#include "test/bench/recorder.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

const Reply kWell;
const Reply kFailed = {.status = absl::UnavailableError("down")};

TEST(Recorder, CountsLatencyByIntendedStartAndThroughputByEnd) {
  Recorder recorder({.measure_from_us = 1000, .measure_until_us = 2000});
  recorder.Record(0, Request::Kind::kGet, 500, 900, kWell);    // before
  recorder.Record(1, Request::Kind::kGet, 900, 1100, kWell);   // ended in the measured time
  recorder.Record(2, Request::Kind::kGet, 1500, 1600, kWell);  // wholly in it
  recorder.Record(3, Request::Kind::kPut, 1900, 9900, kWell);  // began in it, ended long after
  recorder.Record(4, Request::Kind::kPut, 2000, 2100, kWell);  // after
  const auto measured = recorder.Finish();
  EXPECT_EQ(measured->ended, 2u);
  EXPECT_EQ(measured->all.count(), 2u);
  EXPECT_EQ(measured->all.max_micros(), 8000u) << "a slow one is not left out";
  EXPECT_EQ(measured->by_kind[static_cast<size_t>(Request::Kind::kGet)].count(), 1u);
  EXPECT_EQ(measured->by_kind[static_cast<size_t>(Request::Kind::kPut)].count(), 1u);
}

TEST(Recorder, AFailureCountsInNoHistogram) {
  Recorder recorder({});
  for (int slot = 0; slot < 20; ++slot) {
    recorder.Record(slot, Request::Kind::kGet, 10, 20, kFailed);
  }
  const auto measured = recorder.Finish();
  EXPECT_EQ(measured->failed, 20u);
  EXPECT_EQ(measured->all.count(), 0u);
  ASSERT_EQ(measured->failures.size(), 5u);
  EXPECT_EQ(measured->failures.front(), "UNAVAILABLE: down");
}

TEST(Recorder, WhatNobodySentWaitedAtLeastUntilTheEnd) {
  Recorder recorder({.measure_from_us = 100});
  recorder.RecordUnsent(50, 10'000);
  recorder.RecordUnsent(2000, 10'000);
  const auto measured = recorder.Finish();
  EXPECT_EQ(measured->unsent, 1u);
  EXPECT_EQ(measured->all.max_micros(), 8000u);
}

TEST(Recorder, LeavesTheExcludedTimeOutOfOneHistogramAlone) {
  Recorder recorder({.exclude_from_us = 100, .exclude_until_us = 200});
  recorder.Record(0, Request::Kind::kGet, 50, 5050, kWell);  // began before: it counts
  recorder.Record(0, Request::Kind::kGet, 100, 9000, kWell);
  recorder.Record(0, Request::Kind::kGet, 199, 9000, kWell);
  recorder.Record(0, Request::Kind::kGet, 200, 210, kWell);
  const auto measured = recorder.Finish();
  EXPECT_EQ(measured->all.count(), 4u);
  EXPECT_EQ(measured->outside.count(), 2u);
  EXPECT_EQ(measured->outside.max_micros(), 5000u);
}

TEST(Recorder, IntervalsAddUpToTheWhole) {
  Recorder recorder({});
  recorder.Record(0, Request::Kind::kGet, 10, 20, kWell);
  recorder.Record(1, Request::Kind::kGet, 10, 50, kWell);
  recorder.CloseInterval(100);
  recorder.Record(9, Request::Kind::kPut, 110, 130, kWell);
  recorder.Record(9, Request::Kind::kPut, 110, 130, kFailed);
  recorder.CloseInterval(200);
  const auto measured = recorder.Finish();
  ASSERT_EQ(measured->intervals.size(), 2u);
  EXPECT_EQ(measured->intervals[0].ended, 2u);
  EXPECT_EQ(measured->intervals[0].max_us, 40u);
  EXPECT_EQ(measured->intervals[1].from_us, 100);
  EXPECT_EQ(measured->intervals[1].ended, 1u);
  EXPECT_EQ(measured->intervals[1].failed, 1u);
  EXPECT_EQ(measured->intervals[1].max_us, 20u);
  EXPECT_EQ(measured->ended, 3u);
  EXPECT_EQ(measured->all.count(), 3u);
}

}  // namespace
}  // namespace gyre
