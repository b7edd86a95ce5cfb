#include "api/client/throttle.h"

#include <cmath>

namespace gyre {
inline namespace sdk {
namespace {

// Requests that are no measure of anything.
constexpr double kFew = 10;

// Fading costs a power: not for every frame.
constexpr absl::Duration kFadeEvery = absl::Milliseconds(10);

}  // namespace

void Throttle::OnAnswers(uint64_t served, uint64_t refused, absl::Time now) {
  Fade(now);
  served_ += static_cast<double>(served);
  refused_ += static_cast<double>(refused);
}

bool Throttle::Refuses(double unit, absl::Time now) {
  if (!refusing() || std::isinf(options_.most_per_served)) return false;
  Fade(now);
  const double asked = served_ + refused_;
  if (unit * (asked + kFew) >= asked - options_.most_per_served * served_) return false;
  refused_ += 1;
  return true;
}

void Throttle::Fade(absl::Time now) {
  const absl::Duration passed = now - faded_at_;
  if (passed < kFadeEvery) return;
  faded_at_ = now;
  const double left = std::exp2(-absl::FDivDuration(passed, options_.half_life));
  served_ *= left;
  refused_ *= left;
  if (refused_ < 0.5) refused_ = 0;
}

}  // namespace sdk
}  // namespace gyre
