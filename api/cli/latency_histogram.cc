#include "api/cli/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gyre {

size_t LatencyHistogram::BucketOf(uint64_t micros) {
  constexpr uint64_t kLinear = uint64_t{1} << kSubBits;  // below it, a bucket for each value
  if (micros < kLinear) return micros;
  const int shift = std::bit_width(micros) - 1 - kSubBits;
  const uint64_t sub = (micros >> shift) - kLinear;
  return static_cast<size_t>((static_cast<uint64_t>(shift + 1) << kSubBits) + sub);
}

uint64_t LatencyHistogram::LargestIn(size_t bucket) {
  constexpr size_t kLinear = size_t{1} << kSubBits;
  if (bucket < kLinear) return bucket;
  const size_t shift = (bucket >> kSubBits) - 1;
  const uint64_t sub = (bucket & (kLinear - 1)) + kLinear;
  return ((sub + 1) << shift) - 1;
}

void LatencyHistogram::Add(uint64_t micros) {
  ++buckets_[BucketOf(micros)];
  ++count_;
  max_ = std::max(max_, micros);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

uint64_t LatencyHistogram::PercentileMicros(double share) const {
  if (count_ == 0) return 0;
  const double exact = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(exact), 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(LargestIn(i), max_);
  }
  return max_;
}

}  // namespace gyre
