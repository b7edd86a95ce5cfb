// FlushLimiter: holds the writes of RocksDB's flushes to a FlushPace, but for those that somebody
// waits for: writers, whom RocksDB stops while too much is not flushed, and whoever hurries.
// Compactions pass: what makes them give way is the priority of their thread.
//
// Thread rule: every method from any thread. Request waits.

#ifndef GYRE_STORAGE_FLUSH_LIMITER_H_
#define GYRE_STORAGE_FLUSH_LIMITER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "ring/ids.h"
#include "rocksdb/env.h"
#include "rocksdb/listener.h"
#include "rocksdb/rate_limiter.h"
#include "storage/flush_pace.h"

namespace gyre {

class FlushLimiter final : public rocksdb::RateLimiter, public rocksdb::EventListener {
 public:
  // Its clock is that of `env`, which must outlive it.
  explicit FlushLimiter(rocksdb::Env* env) : env_(env) {}

  // The store was given `bytes`.
  void OnWritten(size_t bytes);
  // From a Hurry to its Calm, flushes go as fast as they can.
  void Hurry();
  void Calm();

  // Of a family: while its writers are slowed down or stopped, flushes hurry.
  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override;

  // RocksDB asks with priority IO_HIGH for a flush, IO_LOW for a compaction, and IO_USER for either
  // that has begun while writers waited.
  using rocksdb::RateLimiter::Request;
  void Request(int64_t bytes, rocksdb::Env::IOPriority priority,
               rocksdb::Statistics* statistics) override;
  int64_t GetSingleBurstBytes() const override { return kBurstBytes; }
  int64_t GetBytesPerSecond() const override;
  // The pace is found, not set, and nobody asks for totals.
  void SetBytesPerSecond(int64_t) override {}
  int64_t GetTotalBytesThrough(rocksdb::Env::IOPriority) const override { return 0; }
  int64_t GetTotalRequests(rocksdb::Env::IOPriority) const override { return 0; }

 private:
  static constexpr int64_t kBurstBytes = 64 << 10;

  Time Now() const;

  rocksdb::Env* const env_;
  mutable std::mutex mutex_;
  std::condition_variable hurried_;
  FlushPace pace_;   // guarded by mutex_, and so is the next
  int hurries_ = 0;  // without their Calm
};

}  // namespace gyre

#endif  // GYRE_STORAGE_FLUSH_LIMITER_H_
