#include "server/copy_pace.h"

#include <algorithm>
#include <utility>

namespace gyre {

void CopyPace::OnRequest(Duration took, bool copying, Time now) {
  if (now >= ends_at_) EndInterval(now);
  took_.push_back(took);
  copied_ = copied_ || copying;
  if (took_.size() >= options_.requests) EndInterval(now);
}

size_t CopyPace::copies(Time now) {
  if (now >= ends_at_) EndInterval(now);
  return copies_;
}

void CopyPace::EndInterval(Time now) {
  if (std::exchange(ends_at_, now + options_.interval) == Time()) return;  // it only begins
  const bool tells = took_.size() >= options_.least_requests;
  const Duration slow = tells ? Percentile() : Duration();
  const Duration bound =
      std::max(options_.quick, usual_.value_or(Duration()) * options_.most_times);
  if (tells && !copied_) {
    usual_ =
        usual_.has_value() ? Duration::Micros((usual_->micros() * 3 + slow.micros()) / 4) : slow;
  } else if (tells && slow > bound) {
    copies_ = std::max<size_t>(1, copies_ / 2);
  } else {
    copies_ = std::min(options_.most, copies_ + 1);
  }
  took_.clear();
  copied_ = false;
}

Duration CopyPace::Percentile() {
  const auto at = took_.begin() + static_cast<std::ptrdiff_t>((took_.size() - 1) * 99 / 100);
  std::nth_element(took_.begin(), at, took_.end());
  return *at;
}

}  // namespace gyre
