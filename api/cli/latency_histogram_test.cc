#include "api/cli/latency_histogram.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(LatencyHistogram, IsExactForFewMicros) {
  LatencyHistogram histogram;
  for (uint64_t micros = 1; micros <= 10; ++micros) histogram.Add(micros);
  EXPECT_EQ(histogram.PercentileMicros(0.5), 5u);
  EXPECT_EQ(histogram.PercentileMicros(0.99), 10u);
  EXPECT_EQ(histogram.PercentileMicros(0.0), 1u);
}

TEST(LatencyHistogram, IsWithinOnePartIn128OfTheValueAtAnySize) {
  for (uint64_t micros : {1ull, 127ull, 128ull, 129ull, 257ull, 1000ull, 123'456ull, 987'654'321ull,
                          9'223'372'036'854'775'807ull}) {
    LatencyHistogram histogram;
    histogram.Add(micros);
    histogram.Add(18'446'744'073'709'551'615ull);
    const uint64_t told = histogram.PercentileMicros(0.5);
    EXPECT_GE(told, micros);
    EXPECT_LE(told - micros, micros / 128);
  }
}

TEST(LatencyHistogram, KeepsTheLargestExactly) {
  LatencyHistogram histogram;
  histogram.Add(100);
  histogram.Add(123'456'789);
  EXPECT_EQ(histogram.max_micros(), 123'456'789u);
  EXPECT_EQ(histogram.PercentileMicros(1.0), 123'456'789u);
}

TEST(LatencyHistogram, AMergedOneTellsWhatOneThatTookAllWouldTell) {
  LatencyHistogram low, high, all;
  for (uint64_t micros = 1; micros <= 1000; ++micros) {
    (micros % 3 == 0 ? low : high).Add(micros * micros);
    all.Add(micros * micros);
  }
  low.Merge(high);
  EXPECT_EQ(low.count(), all.count());
  EXPECT_EQ(low.max_micros(), all.max_micros());
  for (const double share : {0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    EXPECT_EQ(low.PercentileMicros(share), all.PercentileMicros(share)) << share;
  }
}

TEST(LatencyHistogram, TellsNothingOfNothing) {
  EXPECT_EQ(LatencyHistogram().PercentileMicros(0.99), 0u);
}

}  // namespace
}  // namespace gyre
