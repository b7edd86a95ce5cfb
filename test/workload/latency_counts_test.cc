#include "test/workload/latency_counts.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(LatencyCounts, TellHowManyWereAboutHowLong) {
  LatencyCounts counts;
  EXPECT_EQ(counts.ToString(), "");
  for (uint32_t us : {0, 63, 63, 1000, 1001, 1040}) counts.Add(us);
  EXPECT_EQ(counts.ToString(), "0:1 63:2 1007:2 1055:1");
}

TEST(LatencyCounts, ABucketIsNarrow) {
  constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
  for (uint32_t us : {1u, 64u, 65u, 127u, 128u, 4095u, 4096u, 1'000'000u, kMost - 1, kMost}) {
    const uint32_t bound = LatencyCounts::LargestBeside(us);
    EXPECT_GE(bound, us);
    EXPECT_LE(bound - us, us / 32) << us;
    EXPECT_EQ(LatencyCounts::LargestBeside(bound), bound) << us;
  }
}

}  // namespace
}  // namespace gyre
