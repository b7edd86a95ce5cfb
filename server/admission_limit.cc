#include "server/admission_limit.h"

#include <utility>

namespace gyre {
namespace {

constexpr Duration kSoonest = Duration::Millis(10);
constexpr Duration kLatest = Duration::Seconds(1);

// So many eighths are a hundredfold, and more than any limit is off.
constexpr int64_t kMostRises = 40;

// Fewer may be of a moment in which the machine or the disk stood still, and of what it held up.
constexpr size_t kFewestWaits = 3;

}  // namespace

void AdmissionLimit::OnWait(Stage stage, Duration waited, size_t begun) {
  if (begun == 0) return;
  Waits& waits = waits_.at(static_cast<size_t>(stage));
  ++waits.times;
  waits.begun += begun;
  if (waited > options_.target) waits.late += begun;
  waits.sum = waits.sum + waited * static_cast<int64_t>(begun);
}

Duration AdmissionLimit::Usual() const {
  Duration longest;
  for (const Waits& waits : waits_) {
    if (waits.times < kFewestWaits) continue;
    const Duration mean = waits.sum / static_cast<int64_t>(waits.begun);
    longest =
        std::max(longest, waits.MostLate() ? std::max(mean, options_.target + Duration::Micros(1))
                                           : std::min(mean, options_.target));
  }
  return longest;
}

void AdmissionLimit::OnRound(size_t in_flight, size_t answered, Time now) {
  most_in_flight_ = std::max(most_in_flight_, in_flight);
  answered_ += answered;
  const Duration span = now - began_;
  if (span < options_.interval) return;
  // A lane whose rounds are long goes round few times in an interval: it lasts until enough are in.
  const Waits& lane = waits_.at(static_cast<size_t>(Stage::kLane));
  if (lane.times < kFewestWaits && lane.MostLate()) return;
  const Duration usual = Usual();
  const Duration wait = std::min(usual, std::exchange(usual_before_, usual));
  standing_ = wait > options_.target;
  wait_percent_ =
      static_cast<int>(std::min(wait.micros() * 100 / options_.target.micros(), int64_t{100}));
  load_percent_ = std::max(wait_percent_,
                           static_cast<int>(std::min(most_in_flight_ * 100 / limit_, size_t{100})));
  if (standing_) {
    // What was not in flight did not wait: the limit begins where the queue is.
    const auto from = static_cast<int64_t>(std::min(limit_, most_in_flight_));
    const int64_t to = from * options_.target.micros() / wait.micros();
    limit_ = static_cast<size_t>(std::clamp(to, from - from / 4, from - from / 16));
  } else {
    // An idle lane goes round seldom: for each interval that has passed.
    const int64_t quiet = std::min(span.micros() / options_.interval.micros(), kMostRises);
    for (int64_t i = 0; i < quiet; ++i) limit_ += limit_ / 8 + 1;
  }
  limit_ = std::clamp(limit_, std::min(options_.least, options_.most), options_.most);
  const auto left = static_cast<int64_t>(in_flight);
  const auto ended = static_cast<int64_t>(std::max<size_t>(answered_, 1));
  retry_after_ = std::clamp(std::min(span, kLatest) * left / ended, kSoonest, kLatest);
  began_ = now;
  waits_ = {};
  most_in_flight_ = in_flight;
  answered_ = 0;
}

}  // namespace gyre
