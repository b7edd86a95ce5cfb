// ArrivalSchedule: when the requests of a load are meant to start.
//
// Open loop: request n is due at n / rate, whatever became of those before it. Its latency counts
// from then, also when nobody was free to send it: a closed loop asks less while the store stalls,
// and so leaves out of its percentiles what users who keep coming would have waited (Tene,
// "How NOT to Measure Latency", 2013: coordinated omission). Closed loop (rate 0): always due, and
// latency counts from when it was sent.
//
// Pure; times are microseconds from the start of the run.

#ifndef GYRE_TEST_BENCH_ARRIVAL_SCHEDULE_H_
#define GYRE_TEST_BENCH_ARRIVAL_SCHEDULE_H_

#include <cmath>
#include <cstdint>

namespace gyre {

class ArrivalSchedule {
 public:
  explicit ArrivalSchedule(double rate_per_s) : rate_per_s_(rate_per_s) {}

  bool is_open() const { return rate_per_s_ > 0; }
  // When request `n` (from 0 on) is due.
  [[nodiscard]] int64_t DueAt(uint64_t n) const {
    if (!is_open()) return 0;
    return static_cast<int64_t>(std::llround(static_cast<double>(n) * 1e6 / rate_per_s_));
  }
  // How many are due before `now_us`.
  [[nodiscard]] uint64_t DueBefore(int64_t now_us) const {
    if (!is_open() || now_us <= 0) return 0;
    auto n = static_cast<uint64_t>(static_cast<double>(now_us) * rate_per_s_ / 1e6);
    while (n > 0 && DueAt(n - 1) >= now_us) --n;
    while (DueAt(n) < now_us) ++n;
    return n;
  }
  // From when on the latency of a request counts.
  [[nodiscard]] int64_t IntendedStart(uint64_t n, int64_t sent_us) const {
    return is_open() ? DueAt(n) : sent_us;
  }

 private:
  const double rate_per_s_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_ARRIVAL_SCHEDULE_H_
