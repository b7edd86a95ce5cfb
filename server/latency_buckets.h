// LatencyBuckets: how long requests took, in fixed buckets, cheap enough to count every one.
//
// Thread rule: any thread.

#ifndef GYRE_SERVER_LATENCY_BUCKETS_H_
#define GYRE_SERVER_LATENCY_BUCKETS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "ring/ids.h"

namespace gyre {

class LatencyBuckets {
 public:
  // Upper bounds of the buckets, in microseconds; one more bucket holds what is above.
  static constexpr std::array<int64_t, 16> kBoundsUs = {
      100,    250,    500,     1'000,   2'000,   3'000,     5'000,     10'000,
      20'000, 50'000, 100'000, 200'000, 500'000, 1'000'000, 2'000'000, 10'000'000};

  struct Counts {
    std::array<uint64_t, kBoundsUs.size() + 1> buckets{};
    uint64_t sum_us = 0;
    uint64_t total() const {
      uint64_t sum = 0;
      for (const uint64_t count : buckets) sum += count;
      return sum;
    }
  };

  void Add(Duration took) {
    size_t bucket = 0;
    while (bucket < kBoundsUs.size() && took.micros() > kBoundsUs[bucket]) ++bucket;
    buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_us_.fetch_add(static_cast<uint64_t>(took.micros()), std::memory_order_relaxed);
  }

  Counts counts() const {
    Counts counts;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      counts.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    }
    counts.sum_us = sum_us_.load(std::memory_order_relaxed);
    return counts;
  }

 private:
  std::array<std::atomic<uint64_t>, kBoundsUs.size() + 1> buckets_{};
  std::atomic<uint64_t> sum_us_{0};
};

}  // namespace gyre

#endif  // GYRE_SERVER_LATENCY_BUCKETS_H_
