#include "test/bench/recorder.h"

#include <algorithm>
#include <utility>

namespace gyre {

Recorder::Recorder(RecorderOptions options)
    : options_(options),
      measured_(std::make_unique<Measured>()),
      interval_from_us_(options.measure_from_us) {}

void Recorder::Record(int slot, Request::Kind kind, int64_t intended_us, int64_t ended_us,
                      const Reply& reply) {
  const bool counts = Measures(intended_us);
  const bool ended_in_time = Measures(ended_us);
  if (!counts && !ended_in_time) return;
  const auto micros = static_cast<uint64_t>(std::max<int64_t>(ended_us - intended_us, 0));
  Stripe& stripe = stripes_[static_cast<size_t>(slot) % kStripes];
  const std::lock_guard lock(stripe.mutex);
  if (!reply.status.ok()) {
    if (!counts) return;
    ++stripe.failed;
    if (stripe.failures.size() < kFailuresTold) {
      stripe.failures.push_back(reply.status.ToString(absl::StatusToStringMode::kWithNoExtraData));
    }
    return;
  }
  if (ended_in_time) {
    ++stripe.ended;
    stripe.absent += reply.absent;
  }
  if (!counts) return;
  stripe.by_kind[static_cast<size_t>(kind)].Add(micros);
  if (!IsExcluded(intended_us)) stripe.outside.Add(micros);
}

void Recorder::RecordUnsent(int64_t intended_us, int64_t until_us) {
  if (!Measures(intended_us)) return;
  ++measured_->unsent;
  const auto micros = static_cast<uint64_t>(std::max<int64_t>(until_us - intended_us, 0));
  measured_->all.Add(micros);
  if (!IsExcluded(intended_us)) measured_->outside.Add(micros);
}

Interval Recorder::Drain() {
  Interval interval;
  LatencyHistogram latency;
  for (Stripe& stripe : stripes_) {
    const std::lock_guard lock(stripe.mutex);
    for (size_t kind = 0; kind < Request::kKinds; ++kind) {
      if (stripe.by_kind[kind].count() == 0) continue;
      measured_->by_kind[kind].Merge(stripe.by_kind[kind]);
      latency.Merge(stripe.by_kind[kind]);
      stripe.by_kind[kind] = {};
    }
    measured_->outside.Merge(stripe.outside);
    stripe.outside = {};
    interval.ended += std::exchange(stripe.ended, 0);
    interval.failed += std::exchange(stripe.failed, 0);
    measured_->absent += std::exchange(stripe.absent, 0);
    for (std::string& failure : stripe.failures) {
      if (measured_->failures.size() == kFailuresTold) break;
      measured_->failures.push_back(std::move(failure));
    }
    stripe.failures.clear();
  }
  measured_->all.Merge(latency);
  measured_->ended += interval.ended;
  measured_->failed += interval.failed;
  interval.p50_us = latency.PercentileMicros(0.5);
  interval.p99_us = latency.PercentileMicros(0.99);
  interval.max_us = latency.max_micros();
  return interval;
}

void Recorder::CloseInterval(int64_t now_us) {
  Interval interval = Drain();
  interval.from_us = std::exchange(interval_from_us_, now_us) - options_.measure_from_us;
  interval.until_us = now_us - options_.measure_from_us;
  measured_->intervals.push_back(interval);
}

std::unique_ptr<Measured> Recorder::Finish() {
  Drain();
  return std::exchange(measured_, std::make_unique<Measured>());
}

}  // namespace gyre
