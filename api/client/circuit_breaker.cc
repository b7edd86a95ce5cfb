#include "api/client/circuit_breaker.h"

#include <algorithm>

namespace gyre {
inline namespace sdk {

CircuitBreaker::CircuitBreaker(const CircuitBreakerOptions& options)
    : options_(options), open_for_(options.open_min) {}

bool CircuitBreaker::WouldGrant(absl::Time now) const {
  return state_ == State::kClosed || now >= until_;
}

bool CircuitBreaker::WouldProbe(absl::Time now) const {
  return state_ != State::kClosed && now >= until_;
}

bool CircuitBreaker::TryAcquire(absl::Time now) {
  if (!WouldGrant(now)) return false;
  if (state_ != State::kClosed) {
    state_ = State::kHalfOpen;
    until_ = now + options_.open_max;
  }
  return true;
}

void CircuitBreaker::Success() {
  state_ = State::kClosed;
  failures_ = 0;
  open_for_ = options_.open_min;
}

void CircuitBreaker::Failure(absl::Time now) {
  if (state_ == State::kOpen) return;  // a late word on what is known already
  ++failures_;
  if (state_ == State::kHalfOpen || failures_ >= options_.failures_to_open) Open(now);
}

void CircuitBreaker::Trip(absl::Time now) {
  if (state_ != State::kOpen) Open(now);
}

void CircuitBreaker::Open(absl::Time now) {
  state_ = State::kOpen;
  failures_ = 0;
  until_ = now + open_for_;
  open_for_ = std::min(open_for_ * 2, options_.open_max);
}

}  // namespace sdk
}  // namespace gyre
