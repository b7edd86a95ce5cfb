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

TEST(LatencyHistogram, IsWithinAThirtySecondOfTheValueAtAnySize) {
  for (uint64_t micros : {1ull, 31ull, 32ull, 33ull, 1000ull, 123'456ull, 987'654'321ull,
                          18'446'744'073'709'551'615ull}) {
    LatencyHistogram histogram;
    histogram.Add(micros);
    const uint64_t told = histogram.PercentileMicros(0.5);
    EXPECT_GE(told, micros);
    EXPECT_LE(told - micros, micros / 32);
  }
}

TEST(LatencyHistogram, TellsNothingOfNothing) {
  EXPECT_EQ(LatencyHistogram().PercentileMicros(0.99), 0u);
}

}  // namespace
}  // namespace gyre
