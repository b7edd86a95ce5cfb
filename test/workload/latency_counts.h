// LatencyCounts: how many latencies were about how long, as a line that a script can read and add
// to those of other runs: a percentile of all requests of many runs is none of theirs.
//
//   63:2 1087:5 1119:1
//
// Each pair is the largest latency of a bucket, in microseconds, and how many are in it; a bucket
// is at most 1/32 as wide as what is in it is long (after Tene's HdrHistogram). Not thread-safe.

#ifndef GYRE_TEST_WORKLOAD_LATENCY_COUNTS_H_
#define GYRE_TEST_WORKLOAD_LATENCY_COUNTS_H_

#include <bit>
#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"

namespace gyre {

class LatencyCounts {
 public:
  void Add(uint32_t us) { ++counts_[LargestBeside(us)]; }

  std::string ToString() const {
    std::string line;
    for (const auto& [bound_us, count] : counts_) {
      absl::StrAppend(&line, line.empty() ? "" : " ", bound_us, ":", count);
    }
    return line;
  }

  // The largest that is counted together with it.
  static uint32_t LargestBeside(uint32_t us) {
    const int shift = std::bit_width(us) - kKeptBits;
    return shift <= 0 ? us : us | ((uint32_t{1} << shift) - 1);
  }

 private:
  static constexpr int kKeptBits = 6;  // the first is always set: 32 buckets for each power of two

  std::map<uint32_t, uint64_t> counts_;  // by the bound
};

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_LATENCY_COUNTS_H_
