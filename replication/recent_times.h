// RecentTimes: how long something took of late, as a histogram that forgets: when it has taken in
// kWeight times, every count is halved, so that of what is in it the newest half counts as much as
// all before. Recent by number, then, not by age: what happens seldom is remembered for long.
//
// Four buckets to each doubling, so that a quantile is off by a fifth at most (cf. HdrHistogram).
//
// Pure; one thread.

#ifndef GYRE_REPLICATION_RECENT_TIMES_H_
#define GYRE_REPLICATION_RECENT_TIMES_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "ring/ids.h"

namespace gyre {

class RecentTimes {
 public:
  static constexpr uint32_t kWeight = 512;
  // Before so many there is no quantile, and after each so many it is looked up anew.
  static constexpr uint32_t kRefresh = 32;

  void Add(Duration took) {
    ++counts_[BucketOf(took)];
    if (++total_ >= kWeight) Halve();
    if (++since_ >= kRefresh) Refresh();
  }
  // 95 of 100 took no longer. Nothing: too few are known.
  std::optional<Duration> p95() const { return p95_; }

 private:
  static constexpr int kFineBits = 2;      // of a bucket's number, below the doubling
  static constexpr int kSmallestBits = 6;  // all below 64 us is one
  static constexpr int kLargestBits = 24;  // and so is all above 16 s
  static constexpr size_t kBuckets = ((kLargestBits - kSmallestBits) << kFineBits) + 1;

  static size_t BucketOf(Duration took) {
    const auto us = static_cast<uint64_t>(std::max<int64_t>(took.micros(), 0));
    const int bits = std::bit_width(us);
    if (bits <= kSmallestBits) return 0;
    const uint64_t fine = (us >> (bits - 1 - kFineBits)) & ((1 << kFineBits) - 1);
    const size_t bucket = (static_cast<size_t>(bits - 1 - kSmallestBits) << kFineBits) + 1 + fine;
    return std::min(bucket, kBuckets - 1);
  }
  // What no time of the bucket is longer than.
  static Duration EndOf(size_t bucket) {
    if (bucket == 0) return Duration::Micros(int64_t{1} << kSmallestBits);
    const size_t fine = (bucket - 1) & ((1 << kFineBits) - 1);
    const size_t doubling = ((bucket - 1) >> kFineBits) + kSmallestBits;
    return Duration::Micros(
        static_cast<int64_t>((fine + 1 + (1 << kFineBits)) << (doubling - kFineBits)));
  }

  void Halve() {
    total_ = 0;
    for (uint16_t& count : counts_) total_ += count /= 2;
  }
  void Refresh() {
    since_ = 0;
    uint32_t above = 0;
    size_t bucket = kBuckets;
    while (bucket > 0 && above * 20 <= total_) above += counts_[--bucket];
    p95_ = EndOf(bucket);
  }

  std::array<uint16_t, kBuckets> counts_{};
  uint32_t total_ = 0;
  uint32_t since_ = 0;
  std::optional<Duration> p95_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_RECENT_TIMES_H_
