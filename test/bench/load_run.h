// LoadRun: keeps a target under load for a while and tells a recorder what came of it.
//
//   closed loop   every slot asks again as soon as it is answered; the next request starts inside
//                 the callback, so that what one frame of replies sets free leaves as one frame
//   open loop     a thread starts requests when they are due (ArrivalSchedule), as long as a slot
//                 is free; what is due while none is keeps waiting, and its latency grows
//
// A slot whose request failed rests for a millisecond, so that a store that refuses everything is
// not asked millions of times.
//
// Run blocks. Requests that are under way at the end are waited for; no callback runs after it.

#ifndef GYRE_TEST_BENCH_LOAD_RUN_H_
#define GYRE_TEST_BENCH_LOAD_RUN_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "ring/random.h"
#include "test/bench/arrival_schedule.h"
#include "test/bench/recorder.h"
#include "test/bench/request_source.h"
#include "test/bench/target.h"

namespace gyre {

struct LoadRunOptions {
  int slots = 64;         // requests under way at most
  double rate_per_s = 0;  // 0: closed loop
  int64_t warm_up_us = 0;
  int64_t length_us =
      10'000'000;  // after the warm-up; the run ends sooner if the source is through
  int64_t interval_us = 1'000'000;
  uint64_t seed = 1;
};

// When the measured time began and ended, in microseconds from the start of the run.
struct MeasuredTime {
  int64_t from_us = 0;
  int64_t until_us = 0;
};

class LoadRun {
 public:
  LoadRun(LoadRunOptions options, Target* target, RequestSource* source, Recorder* recorder);

  // `on_measure` is called when the measured time begins and when it ends.
  MeasuredTime Run(const std::function<void()>& on_measure);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kRestUs = 1000;  // after a failure
  static constexpr size_t kLargestBatch = 64;
  // Between two batches that an open loop sends: what comes due meanwhile leaves with the next, as
  // many users' requests do from one web server. It counts into their latency. Shorter, and at some
  // thousand requests a second each is a frame of its own, of which the load generator pays the
  // larger part.
  static constexpr int64_t kPaceUs = 500;

  struct alignas(64) Slot {
    explicit Slot(uint64_t seed) : random(seed) {}
    Random random;
    Request request;
    int64_t intended_us = 0;
    int64_t sent_us = 0;
  };
  struct Idle {
    int slot;
    int64_t rests_until_us;
  };
  struct Due {
    int slot;
    uint64_t number;  // of the request, from 0 on
  };

  int64_t Now() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - origin_).count();
  }
  void Pace();  // the thread that starts requests
  std::vector<Due> TakeDue(int64_t now_us) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t WakeAt() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Begin(int slot, uint64_t number);
  void OnDone(int slot, Reply reply);
  void GiveBack(int slot, int64_t rests_until_us);
  void AwaitAllIdle();
  // Returns when `at_us` has come or all is done, and whether the latter is so.
  bool SleepUntil(int64_t at_us);

  const LoadRunOptions options_;
  const ArrivalSchedule schedule_;
  const int64_t end_us_;
  Target* const target_;
  RequestSource* const source_;
  Recorder* const recorder_;
  const Clock::time_point origin_ = Clock::now();
  std::vector<Slot> slots_;
  std::atomic<bool> exhausted_{false};  // the source is through

  std::mutex mutex_;
  std::condition_variable slot_free_;  // the pacing thread waits for it
  std::condition_variable through_;    // Run waits for it: every slot is idle
  std::deque<Idle> idle_ ABSL_GUARDED_BY(mutex_);
  uint64_t started_ ABSL_GUARDED_BY(mutex_) = 0;           // by the pacing thread
  int64_t sent_at_us_ ABSL_GUARDED_BY(mutex_) = -kPaceUs;  // its last batch
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_LOAD_RUN_H_
