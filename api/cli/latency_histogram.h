// LatencyHistogram: percentiles of many latencies in a fixed space of 57 KiB, to within 1/128 of
// the value (log-linear buckets, after Tene's HdrHistogram with two significant digits). The
// largest value is kept exactly. Not thread-safe.

#ifndef GYRE_API_CLI_LATENCY_HISTOGRAM_H_
#define GYRE_API_CLI_LATENCY_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace gyre {

class LatencyHistogram {
 public:
  void Add(uint64_t micros);
  // As if all that `other` was given had been added here.
  void Merge(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  uint64_t max_micros() const { return max_; }
  // The largest value of the bucket that holds that share of all, never over the largest of all; 0
  // when empty. `share` in [0, 1].
  [[nodiscard]] uint64_t PercentileMicros(double share) const;

 private:
  static constexpr int kSubBits = 7;  // 128 buckets for each power of two
  static constexpr size_t kBuckets = (64 - kSubBits + 1) << kSubBits;

  static size_t BucketOf(uint64_t micros);
  static uint64_t LargestIn(size_t bucket);

  std::array<uint64_t, kBuckets> buckets_ = {};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace gyre

#endif  // GYRE_API_CLI_LATENCY_HISTOGRAM_H_
