#include "storage/flush_limiter.h"

#include <chrono>

namespace gyre {

void FlushLimiter::OnWritten(size_t bytes) {
  const std::lock_guard lock(mutex_);
  pace_.OnWritten(bytes, Now());
}

void FlushLimiter::Hurry() {
  {
    const std::lock_guard lock(mutex_);
    ++hurries_;
  }
  hurried_.notify_all();
}

void FlushLimiter::Calm() {
  const std::lock_guard lock(mutex_);
  --hurries_;
}

void FlushLimiter::OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) {
  const bool waits = info.condition.cur != rocksdb::WriteStallCondition::kNormal;
  const bool waited = info.condition.prev != rocksdb::WriteStallCondition::kNormal;
  if (waits && !waited) Hurry();
  if (!waits && waited) Calm();
}

void FlushLimiter::Request(int64_t bytes, rocksdb::Env::IOPriority priority, rocksdb::Statistics*) {
  if (priority != rocksdb::Env::IO_HIGH) return;
  std::unique_lock lock(mutex_);
  if (hurries_ > 0) return;
  const Time now = Now();
  const Duration wait = pace_.Admit(static_cast<size_t>(bytes), now) - now;
  hurried_.wait_for(lock, std::chrono::microseconds(wait.micros()),
                    [this] { return hurries_ > 0; });
}

int64_t FlushLimiter::GetBytesPerSecond() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(pace_.Rate(Now()));
}

Time FlushLimiter::Now() const {
  return Time::FromMicros(static_cast<int64_t>(env_->NowNanos() / 1000));
}

}  // namespace gyre
