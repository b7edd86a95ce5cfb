// Recorder: what came of the requests of a run: histograms of latency by kind, and the counts of
// each interval.
//
// Which requests count: a latency counts if the request was meant to start in the measured time,
// however late it ended, so that slow ones are not left out; throughput counts what ended in the
// measured time, whenever it began.
//
// Record may be called by any thread; requests of one slot share a stripe with a mutex of its own,
// so that threads seldom meet. Of the others, CloseInterval and Finish are called by one thread.

#ifndef GYRE_TEST_BENCH_RECORDER_H_
#define GYRE_TEST_BENCH_RECORDER_H_

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "api/cli/latency_histogram.h"
#include "test/bench/request.h"

namespace gyre {

struct RecorderOptions {
  // Microseconds from the start of the run.
  int64_t measure_from_us = 0;
  int64_t measure_until_us = std::numeric_limits<int64_t>::max();
  // What was meant to start in here is left out of `Measured::outside`. Empty: nothing is.
  int64_t exclude_from_us = 0;
  int64_t exclude_until_us = 0;
};

struct Interval {
  int64_t from_us = 0;  // from the start of the measured time
  int64_t until_us = 0;
  uint64_t ended = 0;  // well
  uint64_t failed = 0;
  uint64_t p50_us = 0;  // of those that ended in it
  uint64_t p99_us = 0;
  uint64_t max_us = 0;
};

struct Measured {
  std::array<LatencyHistogram, Request::kKinds> by_kind;  // of what ended well
  LatencyHistogram all;
  LatencyHistogram outside;           // of the excluded time
  uint64_t ended = 0;                 // well, in the measured time
  uint64_t failed = 0;                // after all retries, of what was meant to start in it
  uint64_t absent = 0;                // keys that were asked for and are not there
  uint64_t unsent = 0;                // due in the measured time and not sent by its end
  std::vector<std::string> failures;  // the first few, in words
  std::vector<Interval> intervals;
};

class Recorder {
 public:
  explicit Recorder(RecorderOptions options);

  void Record(int slot, Request::Kind kind, int64_t intended_us, int64_t ended_us,
              const Reply& reply);
  // A request that was due and that nobody sent before the run ended: it waited at least so long.
  void RecordUnsent(int64_t intended_us, int64_t until_us);

  // Ends the interval that began when the one before it ended.
  void CloseInterval(int64_t now_us);
  [[nodiscard]] std::unique_ptr<Measured> Finish();

 private:
  static constexpr size_t kStripes = 8;
  static constexpr size_t kFailuresTold = 5;

  // Since the last interval was closed.
  struct alignas(64) Stripe {
    std::mutex mutex;
    std::array<LatencyHistogram, Request::kKinds> by_kind ABSL_GUARDED_BY(mutex);
    LatencyHistogram outside ABSL_GUARDED_BY(mutex);
    uint64_t ended ABSL_GUARDED_BY(mutex) = 0;
    uint64_t failed ABSL_GUARDED_BY(mutex) = 0;
    uint64_t absent ABSL_GUARDED_BY(mutex) = 0;
    std::vector<std::string> failures ABSL_GUARDED_BY(mutex);
  };

  bool Measures(int64_t at_us) const {
    return options_.measure_from_us <= at_us && at_us < options_.measure_until_us;
  }
  bool IsExcluded(int64_t at_us) const {
    return options_.exclude_from_us <= at_us && at_us < options_.exclude_until_us;
  }
  // Moves what the stripes hold into `measured_`.
  Interval Drain();

  const RecorderOptions options_;
  std::array<Stripe, kStripes> stripes_;
  std::unique_ptr<Measured> measured_;
  int64_t interval_from_us_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_RECORDER_H_
