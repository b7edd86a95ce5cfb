#include "server/copy_pace.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gyre {
namespace {

constexpr double kSlowShare = 0.01;  // of the requests, which may take longer than the bound
constexpr size_t kLeastRequests = 20;
// In octaves of the pace, for each interval.
constexpr double kMostUp = 0.25;
constexpr double kMostDown = 1;
// Where so few are served that they tell nothing.
constexpr double kIdleUp = 0.05;

}  // namespace

void CopyPace::OnRequest(Duration took, bool moving, Time now) {
  Follow(now);
  if (!moving) {
    pace_ = options_.first;
    took_.push_back(took);
    if (took_.size() >= options_.requests || now >= usual_ends_) EndUsual(now);
    return;
  }
  took_.clear();  // some of these may have met the first copies
  const double usual = static_cast<double>(usual_.value_or(options_.unknown).micros());
  const double bound =
      std::max(static_cast<double>(options_.quick.micros()), usual * options_.most_times);
  ++served_;
  if (static_cast<double>(took.micros()) > bound) ++slow_;
}

void CopyPace::EndUsual(Time now) {
  const bool begins = std::exchange(usual_ends_, now + options_.usual_interval) == Time();
  if (begins && took_.size() < options_.requests) return;
  if (took_.size() >= kLeastRequests) {
    const auto at = took_.begin() + static_cast<std::ptrdiff_t>((took_.size() - 1) * 99 / 100);
    std::nth_element(took_.begin(), at, took_.end());
    usual_ = usual_.has_value() ? Duration::Micros((usual_->micros() * 3 + at->micros()) / 4) : *at;
  }
  took_.clear();
}

void CopyPace::Follow(Time now) {
  if (now < follows_at_) return;
  const bool begins = follows_at_ == Time();
  // Of several intervals without a call nobody was served in any but the first.
  const int64_t idle = begins ? 0 : (now - follows_at_).micros() / options_.interval.micros();
  follows_at_ = now + options_.interval;
  if (begins) return;
  const double allowed = static_cast<double>(served_) * kSlowShare;
  const double spare = (allowed - static_cast<double>(slow_)) / std::max(1.0, allowed);
  const double least = slow_ == 0 ? kIdleUp : -kMostDown;
  const double octaves = std::clamp(spare, least, kMostUp) + kIdleUp * static_cast<double>(idle);
  pace_ = std::clamp(pace_ * std::exp2(octaves), options_.least, options_.most);
  served_ = slow_ = 0;
}

Duration CopyPace::RestAfter(size_t bytes, Time now) {
  Follow(now);
  const double rest = static_cast<double>(bytes) / pace_ * 1e6;
  const double most = static_cast<double>(options_.longest_rest.micros());
  return Duration::Micros(static_cast<int64_t>(std::min(rest, most)));
}

}  // namespace gyre
